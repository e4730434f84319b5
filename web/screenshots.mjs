// Pictures of every view: fills an empty central with a fleet, then looks at the page as its administrator does.
//
//   node screenshots.mjs CENTRAL CREDENTIALS DIR [DOCUMENTED]
//
// Writes every view at 1440 and 390 px, light and dark, to DIR, and those that the documentation shows, the light ones
// at 1440 px, to DOCUMENTED as well. PAGE_URL is another address of the page, such as that of `npm run dev`, CHROMIUM
// the browser. With KEEP set, the fleet goes on until the process is ended, to look at it oneself.
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { play, SERVERS } from "./sample.mjs";

const [central, credentials, directory, documented] = process.argv.slice(2);
if (!directory) {
  console.error("usage: node screenshots.mjs CENTRAL CREDENTIALS DIR [DOCUMENTED]");
  process.exit(2);
}
const page = new URL(process.env.PAGE_URL ?? central);
const secrets = await readFile(credentials, "utf8");
const [user, password] = ["user", "password"].map(
  (key) => new RegExp(`^${key} = "(.*)"$`, "m").exec(secrets)?.[1] ?? "",
);

/** A call of the API. */
async function call(method, path, body, type = "application/json") {
  const answer = await fetch(new URL(`/api/v2/${path}`, central), {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
      ...(body === undefined ? {} : { "content-type": type }),
    },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

const START = `$TTL 3600
@ SOA ns1.example.com. hostmaster.example.com. 2026110100 7200 900 1209600 300
`;
/** A record a line: name, type, data. */
const lines = (texts) => `${texts.flatMap((text) => text.split(", ")).join("\n")}\n`;

const EXAMPLE_COM = [
  '@ NS ns1, @ NS ns2, @ MX 10 mail, @ TXT "v=spf1 mx -all", @ CAA 0 issue "letsencrypt.org", @ A 192.0.2.80',
  "@ AAAA 2001:db8::80, ns1 A 192.0.2.53, ns1 AAAA 2001:db8::53, ns2 A 192.0.2.54, mail A 192.0.2.25",
  "mail AAAA 2001:db8::25, smtp A 192.0.2.26, autodiscover CNAME mail, _sip._tcp SRV 10 5 5060 voice",
  'voice A 192.0.2.60, _dmarc TXT "v=DMARC1; p=reject", s1._domainkey TXT "v=DKIM1; k=rsa; p=MIGf"',
  's2._domainkey TXT "v=DKIM1; k=rsa; p=MIGh", _acme-challenge.www TXT "x0d1", www A 192.0.2.81',
  "www AAAA 2001:db8::81, www HTTPS 1 ., api A 192.0.2.82, api AAAA 2001:db8::82, login A 192.0.2.83",
  "login AAAA 2001:db8::83, shop A 192.0.2.84, shop AAAA 2001:db8::84, cdn CNAME edge.cdn.example.",
  "static A 192.0.2.86, img A 192.0.2.87, vpn A 192.0.2.88, git A 192.0.2.89, ci A 192.0.2.90, wiki A 192.0.2.91",
  "tickets A 192.0.2.92, chat A 192.0.2.93, status A 192.0.2.94, ldap A 192.0.2.95, sso A 192.0.2.96",
  "reports A 192.0.2.97, quarterly A 192.0.2.98, old-shop A 192.0.2.110, old-shop AAAA 2001:db8::110",
  "intranet A 192.0.2.111, backup A 192.0.2.112, ftp A 192.0.2.113, legacy-api A 192.0.2.114, m A 192.0.2.115",
  "survey-2024 A 192.0.2.116, legacy CNAME retired, retired A 192.0.2.117, db-replica A 192.0.2.118",
  "db-replica AAAA 2001:db8::118, test-1 A 192.0.2.121, test-2 A 192.0.2.122, test-3 A 192.0.2.123",
  "staging-api A 192.0.2.124, staging-www A 192.0.2.125, printer-3f A 192.0.2.126, disaster-recovery A 192.0.2.127",
  'landing-2023 CNAME campaign.example.net., old-verification TXT "site=42", *.dev A 192.0.2.99',
];
/** Added later. */
const NEW = ["beta A 192.0.2.130, preview.beta A 192.0.2.131"];
const EXAMPLE_ORG = [
  '@ NS ns1.example.com., @ NS ns.partner.example., @ MX 10 mail, @ TXT "v=spf1 mx -all", @ A 198.51.100.80',
  'mail A 198.51.100.25, _dmarc TXT "v=DMARC1; p=none", www A 198.51.100.81, www AAAA 2001:db8:1::81',
  "donate A 198.51.100.82, events A 198.51.100.83, blog CNAME www, news A 198.51.100.84, archive A 198.51.100.85",
  "gala-2022 A 198.51.100.90, volunteers A 198.51.100.91, old-blog CNAME www",
];
const CORP_EXAMPLE = [
  "@ NS ns3.example.com., dc1 A 198.51.100.10, dc2 A 198.51.100.11, _ldap._tcp SRV 0 100 389 dc1",
  "_kerberos._tcp SRV 0 100 88 dc1, print A 198.51.100.20, files A 198.51.100.21, intranet A 198.51.100.22",
  "meet A 198.51.100.23, scanner A 198.51.100.24, fax A 198.51.100.25, lab-01 A 198.51.100.31, lab-02 A 198.51.100.32",
];

/** The fleet, its zones, plans and users. Returns the function that stops the fleet. */
async function fill() {
  const servers = [];
  for (const server of SERVERS) {
    const made = await call("POST", "pvservers", {
      server: server.name,
      address: `${server.name}.example.com`,
      services: Object.keys(server.components),
      credential: "token",
    });
    servers.push({ ...server, id: made.server.server_id, token: made.token });
  }
  const began = Date.now();
  const stop = await play(central, servers);
  console.log(`the fleet's past: ${Math.round((Date.now() - began) / 1000)} s`);

  const ids = (...names) => servers.filter(({ name }) => names.includes(name)).map(({ id }) => id);
  const zone = async (name, records, more) => {
    const { zone_id } = await call("POST", "zones", { zone: name, ...more });
    const load = (texts) =>
      call("PUT", `zones/${zone_id}/file`, `$ORIGIN ${name}.\n${START}${lines(texts)}`, "text/dns");
    await load(records);
    return load;
  };
  const load = await zone("example.com", EXAMPLE_COM, { servers: ids("ns1.prague", "ns2.vienna") });
  await zone("example.org", EXAMPLE_ORG, { servers: ids("ns1.prague", "ns2.vienna"), others_serve_it: true });
  await zone("corp.example", CORP_EXAMPLE, { servers: ids("ns3.frankfurt", "office.brno") });
  await load([...EXAMPLE_COM, ...NEW]);

  const resources = await call("GET", "resources?zone=example.com&limit=1000");
  const resource = (host, type = "A") =>
    resources.find((each) => each.host === `${host}.example.com.` && each.type === type)?.resource_id;
  await call("PATCH", `resources/${resource("disaster-recovery")}`, {
    protection: "protect",
    note: "only used when Prague is down",
  });
  const campaign = await call("POST", "retirements", {
    name: "Old shop and campaigns",
    note: "CHG-2041, agreed with marketing",
    resource_ids: [
      resource("old-shop"),
      resource("old-shop", "AAAA"),
      resource("m"),
      resource("survey-2024"),
      resource("landing-2023", "CNAME"),
    ],
  });
  await call("PATCH", `retirements/${campaign.retirement_id}`, { stage: "ttl_lowered" });
  await call("POST", "retirements", {
    name: "Test machines",
    note: "CHG-2044",
    resource_ids: [resource("test-1"), resource("test-2"), resource("test-3"), resource("printer-3f")],
  });
  const done = await call("POST", "retirements", {
    name: "Staging",
    note: "CHG-1987",
    resource_ids: [resource("staging-api"), resource("staging-www")],
  });
  await call("PATCH", `retirements/${done.retirement_id}`, { stage: "removed" });

  await call("PATCH", `pvservers/${ids("ns1.prague")[0]}`, {
    notes: "Primary of example.com. On call: dns@example.com",
    settings: { raw_retention_minutes: 4320 },
  });
  await call("POST", "users", { user: "jana.dvorakova", rights: { zones: true, retirement: true } });
  await call("POST", "users", { user: "grafana", rights: { monitoring: true, server_read: false } });
  await call("POST", "users", { user: "noc", rights: { server_update: true } });
  await call("POST", "users/grafana/tokens", { name: "dashboards", expires_days: 365 });
  return { stop, ids, campaign: campaign.retirement_id };
}

/** Every view: the name of its picture, its address, and what to do there first. */
const viewsOf = ({ ids, campaign }) => {
  const [ns1] = ids("ns1.prague");
  const [ns3] = ids("ns3.frankfurt");
  const begin = async (tab) => {
    await tab.getByLabel("Display name").fill("ns4.london");
    await tab.getByLabel("FQDN or IP address").fill("ns4.example.com");
  };
  return [
    ["delete", "delete"],
    ["delete-candidates", "delete?zone=example.com.&verdict=never_used&verdict=unused"],
    ["plans", "plans"],
    ["plan", `plans/${campaign}`],
    ["zones", "zones"],
    ["zone", "zones/1"],
    ["zone-records", "zones/1?tab=records"],
    ["zone-settings", "zones/1?tab=settings"],
    ["zone-add", "zones/add"],
    ["records", "records"],
    ["records-nxdomain", "records?names=missing"],
    ["record", "record?host=www.example.com.&type=A&range=7d"],
    ["servers", "servers"],
    ["server", `servers/${ns1}`],
    ["server-monitoring", `servers/${ns1}/monitoring`],
    ["server-rps", `servers/${ns3}/rps`],
    ["server-settings", `servers/${ns1}/settings`],
    ["server-add", "servers/add", begin],
    ["server-add-communication", "servers/add?step=communication"],
    ["server-add-monitoring", "servers/add?step=monitoring"],
    ["server-add-services", "servers/add?step=services"],
    ["server-add-confirm", "servers/add?step=confirm"],
    ["health", "health"],
    ["settings", "settings"],
    ["users", "users"],
    ["user", "users/grafana"],
    ["audit", "audit"],
  ];
};

/** Waits until the view has its data: nothing is being loaded, and charts are drawn. */
async function settle(tab) {
  await tab.waitForLoadState("networkidle");
  await tab.waitForFunction(() => !document.querySelector('main [aria-busy="true"], main .loading'));
  // No row is under the mouse.
  await tab.mouse.move(0, 0);
  await tab.waitForTimeout(400);
}

async function photograph(browser, views, { width, height, scheme }) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: "reduce",
    locale: "en-GB",
    timezoneId: "Europe/Prague",
  });
  const tab = await context.newPage();
  const shoot = async (name) => {
    await settle(tab);
    const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) console.warn(`${name} is ${wide} px too wide at ${width} px`);
    await tab.screenshot({ path: join(directory, `${name}-${width}-${scheme}.png`) });
    if (documented && width === 1440 && scheme === "light")
      await tab.screenshot({ path: join(documented, `${name}.png`) });
  };
  await tab.goto(page.href);
  await shoot("login");
  await tab.getByLabel("Name").fill(user);
  await tab.getByLabel("Password").fill(password);
  await tab.getByRole("button", { name: "Sign in" }).click();
  await tab.getByRole("navigation").first().waitFor({ state: "attached" });
  for (const [name, address, prepare] of views) {
    await tab.goto(`${page.origin}/#/${address}`);
    await settle(tab);
    await prepare?.(tab);
    await shoot(name);
  }
  await context.close();
}

await mkdir(directory, { recursive: true });
if (documented) await mkdir(documented, { recursive: true });
const fleet = await fill();
// Until five heartbeats are there.
await new Promise((resolve) => setTimeout(resolve, 125_000));
const wanted = process.env.VIEWS?.split(",");
const views = viewsOf(fleet).filter(([name]) => !wanted || wanted.includes(name));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // Chromium has no sandbox for root.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
try {
  for (const [width, height] of [
    [1440, 900],
    [390, 844],
  ])
    for (const scheme of ["light", "dark"]) await photograph(browser, views, { width, height, scheme });
} finally {
  await browser.close();
  if (!process.env.KEEP) fleet.stop();
}
