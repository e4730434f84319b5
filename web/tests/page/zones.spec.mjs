// From a zone file to verdicts, a plan, and the script that removes records.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  api,
  behaviour,
  column,
  download,
  follow,
  hash,
  heading,
  settled,
  signedIn,
  visit,
} from "./page.mjs";

const ZONE = `$ORIGIN fresh.example.
$TTL 3600
@ SOA ns1 hostmaster 1 7200 900 1209600 300
@ NS ns1
ns1 A 192.0.2.53
forgotten A 192.0.2.1
forgotten TXT "nobody asks"
alias CNAME forgotten
`;
const APEX = "fresh.example.";

/** Keeps what the page saved, to be applied to a server. */
function keep(name, text) {
  const folder = process.env.ZONEPULSE_TESTS_SAVED;
  if (folder !== undefined) writeFileSync(join(folder, name), text);
}

const choose = (page, name, text) =>
  page.locator("input[type=file]").setInputFiles({ name, mimeType: "text/dns", buffer: Buffer.from(text) });

behaviour("a wrong zone file is told by its lines, and adds nothing", async () => {
  const page = await signedIn();
  await visit(page, "zones/add");
  await choose(
    page,
    "wrong.zone",
    ZONE.replace("192.0.2.1\n", "192.0.2.1000\n").replaceAll("fresh", "wrong"),
  );
  await page
    .getByLabel("Zone", { exact: true })
    .and(page.locator("input:not([type=file])"))
    .fill("wrong.example");
  await page.getByRole("button", { name: "Add zone" }).click();
  const problems = page.getByRole("alert");
  await problems.getByText("Line 6, column").first().waitFor();
  assert.match(await problems.innerText(), /1 error/);
  assert.equal(await problems.locator("mark").innerText(), "192.0.2.1000");
  assert.ok(!(await api("/api/v2/zones")).json.some(({ zone }) => zone === "wrong.example."));
  page.watch.nothing([/ 400$/, /console: Failed to load resource: .* 400 /]);
});

