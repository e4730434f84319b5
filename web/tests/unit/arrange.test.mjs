import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { arrange } = await load("ui/arrange");

const ROWS = [
  { name: "ns10", hits: 5 },
  { name: "NS9", hits: 5 },
  { name: "ns1", hits: undefined },
  { name: "backup", hits: 70 },
];
const KEYS = { name: ({ name }) => name, hits: ({ hits }) => hits };
const names = (sort) => arrange.arranged(ROWS, sort, KEYS, "name").map(({ name }) => name);

test("numbers in names count, case does not", () => {
  assert.deepEqual(names("name"), ["backup", "ns1", "NS9", "ns10"]);
  assert.deepEqual(names("-name"), ["ns10", "NS9", "ns1", "backup"]);
});

test("what is not known comes last in either direction, and equal rows by the standard column", () => {
  assert.deepEqual(names("hits"), ["NS9", "ns10", "backup", "ns1"]);
  assert.deepEqual(names("-hits"), ["backup", "NS9", "ns10", "ns1"]);
});

test("a sorting that there is not is the standard one", () => {
  assert.deepEqual(names("-constructor"), names("-name"));
});

test("a page is a part of the rows, and knows of all", () => {
  assert.deepEqual(arrange.pageOf(ROWS, { offset: 3, limit: 25 }), { rows: [ROWS[3]], total: 4 });
  assert.deepEqual(arrange.pageOf(ROWS, { offset: 25, limit: 25 }), { rows: [], total: 4 });
});
