# SPDX-License-Identifier: MIT
"""The scanner of the lab: it speaks spamd's protocol (SPAMC/1.5), and its opinion of each message stands in a table, so
that a run can be repeated. `Virus` is the same, and finds the lab's virus only. `Real` is SpamAssassin itself, with rules
that give the words of world.weights() the same scores, and its own rules beside them."""
import os
import re
import socket
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import spamd_icap  # noqa: E402
from world import EVIL, MARKED, WEIGHTS  # noqa: E402

ID = re.compile(rb"^X-Lab-Id: (m[0-9]+)\r?$", re.M)


class Scorer:
    def __init__(self, scores, threshold=MARKED):
        self.scores, self.threshold, self.asked = dict(scores), threshold, 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as reader:
                words = reader.readline().split()
                length = None
                for line in iter(reader.readline, b"\r\n"):
                    if not line:
                        return
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                if words[:1] == [b"PING"]:
                    connection.sendall(b"SPAMD/1.5 0 PONG\r\n")
                    return
                message = reader.read(length) if length is not None else reader.read()
                connection.sendall(self.answer(words[0], message))
        except (OSError, ValueError, IndexError):
            pass

    def score(self, message):
        found = ID.search(message.split(b"\r\n\r\n", 1)[0])
        return self.scores.get(found.group(1).decode(), 0.0) if found else 0.0

    def answer(self, verb, message):
        self.asked += 1
        score = self.score(message)
        spam = score >= self.threshold
        head = "Spam: %s ; %.1f / %.1f\r\n" % (spam, score, self.threshold)
        body = b""
        if verb == b"SYMBOLS":
            body = b"LAB"
        elif verb == b"PROCESS":
            flag = b"X-Spam-Flag: YES\r\n" if spam else b""
            body = flag + b"X-Spam-Status: %s, score=%.1f required=%.1f tests=LAB\r\n" % (
                b"Yes" if spam else b"No", score, self.threshold) + message
        return ("SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\n%s\r\n" % (len(body), head)).encode() + body

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


class Virus(Scorer):
    def __init__(self):
        super().__init__({}, 50.0)

    def score(self, message):
        return 100.0 if EVIL.encode() in message else 0.0


class Real:
    """spamd. Raises proxy_harness.Skip where there is none."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lab-spamd-")
        os.chmod(self.folder.name, 0o755)
        self.port = spamd_icap.free_port()
        rules = "".join("body LAB_%d /\\blabweight%d\\b/\nscore LAB_%d %d\n" % (w, w, w, w) for w in WEIGHTS)
        self.server = spamd_icap.spamd(self.folder.name, self.port, rules)

    def close(self):
        self.server.stop()
        self.folder.cleanup()


def ask(port, message):
    """What a scorer says of a message: its score."""
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(b"CHECK SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(message) + message)
        s.shutdown(socket.SHUT_WR)
        said = s.makefile("rb").read()
    found = re.search(rb"^Spam: \w+ ; (-?[0-9.]+) / ", said, re.M)
    if not found:
        raise OSError("no score in %r" % said[:200])
    return float(found.group(1))
