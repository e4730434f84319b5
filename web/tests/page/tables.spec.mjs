// Tables: what selects, sorts and pages is in the address, and in the rows of the central.
import assert from "node:assert/strict";
import {
  api,
  behaviour,
  column,
  csv,
  download,
  follow,
  hash,
  params,
  settled,
  signedIn,
  visit,
} from "./page.mjs";

const RECORDS = "/api/v2/monitoring/dns/aggregate";

/** Records in the order in which the central lists them. */
async function listed(more = {}) {
  const query = new URLSearchParams({ sort: "-hits", limit: "50", exists: "true", ...more });
  for (const [name, value] of [...query]) if (value === "") query.delete(name);
  const { json, headers } = await api(`${RECORDS}?${query}`);
  return {
    rows: json.map(({ host, type }) => `${host} ${type}`),
    total: Number(headers.get("x-total-count")),
    all: json,
  };
}

async function shown(page) {
  const [names, types] = [await column(page, "Records", "Name"), await column(page, "Records", "Type")];
  return names.map((name, at) => `${name} ${types[at]}`);
}

/** In an order in which rows that are equal may be exchanged. */
const sorted = (rows) => [...rows].sort();

behaviour("every column of the records sorts, in both directions", async () => {
  const page = await signedIn();
  await visit(page, "records");
  const headers = page
    .getByRole("table", { name: "Records" })
    .getByRole("columnheader")
    .filter({ has: page.getByRole("button") });
  const titles = (await headers.allInnerTexts()).map((text) => text.trim());
  assert.deepEqual(
    titles.map((title) => title.toLowerCase()),
    ["name", "type", "resource id", "queries", "last access", "first seen"],
  );
  const seen = new Set();
  for (const [at] of titles.entries())
    for (let times = 0; times < 2; times += 1) {
      const header = headers.nth(at);
      await follow(page, header.getByRole("button"));
      const sort = params(page).get("sort");
      seen.add(sort);
      assert.equal(
        await header.getAttribute("aria-sort"),
        sort.startsWith("-") ? "descending" : "ascending",
        sort,
      );
      assert.deepEqual(await shown(page), (await listed({ sort })).rows, sort);
    }
  assert.equal(seen.size, 2 * titles.length, [...seen].join());
  page.watch.nothing();
});

behaviour("each filter of the records is in the address, and chooses rows", async () => {
  const page = await signedIn();
  const servers = (await api("/api/v2/servers")).json;
  const id = (name) => String(servers.find(({ server }) => server === name).server_id);
  await visit(page, "records");
  const filters = page.getByRole("search", { name: "Filters" });
  const choose = (label, value) => filters.getByLabel(label, { exact: true }).selectOption(value);
  const cases = [
    [() => filters.getByLabel("Name", { exact: true }).fill("host1"), ["host", "host1"], { host: "*host1*" }],
    [
      () => filters.getByLabel("Name", { exact: true }).fill("*.shop.example"),
      ["host", "*.shop.example"],
      { host: "*.shop.example" },
    ],
    [() => choose("Type", "TXT"), ["type", "TXT"], { type: "TXT" }],
    [() => choose("Server", { label: "ns2" }), ["server", id("ns2")], { server_id: id("ns2") }],
    [() => choose("Response code", "NOERROR"), ["code", "NOERROR"], { rcode: "NOERROR" }],
    [() => choose("Names", "missing"), ["names", "missing"], { exists: "false" }],
    [() => choose("Last access", "not-1d"), ["access", "not-1d"], { accessed_to: "-1d" }],
    [
      () => filters.getByLabel("Resource id", { exact: true }).fill("0"),
      ["resource", "0"],
      { resource_id: "0" },
    ],
  ];
  for (const [act, [name, value], asked] of cases) {
    await visit(page, "records");
    await act();
    await page.waitForFunction(
      ([key, expected]) => new URLSearchParams(location.hash.split("?")[1]).get(key) === expected,
      [name, value],
    );
    await settled(page);
    const expected = await listed(asked);
    assert.ok(expected.total > 0, `${name}=${value} chooses nothing`);
    const rows = await shown(page);
    assert.equal(rows.length, Math.min(50, expected.total), name);
    if (expected.total <= 50) assert.deepEqual(sorted(rows), sorted(expected.rows), name);
    await page.reload();
    await settled(page);
    assert.deepEqual(await shown(page), rows, `${name} after a reload`);
    await follow(page, filters.getByRole("button", { name: "Clear filters" }));
    assert.equal(hash(page), "#/records");
    assert.deepEqual(await shown(page), (await listed()).rows);
  }
  page.watch.nothing();
});

