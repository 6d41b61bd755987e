"""Names of clients, and the restrictions that need DNS.

One instance and one name server for all: a recipient's local part picks the
restriction under test from a table, so a case is a line of CASES. Texts are
Postfix's.
"""
import os
import re
import signal
import socket
import sys

from badserver import Server
from dns import DNS
from harness import Instance, Wire, main, need, wait_for

ZONE = """
127.0.0.5        PTR good.test
good.test        A   127.0.0.5
good.test        MX  10 mx.good.test
good.test        NS  ns.good.test
mx.good.test     A   127.0.0.66
ns.good.test     A   127.0.0.77
127.0.0.6        PTR forged.test
forged.test      A   127.0.0.9
127.0.0.7        PTR nowhere.test
127.0.0.8        PTR broken.test
127.0.0.9        PTR bad_name!.test
127.0.0.14       PTR alias.test
alias.test       CNAME real.test
real.test        A   127.0.0.14
only-mx.test     MX  5 mx.good.test
null.test        MX  0 .
nodata.test      TXT "nothing else"
six.test         AAAA ::1
sub.good.test    A   127.0.0.5
badmx.test       MX  10 mx.evil.test
mx.evil.test     A   127.6.6.6
lostmx.test      MX  10 gone.evil.test
# lists
2.0.0.127.bl.test          A   127.0.0.2
2.0.0.127.bl.test          TXT "see http://bl.test/?2"
2.0.0.127.bl.test          TXT "twice"
3.0.0.127.bl.test          A   127.0.0.9
1.0.0.127.wl.test          A   127.0.0.1
evil.sender.dbl.test       A   127.0.1.2
evil.sender.dbl.test       TXT "spam domain"
good.test.dbl.test         A   127.0.1.2
good.test.wl.test          A   127.0.0.1
# backup MX
backed.test      MX  10 primary.test
backed.test      MX  20 mx.example.test
primary.test     A   10.9.9.9
mx.example.test  A   127.0.0.1
first.test       MX  10 mx.example.test
first.test       MX  20 primary.test
strange.test     MX  10 primary.test
byaddr.test      MX  10 primary.test
byaddr.test      MX  20 other-name.test
other-name.test  A   127.0.0.1
far.test         MX  10 far-primary.test
far.test         MX  20 mx.example.test
far-primary.test A   10.8.8.8
halfway.test     MX  10 failing.test
halfway.test     MX  20 mx.example.test
"""

# name: restrictions that a RCPT for name@relay.test (or at another relay
# domain) is judged by.
RULES = {
    "client": "reject_unknown_client_hostname",
    "oldclient": "reject_unknown_client",
    "reverse": "reject_unknown_reverse_client_hostname",
    "forward": "reject_unknown_forward_client_hostname",
    "helo": "reject_unknown_helo_hostname",
    "oldhelo": "reject_unknown_hostname",
    "sender": "reject_unknown_sender_domain",
    "oldsender": "reject_unknown_address",
    "warned": "warn_if_reject reject_unknown_sender_domain",
    "deferred": "reject_unknown_sender_domain, reject",
    "rbl": "reject_rbl_client bl.test",
    "rblfilter": "reject_rbl_client bl.test=127.0.0.[2..4;8]",
    "rblmapped": "reject_rbl_client bl.test=127.0.0.9",
    "rbldead": "reject_rbl_client dead.test",
    "rhsblsender": "reject_rhsbl_sender dbl.test",
    "rhsblhelo": "reject_rhsbl_helo dbl.test",
    "rhsblclient": "reject_rhsbl_client dbl.test",
    "rhsblreverse": "reject_rhsbl_reverse_client dbl.test=127.0.1.2",
    "rhsblrcpt": "reject_rhsbl_recipient dbl.test",
    "dnswl": "permit_dnswl_client wl.test, reject",
    "rhswl": "permit_rhswl_client wl.test, reject",
    "dnswldead": "permit_dnswl_client dead.test, reject",
    "sendermx": "check_sender_mx_access texthash:%s/hosts",
    "senderns": "check_sender_ns_access texthash:%s/hosts",
    "sendera": "check_sender_a_access texthash:%s/hosts",
    "helomx": "check_helo_mx_access texthash:%s/hosts",
    "heloa": "check_helo_a_access texthash:%s/hosts",
    "clientmx": "check_client_mx_access texthash:%s/hosts",
    "clientns": "check_client_ns_access texthash:%s/hosts",
    "revclientmx": "check_reverse_client_hostname_mx_access texthash:%s/hosts",
    "revclient": "check_reverse_client_hostname_access texthash:%s/hosts",
    "rcptdomain": "reject_unknown_recipient_domain",
    "rcpta": "check_recipient_a_access texthash:%s/hosts",
    "clientok": "check_client_access texthash:%s/hosts",
}
HOSTS = """
mx.evil.test        REJECT evil host
127.6.6             REJECT evil net
mx.good.test        OK
127.0.0.77          550 5.7.9 that name server
forged.test         REJECT forger
nowhere.test        permit
127.0.0.5           REJECT by address
"""

