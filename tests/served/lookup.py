"""What a server serves for a query, by a lookup in the zone.

Reads cases as JSON, one a line: `id`, `zone` (the text of a zone file, everything absolute), `query` (`name`, `type`),
`rcode`, `flags`, and the sections `answer`, `authority` and `additional` of the response as lists of records. For each,
writes a line of JSON:

    id, apex, owners       of the case, and of the zone: names in presentation format
    question               name and type number
    messages               the response in wire format, hexadecimal: with and without compression
    served                 the RRsets from which the response was made: [owner, type, class]
    conflict               how the response differs from what the lookup gives; null if it does not

The lookup is that of RFC 1034 section 4.3.2 with RFC 4592 (wildcards) and RFC 6672 (DNAME), step by step over the nodes of
the zone. It decides what was served, and of what class. The authority and additional section of the response only say what
the server left out or added: apex NS beside an answer, some of the addresses. If the answer section is not that of the
lookup, each of its RRsets is looked for in the zone instead.
"""

import json
import sys

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zonefile

A, NS, CNAME, SOA = dns.rdatatype.A, dns.rdatatype.NS, dns.rdatatype.CNAME, dns.rdatatype.SOA
AAAA, DNAME, DS, ANY = dns.rdatatype.AAAA, dns.rdatatype.DNAME, dns.rdatatype.DS, dns.rdatatype.ANY
RRSIG = dns.rdatatype.RRSIG
WILDCARD = dns.name.Name([b"*"])
# No server follows more aliases.
MAX_ALIASES = 64


class Zone:
    """The RRsets of a zone, and the names that exist only because there are names below them."""

    def __init__(self, text):
        # dnspython has to know the origin beforehand.
        apex = next(fields[0] for fields in map(str.split, text.splitlines()) if "SOA" in fields)
        self.apex = dns.name.from_text(apex)
        self.nodes = {}
        for rrset in dns.zonefile.read_rrsets(text, rdclass=None, origin=self.apex, relativize=False):
            if rrset.rdtype != RRSIG:
                self.nodes.setdefault(rrset.name, {})[rrset.rdtype] = rrset
        self.existing = set()
        for owner in self.nodes:
            while owner.is_subdomain(self.apex) and owner != self.apex:
                self.existing.add(owner)
                owner = owner.parent()
        self.existing.add(self.apex)

    def rrset(self, owner, rdtype):
        return self.nodes.get(owner, {}).get(rdtype)

    def path(self, name):
        """The names from the apex down to this one."""
        depth = len(name.labels) - len(self.apex.labels)
        return [dns.name.Name(name.labels[up:]) for up in range(depth, -1, -1)]

    def place(self, name, rdtype):
        """The owner of the RRset that answers for a name: the name or a wildcard; None if there is none."""
        closest = max((above for above in self.path(name) if above in self.existing), key=len)
        owner = name if closest == name else WILDCARD.derelativize(closest)
        return owner if self.rrset(owner, rdtype) else None


