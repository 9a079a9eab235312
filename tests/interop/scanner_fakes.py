# SPDX-License-Identifier: MIT
"""Scanners' servers on loopback that answer well, and in every way not. Each knows enough of its protocol to find the
word EVIL in a message; `way` says what goes wrong."""
import os
import select
import socket
import struct
import threading
import time

# what a server does: `good` as it should; the others as the failure table says
WAYS = ("good", "silent", "dies", "half", "garbage", "early", "slow", "dies_once")


class Gone(Exception):
    """The other side has closed, or this one is to."""


class Stream:
    """What is read of one connection. `budget`: bytes after which a server that dies closes."""

    def __init__(self, connection, budget=None):
        self.connection, self.buffer, self.budget, self.read = connection, b"", budget, 0

    def more(self):
        got = self.connection.recv(65536)
        self.read += len(got)
        if not got or (self.budget is not None and self.read > self.budget):
            raise Gone
        self.buffer += got

    def upto(self, end):
        while end not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(end, 1)
        return head

    def exactly(self, n):
        parts, have = [self.buffer], len(self.buffer)
        while have < n:
            self.buffer = b""
            self.more()
            parts.append(self.buffer)
            have += len(self.buffer)
        whole = b"".join(parts)
        self.buffer = whole[n:]
        return whole[:n]

    def chunks(self):
        """An HTTP body in chunks (RFC 9112 7.1)."""
        body = []
        while True:
            n = int(self.upto(b"\r\n").split(b";")[0], 16)
            if not n:
                self.upto(b"\r\n")
                return b"".join(body)
            body.append(self.exactly(n))
            self.exactly(2)


def http_body(s, head):
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return s.chunks()
    return s.exactly(int(fields.get(b"content-length", b"0")))


# Each protocol: before(stream) reads what stands before a message; message(stream, it) reads the message; answer(evil, it,
# number) is what is said about the connection's message of this number.


class Clamd:
    @staticmethod
    def before(s):
        while True:
            word = s.upto(b"\0")
            if word in (b"zINSTREAM", b"zFILDES"):
                return word

    @staticmethod
    def message(s, _):
        body = []
        while True:
            n = struct.unpack(">I", s.exactly(4))[0]
            if not n:
                return b"".join(body)
            body.append(s.exactly(n))

    @staticmethod
    def answer(evil, _, number):
        return b"%d: stream: %s\0" % (number, b"Test.Evil FOUND" if evil else b"OK")


class Spamd:
    @staticmethod
    def before(s):
        return s.upto(b"\r\n\r\n")

    @staticmethod
    def message(s, head):
        return http_body(s, head) if b"ontent-length" in head else s.exactly(10 ** 9)

    @staticmethod
    def answer(evil, _, __):
        body = b"TEST_EVIL\r\n" if evil else b"\r\n"
        return b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %s\r\n\r\n%s" % (
            len(body), b"True ; 30.0 / 5.0" if evil else b"False ; 0.0 / 5.0", body)


class Rspamd:
    @staticmethod
    def before(s):
        head = s.upto(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            s.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return head

    @staticmethod
    def message(s, head):
        return http_body(s, head)

    @staticmethod
    def answer(evil, _, __):
        body = (b'{"action":"%s","score":%s,"required_score":15.0,"is_skipped":false,"symbols":{},"messages":{}}'
                % ((b"reject", b"30.0") if evil else (b"no action", b"0.0")))
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Icap:
    @staticmethod
    def before(s):
        while True:
            head = s.upto(b"\r\n\r\n")
            if not head.startswith(b"OPTIONS"):
                return head
            s.connection.sendall(b'ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: "fake"\r\nAllow: 204\r\nPreview: 1024\r\n'
                                 b"Encapsulated: null-body=0\r\n\r\n")

    @staticmethod
    def message(s, head):
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        s.exactly(int(fields[b"Encapsulated"].rsplit(b"=", 1)[1]))
        body, preview = [], b"Preview" in fields
        while True:
            size, _, extension = s.upto(b"\r\n").partition(b";")
            if int(size, 16):
                body.append(s.exactly(int(size, 16)))
                s.exactly(2)
                continue
            s.upto(b"\r\n")
            if not preview or b"ieof" in extension:
                return b"".join(body)
            preview = False
            s.connection.sendall(b"ICAP/1.0 100 Continue\r\n\r\n")

    @staticmethod
    def answer(evil, _, __):
        if not evil:
            return b"ICAP/1.0 204 No modifications needed\r\nISTag: \"fake\"\r\n\r\n"
        return (b"ICAP/1.0 200 OK\r\nISTag: \"fake\"\r\nX-Infection-Found: Type=0; Resolution=2; Threat=Test.Evil;\r\n"
                b"Encapsulated: res-hdr=0, null-body=26\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n")


PROTOCOLS = {"clamd": Clamd, "spamd": Spamd, "rspamd": Rspamd, "icap": Icap}


class Server:
    """One server; `delay` seconds before each answer of `slow`, `half_at` bytes before the death of `dies`."""

    def __init__(self, kind, way="good", port=0, delay=0.0, half_at=100000):
        self.kind, self.protocol, self.way, self.delay, self.half_at = kind, PROTOCOLS[kind], way, delay, half_at
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if way == "early":  # no room for what it does not read
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(200)
        self.port = self.listener.getsockname()[1]
        self.address = "127.0.0.1:%d" % self.port
        self.closed, self.scans, self.accepted, self.live = False, 0, 0, set()
        self.lock, self.first_byte, self.last_byte = threading.Lock(), None, None
        self.wake_read, self.wake_write = os.pipe()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while not self.closed:
            ready, _, _ = select.select([self.listener, self.wake_read], [], [], 5)
            if self.listener not in ready:
                continue
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.accepted += 1
                self.live.add(connection)
                first = self.accepted == 1
            threading.Thread(target=self.serve, args=(connection, first), daemon=True).start()

    def serve(self, connection, first):
        try:
            self.converse(connection, first)
        except (OSError, ValueError, KeyError, Gone):
            pass
        with self.lock:
            self.live.discard(connection)
        connection.close()

    def converse(self, connection, first):
        way = self.way
        if way == "dies_once":
            way = "dies" if first else "good"
        if way == "silent":
            while not self.closed:
                time.sleep(0.02)
            return
        s = Stream(connection, self.half_at if way == "dies" else None)
        number = 0
        while True:
            number += 1
            it = self.protocol.before(s)
            if way == "early":
                connection.sendall(self.protocol.answer(False, it, number))
                time.sleep(0.5)
                return
            body = self.protocol.message(s, it)
            if way == "dies":  # a message that was too short to die in
                return
            answer = self.protocol.answer(b"EVIL" in body, it, number)
            if way == "garbage":
                answer = b"\xff\xfe? la la la\n\0\r\n\r\n" * 3
            if way == "half":
                connection.sendall(answer[:len(answer) // 2])
                return
            if self.delay:
                time.sleep(self.delay)
            with self.lock:
                self.scans += 1
            connection.sendall(answer)
            if self.kind == "spamd":
                return

    def close(self):
        self.closed = True
        os.write(self.wake_write, b"x")
        self.thread.join(5)
        self.listener.close()
        with self.lock:
            for connection in self.live:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        os.close(self.wake_read)
        os.close(self.wake_write)
