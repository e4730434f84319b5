// A new server in five steps, and its probe, which enrols.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { api, behaviour, follow, hash, heading, settled, signedIn, visit } from "./page.mjs";

const PROBE = process.env.ZONEPULSE_TESTS_PROBE;

/** Runs a program to its end, with this on its standard input. */
const run = (program, words, input, cwd) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, words, { cwd, stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (said += part));
    child.on("error", reject);
    child.on("exit", (code) =>
      code === 0 ? resolve(said) : reject(new Error(`${words.join(" ")}: ${code} ${said}`)),
    );
    child.stdin.end(input);
  });

behaviour("without servers, the list says how to add one", async () => {
  const page = await signedIn();
  await visit(page, "servers");
  await page.getByText("There is no server yet.").waitFor();
  await follow(page, page.getByRole("main").getByRole("link", { name: "Add server" }).first());
  assert.equal(await heading(page).innerText(), "Add server");
  page.watch.nothing();
});

behaviour("a step that is not valid says what is missing, at the field", async () => {
  const page = await signedIn();
  await visit(page, "servers/add");
  await page.getByRole("button", { name: "Next" }).click();
  const name = page.getByLabel("Display name");
  await page.getByText("Enter a name.").waitFor();
  assert.equal(await name.getAttribute("aria-invalid"), "true");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "server");
  await name.fill("ns1");
  await page.getByLabel("FQDN or IP address").fill("not an address!");
  await page.getByRole("button", { name: "Next" }).click();
  assert.equal(await page.getByLabel("FQDN or IP address").getAttribute("aria-invalid"), "true");
  assert.doesNotMatch(hash(page), /step=communication/);
  assert.deepEqual((await api("/api/v2/servers")).json, []);
  page.watch.nothing();
});

behaviour("five steps lead to a command, with which a probe enrols and reports", async () => {
  const page = await signedIn();
  await visit(page, "servers/add");
  const next = () => follow(page, page.getByRole("button", { name: "Next" }));
  await page.getByLabel("Display name").fill("ns1");
  await page.getByLabel("FQDN or IP address").fill("ns1.example");
  await page.getByLabel("Notes").fill("in the <b>cellar</b>");
  await next();
  assert.match(hash(page), /step=communication/);
  await page.getByRole("heading", { name: "Step 2 of 5: Communication" }).waitFor();
  await next();
  await page.getByRole("heading", { name: "Step 3 of 5: Monitoring" }).waitFor();
  await next();
  await page.getByRole("heading", { name: "Step 4 of 5: Services" }).waitFor();
  // Nothing of the steps before is lost on the way back.
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await settled(page);
  assert.equal(await page.getByLabel("Notes").inputValue(), "in the <b>cellar</b>");
  await next();
  await next();
  await next();
  await page.getByLabel("DHCP (IPv4)").check();
  await next();
  await page.getByRole("heading", { name: "Step 5 of 5: Confirmation" }).waitFor();
  const summary = await page.getByRole("main").innerText();
  for (const text of ["ns1.example", "in the <b>cellar</b>", "DNS, DHCP (IPv4)"])
    assert.ok(summary.includes(text), summary);
  await page.getByRole("button", { name: "Create server" }).click();
  await page.getByText("Waiting for the probe…").waitFor();

  const [server] = (await api("/api/v2/servers")).json;
  const detail = (await api(`/api/v2/pvservers/${server.server_id}`)).json;
  assert.equal(server.server, "ns1");
  assert.deepEqual(detail.services ?? detail.server?.services, ["dns", "dhcp4"]);
  const command = await page.getByRole("region", { name: "Command" }).innerText();
  const token = (await page.getByRole("region", { name: "One-time token" }).innerText()).trim();
  const [program, ...words] = command.trim().split(" ");
  assert.equal(program, "zonepulse-probe");
  assert.ok(!command.includes(token), "a token on the command line is for everybody to see");

  const folder = await mkdtemp(join(tmpdir(), "zonepulse-page-"));
  const [config, spool] = [join(folder, "probe.toml"), join(folder, "spool")];
  await run(PROBE, [...words, "--config", config, "--spool", spool], token, folder);
  // Of this machine, nothing but the tests' own messages concerns the test.
  const text = await readFile(config, "utf8");
  await writeFile(
    config,
    text.replace('device = "any"', 'device = "lo"').replace("ports = [53]", "ports = [5399]"),
  );
  await page.getByText("Enrolled. Waiting for the first heartbeat…").waitFor();
  const probe = spawn(PROBE, ["run", "--config", config], { cwd: folder, stdio: "ignore" });
  try {
    await page.getByText("The probe has enrolled and reports.").waitFor({ timeout: 60_000 });
    assert.equal(await page.locator(".servers-arrival.good").count(), 1);
    await follow(page, page.getByRole("link", { name: "Open the server" }));
    assert.match(await heading(page).innerText(), /^ns1/);
    await visit(page, "servers");
    const row = page.getByRole("table", { name: "Servers" }).getByRole("row").nth(1);
    assert.match(await row.innerText(), /ns1[\s\S]*Running/);
    // The token was for once.
    await assert.rejects(
      run(PROBE, [...words, "--config", join(folder, "second.toml"), "--spool", spool], token, folder),
    );
  } finally {
    const ended = new Promise((resolve) => probe.once("exit", resolve));
    probe.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true });
  }
  page.watch.nothing();
});

behaviour("after a reload, the token is not shown again", async () => {
  const page = await signedIn();
  const [{ server_id }] = (await api("/api/v2/servers")).json;
  await visit(page, `servers/add?step=done&server=${server_id}`);
  await page.getByText("The token was shown once, and is not kept.").waitFor();
  assert.equal(await page.getByRole("region", { name: "One-time token" }).count(), 0);
  page.watch.nothing();
});
