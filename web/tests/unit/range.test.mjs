import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { range } = await load("ui/range");

const said = (query, standard) =>
  range.invalidRange(new URLSearchParams(query), standard).map(({ what, instead }) => `${what}: ${instead}`);

test("a valid range, or none, is nothing to speak of", () => {
  for (const query of ["", "range=7d", "from=2026-01-01T00:00Z", "from=2026-01-01&to=2026-01-02", "step=15"])
    assert.deepEqual(said(query), [], query);
});

test("a range that does not count is named, with what is shown instead", () => {
  assert.deepEqual(said("range=xyz"), ["range: the last 24 hours"]);
  assert.deepEqual(said("range=xyz", "all"), ["range: all time"]);
  assert.deepEqual(said("from=2026-13-45&range=7d"), ["start: the last 7 days"]);
  assert.deepEqual(said("from=2026-01-02&to=2026-01-01"), ["range: the last 24 hours"]);
  assert.deepEqual(said("from=2026-01-02&to=x"), ["end: the time from its start until now"]);
  assert.deepEqual(said("to=2026-01-02"), ["end: the last 24 hours"]);
});

test("a step that does not exist is named", () => {
  assert.equal(range.invalidStep(new URLSearchParams("step=7")).length, 1);
  assert.equal(range.invalidStep(new URLSearchParams("step=15")).length, 0);
});
