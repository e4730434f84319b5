// Modules of the page in Node: bundled on the fly, with the little of a browser that they need.
import { build } from "esbuild";

process.env.TZ = "Europe/Prague";

const SOURCE = new URL("../../src/", import.meta.url).pathname;

/** The tabs of a browser, which tell each other something at once and do not keep Node from ending. */
function channel() {
  const tabs = [];
  return class {
    constructor() {
      tabs.push(this);
    }
    addEventListener(_name, action) {
      this.hear = action;
    }
    postMessage(data) {
      for (const tab of tabs) if (tab !== this) tab.hear?.({ data });
    }
  };
}

/** Puts a browser's globals in place, as they are at an address. */
export function browser(hash = "") {
  const listeners = new Map();
  const location = { origin: "http://central.test", hash };
  const storage = () => {
    const kept = {};
    return Object.defineProperties(kept, {
      getItem: { value: (name) => kept[name] ?? null },
      setItem: { value: (name, value) => (kept[name] = String(value)) },
      removeItem: { value: (name) => delete kept[name] },
    });
  };
  Object.assign(globalThis, {
    location,
    BroadcastChannel: channel(),
    addEventListener: (name, action) => listeners.set(name, action),
    scrollTo: () => {},
    history: {
      replaceState: (_state, _title, address) => {
        location.hash = address;
      },
    },
    localStorage: storage(),
    sessionStorage: storage(),
    matchMedia: () => ({ matches: false, addEventListener: () => {} }),
    document: { hidden: false, documentElement: { dataset: {} } },
  });
  return {
    location,
    /** Goes to an address as a click on a link does. */
    follow: (address) => {
      location.hash = address;
      listeners.get("hashchange")?.();
    },
  };
}

let loaded = 0;

/** A fresh copy of modules below src/, which share their state: `const { api } = await load("api")`. */
export async function load(...names) {
  const { outputFiles } = await build({
    stdin: {
      contents: names.map((name) => `export * as ${name.split("/").at(-1)} from "./${name}";`).join("\n"),
      resolveDir: SOURCE,
      loader: "ts",
    },
    bundle: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    write: false,
  });
  loaded += 1;
  const text = `${outputFiles[0].text}\n// ${loaded}`;
  const interval = globalThis.setInterval;
  // The page's clock must not keep the tests from ending.
  globalThis.setInterval = (...given) => interval(...given).unref();
  try {
    return await import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
  } finally {
    globalThis.setInterval = interval;
  }
}

/** Answers calls in turn and notes them. An answer is a Response, an error to throw, or a function of the call. */
export function answers(...given) {
  const calls = [];
  globalThis.fetch = async (url, options) => {
    const call = { ...options, url: String(url), headers: Object.fromEntries(options.headers) };
    calls.push(call);
    const next = given.shift();
    if (next === undefined) throw new Error(`no answer is left for ${options.method} ${url}`);
    if (next instanceof Error) throw next;
    return typeof next === "function" ? next(call) : next;
  };
  return calls;
}

export const json = (body, status = 200, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });

/** A problem document (RFC 9457). */
export const problem = (status, more = {}, headers = {}) =>
  json(
    { type: "urn:test", title: "It failed", status, detail: "it failed for a reason", ...more },
    status,
    headers,
  );

/** What a promise is rejected with. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
