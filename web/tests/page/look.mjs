// Prints what a view says, as JSON: `node look.mjs records?host=www*`
import { close, signedIn, visit } from "./page.mjs";

const page = await signedIn();
await visit(page, process.argv[2] ?? "");
const said = await page.evaluate(() => {
  const text = (element) => element.innerText.replace(/\s+/g, " ").trim();
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const table = (each) => [text(each.caption ?? each), all("tbody tr", each).map(text)];
  return {
    title: document.title,
    text: text(document.querySelector("main")),
    notices: all("main [role=note], main [role=alert]").map(text),
    tables: Object.fromEntries(all("main table").map(table)),
  };
});
await close();
console.log(JSON.stringify(said));
