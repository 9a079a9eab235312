# SPDX-License-Identifier: MIT
"""Certificates for tests: an authority, and servers' certificates that it has signed, by the openssl program."""
import os
import subprocess
import threading

from proxy_harness import Skip


class Authority:
    def __init__(self, folder, name="an authority of tests"):
        self.folder, self.count, self.lock = folder, 0, threading.Lock()
        self.path, self.key = os.path.join(folder, "authority.pem"), os.path.join(folder, "authority.key")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", "/CN=" + name, "-keyout", self.key, "-out", self.path)

    @staticmethod
    def openssl(*arguments):
        try:
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
        except FileNotFoundError:
            raise Skip("no openssl program") from None

    def certificate(self, *names, days=30):
        """A PEM file of certificate and key, of names such as `DNS:mx.example.org` and `IP:127.0.0.1`."""
        with self.lock:
            return self.signed(names, days)

    def signed(self, names, days):
        self.count += 1
        base = os.path.join(self.folder, "server%d" % self.count)
        with open(base + ".ext", "w", encoding="ascii") as f:
            f.write("subjectAltName=%s\n" % ",".join(names))
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a server",
                     "-keyout", base + ".key", "-out", base + ".csr")
        self.openssl("x509", "-req", "-in", base + ".csr", "-CA", self.path, "-CAkey", self.key, "-CAcreateserial",
                     "-days", str(days), "-extfile", base + ".ext", "-out", base + ".crt")
        with open(base + ".pem", "w", encoding="ascii") as out:
            for part in (".crt", ".key"):
                with open(base + part, encoding="ascii") as f:
                    out.write(f.read())
        return base + ".pem"
