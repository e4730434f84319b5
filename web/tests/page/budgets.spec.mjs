// What the page costs: bytes, requests and time.
import assert from "node:assert/strict";
import { ADMINISTRATOR, BASE, addressOf, behaviour, launch, settled, signedIn } from "./page.mjs";
import { everyView } from "./views.mjs";

/** Of what is loaded to show any one view, compressed. */
const MOST_BYTES = 120_000;
/** Of everything that the page can load, compressed. */
const MOST_BYTES_IN_ALL = 180_000;
/** Of the page itself and of the API, for one view. */
const MOST_FILES = 16;
const MOST_CALLS = 20;
/** A generous multiple of what the first view takes on an idle machine: other tests run at the same time. */
const MOST_MS = 5_000;

/** What is fetched for an address by a browser that has nothing yet. */
async function cost(page, address) {
  await page.goto("about:blank");
  const client = await page.context().newCDPSession(page);
  await client.send("Network.enable");
  await client.send("Network.setCacheDisabled", { cacheDisabled: true });
  const [paths, bytes] = [new Map(), new Map()];
  client.on("Network.requestWillBeSent", ({ requestId, request }) =>
    paths.set(requestId, new URL(request.url).pathname),
  );
  client.on("Network.loadingFinished", ({ requestId, encodedDataLength }) =>
    bytes.set(requestId, encodedDataLength),
  );
  const begun = performance.now();
  await page.goto(addressOf(address));
  await settled(page);
  const ms = performance.now() - begun;
  await client.detach();
  const all = [...paths].map(([id, path]) => ({ path, bytes: bytes.get(id) ?? 0 }));
  const isCall = ({ path }) => /^\/(api|readyz|healthz|metrics)/.test(path);
  return { ms, files: all.filter((each) => !isCall(each)), calls: all.filter(isCall) };
}
const sum = (all) => all.reduce((total, { bytes }) => total + bytes, 0);
const told = (all) => all.map(({ path, bytes }) => `${path} ${bytes}`).join(", ");

behaviour("each view takes few bytes and few requests, and the first one little time", async () => {
  const page = await signedIn();
  const wrong = [];
  for (const { address } of await everyView()) {
    const { ms, files, calls } = await cost(page, address);
    console.log(
      `${address}: ${Math.round(ms)} ms, ${files.length} files of ${sum(files)} bytes, ${calls.length} calls of ${sum(calls)} bytes`,
    );
    assert.ok(sum(files) > 10_000, told(files));
    if (sum(files) > MOST_BYTES) wrong.push(`${address}: ${sum(files)} bytes: ${told(files)}`);
    if (files.length > MOST_FILES) wrong.push(`${address}: ${files.length} files: ${told(files)}`);
    if (calls.length > MOST_CALLS) wrong.push(`${address}: ${calls.length} calls: ${told(calls)}`);
    if (address === "delete" && ms > MOST_MS) wrong.push(`${address}: ${ms} ms`);
  }
  assert.deepEqual(wrong, []);
});

behaviour("all that the page can fetch stays within the budget, compressed", async () => {
  const page = await signedIn();
  const paths = new Set(["/"]);
  for (const path of paths) {
    const text = await (await page.request.get(BASE + path)).text();
    if (/\.(js|css|html)$|\/$/.test(path))
      for (const [, name] of text.matchAll(/["'(](?:\/assets\/|\.\/)([\w.-]+\.(?:js|css|svg))["')]/g))
        paths.add(`/assets/${name}`);
  }
  const sizes = await Promise.all(
    [...paths].map(async (path) => {
      const answer = await fetch(BASE + path, { headers: { "accept-encoding": "gzip" } });
      assert.equal(answer.status, 200, path);
      return { path, bytes: Number(answer.headers.get("content-length")) };
    }),
  );
  assert.ok(sizes.length > 10 && sizes.every(({ bytes }) => bytes > 0), told(sizes));
  assert.ok(sum(sizes) < MOST_BYTES_IN_ALL, `${sum(sizes)}: ${told(sizes)}`);
});

behaviour("a second visit fetches no file again that has not changed", async () => {
  const context = await (await launch()).newContext();
  const page = await context.newPage();
  assert.equal((await page.request.post(`${BASE}/api/v2/session`, { data: ADMINISTRATOR })).status(), 201);
  await page.goto(`${BASE}/#/records`);
  await settled(page);
  const client = await context.newCDPSession(page);
  await client.send("Network.enable");
  const [loaded, cached] = [new Map(), new Set()];
  client.on("Network.requestServedFromCache", ({ requestId }) => cached.add(requestId));
  client.on("Network.responseReceived", ({ requestId, response }) => {
    if (!/\/assets\/.*-[A-Z0-9]+\.(js|css)$/.test(response.url)) return;
    loaded.set(requestId, response.url);
    if (response.fromDiskCache) cached.add(requestId);
  });
  await page.reload();
  await settled(page);
  assert.ok(loaded.size > 4);
  assert.deepEqual(
    [...loaded].filter(([id]) => !cached.has(id)),
    [],
  );
});
