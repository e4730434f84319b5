// What axe-core finds in each view, and whether it fits a phone.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { behaviour, open, settled, signedIn, visit } from "./page.mjs";
import { everyView } from "./views.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const GRAVE = ["serious", "critical"];

/** What is wrong, and where. */
async function faults(page) {
  // The policy forbids what a test adds as an element, not what it evaluates.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, { resultTypes: ["violations"] }),
  );
  return violations
    .filter(({ impact }) => GRAVE.includes(impact))
    .map(
      ({ id, impact, nodes }) =>
        `${impact} ${id}: ${nodes.slice(0, 3).map(({ target }) => target.join(" "))}`,
    );
}

for (const colorScheme of ["light", "dark"])
  behaviour(`nothing serious in any view, ${colorScheme}`, async () => {
    const stranger = await open({ colorScheme });
    await stranger.goto(process.env.ZONEPULSE_TESTS_URL);
    await stranger.getByRole("heading", { name: "Sign in" }).waitFor();
    const wrong = (await faults(stranger)).map((fault) => `login: ${fault}`);
    const page = await signedIn(undefined, { colorScheme });
    for (const { address } of await everyView()) {
      await visit(page, address);
      for (const fault of await faults(page)) wrong.push(`${address}: ${fault}`);
    }
    assert.deepEqual(wrong, []);
  });

behaviour("nothing scrolls sideways at 360 px, and everything can be reached", async () => {
  const page = await signedIn(undefined, { viewport: { width: 360, height: 740 }, hasTouch: true });
  const wrong = [];
  for (const { address } of await everyView()) {
    await visit(page, address);
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (excess > 0) wrong.push(`${address} is ${excess} px too wide`);
  }
  assert.deepEqual(wrong, []);
  await page.getByRole("button", { name: "Open navigation" }).click();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Health" }).click();
  await settled(page);
  assert.equal(await page.locator("main h1").innerText(), "Health");
  page.watch.nothing();
});

behaviour("the keyboard reaches the content, sorts a table and leaves a dialog", async () => {
  const page = await signedIn();
  await visit(page, "records");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  const sort = page.getByRole("columnheader", { name: /^Name/ }).getByRole("button");
  await sort.focus();
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(
    await page.getByRole("columnheader", { name: /^Name/ }).getAttribute("aria-sort"),
    "ascending",
  );
  await visit(page, "users?do=add");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  page.watch.nothing();
});
