import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { serving } = await load("views/record/serving");
const servers = [{ server_id: 1 }, { server_id: 2 }, { server_id: 3 }];
const zones = [
  { zone: "example.", servers: [1] },
  { zone: "sub.example.", servers: [2, 3] },
  { zone: "open.example.", servers: [] },
];
const of = (host) => serving.servingServers(host, zones, servers).map(({ server_id }) => server_id);

test("a record is judged by the servers of its zone", () => {
  assert.deepEqual(of("www.example."), [1]);
  assert.deepEqual(of("Example."), [1]);
  assert.deepEqual(of("www.sub.example."), [2, 3]);
});

test("all servers count where the zone has no list or is not known", () => {
  assert.deepEqual(
    [of("www.open.example."), of("www.else."), of("notexample.")],
    [
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ],
  );
});
