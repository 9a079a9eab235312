# SPDX-License-Identifier: MIT
"""A small DNS server on loopback: A and MX of a table; what is not in it does not exist, what is None has no answer."""
import select
import socket
import struct
import threading

TYPES = {1: "A", 15: "MX"}


def wire(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def mx(preference, host):
    return (preference, host)


class DnsServer:
    def __init__(self, zone):
        self.zone, self.closed = zone, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.closed:
            ready, _, _ = select.select([self.socket], [], [], 0.1)
            if ready:
                query, peer = self.socket.recvfrom(4096)
                answer = self.answer(query)
                if answer:
                    self.socket.sendto(answer, peer)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii").lower())
            at += 1 + query[at]
        question = query[12:at + 5]
        name, kind = ".".join(labels), TYPES.get(struct.unpack(">H", query[at + 1:at + 3])[0], "")
        if self.zone.get((name, kind), ()) is None:
            return None
        found = self.zone.get((name, kind), [])
        exists = any(n == name for n, _ in self.zone)
        records = []
        for value in found:
            data = socket.inet_aton(value) if kind == "A" else struct.pack(">H", value[0]) + wire(value[1])
            records.append(b"\xc0\x0c" + question[-4:] + struct.pack(">IH", 60, len(data)) + data)
        flags = 0x8580 if exists else 0x8583
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)

    def close(self):
        self.closed = True
        self.thread.join(5)
        self.socket.close()
