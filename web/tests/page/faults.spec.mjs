// Calls that fail, are slow, or are answered with nonsense: said where the data would be, never as an empty table.
import assert from "node:assert/strict";
import { behaviour, follow, heading, open, addressOf, settled, signedIn, visit } from "./page.mjs";
import { everyView } from "./views.mjs";

const API = /\/api\/v2\/(?!session)/;
/** What a view shows if there is nothing: that would be a lie. */
const NOTHING = /^(No .* matches|There is no |Nothing was|No token|No server|No zone|No plan)/;
/** The faults that the tests make themselves. */
const PROVOKED = [/failed request: /, /console: Failed to load resource/];
/** Views that consist of what is in the address, or ask for nothing that could fail. */
const NEEDS_NOTHING = /^(nowhere|servers\/add|zones\/add)/;

const problem = (status, title, detail) => ({
  status,
  contentType: "application/problem+json",
  body: JSON.stringify({ type: "about:blank", title, status, detail }),
});

/** That each view tells about a fault of all its calls. */
async function everyViewTells(fault, words) {
  const page = await signedIn();
  await visit(page, "nowhere");
  await page.route(API, fault);
  const silent = [];
  for (const { address } of await everyView()) {
    if (NEEDS_NOTHING.test(address)) continue;
    await visit(page, address, 6_000).catch(() => silent.push(`${address}: is still loading`));
    const told = await page.locator("main [role=alert], main [role=note]").allInnerTexts();
    if (!told.some((text) => words.test(text))) silent.push(`${address}: says ${JSON.stringify(told)}`);
    const empty = (await page.locator("main .empty").allInnerTexts()).filter((text) => NOTHING.test(text));
    if (empty.length > 0) silent.push(`${address}: claims ${empty.join("; ")}`);
  }
  assert.deepEqual(silent, []);
  page.watch.nothing(PROVOKED);
}

behaviour("a failing API is told in every view", () =>
  everyViewTells(
    (route) => route.fulfill(problem(500, "Internal error", "the store has a bad day")),
    /the store has a bad day/i,
  ),
);

behaviour("an API that cannot be reached is told in every view", () =>
  everyViewTells((route) => route.abort("connectionrefused"), /could not be reached/),
);

behaviour("a malformed answer is told in every view", () =>
  everyViewTells(
    (route) => route.fulfill({ status: 200, contentType: "application/json", body: '{"rows": [tru' }),
    /not JSON|could not be displayed|not a list|not an object|unexpected/i,
  ),
);

behaviour("an answer of another shape breaks no view", async () => {
  const page = await signedIn();
  await visit(page, "nowhere");
  const wrong = [];
  for (const body of ["[]", "{}", "[null]", '[{"host": 7}]']) {
    await page.route(API, (route) => route.fulfill({ status: 200, contentType: "application/json", body }));
    for (const { address } of await everyView()) {
      const at = `${address} with ${body}`;
      await visit(page, address, 6_000).catch(() => wrong.push(`${at}: is still loading`));
      // The navigation is there to go on with.
      if (!(await page.getByRole("navigation", { name: "Main" }).isVisible()))
        wrong.push(`${at}: no navigation`);
      if ((await heading(page).innerText()) === "") wrong.push(`${at}: no heading`);
    }
    await page.unroute(API);
  }
  assert.deepEqual(wrong, []);
  page.watch.nothing(PROVOKED);
});

behaviour("a failed call can be tried again", async () => {
  const page = await signedIn();
  await page.route(API, (route) =>
    route.fulfill(problem(503, "Too many questions", "too many questions are under way")),
  );
  await visit(page, "records");
  const failure = page.getByRole("alert").filter({ hasText: "Too many questions are under way" }).first();
  await failure.waitFor();
  assert.equal(await page.getByRole("table", { name: "Records" }).count(), 0);
  await page.unroute(API);
  await follow(page, failure.getByRole("button", { name: "Try again" }));
  assert.ok((await page.getByRole("table", { name: "Records" }).getByRole("row").count()) > 10);
  page.watch.nothing(PROVOKED);
});

behaviour("rows that could not be refreshed stay, and are said to be old", async () => {
  const page = await signedIn();
  await visit(page, "records");
  const rows = page.getByRole("table", { name: "Records" }).getByRole("row");
  const before = await rows.count();
  await page.route(API, (route) => route.fulfill(problem(500, "Internal error", "the store has a bad day")));
  await page.getByRole("button", { name: "Refresh", exact: true }).click();
  await page.getByText(/these rows are not up to date/).waitFor();
  assert.equal(await rows.count(), before);
  page.watch.nothing(PROVOKED);
});

