# SPDX-License-Identifier: MIT
"""A filtering server as one writes it in Python today: aiosmtpd, pycares or dnspython for the lists, sqlite for the
greylist. It makes the checks that the policy of bench.py makes: the client's reverse DNS forward and back, two DNS
lists, the greeting, the sender's domain, the recipient, and a greylist. What is bench.py's peer, and no more."""
import asyncio
import ipaddress
import re
import sqlite3
import time

from aiosmtpd.smtp import SMTP

LISTS = ("bl.example", "other.example")
LOCAL = "example.net"
WAIT, KEEP = 1.0, 36 * 86400
HOST_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,}")


class Absent(Exception):
    """No such name, or no such record."""


class Pycares:
    """pycares on the loop's readers, one answer for equal questions in flight, a cache by time."""

    def __init__(self, server, port):
        import pycares
        self.pycares, self.loop, self.cache = pycares, asyncio.get_running_loop(), {}
        self.timer = None
        self.channel = pycares.Channel(servers=[server], udp_port=port, timeout=3, tries=2, sock_state_cb=self.watch)

    def watch(self, fd, readable, writable):
        none = self.pycares.ARES_SOCKET_BAD
        if readable:
            self.loop.add_reader(fd, self.channel.process_fd, fd, none)
        else:
            self.loop.remove_reader(fd)
        if writable:
            self.loop.add_writer(fd, self.channel.process_fd, none, fd)
        else:
            self.loop.remove_writer(fd)
        if self.timer is None:
            self.timer = self.loop.call_later(1.0, self.tick)

    def tick(self):
        none = self.pycares.ARES_SOCKET_BAD
        self.channel.process_fd(none, none)
        self.timer = None

    async def ask(self, name, kind):
        key = (name, kind)
        found = self.cache.get(key)
        if found is None or (found[0].done() and found[1] < self.loop.time()):
            future = self.loop.create_future()
            self.cache[key] = found = (future, self.loop.time() + 300)
            self.channel.query(name, getattr(self.pycares, "QUERY_TYPE_" + kind),
                               lambda result, error: future.done() or future.set_result((result, error)))
        result, error = await found[0]
        if error in (self.pycares.errno.ARES_ENOTFOUND, self.pycares.errno.ARES_ENODATA):
            raise Absent(name)
        if error is not None:
            raise OSError(name)
        return [getattr(r, "host", None) or r.name for r in (result if isinstance(result, list) else [result])]


class Dnspython:
    """dnspython's asyncio resolver with its own cache."""

    def __init__(self, server, port):
        import dns.asyncresolver
        import dns.resolver
        self.dns = dns
        self.resolver = dns.asyncresolver.Resolver(configure=False)
        self.resolver.nameservers, self.resolver.port = [server], port
        self.resolver.cache = dns.resolver.LRUCache(10000)

    async def ask(self, name, kind):
        try:
            answer = await self.resolver.resolve(name, kind, search=False)
        except (self.dns.resolver.NXDOMAIN, self.dns.resolver.NoAnswer):
            raise Absent(name) from None
        except self.dns.exception.DNSException as e:
            raise OSError(name) from e
        return [r.to_text().rstrip(".").rpartition(" ")[2] for r in answer]


class Greylist:
    """Triplets in sqlite, with a log that is written ahead."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS seen (client TEXT, sender TEXT, recipient TEXT, first REAL, last REAL,"
                        " passes INTEGER, PRIMARY KEY (client, sender, recipient)) WITHOUT ROWID")

    def passes(self, client, sender, recipient):
        now = time.time()
        network = str(ipaddress.ip_network(client + ("/64" if ":" in client else "/24"), strict=False))
        key = (network, sender.lower(), recipient.lower())
        row = self.db.execute("SELECT first, last FROM seen WHERE client=? AND sender=? AND recipient=?", key).fetchone()
        if row is None or now - row[1] > KEEP:
            self.db.execute("INSERT OR REPLACE INTO seen VALUES (?,?,?,?,?,0)", key + (now, now))
            return False
        if now - row[0] < WAIT:
            return False
        self.db.execute("UPDATE seen SET last=?, passes=passes+1 WHERE client=? AND sender=? AND recipient=?", (now,) + key)
        return True


class Handler:
    """The same decisions, by hand."""

    def __init__(self, resolver, greylist, deliver):
        self.resolver, self.greylist, self.deliver = resolver, greylist, deliver

    async def score(self, client):
        address = ipaddress.ip_address(client)
        reverse = address.reverse_pointer.rpartition(".")[0].rpartition(".")[0]
        found = await asyncio.gather(self.iprev(address), *(self.listed(reverse + "." + zone) for zone in LISTS))
        return sum(found)

    async def listed(self, name):
        try:
            return 10.0 if await self.resolver.ask(name, "A") else 0.0
        except (Absent, OSError):
            return 0.0

    async def iprev(self, address):
        try:
            for name in await self.resolver.ask(address.reverse_pointer, "PTR"):
                if str(address) in await self.resolver.ask(name, "A"):
                    return 0.0
        except (Absent, OSError):
            pass
        return 2.0

    async def exists(self, domain):
        for kind in ("MX", "A"):
            try:
                if await self.resolver.ask(domain, kind):
                    return True
            except Absent:
                continue
            except OSError:
                return None
        return False

    async def handle_HELO(self, server, session, envelope, hostname):
        await self.handle_EHLO(server, session, envelope, hostname, [])
        return "250 " + server.hostname

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        session.score = await self.score(session.peer[0])
        if not HOST_NAME.fullmatch(hostname):
            session.score += 2.0
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        domain = address.rpartition("@")[2]
        if address != "<>" and await self.exists(domain) is False:
            return "550 5.1.8 sender's domain does not exist"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 sender ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.rpartition("@")[2].lower() != LOCAL:
            return "550 5.7.1 relaying denied"
        if session.score >= 10.0:
            return "550 5.7.1 listed"
        if not self.greylist.passes(session.peer[0], envelope.mail_from, address):
            return "451 4.7.1 greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, server, session, envelope):
        for recipient in envelope.rcpt_tos:
            await self.deliver(envelope.mail_from, recipient, envelope.original_content)
        return "250 2.0.0 taken"


def protocol(handler, loop):
    """aiosmtpd's own protocol, as its controller would make it."""
    return SMTP(handler, hostname="mx.example.net", enable_SMTPUTF8=True, loop=loop)
