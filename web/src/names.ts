// Names of the DNS as they are typed.
import { ApiError } from "./api";

/** The label as it is in the DNS: punycode for what is not ASCII. Undefined if it cannot be one. */
function asciiLabel(label: string): string | undefined {
  try {
    return new URL(`http://${label}`).hostname;
  } catch {
    return undefined;
  }
}

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text);

/** The name with A-labels for U-labels; labels that cannot be converted stay as they are. */
export const asciiName = (name: string): string =>
  isAscii(name)
    ? name
    : name
        .split(/[.\u3002\uff0e\uff61]/)
        // A star stands for what is not known, so that such a label has no punycode.
        .map((label) => (isAscii(label) || label.includes("*") ? label : (asciiLabel(label) ?? label)))
        .join(".");

/** What is wrong with the name of a zone; undefined if nothing is. */
export function apexFault(typed: string): string | undefined {
  const name = asciiName(typed.trim()).replace(/\.$/, "");
  if (name === "")
    return typed.trim() === "" ? "Enter the name of the zone." : "The root cannot be a zone here.";
  if (/[\s"();]/.test(name)) return "A name has no spaces, quotation marks, parentheses or semicolons.";
  if (!isAscii(name)) return "A part of the name cannot be written in the DNS.";
  const labels = name.split(".");
  if (labels.includes("")) return "A label is empty: there is a dot at the start, or two dots in a row.";
  const long = labels.find((label) => label.length > 63);
  if (long !== undefined)
    return `A label has ${long.length} octets; it may have at most 63: ${long.slice(0, 12)}….`;
  // On the wire, each label has an octet for its length, and the root one.
  return name.length + 2 > 255
    ? `The name has ${name.length + 2} octets; it may have at most 255.`
    : undefined;
}

/** `example.com.` from `Example.com`; undefined if it cannot be a zone's name. */
export const apexOf = (typed: string): string | undefined =>
  apexFault(typed) === undefined ? `${asciiName(typed.trim()).replace(/\.$/, "").toLowerCase()}.` : undefined;

/** What is wrong with a filter for names; undefined if nothing is. */
export const nameFilterFault = (typed: string): string | undefined =>
  isAscii(asciiName(typed))
    ? undefined
    : "A part of a label with letters beyond ASCII cannot be searched for, because the DNS has such labels in another form (punycode). Enter whole labels, such as bücher or *.bücher.example.";

/** What is wrong with a filter for numbers of records; undefined if nothing is. */
export const idFilterFault = (typed: string, field: string): string | undefined =>
  typed === "" || /^\d{1,15}$/.test(typed)
    ? undefined
    : `${field} is a whole number. 0 stands for records that are in no zone.`;

/** What a view shows in place of rows when a filter of its own cannot be used. */
export function filterError(...faults: (string | undefined)[]): ApiError | undefined {
  const [fault] = faults.filter((each) => each !== undefined);
  return fault === undefined
    ? undefined
    : new ApiError("invalid", "A filter cannot be used", fault, "Correct it, or clear the filters.");
}
