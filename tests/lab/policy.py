# SPDX-License-Identifier: MIT
"""The policy of smtpf-proxy in the lab: everybody's wishes."""
from world import HOSTS, LISTED, PEOPLE, REFUSED, SITE, SRS

TEXT = """
local_domains = [ "%(site)s" ];
own_networks = [ "%(own)s" ];
hostnames = [ "mx.%(site)s" ];
addrlists = ( { name = "blocked"; entries = [ "%(listed)s" ]; score = 10.0; } );
scopes = ( { name = "old-address"; networks = [ "%(forwarder)s" ]; },
           { name = "announcements"; networks = [ "%(list)s" ]; } );
profiles = (
  { name = "default"; reject = %(reject)g; tag = 5.0; },
  # Who forwards does not read here: what may not leave is refused, not kept.
  { name = "away"; inherit = "default"; reject = 5.0; route = "forward-nonspam"; }
);
recipients = (
%(recipients)s
);
scanners = (
  { name = "virus"; type = "spamd"; kind = "virus"; servers = [ "127.0.0.1:%(virus)d" ]; },
  { name = "spam"; type = "spamd"; servers = [ "127.0.0.1:%(scorer)d" ]; }
);
# Forwards leave with senders of ours, own mail with signed ones: a bounce that comes back proves what it is about.
srs = { domain = "%(srs)s"; keys = [ "the lab's key of senders" ]; };
batv = { keys = [ "the lab's key of own mail" ]; };
forward = { callout = true; };
callout = { port = %(port)d; };
resolver = { servers = [ "%(names)s" ]; };
quarantine = { directory = "%(quarantine)s"; };
spool = { path = "%(folder)s"; };
proxy = { identity = "xforward"; forward = "%(how)s"; forward_port = %(port)d; };
"""


def wishes(person, careless):
    lines = person.wishes
    if careless and person.name == "grace":
        lines = "quarantine = 7.0;"
    if lines.startswith("inherit"):
        lines = 'profile = "away"; forward = "%s";' % person.target
    return '  { address = "%s"; %s }' % (person.address, lines)


def text(lab):
    """For an arrangement, which knows its folder and who listens where."""
    return TEXT % dict(
        site=SITE, own=HOSTS["desk.example.net"].ip, listed=LISTED, forwarder=HOSTS["mx.old.example"].ip,
        list=HOSTS["lists.example"].ip, reject=REFUSED, recipients=",\n".join(wishes(p, lab.options.careless) for p in PEOPLE),
        virus=lab.virus.port, scorer=lab.scorer.port, quarantine=lab.quarantine, folder=lab.folder, names=lab.names.address, srs=SRS,
        how="hop" if lab.options.queue else "inline", port=next(iter(lab.world.values())).port)