behaviour("a slow call is said to be slow, and shown when it comes", async () => {
  const page = await signedIn();
  await visit(page, "nowhere");
  let answer;
  const slow = new Promise((resolve) => (answer = resolve));
  await page.route(API, async (route) => {
    await slow;
    await route.continue();
  });
  for (const address of ["records", "servers"]) {
    await page.goto(addressOf(address));
    await page
      .getByText(/This takes longer than usual/)
      .first()
      .waitFor();
    assert.equal(await page.getByRole("table").count(), 0);
    assert.equal(await page.locator("main .empty").count(), 0);
  }
  answer();
  await settled(page);
  assert.ok((await page.getByRole("table", { name: "Servers" }).getByRole("row").count()) > 1);
  page.watch.nothing();
});

behaviour("a page whose central is gone says so at its start", async () => {
  const page = await open();
  await page.route(/\/api\/v2\/session/, (route) => route.abort("connectionrefused"));
  await page.goto(addressOf("records"));
  await page.getByText("The central could not be reached.").waitFor();
  await page.unroute(/\/api\/v2\/session/);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  page.watch.nothing(PROVOKED);
});

behaviour("a part of the page that is not delivered is told, with what to do", async () => {
  const page = await signedIn();
  await page.route(/\/assets\/view-/, (route) => route.abort("connectionrefused"));
  await page.goto(addressOf("audit"));
  await page.getByText("The view could not be loaded").waitFor();
  assert.ok(await page.getByRole("navigation", { name: "Main" }).isVisible());
  page.watch.nothing([...PROVOKED, /console: /]);
});

behaviour("a part of a page whose central is gone can be tried again", async () => {
  const page = await signedIn();
  await visit(page, "nowhere");
  const gone = /\/(assets\/view-|healthz|api\/v2\/(?!session))/;
  await page.route(gone, (route) => route.abort("connectionrefused"));
  await page.goto(addressOf("audit"));
  await page.getByText("The central could not be reached.").waitFor();
  assert.equal(await page.getByText("It may have been updated").count(), 0);
  await page.unroute(gone);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Audit log" }).waitFor();
  page.watch.nothing([...PROVOKED, /console: /]);
});

behaviour("a part of a page that does not come is said to be slow", async () => {
  const page = await signedIn();
  await visit(page, "nowhere");
  await page.route(/\/assets\/view-/, () => {});
  await page.goto(addressOf("audit"));
  await page.getByText("This takes longer than usual").waitFor();
  page.watch.nothing(PROVOKED);
});

behaviour("an answer of another shape is asked for again by a refresh", async () => {
  const page = await signedIn();
  await visit(page, "nowhere");
  const call = /\/api\/v2\/retirements(\?|$)/;
  for (const body of ['{"a":1}', '[{"a":1}]']) {
    await page.route(call, (route) => route.fulfill({ status: 200, contentType: "application/json", body }));
    await visit(page, "plans");
    await page.getByText("An unexpected answer").waitFor();
    assert.doesNotMatch(await page.locator("main").innerText(), /iterable|undefined|is not a function/);
    await page.unroute(call);
    await page.route(call, (route) => route.fulfill(problem(503, "Busy", "the central is busy")));
    await page.getByRole("button", { name: "Refresh", exact: true }).click();
    await page.getByText("The central is busy", { exact: true }).waitFor();
    await page.unroute(call);
    await follow(page, page.getByRole("button", { name: "Refresh", exact: true }));
    assert.equal(await page.getByRole("alert").count(), 0);
    await visit(page, "nowhere");
  }
  page.watch.nothing(PROVOKED);
});

behaviour("a change that takes long says so, and its end is told after leaving", async () => {
  const page = await signedIn();
  await visit(page, "users?do=add");
  let answer;
  const slow = new Promise((resolve) => (answer = resolve));
  await page.route(API, async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    await slow;
    await route.fulfill(problem(500, "Internal error", "the store has a bad day"));
  });
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name", { exact: true }).fill("slow");
  await dialog.getByRole("button", { name: /^Add/ }).click();
  await dialog.getByText("Saving…").waitFor();
  await dialog.getByText("Saving… This takes longer than usual.").waitFor();
  await page.goto(addressOf("audit"));
  await page.getByRole("heading", { name: "Audit log" }).waitFor();
  answer();
  await page.getByText(/was not saved: The store has a bad day/).waitFor();
  page.watch.nothing(PROVOKED);
});
