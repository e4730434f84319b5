// Names and notes of attackers: shown, and without any effect.
import assert from "node:assert/strict";
import { api, behaviour, column, csv, download, heading, signedIn, visit } from "./page.mjs";

/** The names of the world, as the page writes them. */
const NAMES = [
  "<script>alert\\(1\\)</script>.shop.example.",
  "<img\\032src=x\\032onerror=alert\\(1\\)>.shop.example.",
  "bell\\007null\\000.shop.example.",
  "\\226\\128\\174elpmaxe.shop.example.",
  "javascript:alert\\(1\\).shop.example.",
];
const LABEL = "<b onmouseover=alert(1)>label</b>\\u202elebal";
const PLAN = "spring <i>cleaning</i>";
/** What only markup from a name could have made. */
const PLANTED =
  "main script, main img, main iframe, main object, main [onerror], main [onmouseover], main i, main a[href^='javascript:']";

async function harmless(page) {
  assert.equal(await page.locator(PLANTED).count(), 0);
  // Nothing that reorders or hides text reaches the document, its title included.
  const hidden = await page.evaluate(
    () => /\p{Cf}|(?![\n\t])\p{Cc}/u.exec(document.title + document.body.innerText)?.[0],
  );
  assert.equal(hidden, undefined);
  assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
  page.watch.nothing();
}

behaviour("hostile names are in the list of records, character by character", async () => {
  const page = await signedIn();
  await visit(page, "records?sort=-hits&type=A&per=100");
  const names = await column(page, "Records", "Name");
  for (const name of NAMES)
    assert.ok(names.includes(name), `${name} is not among ${names.slice(0, 20).join(" ")}`);
  await harmless(page);
});

behaviour("each has a view of its own, which a reload shows again", async () => {
  const page = await signedIn();
  for (const name of NAMES) {
    await visit(page, "records?sort=-hits&type=A&per=100");
    await page.getByRole("table", { name: "Records" }).getByRole("link", { name, exact: true }).click();
    await page.waitForURL(/#\/record\?/);
    for (let reloads = 0; reloads < 2; reloads += 1) {
      await heading(page).filter({ hasText: name }).waitFor();
      await page.getByRole("term").filter({ hasText: "Queries, all time" }).waitFor();
      await harmless(page);
      await page.reload();
    }
  }
});

behaviour("an address with a hostile name, or with nonsense, does no harm", async () => {
  const page = await signedIn();
  for (const address of [
    `record?host=${encodeURIComponent("<img src=x onerror=alert(1)>\u202e")}&type=A`,
    "record?host=%E2%80%AEevil%3Cscript%3E&type=%3Cscript%3E",
    "records?host=%3Cscript%3Ealert(1)%3C/script%3E&sort=%3Cscript%3E",
    "records?page=-1&per=99999999&sort=;drop",
    "servers/%3Cscript%3E/monitoring?range=javascript:alert(1)",
    "zones/%2e%2e%2f%2e%2e",
    "users/%3Cimg%20src=x%3E",
    "%E0%A4%A/%ZZ",
    "__proto__/constructor",
  ]) {
    await visit(page, address);
    assert.equal(await page.locator(PLANTED).count(), 0, address);
    assert.deepEqual(await page.evaluate(() => globalThis.violations), [], address);
    // The central refuses what it does not know, and that is said.
    page.watch.nothing([/ (400|404)$/, /console: Failed to load resource: .* (400|404) /]);
  }
});

behaviour("labels and names of plans are text", async () => {
  const page = await signedIn();
  const zones = (await api("/api/v2/zones")).json;
  const { zone_id } = zones.find(({ zone }) => zone === "shop.example.");
  await visit(page, `zones/${zone_id}?tab=records`);
  await page.getByText(LABEL, { exact: true }).waitFor();
  await harmless(page);
  await visit(page, "plans");
  await page.getByRole("link", { name: PLAN }).click();
  await heading(page).filter({ hasText: PLAN }).waitFor();
  await harmless(page);
  await visit(page, "delete?host=web.shop.example");
  await page.getByText(LABEL, { exact: true }).waitFor();
  await harmless(page);
});

behaviour("a saved table has no formula for a spreadsheet", async () => {
  const page = await signedIn();
  await visit(page, "records?host=*script*");
  const { text } = await download(page, page.getByRole("button", { name: "CSV", exact: true }));
  const rows = csv(text);
  assert.ok(rows.length >= 2, text);
  for (const row of rows) for (const value of Object.values(row)) assert.doesNotMatch(value, /^[=+@\t\r]/);
});
