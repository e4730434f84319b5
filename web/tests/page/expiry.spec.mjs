// A session that ends by itself. The test moves the central's clock; the browser's stays.
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { addressOf, behaviour, hash, open, settled, signIn } from "./page.mjs";

const clock = process.env.ZONEPULSE_TESTS_CLOCK;
const HOUR_S = 3600;

/** Sets the central's clock forward, at once: half a number would be another time. */
function forward(hours) {
  writeFileSync(`${clock}.new`, String(Math.round(hours * HOUR_S)));
  renameSync(`${clock}.new`, clock);
}

/** Asks again. The page may have noticed by itself that it may not. */
async function refresh(page) {
  await page
    .getByRole("button", { name: "Refresh", exact: true })
    .click({ timeout: 10_000 })
    .catch(() => undefined);
}

const REFUSED = /failed request: (GET|POST|DELETE) \S+\/api\/v2\/\S+ 401|console: .* 401 /;

behaviour("a session lasts while it is used, and ends after eight hours without a call", async () => {
  const page = await open();
  await page.goto(addressOf("servers?sort=server"));
  await signIn(page);
  await settled(page);
  for (const hours of [7, 14]) {
    forward(hours);
    await refresh(page);
    await settled(page);
    assert.equal(await page.getByText("Your session has expired.").count(), 0, `after ${hours} hours`);
  }
  forward(22.1);
  await refresh(page);
  await page.getByText("Your session has expired.").waitFor();
  assert.equal(await page.getByRole("table").count(), 0);
  await signIn(page);
  await settled(page);
  assert.equal(hash(page), "#/servers?sort=server");
  page.watch.nothing([REFUSED]);
});

behaviour("a session ends after a day, however much it is used", async () => {
  // The clock does not go back.
  const login = 30;
  forward(login);
  const page = await open();
  await page.goto(addressOf("servers"));
  await signIn(page);
  await settled(page);
  for (const hours of [6, 12, 18, 23.9]) {
    forward(login + hours);
    await refresh(page);
    await settled(page);
    assert.equal(await page.getByText("Your session has expired.").count(), 0, `after ${hours} hours`);
  }
  forward(login + 24.1);
  await refresh(page);
  await page.getByText("Your session has expired.").waitFor();
  page.watch.nothing([REFUSED]);
});
