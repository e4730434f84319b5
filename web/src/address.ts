// What is wrong with an address that is being entered; undefined if nothing is. The API checks again.

const isPort = (port: string): boolean =>
  /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535;

const NO_PORT = "Ports go from 1 to 65535.";

/** The URL of a central or a probe. */
export function urlFault(value: string): string | undefined {
  if (!/^https?:\/\//.test(value))
    return "Begin with http:// or https://, such as https://central.example:8053.";
  const [, authority = ""] = /^https?:\/\/([^\s/?#@]+)(\/[^\s?#]*)?$/.exec(value) ?? [];
  const [, port] = /:(\d*)$/.exec(authority.replace(/^\[[^\]]*\]/, "")) ?? [];
  if (port && !isPort(port)) return NO_PORT;
  return authority !== "" && URL.canParse(value)
    ? undefined
    : "This is not an address. Write https://host:port.";
}

/** A host without a port. */
export function hostFault(value: string): string | undefined {
  if (/^[^:]+:\d*$/.test(value) || /^\[.*\]:\d*$/.test(value) || /[/@]/.test(value))
    return "Enter only the name or the address, without a port.";
  if (/[[\]]/.test(value)) return "Write an IPv6 address without brackets.";
  if (value.includes(":") && !URL.canParse(`http://[${value}]/`)) return "This is not an IPv6 address.";
  return /\s/.test(value) || value.length > 255 ? "Enter an FQDN or an IP address." : undefined;
}

const PRIMARY =
  /^(\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*|[A-Za-z0-9._-]+)(?::(\d+))?$/;

/** An address with or without a port. */
export function primaryFault(value: string): string | undefined {
  const [, host, port] = PRIMARY.exec(value) ?? [];
  const bare = host?.replace(/^\[|\]$/g, "");
  if (bare === undefined || (bare.includes(":") && !URL.canParse(`http://[${bare}]/`)))
    return "Enter an address, such as 192.0.2.1:53 or [2001:db8::1]:53.";
  return port !== undefined && !isPort(port) ? NO_PORT : undefined;
}
