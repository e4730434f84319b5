#!/usr/bin/env python3
"""A primary that does what real ones do not: leaves messages unsigned, mixes up streams, never ends.

Listens on a TCP port, which it prints. The first label of the zone in question says how it behaves; the zone has
two records per message. Requests are signed with the key "transfer", whose secret is the only argument (Base64).
"""

import socket
import struct
import sys
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring

KEYRING = dns.tsigkeyring.from_text({"transfer": sys.argv[1]})
KEY = dns.name.from_text("transfer")


def soa(zone, serial):
    return dns.rrset.from_text(zone, 300, "IN", "SOA", f"ns. admin. {serial} 3600 600 86400 300")


def addresses(zone, count, first=0):
    for number in range(first, first + count):
        yield dns.rrset.from_text(f"host{number}.{zone}", 300, "IN", "A", f"192.0.2.{number % 256}")


def pairs(records):
    records = list(records)
    return [records[at : at + 2] for at in range(0, len(records), 2)]


class Answer:
    """Sends the messages of one answer, signed as `is_signed` says of each index."""

    def __init__(self, connection, request):
        self.connection = connection
        self.request = request
        self.context = None
        self.sent = 0

    def message(self, records, **header):
        response = dns.message.make_response(self.request)
        response.tsig = None
        response.flags |= dns.flags.AA
        for rrset in records:
            # One RRset per record, so that the order stays.
            response.answer.append(rrset)
        for field, value in header.items():
            if field == "rcode":
                response.set_rcode(value)
            elif field == "flags":
                response.flags ^= value
            elif field == "opcode":
                response.set_opcode(value)
            else:
                setattr(response, field, value)
        return response

    def wire(self, response, signed=True):
        if not self.request.had_tsig:
            return response.to_wire()
        if signed:
            response.use_tsig(KEYRING, KEY, algorithm=dns.tsig.HMAC_SHA256)
            response.request_mac = self.request.mac
            wire = response.to_wire(multi=True, tsig_ctx=self.context)
            self.context = response.tsig_ctx
            return wire
        wire = response.to_wire()
        if self.context is not None:
            self.context.update(wire)
        return wire

    def send(self, records, signed=True, **header):
        wire = self.wire(self.message(records, **header), signed)
        self.connection.sendall(struct.pack("!H", len(wire)) + wire)
        self.sent += 1


def zone_messages(zone, count=400, serial=7):
    return pairs([soa(zone, serial), *addresses(zone, count), soa(zone, serial)])