behaviour("pages follow each other, and their length is a choice", async () => {
  const page = await signedIn();
  await visit(page, "records?sort=host");
  const paging = page.getByRole("navigation", { name: "Pages" });
  await paging.getByLabel("Rows per page").selectOption("25");
  await settled(page);
  assert.equal(params(page).get("per"), "25");
  const { total } = await listed({ sort: "host" });
  const pages = Math.ceil(total / 25);
  assert.ok(pages > 2, `${total} records are too few`);
  for (let at = 1; at <= pages; at += 1) {
    assert.equal(await paging.getByLabel("Page", { exact: true }).inputValue(), String(at));
    await paging.getByText(`of ${pages}`, { exact: true }).waitFor();
    const expected = await listed({ sort: "host", limit: "25", offset: String(25 * (at - 1)) });
    assert.deepEqual(await shown(page), expected.rows, `page ${at}`);
    if (at < pages) {
      await follow(page, paging.getByRole("link", { name: "Next page" }));
      assert.equal(params(page).get("page"), String(at + 1));
    }
  }
  assert.equal(await paging.getByRole("link", { name: "Next page" }).count(), 0);
  await page.goBack();
  await settled(page);
  assert.equal(await paging.getByLabel("Page", { exact: true }).inputValue(), String(pages - 1));
  // Another order begins at the first page.
  await follow(page, page.getByRole("columnheader", { name: /^Type/ }).getByRole("button"));
  assert.equal(params(page).get("page"), null);
  page.watch.nothing();
});

behaviour("a saved table has all rows of the filters, and no others", async () => {
  const page = await signedIn();
  await visit(page, "records?host=host1&sort=host&per=25");
  const expected = await listed({ host: "*host1*", sort: "host", limit: "1000" });
  assert.ok(expected.total > 25);
  const { name, text } = await download(page, page.getByRole("button", { name: "CSV", exact: true }));
  assert.equal(name, "records.csv");
  const rows = csv(text);
  assert.deepEqual(
    rows.map(({ host, type }) => `${host} ${type}`),
    expected.rows,
  );
  assert.deepEqual(
    rows.map(({ hits }) => Number(hits)),
    expected.all.map(({ hits }) => hits),
  );
  page.watch.nothing();
});

/** The same of any view with a table: its columns sort, its file has the rows. */
const TABLES = [
  { address: "servers", caption: "Servers", first: "Name", file: "servers.csv" },
  { address: "zones", caption: "Zones", first: "Zone", file: "zones.csv" },
  { address: "audit", caption: "Changes", file: "audit.csv" },
  { address: "users", caption: "Users", file: "users.csv" },
  { address: "delete", caption: "Verdicts", file: "verdicts.csv" },
];

for (const { address, caption, first, file } of TABLES)
  behaviour(`the table of ${address} sorts by its address, and is saved`, async () => {
    const page = await signedIn();
    await visit(page, address);
    const table = page.getByRole("table", { name: caption, exact: true });
    const rows = table.locator("tbody tr");
    const headers = table.getByRole("columnheader").filter({ has: page.getByRole("button") });
    const sortable = await headers.count();
    for (let at = 0; at < sortable; at += 1) {
      await follow(page, headers.nth(at).getByRole("button"));
      await follow(page, headers.nth(at).getByRole("button"));
      const sort = params(page).get("sort");
      assert.equal(
        await headers.nth(at).getAttribute("aria-sort"),
        sort.startsWith("-") ? "descending" : "ascending",
      );
      const before = await rows.allInnerTexts();
      assert.ok(before.length > 0);
      await page.reload();
      await settled(page);
      assert.equal(await rows.count(), before.length);
      assert.equal(params(page).get("sort"), sort);
    }
    if (first) {
      await visit(page, `${address}?sort=-${first === "Name" ? "server" : "zone"}`);
      const names = await column(page, caption, first);
      assert.deepEqual(names.length > 1 && names, [...names].sort().reverse());
    }
    const buttons = page.getByRole("button", { name: "CSV", exact: true });
    const saved = await download(page, buttons.last());
    assert.equal(saved.name, file);
    assert.equal(csv(saved.text).length, await rows.count());
    page.watch.nothing();
  });

