import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { ledger, overall, patterns, prometheus, refusals } = await load(
  "views/health/ledger",
  "views/health/overall",
  "views/health/prometheus",
  "views/health/refusals",
  "views/records/patterns",
);
const { exactly, likeOf, patternsOf, totalsSql } = patterns;
const { periodsOf, stripOf, summarize } = ledger;
const { overallOf } = overall;
const { Metrics, parseMetrics } = prometheus;
const { refusalsOf } = refusals;

test("metrics: labels, escapes, numbers, and lines that are not understood", () => {
  const text = [
    "# HELP a_total Something",
    "# TYPE a counter",
    'a_total{server="1",name="x\\"y\\\\z\\n, }"} 3',
    'a_total{server="2"} 4.5e1 1700000000',
    "plain 7",
    "up +Inf",
    "down -Inf",
    "nan NaN",
    'broken{server="1} 3',
    "broken{} nonsense",
    "# EOF",
    "",
  ].join("\n");
  assert.deepEqual(parseMetrics(text).slice(0, 5), [
    { name: "a_total", labels: { server: "1", name: 'x"y\\z\n, }' }, value: 3 },
    { name: "a_total", labels: { server: "2" }, value: 45 },
    { name: "plain", labels: {}, value: 7 },
    { name: "up", labels: {}, value: Infinity },
    { name: "down", labels: {}, value: -Infinity },
  ]);
  const metrics = new Metrics(text);
  assert.equal(metrics.sum("a_total"), 48);
  assert.equal(metrics.sum("a_total", { server: "2" }), 45);
  assert.equal(metrics.sum("a_total", { server: "3" }), undefined);
  assert.equal(metrics.sum("absent"), undefined);
  assert.deepEqual(metrics.all("broken"), []);
  assert.equal(new Metrics("<html>").size, 0);
});

test("refusals: only what happened", () => {
  const metrics = new Metrics(
    'zonepulse_server_batches_too_old_total{server="1"} 2\nzonepulse_server_batches_too_old_total{server="2"} 1\n' +
      'zonepulse_batches_postponed_total 0\nzonepulse_rabbitmq_messages_refused_total{reason="unsigned"} 5\n',
  );
  assert.deepEqual(
    refusalsOf(metrics).map(({ id, count }) => [id, count]),
    [
      ["server_batches_too_old", 3],
      ["broker unsigned", 5],
    ],
  );
});

const MIN = 60_000;
const NOW = Date.parse("2026-01-02T00:00:00Z");
const row = (from, to, why) => ({
  server_id: 1,
  server: "ns1",
  from: new Date(NOW + from * MIN).toISOString(),
  to: new Date(NOW + to * MIN).toISOString(),
  observed: why === null,
  why,
});
const server = (created, sample = false) => ({
  created: new Date(NOW + created * MIN).toISOString(),
  sample,
});

test("ledger: time before a server was added and reports that are due are no gaps", () => {
  const rows = [
    row(-1440, -99, "gap"),
    row(-99, -60, null),
    row(-60, -58, "kernel_drop blind"),
    row(-58, -1, null),
  ];
  const periods = periodsOf([...rows, row(-1, 0, "gap")], server(-100), NOW);
  assert.deepEqual(
    periods.map(({ kind }) => kind),
    ["before", "observed", "partial", "observed", "pending"],
  );
  const { share, causes, newest } = summarize(periods);
  assert.equal(share, 96 / 98);
  assert.deepEqual(causes, [
    ["kernel_drop", 2 * MIN],
    ["blind", 2 * MIN],
  ]);
  assert.equal(newest, NOW - MIN);
});

test("ledger: gaps count after that, and lost reports are told apart", () => {
  const periods = periodsOf(
    [
      row(-1440, -900, "gap"),
      row(-900, -600, null),
      row(-600, -500, "evicted"),
      row(-500, -60, null),
      row(-60, 0, "gap"),
    ],
    server(-1200),
    NOW,
  );
  assert.deepEqual(
    periods.map(({ kind, from, to }) => [kind, (from - NOW) / MIN, (to - NOW) / MIN]),
    [
      ["before", -1440, -1200],
      ["gap", -1200, -900],
      ["observed", -900, -600],
      ["lost", -600, -500],
      ["observed", -500, -60],
      ["gap", -60, 0],
    ],
  );
});

