"""conf/examples: each is loaded as it stands and does what its comments say.

Host names are those of the examples: a zone of the tests' own leads them to
servers on loopback; ports, and the directory of tables, are the test's.
"""
import os
import re
import sys

from badserver import Server
from dns import DNS
from harness import TOP, Instance, main, need, wait_for

EXAMPLES = os.path.join(TOP, "conf", "examples")


def instance(name, dns, port, extra=(), domain="inst.test"):
    """An instance with the example's lines in main.cf and its tables built."""
    i = Instance(dns=dns, domain=domain, settings=["smtp_tcp_port = %d" % port] + list(extra))
    for f in sorted(os.listdir(os.path.join(EXAMPLES, name))):
        path = os.path.join(EXAMPLES, name, f)
        if f != "main.cf":
            with open(path) as src, open(os.path.join(i.etc, f), "w") as dst:
                dst.write(re.sub(r":587\b", ":%d" % port, src.read()))
            i.run("postmap", "hash:" + os.path.join(i.etc, f))
            continue
        with open(path) as src:
            lines = src.read().splitlines()
        for line in lines:
            if line and not line.startswith("#"):
                line = line.replace("/etc/postern/", i.etc + "/")
                line = re.sub(r":587\b", ":%d" % port, line)
                if not line.startswith("inet_interfaces"):  # the instance listens where it can
                    i.set(line)
    return i


def send(i, sender, to):
    i.run("sendmail", "-f", sender, to, stdin=b"Subject: x\n\nx\n")
    m = i.wait_log(r"to=<%s>, .*relay=(\S+?)[\[,].*status=(\w+)" % re.escape(to))
    need(m, to, i.log()[-1500:])
    return m.group(1), m.group(2)


def test_null_client():
    with Server(host="127.0.0.2") as s, DNS("mail.example.com A 127.0.0.2") as dns, \
            instance("null-client", dns, s.port) as i:
        need(send(i, "root", "someone@far.test") == ("mail.example.com", "sent"))
        need(send(i, "root", "ann@example.com") == ("mail.example.com", "sent"))
        i.run("sendmail", "ann", stdin=b"Subject: x\n\nx\n")  # completed by myorigin
        need(wait_for(lambda: len(s.mails) == 3), i.log())
        need(s.mails[0][0].startswith("<root@example.com>") and s.mails[2][1][0].startswith("<ann@example.com>"), s.mails)
        need(send(i, "root", "ann@localhost")[0] == "mail.example.com")


def test_relayhost_by_sender():
    with Server(host="127.0.0.2") as s, Server(host="127.0.0.3", port=s.port) as t, Server(host="127.0.0.4", port=s.port) as u, \
            DNS("smtp.first.example A 127.0.0.2\nsmtp.second.example A 127.0.0.3\nsmtp.third.example A 127.0.0.4") as dns, \
            instance("relayhost-by-sender", dns, s.port) as i:
        need(send(i, "who@else.test", "a@far.test") == ("smtp.first.example", "sent"))
        need(send(i, "ann@example.com", "b@far.test") == ("smtp.second.example", "sent"))
        need(send(i, "any@example.org", "c@far.test") == ("smtp.third.example", "sent"))
        need(len(s.mails) == len(t.mails) == len(u.mails) == 1)


def test_split_domain():
    with Server(host="127.0.0.2") as s, DNS("other.example.com A 127.0.0.2") as dns, \
            instance("split-domain", dns, s.port, domain="example.com") as i:
        need(send(i, "x@far.test", "ann@example.com") == ("virtual", "sent"), i.log()[-800:])
        need(send(i, "x@far.test", "carol@example.com") == ("other.example.com", "sent"), i.log()[-800:])
        box = os.path.join(i.dir, "mail", "example.com", "ann", "new")
        need(len(os.listdir(box)) == 1 and len(s.mails) == 1)
        with i.smtp() as c:                 # and from outside
            c.sendmail("x@far.test", ["bob@example.com"], "Subject: x\r\n\r\nx\r\n")
        need(i.wait_log(r"to=<bob@example.com>, relay=virtual,.*status=sent"), i.log()[-800:])


def test_smart_host():
    with Server(host="127.0.0.2") as s, Server(host="127.0.0.3", port=s.port) as t, Server(host="127.0.0.4", port=s.port) as u, \
            DNS("smarthost.example.net A 127.0.0.2\npartner.example MX 10 mx.partner.example\n"
                "mx.partner.example A 127.0.0.3\nmail.branch.example A 127.0.0.4") as dns, \
            instance("smart-host", dns, s.port, ["virtual_mailbox_domains = inst.test, example.com",
                                                 "virtual_mailbox_maps = static:inst.test/ann/"]) as i:
        need(send(i, "x@inst.test", "a@far.test") == ("smarthost.example.net", "sent"))
        need(send(i, "x@inst.test", "b@partner.example") == ("mx.partner.example", "sent"))
        need(send(i, "x@inst.test", "c@west.branch.example") == ("mail.branch.example", "sent"))
        need(send(i, "x@inst.test", "d@example.com")[0] == "virtual")
        need(len(s.mails) == len(t.mails) == len(u.mails) == 1)


def test_all_are_here():
    names = {n for n in os.listdir(EXAMPLES)}
    need(names >= {"null-client", "relayhost-by-sender", "split-domain", "smart-host"}, names)
    tested = {n[5:].replace("_", "-") for n in globals() if n.startswith("test_")}
    for f in os.listdir(os.path.dirname(os.path.abspath(__file__))):
        if f.startswith("test_") and f != "test_examples.py":
            with open(os.path.join(TOP, "tests", "suite", f)) as text:
                tested |= set(re.findall(r"examples[/\", ]+([\w-]+)", text.read()))
    need(names <= tested, "an example without a test:", names - tested)


if __name__ == "__main__":
    sys.exit(main(globals()))
