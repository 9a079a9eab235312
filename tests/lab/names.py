# SPDX-License-Identifier: MIT
"""The DNS of the lab: every domain outside has a mail server of its own, on an address of its own."""
import socket
import struct
import threading

A, SOA, MX = 1, 6, 15


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def question(packet):
    """(name, type, the question's bytes)"""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1").lower())
        at += packet[at] + 1
    return ".".join(labels), struct.unpack(">H", packet[at + 1:at + 3])[0], packet[12:at + 5]


class Names:
    """Answers over UDP for `{domain: address of its server}`: MX for the domain, A for `mx.` before it, nothing else."""

    def __init__(self, servers):
        self.records = {}
        for domain, address in servers.items():
            self.records[domain] = (MX, struct.pack(">H", 10) + encoded("mx." + domain))
            self.records["mx." + domain] = (A, socket.inet_aton(address))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.closed = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.closed:
            try:
                packet, client = self.socket.recvfrom(4096)
                self.socket.sendto(self.answer(packet), client)
            except (OSError, IndexError, struct.error):
                continue

    def answer(self, packet):
        name, kind, asked = question(packet)
        there, data = self.records.get(name, (None, b""))
        flags = 0x8580 if there else 0x8583  # authoritative; no such name
        record = struct.pack(">HHHIH", 0xc00c, kind, 1, 60, len(data)) + data if there == kind else b""
        nothing = b""
        if not record:  # how long it may be remembered that there is nothing
            rest = encoded("ns.example") + encoded("host.example") + struct.pack(">IIIII", 1, 60, 60, 60, 60)
            nothing = b"\0" + struct.pack(">HHIH", SOA, 1, 60, len(rest)) + rest
        return packet[:2] + struct.pack(">HHHHH", flags, 1, 1 if record else 0, 1 if nothing else 0, 0) + asked + record + nothing

    def close(self):
        self.closed = True
        self.thread.join(5)
        self.socket.close()