behaviour("a zone file leads to verdicts, a plan and its script", async () => {
  const page = await signedIn();
  await visit(page, "zones");
  await follow(page, page.getByRole("link", { name: "Add zone" }));
  await choose(page, "fresh.example.zone", ZONE);
  // The apex is in the file.
  const apex = page.getByLabel("Zone", { exact: true }).and(page.locator("input:not([type=file])"));
  await page.waitForFunction((input) => input.value !== "", await apex.elementHandle());
  assert.equal(await apex.inputValue(), APEX);
  await page.getByLabel("Only these").check();
  await page.getByLabel("ns1", { exact: true }).check();
  await page.getByRole("button", { name: "Add zone" }).click();
  await page.waitForURL(/#\/delete\?zone=fresh\.example\.$/);
  await settled(page);

  // Nobody has watched for the usual 90 days.
  const unwatched = await column(page, "Verdicts", "Verdict");
  assert.ok(unwatched.includes("Unobserved") && !unwatched.includes("Never used"), unwatched.join());
  await page.getByLabel("Not used for").selectOption("8d");
  await settled(page);
  const names = await column(page, "Verdicts", "Record");
  const verdicts = await column(page, "Verdicts", "Verdict");
  const verdictOf = (name) => verdicts[names.findIndex((each) => each.replace(/\s+/g, " ") === name)];
  assert.equal(names.length, 6, names.join());
  assert.deepEqual(
    ["forgotten.fresh.example. A", "alias.fresh.example. CNAME", "ns1.fresh.example. A"].map(verdictOf),
    ["Never used", "Never used", "Needed"],
  );

  // Both that lead to each other, so that nothing dangles.
  for (const name of ["forgotten.fresh.example. A", "alias.fresh.example. CNAME"])
    await page.getByRole("checkbox", { name: `Select ${name}`, exact: true }).check();
  await page
    .getByRole("group", { name: "Selected records" })
    .getByRole("button", { name: "Retire…" })
    .click();
  const dialog = page.getByRole("dialog", { name: "Retire 2 records" });
  await dialog.getByLabel("Name", { exact: true }).fill("the forgotten");
  await dialog.getByRole("button", { name: "Make the plan" }).click();
  await page.waitForURL(/#\/plans\/\d+$/);
  await settled(page);
  assert.equal(await heading(page).innerText(), "the forgotten");
  const id = /\d+$/.exec(hash(page))[0];

  // What the removal changes: the central's own simulation.
  const simulation = (await api(`/api/v2/retirements/${id}/simulation`)).json;
  assert.equal(simulation.removed.total, 2);
  const after = await column(page, "Answers of the removed records", "Answer after");
  assert.deepEqual(
    after,
    simulation.removed.first.map((row) => row.after),
  );
  assert.equal(await page.getByText(/would point nowhere/).count(), 0);

  for (const [step, stage] of [
    ["Lower the TTL", "ttl_lowered"],
    ["Remove", "removed"],
    ["Restore", "restored"],
  ]) {
    await follow(page, page.getByRole("link", { name: new RegExp(`^\\W*\\d?\\s*${step}`) }).first());
    const script = page.getByRole("region", { name: `${step}, nsupdate (BIND)` });
    const expected = (
      await api(`/api/v2/retirements/${id}/export?format=nsupdate&stage=${stage}`, {
        headers: { accept: "text/plain" },
      })
    ).text;
    assert.match(expected, /forgotten\.fresh\.example\./);
    assert.equal(await script.textContent(), expected.replaceAll("\t", "\\009"));
    const saved = await download(page, page.getByRole("button", { name: /^Save .* as / }));
    assert.equal(saved.name, `fresh.example-plan-${id}-${stage}.nsupdate`);
    assert.equal(saved.text, expected);
    keep(stage, saved.text);
  }

  // In every format, and the way back.
  await follow(page, page.getByRole("link", { name: /^\W*\d?\s*Remove/ }).first());
  for (const format of ["knsupdate", "knotc", "diff", "csv"]) {
    await page.getByLabel("Format").selectOption(format);
    await settled(page);
    const expected = (
      await api(`/api/v2/retirements/${id}/export?format=${format}&stage=removed`, {
        headers: { accept: "*/*" },
      })
    ).text;
    assert.equal(
      (await download(page, page.getByRole("button", { name: /^Save .* as / }))).text,
      expected,
      format,
    );
  }
  await page.getByLabel("Format").selectOption("nsupdate");
  await follow(page, page.getByRole("button", { name: "Undo", exact: true }));
  const undo = (
    await api(`/api/v2/retirements/${id}/export?format=nsupdate&stage=removed&undo=true`, {
      headers: { accept: "text/plain" },
    })
  ).text;
  assert.match(undo, /update add/);
  const saved = await download(page, page.getByRole("button", { name: /^Save .* as / }));
  assert.equal(saved.text, undo);
  keep("undo", saved.text);
  keep("zone", ZONE);
  page.watch.nothing();
});

behaviour("records are put into a plan and taken out of it, and the others stay as they are", async () => {
  const page = await signedIn();
  const plan = async () =>
    (await api("/api/v2/retirements")).json.find(({ name }) => name === "the forgotten");
  const { retirement_id: id, resources: before } = await plan();
  await visit(page, "delete?zone=fresh.example.&window=8d&host=forgotten*&type=TXT");
  await page.getByRole("checkbox", { name: "Select forgotten.fresh.example. TXT", exact: true }).check();
  await page
    .getByRole("group", { name: "Selected records" })
    .getByRole("button", { name: "Retire…" })
    .click();
  const dialog = page.getByRole("dialog", { name: "Retire 1 record" });
  await dialog.getByLabel("Plan").selectOption(String(id));
  await dialog.getByRole("button", { name: "Extend the plan" }).click();
  await page.waitForURL(new RegExp(`#/plans/${id}$`));
  await settled(page);
  const { resources: extended } = await plan();
  assert.deepEqual(extended.slice(0, 2), before);
  assert.equal(extended[2].type, "TXT");
  await page.getByRole("button", { name: "Actions for forgotten.fresh.example. TXT" }).click();
  await page.locator(".menu-list").getByRole("button", { name: "Take out of the plan…" }).click();
  const confirm = page.getByRole("dialog", { name: "Take 1 record out of the plan?" });
  await confirm.getByRole("button", { name: "Take out" }).click();
  await page.getByText("The plan has 2 records now.").waitFor();
  assert.deepEqual((await plan()).resources, before);
  page.watch.nothing();
});

behaviour("a stage that was recorded stays so", async () => {
  const page = await signedIn();
  const { retirement_id: id } = (await api("/api/v2/retirements")).json.find(
    ({ name }) => name === "the forgotten",
  );
  await visit(page, `plans/${id}?step=ttl`);
  await page.getByRole("button", { name: /^Record all 2 as TTL lowered/ }).click();
  await page.getByText("2 records recorded as TTL lowered.").waitFor();
  await settled(page);
  const plan = (await api(`/api/v2/retirements/${id}`)).json;
  assert.deepEqual(
    plan.resources.map(({ stage }) => stage),
    ["ttl_lowered", "ttl_lowered"],
  );
  await visit(page, "plans");
  await page.getByText("2 TTL lowered").waitFor();
  page.watch.nothing();
});

behaviour("new contents are loaded, and much that would go asks first", async () => {
  const page = await signedIn();
  const many = Array.from({ length: 40 }, (_, at) => `bulk${at} A 192.0.2.7\n`).join("");
  const created = await api("/api/v2/zones", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ zone: "bulk.example" }),
  });
  const id = created.json.zone_id;
  const text = ZONE.replaceAll("fresh", "bulk");
  await api(`/api/v2/zones/${id}/file`, {
    method: "PUT",
    headers: { "content-type": "text/dns" },
    body: text + many,
  });
  await visit(page, "zones?zone=bulk");
  await page.getByRole("button", { name: "Actions for bulk.example." }).click();
  await page.locator(".menu-list").getByRole("button", { name: "Upload new contents…" }).click();
  await choose(page, "bulk.zone", text);
  const confirm = page.getByRole("dialog", { name: "Replace most of the zone?" });
  await confirm.waitFor();
  assert.equal((await api(`/api/v2/zones/${id}`)).json.resources, 46);
  await confirm.getByRole("button", { name: "Load it and remove 40 records" }).click();
  await page.getByText(/40 removed/).waitFor();
  assert.equal((await api(`/api/v2/zones/${id}`)).json.resources, 6);
  page.watch.nothing([/ 409$/, /console: Failed to load resource: .* 409 /]);
});
