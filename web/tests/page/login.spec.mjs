// Who may see the page: signing in and out, and a session that ends.
import assert from "node:assert/strict";
import {
  ADMINISTRATOR,
  BASE,
  addressOf,
  behaviour,
  hash,
  heading,
  open,
  settled,
  signIn,
  visit,
} from "./page.mjs";

const REFUSED = /failed request: (GET|POST|DELETE) \S+\/api\/v2\/\S+ 401|console: .* 401 /;

async function atLogin(page, address = "") {
  await page.goto(addressOf(address));
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
}

behaviour("a wrong password is refused in words, and the name is kept", async () => {
  const page = await open();
  await atLogin(page, "records?sort=host");
  await signIn(page, { user: ADMINISTRATOR.user, password: "not the password" });
  await page.getByText("The name or the password is wrong.").waitFor();
  assert.equal(await page.getByLabel("Name").inputValue(), ADMINISTRATOR.user);
  assert.equal(await page.getByLabel("Password").inputValue(), "");
  assert.equal(await page.getByRole("navigation", { name: "Main" }).count(), 0);
  page.watch.nothing([REFUSED]);
});

behaviour("the right password leads to the view of the address", async () => {
  const page = await open();
  await atLogin(page, "records?sort=host");
  await signIn(page);
  await settled(page);
  assert.equal(await heading(page).innerText(), "Records");
  assert.equal(hash(page), "#/records?sort=host");
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ["zonepulse_session", true, "Strict"]);
  assert.equal(await page.evaluate(() => document.cookie), "");
  page.watch.nothing([REFUSED]);
});

behaviour("an expired session asks again, and returns to the same view", async () => {
  const page = await open();
  await atLogin(page);
  await signIn(page);
  await settled(page);
  await visit(page, "records?host=www*&sort=host");
  // The central forgets the session, and the browser keeps its cookie.
  const [cookie] = await page.context().cookies();
  const headers = { cookie: `${cookie.name}=${cookie.value}`, "x-zonepulse-page": "1" };
  const { csrf_token } = await (await fetch(`${BASE}/api/v2/session`, { headers })).json();
  const ended = await fetch(`${BASE}/api/v2/session`, {
    method: "DELETE",
    headers: { ...headers, "x-csrf-token": csrf_token },
  });
  assert.equal(ended.status, 204);
  await page.getByRole("button", { name: "Refresh", exact: true }).click();
  await page.getByText("Your session has expired.").waitFor();
  assert.equal(await page.getByRole("table").count(), 0);
  await signIn(page);
  await settled(page);
  assert.equal(hash(page), "#/records?host=www*&sort=host");
  assert.equal(await heading(page).innerText(), "Records");
  assert.ok((await page.getByRole("table", { name: "Records" }).getByRole("row").count()) > 1);
  page.watch.nothing([REFUSED]);
});

behaviour("signing out ends the session, and nothing is left to see", async () => {
  const page = await open();
  await atLogin(page, "records");
  await signIn(page);
  await settled(page);
  await visit(page, "servers");
  await page.getByRole("button", { name: /^User and display/ }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.getByText("expired").count(), 0);
  assert.equal((await page.context().cookies()).length, 0);
  await page.goBack();
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.getByRole("table").count(), 0);
  page.watch.nothing([REFUSED]);
});

behaviour("a user who is removed is signed out", async () => {
  const page = await open();
  const user = { user: "leaver", password: "correct horse battery" };
  const authorization = `Basic ${Buffer.from(`${ADMINISTRATOR.user}:${ADMINISTRATOR.password}`).toString("base64")}`;
  const admin = (method, path, body) =>
    fetch(`${BASE}/api/v2/users${path}`, {
      method,
      headers: { authorization, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
  assert.equal((await admin("POST", "", user)).status, 201);
  await atLogin(page, "servers");
  await signIn(page, user);
  await settled(page);
  assert.ok((await admin("DELETE", `/${user.user}`)).ok);
  await page.getByRole("button", { name: "Refresh", exact: true }).click();
  await page.getByText("Your session has expired.").waitFor();
  page.watch.nothing([REFUSED]);
});
