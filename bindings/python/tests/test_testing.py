# SPDX-License-Identifier: MIT
"""The fakes: what a user's own pytest would look like."""
import pytest

from smtpfilter import Check, Disposition, DnsStatus, Stage, hit
from smtpfilter.testing import Filter, Scanner

POLICY = """
local_domains = [ "example.net" ];
check = { disable = [ "iprev", "early_talk" ]; };
dnslists = ( { zone = "bl.example"; codes = ( { match = "127.0.0.2"; score = 10.0; } ); } );
"""


def test_a_list():
    with Filter(POLICY, dns={"2.2.0.192.bl.example": "127.0.0.2"}) as f:
        with f.client("192.0.2.2") as listed, f.client("192.0.2.3") as other:
            assert listed.send(to="b@example.net").code == 550
            assert other.send(to="b@example.net").accepted
        assert [name for name, _ in f.dns.asked][:1] == ["2.2.0.192.bl.example"]


def test_a_list_that_does_not_answer_refuses_nobody():
    with Filter(POLICY, dns={"2.2.0.192.bl.example": DnsStatus.SERVFAIL}) as f, f.client("192.0.2.2") as c:
        outcome = c.send(to="b@example.net")
        assert outcome.accepted and outcome["b@example.net"].disposition == Disposition.DELIVERED


def test_time_and_the_store():
    policy = POLICY + 'greylist = { wait = "5m"; }; profiles = ( { name = "default"; greylist = true; } );'
    with Filter(policy) as f, f.client() as c:
        assert c.send(to="b@example.net").code == 451
        f.forward(60)
        assert c.send(to="b@example.net").code == 451
        f.forward(300)
        assert c.send(to="b@example.net").accepted
    with Filter(policy) as f, f.client() as c:
        f.store.fails = True
        assert c.send(to="b@example.net").accepted  # a greylist that cannot remember lets mail pass


def test_a_directory():
    with Filter(POLICY, directory={"b@example.net": True, "c@example.net": None}) as f, f.client() as c:
        assert c.rcpt("b@example.net").accepted
        assert c.rcpt("nobody@example.net").code == 550
        assert c.rcpt("c@example.net").code == 451
        several = c.send(to=["b@example.net", "nobody@example.net"])
        assert several.accepted and several.refused["nobody@example.net"].code == 550


def test_a_scanner():
    clamd = Scanner("clamd", {"a marker": "Own.Marker"})
    policy = POLICY + 'scanners = ( { name = "antivirus"; type = "clamd"; kind = "virus"; servers = [ "127.0.0.1:1" ]; } );'
    with Filter(policy, scanners=[clamd]) as f, f.client() as c:
        assert c.send("Subject: x\n\nhere is a marker\n", to="b@example.net").code == 550
        assert c.send("Subject: x\n\nnothing\n", to="b@example.net").accepted
        clamd.fails = True
        assert c.send("Subject: x\n\nnothing\n", to="b@example.net").code == 451


def test_a_check_of_ones_own():
    class Office(Check):
        name, stages = "office", Stage.RCPT

        def run(self, task):
            if task.event.recipient.local_part == "office":
                return hit("closed", score=20.0, text="the office is closed")
            return None

    with Filter(POLICY, checks=[Office()]) as f, f.client() as c:
        refused = c.rcpt("office@example.net")
        assert refused.code == 550 and "the office is closed" in refused.text
        assert c.rcpt("b@example.net").accepted


def test_lmtp():
    with Filter(POLICY, host="lmtp") as f, f.client() as c:
        outcome = c.send(to=["a@example.net", "b@example.net"])
        assert [to.reply_code for to in outcome.recipients.values()] == [250, 250]


def test_a_host_that_sees_no_message():
    with Filter(POLICY, host="policyd") as f, f.client() as c:
        assert c.send(to="b@example.net")["b@example.net"].disposition == Disposition.HANDED_OVER


def test_a_policy_that_does_not_load():
    with pytest.raises(LookupError):
        Filter("no_such_option = 3;")
