"""Asks a server what there is to ask about zones.

    ask.py PORT QUESTIONS

QUESTIONS has a name and a type on each line. Each is asked four times over UDP, with and without RD and the DO bit, from
four addresses of this machine, and once more over TCP where the response is truncated. Prints the number of responses.
"""

import socket
import sys

import dns.flags
import dns.message
import dns.query

WAYS = [(rd, do) for rd in (False, True) for do in (False, True)]


def query(name, rdtype, rd, do, number):
    message = dns.message.make_query(name, rdtype, id=number, use_edns=0 if do else False, payload=1232, want_dnssec=do)
    message.flags = message.flags & ~dns.flags.RD | (dns.flags.RD if rd else 0)
    return message


def main(port, path):
    with open(path, encoding="ascii") as file:
        questions = [line.split() for line in file]
    responses = 0
    for way, (rd, do) in enumerate(WAYS):
        source = f"127.0.{way + 1}.1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind((source, 0))
            asking.settimeout(5)
            for number, (name, rdtype) in enumerate(questions):
                message = query(name, rdtype, rd, do, number)
                asking.sendto(message.to_wire(), ("127.0.0.1", int(port)))
                octets = asking.recv(65535)
                assert int.from_bytes(octets[:2], "big") == number, "the server answers in order"
                responses += 1
                if octets[2] & 0x02:
                    dns.query.tcp(message, "127.0.0.1", port=int(port), timeout=5, source=source)
                    responses += 1
    print(responses)


if __name__ == "__main__":
    main(*sys.argv[1:])