class Lookup:
    """Everything that a query leads to, in the zones of a server.

    `answer`, `authority` and `additional` are those of the response: pairs of owner and type. A server need not follow an
    alias from one of its zones into another, and may answer ANY with one RRset.
    """

    def __init__(self, zones, name, rdtype, answer, authority, additional):
        self.zones, self.rdtype = zones, rdtype
        self.zone = None
        self.found, self.authority, self.additional = answer, authority, additional
        # (owner in the zone, type) -> class
        self.served = {}
        # The answer section: (owner as answered, type).
        self.answer = set()
        self.rcode = dns.rcode.NOERROR
        # The owner of the delegation at the end, if that is how it ends.
        self.cut = None
        # Whether it ends where it has been before.
        self.loops = False
        self.follow(name)

    def credit(self, owner, rdtype, why):
        self.served.setdefault((owner, rdtype), why)

    def answered(self, name, owner, rdtype):
        self.answer.add((name, rdtype))
        self.credit(owner, rdtype, "any" if self.rdtype == ANY else "answer")

    def deny(self):
        if (self.zone.apex, SOA) in self.authority:
            self.credit(self.zone.apex, SOA, "denial")

    def follow(self, name):
        seen = set()
        while name is not None and name not in seen and len(seen) < MAX_ALIASES:
            seen.add(name)
            name = self.step(name)
        self.loops = name in seen

    def zone_of(self, name):
        inside = [zone for zone in self.zones if name.is_subdomain(zone.apex)]
        return max(inside, key=lambda zone: len(zone.apex.labels), default=None)

    def step(self, name):
        """One pass through a zone; returns the name at which to start again, if there is one."""
        zone = self.zone_of(name)
        if zone is not None and self.zone not in (None, zone):
            goes_on = any(owner == name for owner, _ in self.found) or (zone.apex, SOA) in self.authority
            zone = zone if goes_on else None
        if zone is None:
            return None
        self.zone = zone
        # Matching down, label by label: a zone cut or a DNAME ends it.
        closest = zone.apex
        for above in zone.path(name):
            if above not in zone.existing:
                break
            closest = above
            if above != zone.apex and zone.rrset(above, NS) and not (above == name and self.rdtype == DS):
                return self.refer(above)
            if above != name and zone.rrset(above, DNAME):
                return self.redirect(name, above)
        if closest == name:
            return self.node(name, name)
        wildcard = WILDCARD.derelativize(closest)
        if wildcard in zone.existing:
            return self.node(name, wildcard)
        self.rcode = dns.rcode.NXDOMAIN
        self.deny()
        return None

    def node(self, name, owner):
        """The data of an existing name, or of the wildcard that stands for it."""
        node = self.zone.nodes.get(owner, {})
        if self.rdtype == ANY and node:
            for rdtype in node:
                if (name, rdtype) in self.found:
                    self.answered(name, owner, rdtype)
        elif self.rdtype in node:
            self.answered(name, owner, self.rdtype)
        elif CNAME in node:
            self.answered(name, owner, CNAME)
            return node[CNAME][0].target
        else:
            self.deny()
        return None

    def redirect(self, name, owner):
        self.answered(owner, owner, DNAME)
        prefix = name.relativize(owner)
        try:
            target = prefix.concatenate(self.zone.rrset(owner, DNAME)[0].target)
        except dns.name.NameTooLong:
            self.rcode = dns.rcode.YXDOMAIN
            return None
        # The CNAME that says so is made for the response. BIND, Knot DNS and NSD take it for the answer if the query is for
        # CNAME; if it is for ANY, BIND alone does.
        self.answer.add((name, CNAME))
        goes_on = any(owner == target for owner, _ in self.found) or any(rdtype == SOA for _, rdtype in self.authority)
        return None if self.rdtype == CNAME or self.rdtype == ANY and not goes_on else target

    def refer(self, cut):
        self.cut = cut
        for rdtype in (NS, DS):
            if self.zone.rrset(cut, rdtype) and (cut, rdtype) in self.authority:
                self.credit(cut, rdtype, "referral")
        for record in self.zone.rrset(cut, NS):
            # An address inside the delegated zone, which nobody could find otherwise. It cannot come from a wildcard.
            if record.target.is_subdomain(cut):
                for rdtype in (A, AAAA):
                    if self.zone.rrset(record.target, rdtype) and (record.target, rdtype) in self.additional:
                        self.credit(record.target, rdtype, "glue")
        return None

    def beside(self):
        """What the server put beside the answer without having to."""
        for owner, rdtype in self.authority:
            if rdtype == NS and any(owner == zone.apex for zone in self.zones):
                self.credit(owner, NS, "carried")
        for owner, rdtype in self.additional:
            zone = self.zone_of(owner)
            place = zone and rdtype in (A, AAAA) and zone.place(owner, rdtype)
            if place:
                self.credit(place, rdtype, "carried")

    def take(self):
        """Replaces what should be answered by what was: where in the zones is each RRset of the answer section?"""
        self.served = {key: why for key, why in self.served.items() if why not in ("answer", "any")}
        for name, rdtype in self.found:
            zone = self.zone_of(name)
            redirected = zone and any(zone.rrset(above, DNAME) for above in zone.path(name) if above != name)
            place = zone and not redirected and zone.place(name, rdtype)
            if place:
                self.answered(name, place, rdtype)


