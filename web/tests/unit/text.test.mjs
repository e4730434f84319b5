import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { text, preferences } = await load("text", "preferences");

const inClock = (clock, action) => {
  preferences.clock.value = clock;
  try {
    return action();
  } finally {
    preferences.clock.value = "local";
  }
};

test("what is not known is a dash", () => {
  for (const write of [text.count, text.brief, text.measure, text.share, text.bytes, text.duration])
    assert.deepEqual([write(null), write(undefined)], ["–", "–"]);
});

test("a zero is a zero, not a dash", () => {
  assert.deepEqual(
    [text.count(0), text.measure(0), text.share(0), text.bytes(0), text.duration(0)],
    ["0", "0", "0%", "0 B", "0 s"],
  );
});

test("counts are grouped", () => assert.equal(text.count(1234567), "1,234,567"));

test("measures have three significant digits or so", () => {
  assert.deepEqual([0.0342, 1.25, 17.34, 1240.4].map(text.measure), ["0.034", "1.25", "17.3", "1,240"]);
});

test("sizes are in powers of 1024", () => {
  assert.deepEqual([1023, 1024, 1536, 5 * 1024 ** 3].map(text.bytes), [
    "1,023 B",
    "1 KiB",
    "1.5 KiB",
    "5 GiB",
  ]);
});

test("durations have their two largest units", () => {
  assert.deepEqual([93_784, 3600, 61, 0.25].map(text.duration), ["1 d 2 h", "1 h", "1 min 1 s", "250 ms"]);
});

test("a duration does not skip a unit", () => assert.equal(text.duration(86_400 + 59), "1 d"));

test("times are in UTC if that is chosen", () => {
  const at = Date.UTC(2026, 6, 1, 22, 30, 5);
  assert.equal(
    inClock("utc", () => text.moment(at)),
    "2026-07-01 22:30:05",
  );
});

test("times are local otherwise, daylight saving included", () => {
  const [summer, winter] = [Date.UTC(2026, 6, 1, 22, 30), Date.UTC(2026, 0, 1, 22, 30)];
  assert.deepEqual(
    [text.moment(summer, "minute"), text.moment(winter, "minute")],
    ["2026-07-02 00:30", "2026-01-01 23:30"],
  );
});

test("the zone is named as it is chosen", () => {
  assert.deepEqual([text.zoneName(), inClock("utc", text.zoneName)], ["Europe/Prague", "UTC"]);
});

test("what is no time is a dash", () => {
  for (const at of [null, undefined, "", "yesterday", "2026-13-01T00:00:00Z"])
    assert.equal(text.moment(at), "–");
});

test("a time of the API and its milliseconds are the same", () => {
  assert.equal(text.instant("2026-11-28T00:50:04.999Z"), 1795827004999);
});

test("relative times say in which direction", () => {
  assert.deepEqual(
    [text.ago(0, 200_000), text.ago(172_800_000, 0), text.ago(0, 2000)],
    ["3 min ago", "in 2 d", "just now"],
  );
});

test("one of something is not several", () => {
  assert.deepEqual(
    [text.plural(1, "server"), text.plural(2, "server"), text.plural(0, "entry", "entries")],
    ["1 server", "2 servers", "0 entries"],
  );
});

test("marks that reorder text are written out", () => {
  assert.equal(text.visible("a\u202egpj.exe"), "a\\u202egpj.exe");
});

test("control characters are written as DNS does", () => {
  assert.equal(text.visible("a\u0000b\u001bc\u007f\n"), "a\\000b\\027c\\127\\010");
});

test("what is invisible or looks like a space is written out", () => {
  assert.equal(text.visible("\u200b\u00ad\u00a0\u2003\u3164"), "\\u200b\\173\\160\\u2003\\u3164");
});

test("marks beyond the basic plane are written out", () => {
  assert.equal(text.visible("\u{e0041}"), "\\u{e0041}");
});

test("markup and names of other scripts stay as they are", () => {
  for (const name of ["<script>alert(1)</script>", "žluťoučký.example.", "例え.テスト.", "a b"])
    assert.equal(text.visible(name), name);
});

test("reasons have their times in the chosen clock, and numbers as the page writes them", () => {
  const { reason } = text;
  assert.equal(
    reason("no heartbeat for 213 s, the last one at 2026-11-28T06:08:26.047Z"),
    "no heartbeat for 3 min 33 s, the last one at 2026-11-28 07:08:26",
  );
  assert.equal(
    inClock("utc", () => reason("can be used until 2026-11-29T07:06:02.77+01:00")),
    "can be used until 2026-11-29 06:06:02",
  );
  assert.equal(reason("222975814 queries for it in all"), "222,975,814 queries for it in all");
  assert.equal(reason("observed for 48.93 % of its time"), "observed for 48.9% of its time");
  assert.equal(reason("99.99 % of 1 s"), "99.9% of 1 s");
});

test("names, ports and code in reasons stay as they are", () => {
  for (const said of [
    "a port 53535 of ns1",
    "ns12345.example was not observed",
    "192.0.2.1:53535 does not answer",
    "`sleep 300 s` of 12345",
    "serial 2026112801 is older",
    "Protected by the operator: ticket 12345678 of 2026-11-28T06:08:26Z",
  ])
    assert.equal(text.reason(said), said);
});
