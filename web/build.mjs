// Builds the page into dist/, which is committed: the same sources always give the same files.
import { readFile, rm, writeFile, mkdir, copyFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Of what a browser loads to show any one view, compressed. */
const VIEW_BUDGET = 120_000;
/** Of all views together, compressed. */
const TOTAL_BUDGET = 180_000;

export const here = new URL(".", import.meta.url).pathname;

export const options = {
  absWorkingDir: here,
  entryPoints: { app: "src/app.tsx" },
  bundle: true,
  format: "esm",
  splitting: true,
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  logLevel: "warning",
};

/** Writes index.html, which names the built files, and the icon. */
export async function writePage(directory, metafile) {
  const entry = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === "src/app.tsx");
  if (!entry) throw new Error("no entry point in the output");
  const [script, { cssBundle, imports }] = entry;
  const static_ = imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => basename(path));
  const lines = [
    `<link rel="stylesheet" href="/assets/${basename(cssBundle)}" />`,
    // Without the hint, the browser would find these only after it has read the script.
    ...static_.sort().map((name) => `<link rel="modulepreload" href="/assets/${name}" />`),
    `<script type="module" src="/assets/${basename(script)}"></script>`,
  ];
  const page = await readFile(join(here, "src/index.html"), "utf8");
  await writeFile(join(directory, "index.html"), page.replace("<!-- assets -->", lines.join("\n    ")));
  await copyFile(join(here, "src/icon.svg"), join(directory, "icon.svg"));
}

async function main() {
  const directory = join(here, "dist");
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory);
  const { metafile } = await build({
    ...options,
    outdir: directory,
    minify: true,
    define: { "process.env.NODE_ENV": '"production"' },
  });
  await writePage(directory, metafile);
  const sizes = new Map();
  for (const name of [
    ...Object.keys(metafile.outputs).map((path) => basename(path)),
    "index.html",
    "icon.svg",
  ]) {
    sizes.set(name, gzipSync(await readFile(join(directory, name)), { level: 9 }).length);
  }
  const sum = (names) => [...names].reduce((total, name) => total + sizes.get(name), 0);
  for (const [name, size] of [...sizes].sort()) console.log(`${String(size).padStart(7)}  ${name}`);
  const first = [...loaded(metafile)].map(([view, names]) => [
    view,
    sum(names) + sum(["index.html", "icon.svg"]),
  ]);
  first.sort(([, a], [, b]) => a - b);
  for (const [view, size] of first) console.log(`${String(size).padStart(7)}  to show ${view}`);
  const [total, most] = [sum(sizes.keys()), first.at(-1)[1]];
  console.log(`${String(total).padStart(7)}  in total (gzip)`);
  if (total > TOTAL_BUDGET || most > VIEW_BUDGET) {
    console.error(`The page is over its budget: ${VIEW_BUDGET} to show a view, ${TOTAL_BUDGET} in total.`);
    process.exitCode = 1;
  }
}

/** The files that a browser loads to show each view. */
function loaded({ outputs }) {
  const [app] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === "src/app.tsx");
  const reach = (path, found) => {
    if (found.has(basename(path))) return found;
    found.add(basename(path));
    const { imports, cssBundle } = outputs[path];
    if (cssBundle) found.add(basename(cssBundle));
    for (const { path: next, kind } of imports) if (kind === "import-statement") reach(next, found);
    return found;
  };
  const views = Object.entries(outputs).filter(([, { entryPoint }]) => entryPoint?.startsWith("src/views/"));
  return new Map(views.map(([path, { entryPoint }]) => [entryPoint, reach(path, reach(app, new Set()))]));
}

if (process.argv[1] === new URL(import.meta.url).pathname) await main();
