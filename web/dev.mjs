// For work on the page: builds on every change, serves the result and passes the API's calls to a central.
//
//   CENTRAL_URL=http://127.0.0.1:8053 PORT=18090 npm run dev
import { mkdir, readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { basename, join } from "node:path";
import { context } from "esbuild";
import { here, options, writePage } from "./build.mjs";

const central = new URL(process.env.CENTRAL_URL ?? "http://127.0.0.1:8053");
const port = Number(process.env.PORT ?? 18090);
const directory = join(here, `.dev-${port}`);

const TYPES = {
  js: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
  html: "text/html; charset=utf-8",
};
// As the central has it, so that what breaks it breaks here.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

await mkdir(directory, { recursive: true });
const builder = await context({
  ...options,
  outdir: directory,
  entryNames: "[name]",
  sourcemap: "inline",
  logLevel: "info",
  plugins: [
    {
      name: "page",
      setup(build) {
        build.onEnd(async ({ metafile }) => {
          if (metafile) await writePage(directory, metafile);
        });
      },
    },
  ],
});
await builder.watch();

/** Sends a call on to the central. */
function forward(incoming, outgoing) {
  const { headers } = incoming;
  const onward = request(
    new URL(incoming.url, central),
    {
      method: incoming.method,
      // The central refuses changes that a page of another address asks for.
      headers: { ...headers, host: central.host, ...(headers.origin ? { origin: central.origin } : {}) },
    },
    (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    },
  );
  onward.on("error", () => {
    if (!outgoing.headersSent) outgoing.writeHead(502);
    outgoing.end();
  });
  incoming.pipe(onward);
  outgoing.on("close", () => onward.destroy());
}

createServer(async (incoming, outgoing) => {
  const { pathname } = new URL(incoming.url, "http://localhost");
  if (/^\/(api|healthz|readyz|metrics)(\/|$)/.test(pathname)) return forward(incoming, outgoing);
  const name =
    pathname === "/" ? "index.html" : pathname.startsWith("/assets/") ? basename(pathname) : undefined;
  try {
    if (name === undefined) throw new Error("no such file");
    const file = await readFile(join(directory, name));
    outgoing.writeHead(200, {
      "content-type": TYPES[name.split(".").at(-1)] ?? "application/octet-stream",
      "content-security-policy": POLICY,
      "cache-control": "no-store",
    });
    outgoing.end(file);
  } catch {
    outgoing.writeHead(404).end("not found\n");
  }
}).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/ for ${central.href}`));
