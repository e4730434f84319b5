// What all tests of the page share: a browser, a session, and what must never happen in it.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { after, test } from "node:test";
import { chromium } from "playwright-core";

const required = (name) => {
  const value = process.env[`ZONEPULSE_TESTS_${name}`];
  if (value === undefined)
    throw new Error(`ZONEPULSE_TESTS_${name} is not set: scripts/test.sh runs these tests`);
  return value;
};

export const BASE = required("URL");
export const ADMINISTRATOR = { user: required("USER"), password: required("PASSWORD") };

/** How long anything may take on a busy machine. */
const PATIENCE_MS = 60_000;
const TEST_MS = 240_000;

let browser;
export async function launch() {
  browser ??= await chromium.launch({
    executablePath: process.env.ZONEPULSE_TESTS_CHROMIUM ?? "/usr/bin/chromium",
    // The page is the test's own, and Chromium's sandbox does not work as root.
    args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server"],
  });
  return browser;
}
export const close = async () => browser?.close();

/** What went wrong in a page without being seen. `expected` are patterns of what a test provokes. */
export class Watch {
  faults = [];
  requests = [];

  constructor(page) {
    const origin = new URL(BASE).origin;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.faults.push(`uncaught: ${error.stack ?? error.message}`));
    page.on("dialog", (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      this.requests.push(url);
      if (!["blob:", "data:"].includes(url.protocol) && url.origin !== origin)
        this.faults.push(`request to another host: ${request.url()}`);
    });
    page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText ?? "";
      // The page itself gives up what it no longer needs.
      if (why !== "net::ERR_ABORTED") this.faults.push(`failed request: ${request.url()} ${why}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400)
        this.faults.push(
          `failed request: ${response.request().method()} ${response.url()} ${response.status()}`,
        );
    });
  }

  /** Nothing went wrong, except what a test provoked. */
  nothing(expected = []) {
    const faults = this.faults.filter((fault) => !expected.some((pattern) => pattern.test(fault)));
    this.faults = [];
    assert.deepEqual(faults, []);
  }
}

/** A page of a browser of its own, which nobody has signed in to. */
export async function open(options = {}) {
  const context = await (
    await launch()
  ).newContext({
    viewport: { width: 1440, height: 900 },
    timezoneId: "Europe/Prague",
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  // A policy that is violated is also an error in the console, unless a test looks away.
  await context.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  const page = await context.newPage();
  page.watch = new Watch(page);
  return page;
}

/** A page as somebody sees it who has signed in. */
export async function signedIn({ user, password } = ADMINISTRATOR, options = {}) {
  const page = await open(options);
  const answer = await page.request.post(`${BASE}/api/v2/session`, { data: { user, password } });
  assert.equal(answer.status(), 201, await answer.text());
  return page;
}

/** Fills the form of the login. */
export async function signIn(page, { user, password } = ADMINISTRATOR) {
  await page.getByLabel("Name").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export const addressOf = (address) => `${BASE}/#/${address}`;

/** Goes to a view, as by typing its address. */
export async function visit(page, address, patience) {
  await page.goto(addressOf(address));
  await settled(page, patience);
}

/** Waits until a view has its contents: nothing is loading, and no call is under way. */
export async function settled(page, patience = PATIENCE_MS) {
  await page.waitForFunction(
    () => {
      const busy = document.querySelector(
        "main .loading, main [aria-busy=true], header [data-busy=true], #app > .loading",
      );
      const ready = !busy && document.querySelector("main h1") !== null;
      const now = performance.now();
      if (!ready) globalThis.readySince = undefined;
      else globalThis.readySince ??= now;
      // One call may follow another.
      return globalThis.readySince !== undefined && now - globalThis.readySince > 150;
    },
    null,
    { polling: 30, timeout: patience },
  );
  await page.evaluate(() => (globalThis.readySince = undefined));
}

/** The same for a click and what follows from it. */
export async function follow(page, locator) {
  await locator.click();
  await settled(page);
}

/** The address, without the host. */
export const hash = (page) => new URL(page.url()).hash;
export const params = (page) => new URLSearchParams(hash(page).split("?")[1] ?? "");

export const heading = (page) => page.locator("main h1");

/** The texts of a column of the table with this name. */
export async function column(page, table, title) {
  const region = page.getByRole("table", { name: table, exact: true });
  const titles = await region.getByRole("columnheader").allInnerTexts();
  const at = titles.findIndex((each) => each.trim().toLowerCase() === title.toLowerCase());
  assert.notEqual(at, -1, `no column ${title} in ${titles.join(", ")}`);
  return (await region.locator(`tbody tr > :nth-child(${at + 1})`).allInnerTexts()).map((text) =>
    text.trim(),
  );
}

/** The calls of the API, as the administrator, beside the page. */
export async function api(path, options = {}) {
  const { user, password } = ADMINISTRATOR;
  const response = await fetch(`${BASE}${path}`, {
    ...options,
    headers: {
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
      accept: "application/json",
      ...options.headers,
    },
  });
  const text = await response.text();
  assert.ok(response.ok, `${path}: ${response.status} ${text}`);
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  return { text, headers: response.headers, json: isJson && text !== "" ? JSON.parse(text) : undefined };
}

/** What a click downloads. */
export async function download(page, locator) {
  const [file] = await Promise.all([page.waitForEvent("download"), locator.click()]);
  const stream = await file.createReadStream();
  const parts = [];
  for await (const part of stream) parts.push(part);
  return { name: file.suggestedFilename(), text: Buffer.concat(parts).toString("utf8") };
}

/** Rows of CSV (RFC 4180) as objects. */
export function csv(text) {
  const records = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    records.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== ",") records.push([]);
  }
  const [header, ...rows] = records.filter((record) => record.length > 1 || (record[0] ?? "") !== "");
  return rows.map((row) => Object.fromEntries(header.map((name, at) => [name, row[at]])));
}

const shots = process.env.ZONEPULSE_TESTS_SHOTS;

async function picture(name) {
  if (shots === undefined || browser === undefined) return "";
  mkdirSync(shots, { recursive: true });
  const lines = [];
  for (const [number, page] of browser
    .contexts()
    .flatMap((context) => context.pages())
    .entries()) {
    const spec = basename(process.argv[1] ?? "page").replace(/\..*/, "");
    const file = join(shots, `${spec}-${name.replace(/\W+/g, "-").slice(0, 80)}-${number}.png`);
    try {
      await page.screenshot({ path: file, timeout: 5000 });
      lines.push(`  ${page.url()}\n  as in ${file}`);
    } catch (error) {
      lines.push(`  ${page.url()} (no picture: ${error.message.split("\n")[0]})`);
    }
  }
  return lines.join("\n");
}

let closes = false;

/** One behaviour. If it fails, pictures of the open pages are kept, and their names told. */
export function behaviour(name, body) {
  if (!closes) after(close);
  closes = true;
  test(name, { timeout: TEST_MS }, async () => {
    try {
      await body();
    } catch (error) {
      error.message += `\n${await picture(name)}`;
      if (error.stack && !error.stack.includes("as in ")) error.stack = `${error.message}\n${error.stack}`;
      throw error;
    } finally {
      for (const context of browser?.contexts() ?? []) await context.close();
    }
  });
}
