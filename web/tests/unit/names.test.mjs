import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, load } from "./page.mjs";

browser();
const { names, address } = await load("names", "address");

test("a zone's name is taken as it is in the DNS", () => {
  assert.equal(names.apexOf(" Example.COM "), "example.com.");
  assert.equal(names.apexOf("bücher.example."), "xn--bcher-kva.example.");
});

test("what is wrong with a zone's name is said", () => {
  for (const [typed, said] of [
    ["", /^Enter the name/],
    ["-_ ..bad..", /spaces/],
    ["..bad..", /label is empty/],
    ["bad..", /label is empty/],
    [`${"a".repeat(70)}.example`, /70 octets; it may have at most 63/],
    [Array(5).fill("a".repeat(60)).join("."), /306 octets; it may have at most 255/],
  ])
    assert.match(names.apexFault(typed) ?? "", said, typed);
  assert.equal(names.apexFault(`${"a".repeat(63)}.example`), undefined);
});

test("an address that cannot be one is refused while it is entered", () => {
  const { urlFault, hostFault, primaryFault } = address;
  assert.match(urlFault("http://h:99999"), /1 to 65535/);
  assert.match(urlFault("[::1]:53"), /^Begin with/);
  assert.match(urlFault("http://[::1:53"), /not an address/);
  assert.equal(urlFault("https://[::1]:8053/below"), undefined);
  assert.match(hostFault("[::1]:53"), /without a port/);
  assert.match(hostFault("ns1.example:53"), /without a port/);
  assert.match(hostFault("[::1]"), /without brackets/);
  for (const good of ["ns1.example", "192.0.2.1", "2001:db8::1"]) assert.equal(hostFault(good), undefined);
  assert.match(primaryFault("192.0.2.1:99999"), /1 to 65535/);
  for (const good of ["192.0.2.1", "192.0.2.1:53", "[2001:db8::1]:53", "2001:db8::1", "ns1.example:53"])
    assert.equal(primaryFault(good), undefined, good);
});

test("filters take letters beyond ASCII as whole labels", () => {
  const { asciiName, nameFilterFault, idFilterFault } = names;
  assert.equal(asciiName("*.bücher.example"), "*.xn--bcher-kva.example");
  assert.equal(asciiName("Straße"), "xn--strae-oqa");
  assert.equal(nameFilterFault("bücher"), undefined);
  assert.match(nameFilterFault("*bücher*"), /cannot be searched for/);
  assert.equal(nameFilterFault("*plain*"), undefined);
  assert.match(idFilterFault("-1 abc", "Resource id"), /^Resource id is a whole number/);
  assert.equal(idFilterFault("12", "Resource id"), undefined);
});
