# SPDX-License-Identifier: MIT
"""A DNS server on loopback over UDP: A, MX, PTR and TXT of a table; what is not in it does not exist."""
import select
import socket
import struct
import threading

TYPES = {1: "A", 12: "PTR", 15: "MX", 16: "TXT"}


def wire(name):
    """A name in the form of RFC 1035."""
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".") if label) + b"\0"


def rdata(kind, value):
    """One record's data: an address, a name, a text; MX: `10 mx.example.org`."""
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "MX":
        preference, _, host = value.partition(" ")
        return struct.pack(">H", int(preference)) + wire(host)
    if kind == "TXT":
        return bytes([len(value)]) + value.encode("ascii")
    return wire(value)


class Nameserver:
    """Serves `{(name, kind): [value, ...]}` in a thread. `with Nameserver(table) as server: server.port`"""

    def __init__(self, table):
        self.table = {(name.lower(), kind): values for (name, kind), values in table.items()}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.questions, self.ended = 0, False
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.ended = True
        self.thread.join(5)
        self.socket.close()

    def serve(self):
        while not self.ended:
            if select.select([self.socket], [], [], 0.1)[0]:
                query, peer = self.socket.recvfrom(4096)
                try:
                    self.socket.sendto(self.answer(query), peer)
                except (IndexError, struct.error, UnicodeDecodeError):
                    continue

    def answer(self, query):
        self.questions += 1
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii").lower())
            at += 1 + query[at]
        question, name = query[12:at + 5], ".".join(labels)
        kind = TYPES.get(struct.unpack(">H", query[at + 1:at + 3])[0], "")
        records = [rdata(kind, value) for value in self.table.get((name, kind), [])]
        exists = any(known == name or known.endswith("." + name) for known, _ in self.table)
        body = b"".join(b"\xc0\x0c" + question[-4:] + struct.pack(">IH", 600, len(r)) + r for r in records)
        return (query[:2] + struct.pack(">HHHHH", 0x8580 if exists else 0x8583, 1, len(records), 0, 0) + question + body)