def serve(connection, request):
    question = request.question[0]
    zone = question.name.to_text()
    mode = zone.split(".")[0]
    is_ixfr = question.rdtype == dns.rdatatype.IXFR
    answer = Answer(connection, request)
    messages = zone_messages(zone)
    last = len(messages) - 1
    if mode == "every-hundredth":
        for at, records in enumerate(messages):
            answer.send(records, signed=at % 100 == 0 or at == last)
    elif mode == "too-many-unsigned":
        for at, records in enumerate(messages):
            answer.send(records, signed=at % 101 == 0 or at == last)
    elif mode == "last-unsigned":
        for at, records in enumerate(messages):
            answer.send(records, signed=at != last)
    elif mode == "first-unsigned":
        for at, records in enumerate(messages):
            answer.send(records, signed=at != 0)
    elif mode == "changed-unsigned":
        # What is sent differs from what the next signature covers.
        answer.send(messages[0])
        answer.send(messages[1], signed=False)
        wire = answer.wire(answer.message(messages[2]), signed=False)
        wire = wire.replace(bytes([192, 0, 2, 3]), bytes([192, 0, 2, 99]))
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        for records in messages[3:]:
            answer.send(records)
    elif mode == "bad-time":
        response = answer.message([], rcode=dns.rcode.NOTAUTH)
        other = struct.pack("!HI", 0, int(time.time()) + 7200)
        response.use_tsig(KEYRING, KEY, tsig_error=dns.rcode.BADTIME, other_data=other, algorithm=dns.tsig.HMAC_SHA256)
        response.request_mac = request.mac
        wire = response.to_wire()
        connection.sendall(struct.pack("!H", len(wire)) + wire)
    elif mode in ("not-implemented", "format-error", "server-failure") and is_ixfr:
        code = {"n": dns.rcode.NOTIMP, "f": dns.rcode.FORMERR, "s": dns.rcode.SERVFAIL}[mode[0]]
        answer.send([], rcode=code)
    elif mode == "lone-soa" and is_ixfr:
        answer.send([soa(zone, 7)])
    elif mode == "one-record" and is_ixfr:
        for record in [soa(zone, 7), soa(zone, 6), *addresses(zone, 2), soa(zone, 7), *addresses(zone, 2, 5), soa(zone, 7)]:
            answer.send([record])
    elif mode == "wrapped" and is_ixfr:
        top = 4294967295
        answer.send([soa(zone, 3), soa(zone, top - 1), *addresses(zone, 1), soa(zone, top), *addresses(zone, 1, 1)])
        answer.send([soa(zone, top), soa(zone, 1), *addresses(zone, 1, 2), soa(zone, 1), soa(zone, 3), soa(zone, 3)])
    elif mode == "gap" and is_ixfr:
        answer.send([soa(zone, 7), soa(zone, 5), soa(zone, 6), soa(zone, 6), soa(zone, 7), soa(zone, 7)])
    elif mode == "gap-inside" and is_ixfr:
        answer.send([soa(zone, 7), soa(zone, 4), soa(zone, 5), soa(zone, 6), soa(zone, 7), soa(zone, 7)])
    elif mode == "wrong-id":
        answer.send(messages[0])
        answer.send(messages[1], id=request.id ^ 1)
    elif mode == "wrong-question":
        answer.send(messages[0])
        answer.send(messages[1], question=[dns.rrset.RRset(dns.name.from_text("other."), 1, dns.rdatatype.AXFR)])
    elif mode == "not-a-response":
        answer.send(messages[0], flags=dns.flags.QR)
    elif mode == "opcode":
        answer.send(messages[0], opcode=4)
    elif mode == "truncated":
        answer.send(messages[0])
        answer.send(messages[1], flags=dns.flags.TC)
    elif mode == "late-error":
        answer.send(messages[0])
        answer.send([], rcode=dns.rcode.SERVFAIL)
    elif mode == "empty":
        answer.send(messages[0])
        answer.send([])
    elif mode == "other-zone":
        answer.send(messages[0])
        answer.send(list(addresses("other.", 2)))
    elif mode == "other-class":
        answer.send([soa(zone, 7), dns.rrset.from_text(zone, 300, "CH", "TXT", '"chaos"')])
    elif mode == "two-soas":
        answer.send(messages[0])
        answer.send([soa(zone, 8)])
        for records in messages[1:]:
            answer.send(records)
    elif mode == "other-last-soa":
        answer.send([soa(zone, 7), *addresses(zone, 1), soa(zone, 8)])
    elif mode == "records-after-end":
        answer.send([soa(zone, 7), *addresses(zone, 1), soa(zone, 7), *addresses(zone, 1, 1)])
    elif mode == "no-soa":
        answer.send(list(addresses(zone, 2)))
    elif mode == "malformed":
        answer.send(messages[0])
        connection.sendall(struct.pack("!H", 30) + b"\xff" * 30)
    elif mode == "half-a-message":
        answer.send(messages[0])
        connection.sendall(struct.pack("!H", 300) + b"\x00" * 100)
    elif mode == "stalls":
        answer.send(messages[0])
        time.sleep(60)
    elif mode == "endless":
        answer.send(messages[0])
        first = 0
        while True:
            answer.send(addresses(zone, 100, first))
            first += 100
    else:
        for records in messages:
            answer.send(records)


def handle(connection):
    try:
        with connection:
            while True:
                header = connection.recv(2, socket.MSG_WAITALL)
                if len(header) < 2:
                    return
                wire = connection.recv(struct.unpack("!H", header)[0], socket.MSG_WAITALL)
                serve(connection, dns.message.from_wire(wire, keyring=KEYRING))
                return
    except (BrokenPipeError, ConnectionResetError):
        pass


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handle, args=(connection,), daemon=True).start()


main()