behaviour("going back undoes one choice after the other", async () => {
  const page = await signedIn();
  await visit(page, "delete?window=8d");
  const filters = page.getByRole("search", { name: "Filters" });
  await filters.getByLabel("Verdict", { exact: true }).selectOption({ label: "Unused" });
  await settled(page);
  await filters.getByLabel("Zone", { exact: true }).selectOption("shop.example.");
  await settled(page);
  assert.deepEqual([...params(page)].sort(), [
    ["verdict", "unused"],
    ["window", "8d"],
    ["zone", "shop.example."],
  ]);
  const names = await column(page, "Verdicts", "Record");
  assert.equal(names.length, 1);
  assert.match(names[0], /^old\.shop\.example\./);
  await page.goBack();
  await settled(page);
  assert.deepEqual([...params(page)].sort(), [
    ["verdict", "unused"],
    ["window", "8d"],
  ]);
  assert.equal(await filters.getByLabel("Zone", { exact: true }).inputValue(), "");
  await page.goBack();
  await settled(page);
  assert.equal(hash(page), "#/delete?window=8d");
  assert.equal(await filters.getByLabel("Verdict", { exact: true }).inputValue(), "");
  page.watch.nothing();
});

behaviour("any page can be reached by its number, and the last one from past the end", async () => {
  const page = await signedIn();
  await page.route(/\/api\/v2\/users/, (route) =>
    route.fulfill({
      status: 200,
      contentType: "application/json",
      body: JSON.stringify(
        Array.from({ length: 60 }, (_, at) => ({
          user: `user${at}`,
          administrator: false,
          rights: {},
          tokens: [],
          created: "2026-01-01T00:00:00Z",
        })),
      ),
    }),
  );
  await visit(page, "users?per=25&page=99999");
  const paging = page.getByRole("navigation", { name: "Pages" });
  await follow(page, paging.getByRole("link", { name: "Go to the last page" }));
  assert.equal(params(page).get("page"), "3");
  const number = paging.getByLabel("Page", { exact: true });
  for (const [typed, reached] of [
    ["2", "2"],
    ["77", "3"],
    ["nonsense", "3"],
    ["1", null],
  ]) {
    await number.fill(typed);
    await number.press("Enter");
    await settled(page);
    assert.equal(params(page).get("page"), reached);
  }
  page.watch.nothing();
});

behaviour("what is typed into a filter stays in its view", async () => {
  const page = await signedIn();
  await visit(page, "delete?window=8d");
  for (const pauseMs of [0, 1000]) {
    await follow(page, page.getByRole("link", { name: "Servers", exact: true }));
    await page.getByRole("search").getByRole("searchbox").first().pressSequentially("ns1");
    await page.waitForTimeout(pauseMs);
    await page.goBack();
    await settled(page);
    await page.waitForTimeout(600);
    assert.equal(hash(page), "#/delete?window=8d");
  }
  page.watch.nothing();
});

behaviour("a range is chosen in the address, by preset and by dragging, and gaps are not zeros", async () => {
  const page = await signedIn();
  await visit(page, "record?host=www.shop.example.&type=A&range=6h");
  const chart = page.getByRole("figure", { name: /^Queries and responses per second/ });
  const frame = chart.getByRole("img");
  assert.match(await frame.getAttribute("aria-label"), /Queries|NOERROR/i);
  await chart.getByRole("button", { name: "Table" }).click();
  const table = chart.getByRole("table");
  const cells = await table.locator("tbody tr").allInnerTexts();
  assert.ok(cells.length > 10);
  await chart.getByRole("button", { name: "Chart" }).click();
  const box = await chart.locator(".u-over").boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 45, { steps: 6 });
  await page.mouse.up();
  await page.waitForFunction(() => /[?&]from=/.test(location.hash));
  await settled(page);
  const saved = await download(page, chart.getByRole("button", { name: / as CSV$/ }));
  const times = csv(saved.text).map(({ time }) => Date.parse(time));
  const [from, to] = ["from", "to"].map((name) => Date.parse(params(page).get(name)));
  assert.ok(times.length > 0 && times.at(-1) <= to && times[0] >= from - 3_600_000, saved.text.slice(0, 300));
  await page.goBack();
  await settled(page);
  assert.equal(params(page).get("range"), "6h");
  page.watch.nothing();
});

behaviour("what was not observed is a gap in a chart and its table", async () => {
  const page = await signedIn();
  const { server_id } = (await api("/api/v2/servers")).json.find(({ server }) => server === "ns2");
  await visit(page, `servers/${server_id}/rps?range=6h`);
  const chart = page.getByRole("figure").first();
  await chart.getByText("not observed").first().waitFor();
  await chart.getByRole("button", { name: "Table" }).click();
  const cells = (await chart.getByRole("table").locator("tbody tr").allInnerTexts()).join("\n");
  assert.match(cells, /not observed/);
  assert.match(cells, /\d/);
  page.watch.nothing();
});