test("ledger: a server that never reported was not observed since it was added, a sample only where it has data", () => {
  assert.deepEqual(
    periodsOf([row(-1440, 0, "gap")], server(-720), NOW).map(({ kind }) => kind),
    ["before", "gap"],
  );
  const sample = periodsOf(
    [row(-1440, -90, "gap"), row(-90, -60, null), row(-60, 0, "gap")],
    server(-30, true),
    NOW,
  );
  assert.equal(summarize(sample).share, 1);
});

test("strip: a cell shows the worst of its time", () => {
  const periods = periodsOf(
    [row(-60, -31, null), row(-31, -30, "kernel_drop"), row(-30, -10, null), row(-10, 0, null)],
    server(-1440),
    NOW,
  );
  assert.deepEqual(stripOf(periods, NOW - 60 * MIN, NOW, 6), [
    { at: 0, cells: 2, kind: "observed", causes: [] },
    { at: 2, cells: 1, kind: "partial", causes: ["kernel_drop"] },
    { at: 3, cells: 3, kind: "observed", causes: [] },
  ]);
});

test("the sentence", () => {
  const facts = {
    servers: 3,
    incomplete: 0,
    unknown: 0,
    added: 0,
    troubled: 0,
    ready: true,
    words: "last 24 hours",
  };
  assert.equal(overallOf(facts).sentence, "All 3 servers were observed completely in the last 24 hours.");
  assert.equal(overallOf(facts).tone, "good");
  assert.equal(
    overallOf({ ...facts, incomplete: 1 }).sentence,
    "1 of 3 servers was not observed completely in the last 24 hours.",
  );
  assert.equal(
    overallOf({ ...facts, unknown: 1 }).sentence,
    "1 of 3 servers has not reported anything of the last 24 hours yet.",
  );
  assert.equal(
    overallOf({ ...facts, added: 3 }).sentence,
    "All 3 servers were observed completely in the last 24 hours, or since they were added.",
  );
  assert.equal(overallOf({ ...facts, troubled: 2 }).tone, "warn");
  assert.equal(overallOf({ ...facts, troubled: 2 }).meaning, "But 2 servers need attention now:");
  assert.equal(overallOf({ ...facts, servers: 0 }).tone, "info");
  assert.equal(overallOf({ ...facts, ready: false }).tone, "bad");
});

test("the sentence: trouble is told whatever was observed", () => {
  const facts = {
    servers: 3,
    incomplete: 0,
    unknown: 0,
    added: 0,
    troubled: 1,
    ready: true,
    words: "last 24 hours",
  };
  for (const past of [{}, { incomplete: 1 }, { unknown: 2 }, { added: 3 }, { ready: false }])
    assert.match(overallOf({ ...facts, ...past }).meaning, /a server needs attention now:$/);
});

test("names: parts, patterns and zones", () => {
  assert.deepEqual(patternsOf(""), []);
  assert.deepEqual(patternsOf("www"), ["*www*"]);
  assert.deepEqual(patternsOf("*.example.com"), ["*.example.com"]);
  assert.deepEqual(patternsOf("\\*.dev"), ["*\\*.dev*"]);
  assert.deepEqual(patternsOf("", "example.com."), ["example.com.", "*.example.com."]);
  assert.deepEqual(patternsOf("exam", "example.com."), ["example.com.", "*.example.com."]);
  assert.deepEqual(patternsOf("www.exam", "example.com."), ["*www.exam*.example.com.", "*www.example.com."]);
  assert.deepEqual(patternsOf("mail*", "example.com."), ["mail*.example.com."]);
  assert.deepEqual(patternsOf("mail*.example.com", "example.com."), ["mail*.example.com."]);
  assert.equal(exactly("*.dev.example."), "\\*.dev.example.");
  assert.equal(exactly("\\*.dev.example."), "\\*.dev.example.");
});

test("SQL: what was typed stays text", () => {
  assert.equal(likeOf("*o'hara_50%\\*"), "'%o''hara\\_50\\%*'");
  const sql = totalsSql({
    hosts: ["*' OR '1'='1*"],
    type: "A' --",
    server: "1 OR 1=1",
    resource: "",
    code: "",
    exists: true,
    accessedFrom: "",
    accessedTo: "",
  });
  assert.match(sql, /host LIKE '%'' OR ''1''=''1%'/);
  assert.match(sql, /type = 'A'' --'/);
  assert.doesNotMatch(sql, /server_id/);
});
