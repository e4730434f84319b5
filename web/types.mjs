// Writes src/types.ts from the served description of the API; with --check, only compares it.
import { readFile, writeFile } from "node:fs/promises";
import openapi, { astToString } from "openapi-typescript";

const target = new URL("src/types.ts", import.meta.url);
const document = JSON.parse(await readFile(new URL("../api/openapi.json", import.meta.url), "utf8"));
// Only the schemas: the types of operations would be seven times as long, and the page names its calls itself.
document.paths = {};
const nodes = await openapi(document, { rootTypes: true, rootTypesNoSchemaPrefix: true });
const text = `// Written by \`npm run types\` from api/openapi.json. Do not edit.\n\n${astToString(nodes)}`;
if (!process.argv.includes("--check")) await writeFile(target, text);
else if ((await readFile(target, "utf8")) !== text) {
  console.error("src/types.ts does not match api/openapi.json: run `npm run types`.");
  process.exitCode = 1;
}
