// Every view can be reached in every way, and nothing goes wrong meanwhile.
import assert from "node:assert/strict";
import { behaviour, hash, heading, follow, settled, signedIn, visit } from "./page.mjs";
import { NAVIGATION, everyView } from "./views.mjs";

const violations = (page) => page.evaluate(() => globalThis.violations);

behaviour("every view opens by its address, and again after a reload", async () => {
  const page = await signedIn();
  const wrong = [];
  for (const { address, title } of await everyView()) {
    await visit(page, address);
    const before = [hash(page), await heading(page).innerText()];
    if (!title.test(before[1])) wrong.push(`${address} is headed ${before[1]}`);
    for (const failure of await page.locator("main .failure").allInnerTexts())
      wrong.push(`${address}: ${failure}`);
    await page.reload();
    await settled(page);
    assert.deepEqual([hash(page), await heading(page).innerText()], before);
    assert.match(await page.title(), / · Zonepulse$/);
    for (const each of await violations(page)) wrong.push(`${address}: ${each}`);
    for (const each of page.watch.faults.splice(0)) wrong.push(`${address}: ${each}`);
  }
  assert.deepEqual(wrong, []);
});

behaviour("every view opens by the navigation, and the back button goes through them all again", async () => {
  const page = await signedIn();
  await visit(page, "");
  const navigation = page.getByRole("navigation", { name: "Main" });
  for (const [name, address, title] of NAVIGATION) {
    const link = navigation.getByRole("link", { name, exact: true });
    await follow(page, link);
    assert.match(await heading(page).innerText(), title);
    assert.equal(hash(page), `#/${address}`);
    assert.equal(await link.getAttribute("aria-current"), "page");
    // Whoever does not see it hears where they are.
    if (address !== "delete")
      assert.equal(
        await page.evaluate(() => document.activeElement?.tagName),
        "H1",
        `${address} has the focus`,
      );
  }
  for (const [, address, title] of NAVIGATION.slice(0, -1).reverse()) {
    await page.goBack();
    await settled(page);
    assert.equal(hash(page), `#/${address}`);
    assert.match(await heading(page).innerText(), title);
  }
  await page.goForward();
  await settled(page);
  assert.equal(hash(page), `#/${NAVIGATION[1][1]}`);
  assert.deepEqual(await violations(page), []);
  page.watch.nothing();
});

behaviour("the clock and the theme are a click away, and are kept", async () => {
  const page = await signedIn();
  await visit(page, "audit");
  const footer = page.getByText(/^Times are in /);
  assert.equal(await footer.innerText(), "Times are in Europe/Prague.");
  await page.getByRole("group", { name: "Clock" }).getByRole("button", { name: "UTC" }).click();
  assert.equal(await footer.innerText(), "Times are in UTC.");
  await page.getByRole("button", { name: /^User and display/ }).click();
  await page.getByRole("group", { name: "Theme" }).getByRole("button", { name: "Dark" }).click();
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.reload();
  await settled(page);
  assert.equal(await footer.innerText(), "Times are in UTC.");
  assert.equal(await background(), dark);
  page.watch.nothing();
});