GOOD, FORGED, NOWHERE, BROKEN, NONAME, SILENT = (
    "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.13", "127.0.0.11")
LISTED, OTHERCODE, ALLOWED = "127.0.0.2", "127.0.0.3", "127.0.0.1"
OK = "250 2.1.5 Ok"

# (rule, client, helo, sender, reply): "" is a default that passes.
CASES = [
    ("client", GOOD, "", "", OK),
    ("client", "127.0.0.14", "", "", OK),
    ("client", FORGED, "", "", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.6]"),
    ("client", NONAME, "", "", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.13]"),
    ("oldclient", BROKEN, "", "", "450 4.7.25 Client host rejected: cannot find your hostname, [127.0.0.8]"),
    ("reverse", FORGED, "", "", OK),
    ("reverse", NONAME, "", "", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [127.0.0.13]"),
    ("forward", FORGED, "", "", OK),
    ("forward", NOWHERE, "", "", "450 4.7.1 Client host rejected: cannot find your forward hostname, [127.0.0.7]"),
    ("helo", "", "good.test", "", OK),
    ("helo", "", "only-mx.test", "", OK),
    ("helo", "", "null.test", "", OK),
    ("helo", "", "six.test", "", OK),
    ("helo", "", "[127.0.0.1]", "", OK),
    ("helo", "", "nothere.test", "", "504 5.7.1 <nothere.test>: Helo command rejected: Host not found"),
    ("oldhelo", "", "nodata.test", "", "504 5.7.1 <nodata.test>: Helo command rejected: Host not found"),
    ("helo", "", "failing.test", "", "450 4.7.1 <failing.test>: Helo command rejected: Host not found"),
    ("helo", "", "[x]", "", "501 5.5.2 <[x]>: Helo command rejected: invalid ip address"),
    ("sender", "", "", "a@good.test", OK),
    ("sender", "", "", "a@only-mx.test", OK),
    ("sender", "", "", "a@six.test", OK),
    ("sender", "", "", "a@[127.0.0.1]", OK),
    ("sender", "", "", "ann@example.test", OK),
    ("sender", "", "", "", OK),
    ("sender", "", "", "a@nothere.test", "550 5.1.8 <a@nothere.test>: Sender address rejected: Domain not found"),
    ("oldsender", "", "", "a@nodata.test", "550 5.1.8 <a@nodata.test>: Sender address rejected: Domain not found"),
    ("sender", "", "", "a@null.test", "550 5.7.27 <a@null.test>: Sender address rejected: Domain null.test does not accept mail (nullMX)"),
    ("sender", "", "", "a@failing.test", "450 4.1.8 <a@failing.test>: Sender address rejected: Domain not found"),
    ("sender", "", "", "a@lying.test", "450 4.1.8 <a@lying.test>: Sender address rejected: Domain not found"),
    ("sender", "", "", "a@looping.test", "450 4.1.8 <a@looping.test>: Sender address rejected: Domain not found"),
    ("warned", "", "", "a@nothere.test", OK),
    ("deferred", "", "", "a@failing.test", "554 5.7.1 <deferred@relay.test>: Recipient address rejected: Access denied"),
    ("rbl", GOOD, "", "", OK),
    ("rbl", LISTED, "", "", "554 5.7.1 Service unavailable; Client host [127.0.0.2] blocked using bl.test; see http://bl.test/?2 / twice"),
    ("rbl", OTHERCODE, "", "", "554 5.7.1 Service unavailable; Client host [127.0.0.3] blocked using bl.test"),
    ("rblfilter", OTHERCODE, "", "", OK),
    ("rblfilter", LISTED, "", "", "554 5.7.1 Service unavailable; Client host [127.0.0.2] blocked using bl.test; see http://bl.test/?2 / twice"),
    ("rblmapped", OTHERCODE, "", "a@good.test", "521 5.7.3 go away a@good.test of good.test 127.0.0.3"),
    ("rbldead", LISTED, "", "", OK),
    ("rhsblsender", "", "", "a@evil.sender", "554 5.7.1 Service unavailable; Sender address [a@evil.sender] blocked using dbl.test; spam domain"),
    ("rhsblsender", "", "", "a@[127.0.0.1]", OK),
    ("rhsblhelo", "", "evil.sender", "", "554 5.7.1 Service unavailable; Helo command [evil.sender] blocked using dbl.test; spam domain"),
    ("rhsblhelo", "", "1.2.3.4", "", OK),
    ("rhsblclient", GOOD, "", "", "554 5.7.1 Service unavailable; Client host [good.test] blocked using dbl.test"),
    ("rhsblclient", NONAME, "", "", OK),
    ("rhsblreverse", GOOD, "", "", "554 5.7.1 Service unavailable; Unverified Client host [good.test] blocked using dbl.test"),
    ("rhsblrcpt", "", "", "", OK),
    ("dnswl", ALLOWED, "", "", OK),
    ("dnswl", GOOD, "", "", "554 5.7.1 <dnswl@relay.test>: Recipient address rejected: Access denied"),
    ("dnswldead", GOOD, "", "", "450 4.7.1 <127.0.0.5>: Client host rejected: Service unavailable"),
    ("rhswl", GOOD, "", "", OK),
    ("rhswl", NONAME, "", "", "554 5.7.1 <rhswl@relay.test>: Recipient address rejected: Access denied"),
    ("sendermx", "", "", "a@badmx.test", "554 5.7.1 <a@badmx.test>: Sender address rejected: evil host"),
    ("sendermx", "", "", "a@[127.6.6.1]", "554 5.7.1 <a@[127.6.6.1]>: Sender address rejected: evil net"),
    ("sendermx", "", "", "a@lostmx.test", OK),
    ("sendermx", "", "", "a@failing.test", OK),
    ("sendermx", "", "", "a@null.test", OK),
    ("sendermx", "", "", "a@good.test", "451 4.3.5 Server configuration error"),
    ("sendera", "", "", "a@mx.evil.test", "554 5.7.1 <a@mx.evil.test>: Sender address rejected: evil net"),
    ("senderns", "", "", "a@sub.good.test", "550 5.7.9 <a@sub.good.test>: Sender address rejected: that name server"),
    ("helomx", "", "badmx.test", "", "554 5.7.1 <badmx.test>: Helo command rejected: evil host"),
    ("heloa", "", "mx.evil.test", "", "554 5.7.1 <mx.evil.test>: Helo command rejected: evil net"),
    ("clientmx", GOOD, "", "", "451 4.3.5 Server configuration error"),
    ("clientns", GOOD, "", "", "550 5.7.9 <good.test[127.0.0.5]>: Client host rejected: that name server"),
    ("revclient", FORGED, "", "", "554 5.7.1 <forged.test>: Unverified Client host rejected: forger"),
    ("revclient", NOWHERE, "", "", "451 4.3.5 Server configuration error"),
    ("rcptdomain", "", "", "", "550 5.1.2 <rcptdomain@relay.test>: Recipient address rejected: Domain not found"),
    ("rcptdomain@null.test", "", "", "", "556 5.1.10 <rcptdomain@null.test>: Recipient address rejected: Domain null.test does not accept mail (nullMX)"),
    ("rcptdomain@failing.test", "", "", "", "450 4.1.2 <rcptdomain@failing.test>: Recipient address rejected: Domain not found"),
    ("rcptdomain@good.test", "", "", "", OK),
    ("rcpta@mx.evil.test", "", "", "", "554 5.7.1 <rcpta@mx.evil.test>: Recipient address rejected: evil net"),
    ("clientok", GOOD, "", "", "554 5.7.1 <good.test[127.0.0.5]>: Client host rejected: by address"),
]
# Domains of recipients, for permit_mx_backup in front of all relaying.
BACKUP = [
    ("backed.test", OK), ("byaddr.test", OK),
    ("first.test", "554 5.7.1 <x@first.test>: Relay access denied"),
    ("strange.test", "554 5.7.1 <x@strange.test>: Relay access denied"),
    ("nothere.test", "554 5.7.1 <x@nothere.test>: Relay access denied"),
    ("far.test", "554 5.7.1 <x@far.test>: Relay access denied"),
    ("failing.test", "450 4.4.4 <x@failing.test>: Recipient address rejected: Unable to look up mail exchanger information: Host not found, try again"),
    ("halfway.test", "450 4.4.4 <x@halfway.test>: Recipient address rejected: Unable to look up mail exchanger host failing.test: Host not found, try again"),
]


def name_server():
    dns = DNS(ZONE)
    for name in ("failing.test", "broken.test", "127.0.0.2.dead.test", "2.0.0.127.dead.test",
                 "5.0.0.127.dead.test"):
        dns.fail(name, "servfail")
    dns.fail("lying.test", "wrong_question")
    dns.fail("looping.test", "loop")
    return dns


def instance(dns, *more):
    i = Instance(dns=dns, settings=(
        "relay_domains = relay.test, null.test, failing.test, good.test, mx.evil.test",
        "smtpd_client_event_limit_exceptions = 127.0.0.0/8",
        "unknown_hostname_reject_code = 504",
        "unknown_address_reject_code = 550", *more))
    with open(i.dir + "/rules", "w") as f:
        for name, rule in RULES.items():
            f.write("%s@ %s\n" % (name, rule.replace("%s", i.dir)))
    with open(i.dir + "/hosts", "w") as f:
        f.write(HOSTS)
    with open(i.dir + "/replies", "w") as f:
        f.write("bl.test=127.0.0.9 521 5.7.3 go away $sender of $sender_domain $client_address\n")
    # A table that lookup may be asked for must stand in a list.
    i.set("smtpd_restriction_classes = hosts")
    i.set("hosts = check_client_access texthash:%s/hosts" % i.dir)
    i.set("rbl_reply_maps = texthash:%s/replies" % i.dir)
    i.set("smtpd_recipient_restrictions = check_recipient_access texthash:%s/rules" % i.dir)
    return i


class Client(Wire):
    """From an address of its own."""

    def __init__(self, i, source):
        self.s = socket.socket()
        self.s.settimeout(60)
        self.s.bind((source, 0))
        self.s.connect(("127.0.0.1", i.port))
        self.f = self.s.makefile("rb")
        self.greeting = self.reply()


def rcpt(i, source, helo, sender, recipient):
    c = Client(i, source or "127.0.0.1")
    try:
        c.say("EHLO " + (helo or "good.test"))
        got = c.say("MAIL FROM:<%s>" % sender)
        need(got.startswith("250"), got)
        return c.say("RCPT TO:<%s>" % recipient)
    finally:
        c.close()


def test_rules():
    with name_server() as dns, instance(dns) as i:
        bad = []
        for rule, source, helo, sender, want in CASES:
            got = rcpt(i, source, helo, sender, rule if "@" in rule else rule + "@relay.test")
            if got != want:
                bad.append("%s %s %s %s\n  got  %s\n  want %s" % (
                    rule, source, helo, sender, got, want))
        need(not bad, "\n" + "\n".join(bad))
        log = i.log()
        for pattern in (
                r"warning: hostname forged\.test does not resolve to address 127\.0\.0\.6$",
                r"warning: hostname nowhere\.test does not resolve to address 127\.0\.0\.7: Name or service not known$",
                r"warning: hostname broken\.test does not resolve to address 127\.0\.0\.8: Temporary failure in name resolution$",
                r"connect from good\.test\[127\.0\.0\.5\]$",
                r"connect from unknown\[127\.0\.0\.13\]$",
                r"NOQUEUE: reject: RCPT from unknown\[127\.0\.0\.13\]: 450 4\.7\.25 Client host rejected: cannot find your hostname, \[127\.0\.0\.13\]; from=<> to=<client@relay\.test> proto=ESMTP helo=<good\.test>$",
                r"NOQUEUE: reject_warning: RCPT from .*: 550 5\.1\.8 <a@nothere\.test>: Sender address rejected: Domain not found;",
                r"warning: 2\.0\.0\.127\.dead\.test: RBL lookup error: Name service error for name=2\.0\.0\.127\.dead\.test type=A: Host not found, try again$",
                r"warning: restriction check_sender_mx_access returns OK for a@good\.test$",
                r"warning: this is not allowed for security reasons$",
                r"warning: Unable to look up MX host gone\.evil\.test for Sender address a@lostmx\.test: Name or service not known$",
                r"warning: Unable to look up MX host for failing\.test: Host not found, try again$"):
            need(re.search(pattern, log, re.M), "not in the log", pattern)


def test_defer_if_permit():
    """What DNS did not say is said at the end, unless a rule refuses."""
    with name_server() as dns, instance(
            dns, "unknown_address_tempfail_action = defer") as i:
        got = rcpt(i, "", "", "a@failing.test", "deferred@relay.test")
        need(got == "450 4.1.8 <a@failing.test>: Sender address rejected: Domain not found", got)


def test_mx_backup():
    with name_server() as dns, instance(
            dns, "relay_domains = relay.test", "permit_mx_backup_networks = 10.9.9.0/24",
            "smtpd_relay_restrictions = permit_mx_backup, reject_unauth_destination") as i:
        bad = []
        for domain, want in BACKUP:
            got = rcpt(i, "", "", "", "x@" + domain)
            if got != want:
                bad.append("%s\n  got  %s\n  want %s" % (domain, got, want))
        need(not bad, "\n" + "\n".join(bad))


def test_slow_names_delay_nobody():
    """A client whose name server is silent waits alone."""
    with name_server() as dns, instance(dns) as i:
        dns.fail(SILENT, "timeout")
        slow = socket.socket()
        slow.bind((SILENT, 0))
        slow.connect(("127.0.0.1", i.port))
        for _ in range(5):
            fast = Client(i, GOOD)
            need(fast.greeting.startswith("220"), fast.greeting)
            fast.close()
        need(not re.search(r"connect from .*\[127\.0\.0\.11\]", i.log()),
             "the slow one was named too early")
        slow.settimeout(60)
        need(slow.recv(100).startswith(b"220"), "no greeting")
        slow.close()
        need(i.wait_log(r"connect from unknown\[127\.0\.0\.11\]"), i.log()[-500:])


def test_no_names():
    with name_server() as dns, instance(dns, "smtpd_peername_lookup = no") as i:
        need(rcpt(i, GOOD, "", "", "rbl@relay.test") == OK)
        need("connect from unknown[127.0.0.5]" in i.log(), i.log()[-500:])
        need(dns.asked(GOOD) == 0, dns.queries)


QUICK = ("resolve_timeout = 1s", "resolve_tries = 1", "resolve_deadline = 2s")


def test_cache_and_coalescing():
    with name_server() as dns, instance(dns, *QUICK) as i:
        dns.add("cached.test 300 MX 10 mx.good.test")
        for _ in range(5):
            need(rcpt(i, "", "", "a@cached.test", "sender@relay.test") == OK)
        need(dns.asked("cached.test", "MX") == 1, dns.queries)
        # Absence is kept as long as the SOA says.
        for _ in range(3):
            rcpt(i, "", "", "a@nothere2.test", "sender@relay.test")
        need(dns.asked("nothere2.test", "MX") == 3, dns.queries)
        dns.negative_ttl = 300
        for _ in range(3):
            rcpt(i, "", "", "a@nothere3.test", "sender@relay.test")
        need(dns.asked("nothere3.test", "MX") == 1, dns.queries)
        # Equal questions under way are asked once.
        dns.fail("slow.test", "timeout")
        clients = []
        for _ in range(8):
            c = Client(i, ALLOWED)
            c.say("EHLO good.test")
            c.say("MAIL FROM:<a@slow.test>")
            c.send("RCPT TO:<sender@relay.test>\r\n")
            clients.append(c)
        for c in clients:
            need(c.reply().startswith("450 4.1.8"), "not deferred")
            c.close()
        # MX, A and AAAA for all of them together, give or take a late one.
        need(dns.asked("slow.test") <= 6, dns.queries)


def test_hostile_replies():
    """Whatever comes, it is an answer or a temporary failure; resolve lives."""
    hostile = {"garbage": "450", "short": "450", "pointer_loop": "450",
               "chain": "450", "loop": "450", "wrong_id": "450", "refused": "450",
               "formerr": "450", "wrong_owner": "550", "truncate": "250",
               "truncate_all": "450", "nxdomain": "550", "timeout": "450"}
    with name_server() as dns, instance(dns, *QUICK) as i:
        before = i.pids("resolve")
        for how, code in hostile.items():
            name = how.replace("_", "-") + ".test"
            dns.add(name + " MX 10 mx.good.test")
            dns.fail(name, how)
            got = rcpt(i, "", "", "a@" + name, "sender@relay.test")
            need(got.startswith(code), how, got)
        need(any(q == ("truncate.test", "MX", "tcp") for q in dns.queries),
             "no TCP after a truncated reply")
        dns.add("many.test A 127.0.0.1")
        dns.fail("many.test", "many", "A")
        need(rcpt(i, "", "", "a@many.test", "sender@relay.test") == OK)
        need(i.wait_log(r"A many\.test: only 100 of 400 records are used"), i.log()[-500:])
        # An alias whose target the server left out is asked for.
        dns.add("dangling.test CNAME only-mx.test")
        dns.fail("dangling.test", "dangle")
        need(rcpt(i, "", "", "a@dangling.test", "sender@relay.test") == OK)
        need(i.pids("resolve") == before, "resolve has died")


def test_hosts_file_changes():
    """A new name in the hosts file is known soon, and nobody is put off."""
    with name_server() as dns:
        i = instance(dns)
        hosts = os.path.join(i.dir, "hosts.here")
        with open(hosts, "w") as f:
            f.write("127.0.0.20 old.test\n127.0.0.21 localhost\n")
        i.set("resolve_hosts_file = " + hosts)
        with i:
            Client(i, "127.0.0.20").close()
            need(i.wait_log(r"connect from old\.test\[127\.0\.0\.20\]"), i.log())
            before = i.pids("resolve")
            with open(hosts + ".new", "w") as f:
                f.write("127.0.0.20 new.test\n")
            os.rename(hosts + ".new", hosts)
            need(wait_for(lambda: i.pids("resolve") not in ([], before)), "resolve goes on")
            Client(i, "127.0.0.20").close()
            need(i.wait_log(r"connect from new\.test\[127\.0\.0\.20\]"), i.log())
            need("has changed: reading it anew" in i.log())


def test_domains_of_other_scripts():
    """A U-label is looked up as its A-label, by the rules and by smtp."""
    with Server(host="127.0.0.2") as server, DNS("xn--bcher-kva.test MX 10 mx.test\n"
                                                 "mx.test A 127.0.0.2") as dns:
        with Instance(dns=dns, settings=(
                "smtp_tcp_port = %d" % server.port, "inet_interfaces = 127.0.0.1",
                "smtpd_recipient_restrictions = reject_unknown_recipient_domain")) as i:
            w = Wire(i.port)
            w.reply()
            for line in ("EHLO x.test", "MAIL FROM:<ann@example.test> SMTPUTF8",
                         "RCPT TO:<x@b\u00fccher.test>", "DATA", "Subject: x\r\n\r\nhi\r\n."):
                got = w.say(line)
                need(got[0] in "23", line, got)
            need(w.say("RSET").startswith("250"))
            w.say("MAIL FROM:<ann@example.test> SMTPUTF8")
            got = w.say("RCPT TO:<x@b\u00e4cher.test>")
            need(got.startswith("450 4.1.2 <x@b"), got)
            w.close()
            need(wait_for(lambda: server.mails), i.log()[-1500:])
            need(server.mails[0][1][0].startswith("<x@b\u00fccher.test>"), server.mails)


def test_resolve_dies():
    with name_server() as dns, instance(dns) as i:
        for _ in range(3):
            old = i.pids("resolve")
            os.kill(old[0], signal.SIGKILL)
            got = rcpt(i, GOOD, "", "a@nothere.test", "sender@relay.test")
            need(got[:3] in ("550", "450"), got)
            need(wait_for(lambda: i.pids("resolve") not in ([], old)), "no new resolve")
        need(wait_for(lambda: rcpt(i, GOOD, "", "a@nothere.test", "sender@relay.test")[:3] == "550"))


if __name__ == "__main__":
    sys.exit(main(globals()))
