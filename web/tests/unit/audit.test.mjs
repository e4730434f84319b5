import assert from "node:assert/strict";
import { test } from "node:test";
import { answers, browser, json, load } from "./page.mjs";

browser();
const { entries } = await load("views/audit/entries");

const row = (id, more = {}) => ({
  id,
  time: new Date(id * 1000).toISOString(),
  who: "ann",
  from: "192.0.2.1",
  action: "user.change",
  what: 'user "bob"',
  before: null,
  after: null,
  ...more,
});

const ANY = { who: "", action: "", what: "", from: undefined, to: undefined };

test("nested values are compared one by one", () => {
  assert.deepEqual(
    entries.differences({ rights: { zones: false, a: 1 } }, { rights: { zones: true, a: 1 } }),
    [{ name: "rights.zones", before: false, after: true }],
  );
});

test("a value that was set or taken back has one side", () => {
  assert.deepEqual(entries.differences({ a: 1 }, { b: 2 }), [
    { name: "a", before: 1, after: undefined },
    { name: "b", before: undefined, after: 2 },
  ]);
});

test("where nothing is said, nothing differs", () => {
  assert.deepEqual([entries.differences(null, null), entries.differences({}, null)], [[], []]);
});

test("items with ids are compared one by one", () => {
  const [a, b] = [
    { id: 1, name: "a" },
    { id: 2, name: "b" },
  ];
  assert.deepEqual(entries.differences({ tokens: [a, b] }, { tokens: [a] }), [
    { name: "tokens", before: b, after: undefined },
  ]);
});

test("a token is created or revoked", () => {
  const tokens = { tokens: [{ id: 1, name: "a" }] };
  const words = (before, after) => entries.actionWords(row(1, { action: "user.token", before, after }));
  assert.deepEqual([words({}, tokens), words(tokens, {})], ["Token created", "Token revoked"]);
});

test("an area finds all its actions, an action only itself", () => {
  const wanted = (action) => entries.isWanted(row(1), { ...ANY, action });
  assert.deepEqual(["", "user.", "user.change", "user.create", "server."].map(wanted), [
    true,
    true,
    true,
    false,
    false,
  ]);
});

test("who is a user or an address", () => {
  const wanted = (who) => entries.isWanted(row(1), { ...ANY, who });
  assert.deepEqual(["ANN", "192.0.2", "bob"].map(wanted), [true, true, false]);
});

test("a range has its start and not its end", () => {
  const wanted = (from, to) => entries.isWanted(row(10), { ...ANY, from, to });
  assert.deepEqual(
    [wanted(10_000, undefined), wanted(10_001, undefined), wanted(0, 10_000)],
    [true, false, false],
  );
});

test("only what is new is fetched again, and nothing twice", async () => {
  const total = (count) => ({ "x-total-count": String(count) });
  answers(json([row(2), row(1)], 200, total(2)));
  await entries.everything();
  const calls = answers(json([row(3), row(2), row(1)], 200, total(3)));
  const { rows } = await entries.everything();
  assert.deepEqual([rows.map(({ id }) => id), calls.length], [[3, 2, 1], 1]);
});
