"""What the responses in a capture served, by lookups in the zones.

    capture.py CAPTURE PORT ZONE...

CAPTURE is a pcap file of Ethernet frames, PORT that of the server, each ZONE a zone file with everything absolute. Writes a
line for each RRset and class: owner, type, class, number of responses, separated by tabs. Then a line `truncated`, and one
for each kind of response that is not what the lookup gives: `conflict`, how often, and how it differs.

It has nothing in common with what it is compared with: dpkt reads the capture, dnspython the messages, and lookup.py decides
from the zones what was served.
"""

import collections
import sys

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dpkt
from lookup import ANY, NS, RRSIG, Lookup, Zone, text


def payloads(path, port):
    """The DNS messages that the server sent."""
    streams = {}
    with open(path, "rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            segment = packet.data
            if getattr(segment, "sport", None) != port:
                continue
            if isinstance(segment, dpkt.udp.UDP):
                yield segment.data
            elif segment.data:
                stream = streams.setdefault((packet.src, packet.dst, segment.dport), {})
                stream[segment.seq] = segment.data
    for stream in streams.values():
        # The streams are short: none wraps its sequence numbers or repeats a part of a segment.
        octets = b"".join(data for _, data in sorted(stream.items()))
        while octets:
            length = int.from_bytes(octets[:2], "big")
            assert len(octets) >= 2 + length, "a message of a stream is incomplete"
            yield octets[2 : 2 + length]
            octets = octets[2 + length :]


def main(path, port, *files):
    zones = []
    for name in files:
        with open(name, encoding="ascii") as file:
            zones.append(Zone(file.read()))
    served, conflicts, truncated = collections.Counter(), collections.Counter(), 0
    for octets in payloads(path, int(port)):
        if octets[2] & 0x02:
            truncated += 1
            continue
        message = dns.message.from_wire(octets, one_rr_per_rrset=False)
        question = message.question[0]
        found = []
        for section in (message.answer, message.authority, message.additional):
            found.append({(rrset.name, rrset.rdtype) for rrset in section if rrset.rdtype != RRSIG})
        lookup = Lookup(zones, question.name, question.rdtype, *found)
        # An answer to ANY may be any of the RRsets that there are.
        same = lookup.answer <= found[0] if question.rdtype == ANY else lookup.answer == found[0]
        if not same:
            conflicts[f"{question.name} {dns.rdatatype.to_text(question.rdtype)}: {text(found[0])}, not {text(lookup.answer)}"] += 1
            lookup.take()
        refers = any(rdtype == NS and all(owner != zone.apex for zone in zones) for owner, rdtype in found[1])
        # BIND says SERVFAIL to a loop, and everybody REFUSED to what is not in a zone.
        is_free = lookup.loops or lookup.zone is None
        if same and (refers != (lookup.cut is not None) or lookup.rcode != message.rcode() and not is_free):
            kind = f"{dns.rcode.to_text(message.rcode())}, authority {text(found[1])}, delegation {lookup.cut}"
            conflicts[f"{question.name} {dns.rdatatype.to_text(question.rdtype)}: {kind}"] += 1
        lookup.beside()
        for (owner, rdtype), why in lookup.served.items():
            served[owner.to_text().lower(), dns.rdatatype.to_text(rdtype), why] += 1
    for (owner, rdtype, why), count in sorted(served.items()):
        print(owner, rdtype, why, count, sep="\t")
    print("truncated", truncated, sep="\t")
    for conflict, count in sorted(conflicts.items()):
        print("conflict", count, conflict, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
