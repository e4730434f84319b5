// What is offered to whom. The central refuses the rest in any case.
import assert from "node:assert/strict";
import { BASE, addressOf, api, behaviour, heading, settled, signedIn, visit } from "./page.mjs";

const PASSWORD = "correct horse battery";
const as = (user, options) => signedIn({ user, password: PASSWORD }, options);

const offered = async (page) =>
  (await page.getByRole("navigation", { name: "Main" }).getByRole("link").allInnerTexts()).map((text) =>
    text.trim(),
  );

const MONITORING = ["Safe to delete?", "Retirement plans", "Records", "Zones", "Servers", "Health"];

async function menuOf(page, address, name) {
  await visit(page, address);
  await page.getByRole("button", { name, exact: true }).click();
  const items = await page.locator(".menu-list li").allInnerTexts();
  await page.keyboard.press("Escape");
  return items.map((text) => text.trim());
}

/** Everything in a view that would change something. */
const CHANGES = /Add|Remove|New token|Retire|Protect|Allow|Upload|Save|Create|Record |Load now|Delete|Rename/;
const changing = async (page) =>
  (await page.locator("main").locator("button, a.button").allInnerTexts())
    .map((text) => text.trim())
    .filter((text) => CHANGES.test(text));

behaviour("who has no right sees only the own account", async () => {
  const page = await as("nobody");
  await visit(page, "");
  assert.deepEqual(await offered(page), ["Your account", "API"]);
  await page.waitForURL(/#\/users/);
  assert.match(await heading(page).innerText(), /^nobody/);
  assert.equal(await page.title(), "Your account · Zonepulse");
  assert.ok(
    await page
      .getByRole("button", { name: /password/i })
      .or(page.getByRole("link", { name: /password/i }))
      .first()
      .isVisible(),
  );
  for (const address of ["records", "servers", "health", "settings", "audit", "delete", "servers/add"]) {
    await visit(page, address);
    await page.getByText("You may not see this").waitFor();
    assert.equal(await page.getByRole("table").count(), 0, address);
  }
  page.watch.nothing();
});

behaviour("who may only look is offered nothing that changes anything", async () => {
  const page = await as("viewer");
  await visit(page, "");
  assert.deepEqual(await offered(page), [...MONITORING, "Settings", "Your account", "API"]);
  assert.deepEqual(await menuOf(page, "servers", "Actions for ns1"), ["Details", "Monitoring", "Settings"]);
  assert.deepEqual(await menuOf(page, "zones", "Actions for shop.example."), ["Verdicts", "Records"]);
  const [server] = (await api("/api/v2/servers")).json;
  const [zone] = (await api("/api/v2/zones")).json;
  const [plan] = (await api("/api/v2/retirements")).json;
  for (const address of [
    ...["delete", "plans", "zones", "records", "servers", "health", "settings"],
    `servers/${server.server_id}/settings`,
    `servers/${server.server_id}/services`,
    `zones/${zone.zone_id}`,
    `zones/${zone.zone_id}?tab=settings`,
    `plans/${plan.retirement_id}`,
    "zones/add",
  ]) {
    await visit(page, address);
    assert.deepEqual(await changing(page), [], address);
    assert.equal(
      await page
        .locator("main")
        .getByRole("checkbox", { name: /^Select/ })
        .count(),
      0,
      address,
    );
  }
  await visit(page, "servers/add");
  await page.getByText("You may not see this").waitFor();
  await visit(page, "audit");
  await page.getByText("This view is for administrators.").waitFor();
  page.watch.nothing();
});

behaviour("who plans deletions may retire records, and change no zone", async () => {
  const page = await as("planner");
  await visit(page, "delete?window=8d&verdict=never_used");
  await page.getByRole("checkbox", { name: /^Select never\.shop\.example\. A/ }).check();
  const tools = page.getByRole("group", { name: "Selected records" });
  assert.deepEqual(await tools.getByRole("button").allInnerTexts(), ["Retire…", "Clear"]);
  await visit(page, "zones");
  assert.deepEqual(await changing(page), []);
  page.watch.nothing();
});

behaviour("who may change servers and zones is offered that, and no users", async () => {
  const page = await as("operator");
  await visit(page, "");
  assert.deepEqual(await offered(page), [...MONITORING, "Settings", "Your account", "API"]);
  const items = await menuOf(page, "servers", "Actions for ns1");
  assert.deepEqual(items, ["Details", "Monitoring", "Settings", "New token…", "Remove…"]);
  assert.ok(await page.getByRole("link", { name: "Add server" }).isVisible());
  await visit(page, "zones");
  assert.ok(await page.getByRole("link", { name: "Add zone" }).isVisible());
  await visit(page, "users/viewer");
  assert.deepEqual(await changing(page), []);
  page.watch.nothing([/ (403|404)$/, /console: Failed to load resource: .* (403|404) /]);
});

behaviour(
  "rights that were taken away are no longer offered after a reload, and refused before",
  async () => {
    const rights = (given) =>
      api("/api/v2/users/demoted", {
        method: "PATCH",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ rights: given }),
      });
    await api("/api/v2/users", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user: "demoted", password: PASSWORD, rights: { server_delete: true } }),
    });
    const page = await as("demoted");
    await visit(page, "servers?name=ns2");
    await page.getByRole("button", { name: "Actions for ns2" }).click();
    await page.locator(".menu-list").getByRole("button", { name: "Remove…" }).click();
    await rights({ server_delete: false });
    const dialog = page.getByRole("dialog");
    const name = dialog.getByRole("textbox");
    if ((await name.count()) > 0) await name.first().fill("ns2");
    await dialog.getByRole("button", { name: /^Remove/ }).click();
    await dialog
      .getByRole("alert")
      .filter({ hasText: /right|may not|server_delete|session/i })
      .or(page.getByRole("heading", { name: "Sign in" }))
      .first()
      .waitFor();
    assert.ok(
      (await api("/api/v2/servers")).json.some(({ server }) => server === "ns2"),
      "ns2 is still there",
    );
    page.watch.nothing([/ (401|403)$/, /console: Failed to load resource/]);
  },
);

behaviour("the administrator is offered everything", async () => {
  const page = await signedIn();
  await page.goto(addressOf(""));
  await settled(page);
  assert.deepEqual(await offered(page), [...MONITORING, "Settings", "Users", "Audit log", "API"]);
  assert.ok(page.url().startsWith(BASE));
  page.watch.nothing();
});
