import assert from "node:assert/strict";
import { test } from "node:test";
import { answers, browser, failure, json, load, problem } from "./page.mjs";

browser();
const { api } = await load("api");

const failed = async (answer) => {
  answers(answer);
  return failure(api.get("settings"));
};

test("a problem says what happened and what can be done", async () => {
  const error = await failed(
    problem(404, { title: "There is nothing here", detail: "there is no server 7" }),
  );
  assert.deepEqual(
    [error.trouble, error.title, error.message, error.advice, error.status],
    [
      "missing",
      "There is nothing here",
      "There is no server 7",
      "It may have been removed. Go back to the list.",
      404,
    ],
  );
});

test("a problem names the parameter at fault", async () => {
  const error = await failed(problem(400, { detail: "limit: -1 is not a number", parameter: "limit" }));
  assert.deepEqual(
    [error.trouble, error.parameter, error.message],
    ["invalid", "limit", "limit: -1 is not a number"],
  );
});

test("every status is some trouble", async () => {
  const troubles = {
    400: "invalid",
    401: "session",
    403: "forbidden",
    404: "missing",
    408: "timeout",
    409: "conflict",
    413: "invalid",
    415: "invalid",
    429: "busy",
    500: "server",
    502: "network",
    503: "busy",
    504: "timeout",
  };
  for (const [status, trouble] of Object.entries(troubles))
    assert.equal((await failed(problem(Number(status)))).trouble, trouble, status);
});

test("a busy central says when to try again", async () => {
  const error = await failed(problem(503, {}, { "retry-after": "7" }));
  assert.deepEqual([error.retryAfterS, error.advice], [7, "Try again in 7 seconds."]);
});

test("the time to try again may be a date", () => {
  const now = Date.UTC(2026, 0, 1);
  assert.equal(api.retryAfter("Thu, 01 Jan 2026 00:00:30 GMT", now), 30);
});

test("a time to try again that makes no sense is none", () => {
  const past = "Thu, 01 Jan 1970 00:00:00 GMT";
  for (const value of [null, "", "soon", "-5", past]) assert.equal(api.retryAfter(value), 0);
});

test("a failure that is no problem document names the status", async () => {
  const error = await failed(new Response("<h1>Bad gateway</h1>", { status: 502 }));
  assert.deepEqual([error.trouble, error.message], ["network", "The server answered with status 502."]);
});

test("members of a problem that have another type are ignored", async () => {
  const error = await failed(problem(400, { title: "No", detail: { a: 1 }, parameter: 7, reasons: "x" }));
  assert.deepEqual([error.message, error.parameter, error.reasons], ["No", null, []]);
});

test("the reasons of a problem are sentences", async () => {
  const error = await failed(problem(503, { detail: "a; b; c", reasons: ["a; b", "c", 1] }));
  assert.deepEqual(error.reasons, ["A; b", "C"]);
});

test("an answer that is cut off is malformed, not empty", async () => {
  assert.equal((await failed(new Response('{"a":'))).trouble, "malformed");
});

test("a list instead of an object is malformed", async () => {
  assert.equal((await failed(json([]))).trouble, "malformed");
});

test("a list has rows and nothing else", async () => {
  for (const body of [{}, null, "x", [1], [null], [{}, 1]]) {
    answers(json(body));
    assert.equal((await failure(api.list("users"))).trouble, "malformed", JSON.stringify(body));
  }
});

test("a page of a list knows how many rows there are", async () => {
  answers(json([{ a: 1 }], 200, { "x-total-count": "51" }));
  assert.deepEqual(await api.list("things"), { rows: [{ a: 1 }], total: 51 });
});

test("without a total, the rows are all", async () => {
  answers(json([{ a: 1 }, { a: 2 }]));
  assert.equal((await api.list("things")).total, 2);
});

test("a central that cannot be reached is a network's trouble", async () => {
  assert.equal((await failed(new TypeError("fetch failed"))).trouble, "network");
});

test("a call that takes too long is a timeout", async () => {
  answers(
    (call) =>
      new Promise((_, refuse) => call.signal.addEventListener("abort", () => refuse(call.signal.reason))),
  );
  // Nothing else keeps the process alive until then.
  const alive = setTimeout(() => {}, 5000);
  assert.equal((await failure(api.call("settings", { timeoutMs: 20 }))).trouble, "timeout");
  clearTimeout(alive);
});

test("a call that is no longer wanted is no trouble", async () => {
  const control = new AbortController();
  control.abort();
  answers(new DOMException("aborted", "AbortError"));
  assert.equal((await failure(api.get("settings", {}, control.signal))).name, "AbortError");
});

test("parameters are encoded, and empty ones left out", () => {
  assert.equal(
    api.query({ host: "*.a&b", type: "", server_id: [1, 2], exists: false, limit: 0, to: null }),
    "?host=*.a%26b&server_id=1&server_id=2&exists=false&limit=0",
  );
});

test("a change without an answer is done", async () => {
  answers(new Response(null, { status: 204 }));
  assert.equal(await api.send("DELETE", "users/x"), undefined);
});

test("a change is sent as JSON", async () => {
  const [calls] = [answers(json({}))];
  await api.send("PATCH", "settings", { dns_interval_s: 30 });
  assert.deepEqual(
    [calls[0].url, calls[0].method, calls[0].headers["content-type"], calls[0].body],
    ["http://central.test/api/v2/settings", "PATCH", "application/json", '{"dns_interval_s":30}'],
  );
});

test("a file of several pages has one header line", async () => {
  const next = '</api/v2/x?offset=1>; rel="next"';
  answers(new Response("a,b\n1,2\n", { headers: { link: next } }), new Response("a,b\n3,4\n"));
  assert.equal(await (await api.csv("x")).file.text(), "a,b\n1,2\n3,4\n");
});

test("files are asked for in a way that no spreadsheet runs", async () => {
  const calls = answers(new Response("a\n"));
  await api.csv("x", { host: "a" });
  const { searchParams } = new URL(calls[0].url);
  assert.deepEqual([searchParams.get("escape"), searchParams.get("host")], ["spreadsheet", "a"]);
});

test("rights are called as in the form", async () => {
  answers(problem(403, { detail: "this needs the right server_create, which an administrator can give" }));
  const { message } = await failure(api.get("settings"));
  assert.equal(message, "This needs the right “Add servers”, which an administrator can give");
});

test("rows that lack what a view goes through are refused", async () => {
  browser();
  const { api } = await load("api");
  for (const body of [{ a: 1 }, [{ a: 1 }], [{ retirement_id: 1, name: "x" }]]) {
    answers(json(body));
    assert.equal((await failure(api.list("retirements"))).trouble, "malformed");
  }
  answers(json({ a: 1 }));
  assert.equal((await failure(api.select("select 1"))).trouble, "malformed");
  answers(json({ a: 1 }));
  assert.equal((await failure(api.get("retirements/1"))).trouble, "malformed");
});

test("a programming error is not shown in its own words", async () => {
  browser();
  const { api } = await load("api");
  const { message, trouble } = api.asApiError(new TypeError("e is not iterable"));
  assert.equal(trouble, "malformed");
  assert.doesNotMatch(message, /iterable/);
});