def sections(case):
    """The sections as dnspython's RRsets."""
    result = []
    for section in ("answer", "authority", "additional"):
        rrsets = {}
        for line in case[section]:
            owner, ttl, _, rdtype, data = line.split(None, 4)
            owner = dns.name.from_text(owner)
            key = (owner, dns.rdatatype.from_text(rdtype))
            rrset = rrsets.setdefault(key, dns.rrset.RRset(owner, dns.rdataclass.IN, key[1]))
            rrset.add(dns.rdata.from_text(dns.rdataclass.IN, key[1], data, relativize=False), int(ttl))
        result.append(list(rrsets.values()))
    return result


def encode(case, question, rrsets, compressed):
    """The response in wire format. Without compression, each name is written out."""
    message = dns.message.make_query(*question, id=1)
    message.flags = sum(dns.flags.from_text(flag) for flag in case["flags"])
    message.set_rcode(dns.rcode.from_text(case["rcode"]))
    message.answer, message.authority, message.additional = rrsets
    if compressed:
        return message.to_wire(max_size=65535)
    counts = [1] + [sum(len(rrset) for rrset in section) for section in rrsets]
    wire = message.id.to_bytes(2, "big") + int(message.flags).to_bytes(2, "big")
    wire += b"".join(count.to_bytes(2, "big") for count in counts)
    wire += question[0].to_wire() + int(question[1]).to_bytes(2, "big") + b"\0\1"
    for rrset in (rrset for section in rrsets for rrset in section):
        for record in rrset:
            data = record.to_wire()
            wire += rrset.name.to_wire() + int(rrset.rdtype).to_bytes(2, "big") + b"\0\1"
            wire += int(rrset.ttl).to_bytes(4, "big") + len(data).to_bytes(2, "big") + data
    return wire


def run(case):
    zone = Zone(case["zone"])
    name, rdtype = dns.name.from_text(case["query"]["name"]), dns.rdatatype.from_text(case["query"]["type"])
    rrsets = sections(case)
    found = [{(rrset.name, rrset.rdtype) for rrset in section} for section in rrsets]
    lookup = Lookup([zone], name, rdtype, *found)
    conflict = []
    if lookup.answer != found[0]:
        conflict.append(f"answer {text(found[0])} instead of {text(lookup.answer)}")
        lookup.take()
    if dns.rcode.to_text(lookup.rcode) != case["rcode"]:
        conflict.append(f"{case['rcode']} instead of {dns.rcode.to_text(lookup.rcode)}")
    refers = any(rdtype == NS and owner != zone.apex for owner, rdtype in found[1])
    if refers != (lookup.cut is not None):
        conflict.append(f"delegation {lookup.cut}, authority {text(found[1])}")
    lookup.beside()
    return {
        "id": case["id"],
        "apex": zone.apex.to_text(),
        "owners": [owner.to_text() for owner in zone.nodes],
        "question": [name.to_text(), int(rdtype)],
        "messages": [encode(case, (name, rdtype), rrsets, compressed).hex() for compressed in (True, False)],
        "served": sorted(
            [owner.to_text().lower(), dns.rdatatype.to_text(rdtype), why] for (owner, rdtype), why in lookup.served.items()
        ),
        "conflict": "; ".join(conflict) or None,
    }


def text(pairs):
    return sorted(f"{owner} {dns.rdatatype.to_text(rdtype)}" for owner, rdtype in pairs)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))))
