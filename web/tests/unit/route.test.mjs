import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

/** The router in a page at an address. */
async function at(hash) {
  const page = browser(hash);
  const { route } = await load("route");
  return { ...page, route };
}

const { route } = await at("");

const read = (address) => {
  const { path, params } = route.parse(address);
  return [path, params.toString()];
};

test("an address is a path and parameters", () => {
  assert.deepEqual(read("#/servers/7?range=24h&by=host"), [["servers", "7"], "range=24h&by=host"]);
});

test("no address is the start", () => {
  for (const address of ["", "#", "#/", "/"]) assert.deepEqual(read(address), [[], ""]);
});

test("parts of a path are decoded after they are split", () => {
  assert.deepEqual(read("#/users/a%2Fb%20c")[0], ["users", "a/b c"]);
});

test("a part that is not encoded correctly is taken as it stands", () => {
  assert.deepEqual(read("#/users/100%")[0], ["users", "100%"]);
});

test("an address that was written is read back", () => {
  const name = "a/b?c#d&e=%\u202e<b>";
  const { path, params } = route.parse(route.href(`users/${route.segment(name)}`, { host: name }));
  assert.deepEqual([path, params.get("host")], [["users", name], name]);
});

test("empty values are left out of an address", () => {
  assert.equal(
    route.href("records", { a: "", b: null, c: undefined, d: [], e: false, f: 0 }),
    "#/records?e=false&f=0",
  );
});

test("lists are repeated parameters", () => {
  assert.equal(
    route.href("delete", { verdict: ["unused", "never_used"] }),
    "#/delete?verdict=unused&verdict=never_used",
  );
  assert.deepEqual(route.list(new URLSearchParams("verdict=a&verdict=&verdict=b"), "verdict"), ["a", "b"]);
});

test("changing a filter goes back to the first page", async () => {
  const { route } = await at("#/records?type=A&page=3");
  assert.equal(route.hrefWith({ type: "MX" }), "#/records?type=MX");
});

test("changing the page keeps the filters", async () => {
  const { route } = await at("#/records?type=A&page=3");
  assert.equal(route.hrefWith({ page: 4 }), "#/records?type=A&page=4");
});

test("a change keeps a path that has to be encoded", async () => {
  const { route } = await at("#/users/a%2Fb");
  assert.equal(route.hrefWith({ do: "password" }), "#/users/a%2Fb?do=password");
});

test("following a link changes the route", async () => {
  const { route, follow } = await at("#/records");
  follow("#/zones?page=2");
  assert.deepEqual([route.route.value.path, route.route.value.params.get("page")], [["zones"], "2"]);
});

test("a new view's heading takes the focus once", async () => {
  const { route, follow } = await at("#/records");
  follow("#/zones");
  assert.deepEqual([route.takeFocusRequest(), route.takeFocusRequest()], [true, false]);
});

test("a changed parameter does not move the focus", async () => {
  const { route, follow } = await at("#/records");
  follow("#/records?page=2");
  assert.equal(route.takeFocusRequest(), false);
});

test("a replaced address takes effect at once", async () => {
  const { route, location } = await at("#/records?host=a");
  route.change({ host: "ab" }, { replace: true });
  assert.deepEqual([location.hash, route.route.value.params.get("host")], ["#/records?host=ab", "ab"]);
});

test("what is no number counts as absent", () => {
  for (const value of ["", "x", "-1", "1.5", "1e9", "99999999999999999"])
    assert.equal(route.number(new URLSearchParams({ page: value }), "page", 7), 7);
});

test("numbers stay within their limits", () => {
  const page = (value) => route.number(new URLSearchParams({ page: value }), "page", 1, { min: 1, max: 100 });
  assert.deepEqual(["0", "5", "500"].map(page), [1, 5, 100]);
});

test("a choice that there is not counts as absent", () => {
  const choose = (value) => route.oneOf(new URLSearchParams({ by: value }), "by", ["host", "server"], "host");
  assert.deepEqual(["server", "<script>", "constructor"].map(choose), ["server", "host", "host"]);
});

test("only true is true", () => {
  assert.deepEqual(
    ["true", "1", "TRUE", ""].map((value) => route.flag(new URLSearchParams({ all: value }), "all")),
    [true, false, false, false],
  );
});

test("what was typed takes effect after a pause, or at once when it is sent off", async () => {
  const { route, location } = await at("#/servers?page=2");
  route.changeSoon({ name: "n" }, 60_000);
  route.changeSoon({ name: "ns" }, 60_000);
  assert.equal(location.hash, "#/servers?page=2");
  route.changeNow();
  assert.equal(location.hash, "#/servers?name=ns");
  route.changeSoon({ name: "ns1" }, 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(location.hash, "#/servers?name=ns1");
});

test("what was typed in one view does not reach the next", async () => {
  const { route, follow, location } = await at("#/servers");
  route.changeSoon({ name: "ns1" }, 1);
  follow("#/delete?verdict=unused");
  route.changeNow();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(location.hash, "#/delete?verdict=unused");
});

test("what was typed is dropped if the address has changed and the page has not heard of it", async () => {
  const { route, location } = await at("#/servers");
  route.changeSoon({ name: "ns1" }, 60_000);
  location.hash = "#/delete";
  route.changeNow();
  assert.equal(location.hash, "#/delete");
});

test("what was typed and taken back does not leave the page of a table", async () => {
  const { route, location } = await at("#/servers?page=2");
  route.changeSoon({ name: "" }, 60_000);
  route.changeNow();
  assert.equal(location.hash, "#/servers?page=2");
});
