"""Mail to other hosts: where it goes (MX, addresses, fallback), what is said
on the way, what the log tells; and LMTP. The servers are badserver's, the
names a zone of the tests' own.
"""
import contextlib
import email
import os
import re
import sys
import time

import badserver as b
from badserver import Server, reply
from dns import DNS
from harness import Instance, main, need, wait_for

ME = "ann@example.test"


def send(i, *to, sender=ME, text="Subject: x\n\nbody\n", options=()):
    i.run("sendmail", "-f", sender, *options, *to, stdin=text if isinstance(text, bytes) else text.encode())


def reload(i):
    """Waits until those who read the configuration anew are there."""
    before = i.pids("lookup") + i.pids("smtp") + i.pids("lmtp")
    i.run("postern", "-c", i.etc, "reload")
    need(wait_for(lambda: not set(before) & {p for p, _ in i.children()} and i.pids("smtp") and i.pids("lookup")))


def result(i, to, seconds=20):
    m = i.wait_log(r"to=<%s>, .*status=.*" % re.escape(to), seconds)
    need(m, "no result for", to, i.log()[-2000:])
    return m.group(0)


# --- where it goes ---

ZONE = """
two.test        MX 10 a.two.test
two.test        MX 20 b.two.test
a.two.test      A 127.0.0.2
b.two.test      A 127.0.0.3
same.test       MX 10 a.two.test
same.test       MX 10 b.two.test
nomx.test       A 127.0.0.3
null.test       MX 0 .
gone.test       MX 10 nowhere.test
half.test       MX 10 nowhere.test
half.test       MX 20 b.two.test
self.test       MX 10 me.test
behind.test     MX 10 a.two.test
behind.test     MX 20 me.test
behind.test     MX 30 b.two.test
below.test      MX 5 dead.test
below.test      MX 10 me.test
dead.test       A 127.0.0.9
down.test       MX 10 dead.test
down.test       MX 20 b.two.test
me.test         A 127.0.0.1
cname.test      CNAME real.test
real.test       MX 10 a.two.test
mxcname.test    MX 10 alias.test
alias.test      CNAME b.two.test
nodata.test     TXT "nothing"
"""


@contextlib.contextmanager
def world(settings=(), **args):
    """Two servers at 127.0.0.2 and .3, the zone, and an instance."""
    with Server(host="127.0.0.2", **args) as one, Server(host="127.0.0.3", port=one.port, **args) as two, \
            DNS(ZONE) as dns:
        with Instance(dns=dns, settings=["smtp_tcp_port = %d" % one.port, "inet_interfaces = 127.0.0.1",
                                         "minimal_backoff_time = 1000s"] + list(settings)) as i:
            yield i, one, two, dns


def test_routes():
    with world() as (i, one, two, dns):
        dns.fail("later.test", "servfail")
        dns.fail("mxlater.test", "servfail", "MX")
        first, second = r"relay=a.two.test\[127.0.0.2\]:\d+, .*status=sent", r"relay=b.two.test\[127.0.0.3\]:\d+, .*status=sent"
        error = r"Host or domain name not found\. Name service error for name=%s type=(?:%s): "
        cases = [
            ("two.test", first), ("same.test", first + "|" + second),
            ("nomx.test", r"relay=nomx.test\[127.0.0.3\]:\d+, .*status=sent"),
            ("[127.0.0.2]", r"relay=127.0.0.2\[127.0.0.2\]:\d+, .*status=sent"),
            ("null.test", r"relay=none, .*dsn=5.1.0, status=bounced \(Domain null.test does not accept mail \(nullMX\)\)"),
            ("gone.test", r"relay=none, .*dsn=5.4.4, status=bounced \(" + error % ("nowhere.test", "A|AAAA")),
            ("half.test", second),
            ("self.test", r"dsn=5.4.6, status=bounced \(mail for self.test loops back to myself\)"),
            ("behind.test", first),
            ("below.test", r"dsn=4.4.1, status=deferred \(connect to dead.test\[127.0.0.9\]:\d+: Connection refused\)"),
            ("down.test", second), ("cname.test", first), ("mxcname.test", r"relay=alias.test\[127.0.0.3\]:\d+, .*status=sent"),
            ("missing.test", r"dsn=5.4.4, status=bounced \(" + error % ("missing.test", "A|AAAA")),
            ("later.test", r"dsn=4.4.3, status=deferred \(" + error % ("later.test", "MX")),
            ("mxlater.test", r"dsn=4.4.3, status=deferred \(" + error % ("mxlater.test", "MX")),
            ("nodata.test", r"dsn=5.4.4, status=bounced \(" + error % ("nodata.test", "A|AAAA")),
        ]
        for domain, _ in cases:
            send(i, "x@" + domain)
        bad = []
        for domain, want in cases:
            line = result(i, "x@" + domain)
            if not re.search(want, line):
                bad.append("%s: want %s: %s" % (domain, want, line))
        need(not bad, "\n" + "\n".join(bad))
        need(i.wait_log(r"connect to dead.test\[127.0.0.9\]:\d+: Connection refused"))


def test_fallback_and_lists():
    with Server() as spare, world(["smtp_fallback_relay = [127.0.0.1]:%d" % spare.port]) as (i, one, two, dns):
        dns.fail("later.test", "servfail")
        for domain in ("below.test", "later.test", "missing.test"):
            send(i, "x@" + domain)
            line = result(i, "x@" + domain)
            need("relay=127.0.0.1[127.0.0.1]:%d" % spare.port in line and "status=sent" in line, line)
        send(i, "x@self.test")              # a loop is not made longer
        need("loops back to myself" in result(i, "x@self.test"))
        need(len(spare.mails) == 3)
    with Server() as last, Instance(settings=["relayhost = [127.0.0.1]:1, [127.0.0.1]:%d" % last.port]) as i:
        send(i, "x@far.test")
        need("status=sent" in result(i, "x@far.test"), i.log())
    with Instance(settings=["relayhost = [missing.invalid]"]) as i:
        send(i, "x@far.test")               # our own mistake returns no mail
        line = result(i, "x@far.test")
        need("status=deferred" in line and i.wait_log("relayhost configuration problem|Name service error"), line)


def test_ipv6():
    with contextlib.ExitStack() as stack:
        try:
            six = stack.enter_context(Server(host="::1"))
        except OSError:
            return "no IPv6 here"
        four = stack.enter_context(Server(host="127.0.0.2", port=six.port))
        dns = stack.enter_context(DNS("both.test A 127.0.0.2\nboth.test AAAA ::1\n"))
        common = ["smtp_tcp_port = %d" % six.port, "inet_interfaces = 127.0.0.1"]
        with Instance(dns=dns, settings=common + ["smtp_address_preference = ipv6"]) as i:
            send(i, "x@both.test")
            need("relay=both.test[::1]:%d" % six.port in result(i, "x@both.test"))
            send(i, "y@[IPv6:::1]")
            need("status=sent" in result(i, "y@[IPv6:::1]"), i.log())
        with Instance(dns=dns, settings=common + ["inet_protocols = ipv4"]) as i:
            send(i, "x@both.test")
            need("relay=both.test[127.0.0.2]" in result(i, "x@both.test"))
        need(len(four.mails) == 1)



def test_utf8_is_found():
    """smtputf8_autodetect_classes: what sendmail sends needs no word of its own, unless it is not UTF-8."""
    with Server() as s, Server(keywords=("PIPELINING", "8BITMIME")) as old, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "minimal_backoff_time = 1000s",
            "transport_maps = inline:{{old.test = smtp:[127.0.0.1]:%d}}" % old.port]) as i:
        def mail(to, subject, sender=ME):
            before = len(s.said)
            send(i, to, sender=sender, text=b"Subject: " + subject + b"\n\nx\n")
            line = result(i, to)
            return line, [x for x in s.said[before:] if x.startswith("MAIL")]
        for to, subject, sender, wanted in (
                ("a@far.test", b"plain", ME, False), ("b@far.test", "Gr\u00fc\u00dfe".encode(), ME, True),
                ("\u00fcser@far.test", b"plain", ME, True), ("c@far.test", b"plain", "\u00fc@example.test", True),
                ("d@far.test", "Gr\u00fc\u00dfe".encode("latin-1"), ME, False)):
            line, said = mail(to, subject, sender)
            need("status=sent" in line and ("SMTPUTF8" in said[0]) == wanted, to, said, line)
        need("dsn=5.6.7, status=bounced" in mail("\u00fcser@old.test", b"plain")[0])
        need("status=sent" in mail("e@old.test", b"plain")[0])
        i.set("smtputf8_autodetect_classes = verify")
        reload(i)
        line, said = mail("f@far.test", "Gr\u00fc\u00dfe".encode())
        need("status=sent" in line and "SMTPUTF8" not in said[0], said, line)
        i.set("smtputf8_autodetect_classes = sendmail, mail")
        status, out, err = i.run("postern", "-c", i.etc, "check", check=False)
        need(status != 0 and "smtputf8_autodetect_classes: unknown word: mail" in out + err, out, err)

def test_bind_address():
    seen = []

    def connect(c):
        seen.append(c.s.getpeername()[0])
        c.put("220 x ESMTP")
    with Server(plan={"connect": connect}) as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_bind_address = 127.0.0.44"]) as i:
        send(i, "x@far.test")
        need("status=sent" in result(i, "x@far.test") and seen == ["127.0.0.44"], seen)


# --- what is said ---

def test_envelope():
    """Parameters of MAIL and RCPT, quoting, the null sender, DSN passed on."""
    with Server() as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        with i.smtp() as c:
            c.ehlo()
            c.docmd("MAIL FROM:<ann@example.test> RET=HDRS ENVID=a+20b BODY=8BITMIME")
            c.docmd('RCPT TO:<"q uo.te"@far.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+40y')
            c.docmd("DATA")
            c.send(b"Subject: x\r\n\r\n\xe9 caf\r\n..dot\r\n.\r\n")
            c.getreply()
        need(wait_for(lambda: s.mails), i.log())
        mail = [x for x in s.said if x.startswith("MAIL")][0]
        rcpt = [x for x in s.said if x.startswith("RCPT")][0]
        need(re.fullmatch(r"MAIL FROM:<ann@example.test> SIZE=\d+ BODY=8BITMIME RET=HDRS ENVID=a\+20b", mail), mail)
        need(rcpt == 'RCPT TO:<"q uo.te"@far.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y', rcpt)
        need(s.mails[0][2].endswith(b".dot\r\n"), s.mails)
        # The next server has DSN: the success report is its business.
        need(not i.wait_log("sender delivery status notification", 1), i.log())
        send(i, "x@far.test", sender="<>")
        need(wait_for(lambda: len(s.mails) == 2) and s.said[-1].startswith(("DATA", "QUIT")), s.said)
        need(any(x.startswith("MAIL FROM:<> SIZE=") for x in s.said), s.said)


def test_success_reports_for_servers_without_dsn():
    with Server(keywords=("PIPELINING",)) as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        send(i, "x@far.test", sender="ann@example.test", options=("-N", "success"))
        need(i.wait_log("sender delivery status notification"), i.log())
        mails = i.wait_mails("ann", 1)
        need(b"Action: relayed" in mails[0] and b"Remote-MTA: dns; 127.0.0.1" in mails[0], mails)
        need(not any("RET=" in x or "NOTIFY" in x for x in s.said), s.said)


def test_trace_reports_of_what_was_passed_on():
    with Server() as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        send(i, "x@far.test", sender="ann@example.test", options=("-v",))
        need("status=sent" in result(i, "x@far.test"))
        mails = i.wait_mails("ann", 1)
        need(len(mails) == 1 and b"Action: relayed" in mails[0], mails)


def test_limits_of_the_server():
    with Server(keywords=("SIZE 2000",)) as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        send(i, "x@far.test", text="Subject: x\n\n" + "x" * 3000 + "\n")
        line = result(i, "x@far.test")
        need(re.search(r"dsn=5.3.4, status=bounced \(message size \d+ exceeds size limit 2000 of server "
                       r"127.0.0.1\[127.0.0.1\]\)", line), line)
        with i.smtp() as c:
            c.ehlo()
            c.docmd("MAIL FROM:<ann@example.test> SMTPUTF8")
            c.send("RCPT TO:<caf\u00e9@far.test>\r\n".encode())
            c.getreply()
            c.docmd("DATA")
            c.send("Subject: x\r\n\r\nx\r\n.\r\n")
            c.getreply()
        need(i.wait_log(r"dsn=5.6.7, status=bounced \(SMTPUTF8 is required, but was not offered by host "
                        r"127.0.0.1\[127.0.0.1\]\)"), i.log())


def body_of(n):
    lines = [b".starts with a dot", b"..", b"", b"plain", b"\xe9\xe8 eight bit"]
    return b"".join(lines[k % len(lines)] + b" %d\r\n" % k for k in range(n))


def test_content():
    """Small and large, with dots and without, by DATA and BDAT: byte for byte."""
    for chunking in (False, True):
        words = b.PLAIN + (("CHUNKING",) if chunking else ())
        with Server(keywords=words) as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port,
                                                             "message_size_limit = 100000000"]) as i:
            bodies = [b"", b"x\r\n", b".\r\n", body_of(50), body_of(60000), b"no dots\r\n" * 20,
                      b"no dots at all here\r\n" * 60000]
            for n, body in enumerate(bodies):
                with i.smtp() as c:
                    c.sendmail(ME, ["m%d@far.test" % n], b"Subject: m%d\r\n\r\n" % n + body, ["BODY=8BITMIME"])
                need("status=sent" in result(i, "m%d@far.test" % n, 60), i.log()[-1000:])
            need(wait_for(lambda: len(s.mails) == len(bodies)), len(s.mails))
            for n, (_, to, got) in enumerate(s.mails):
                body = got[got.index(b"\r\n\r\n") + 4:]
                need(body == bodies[n], chunking, n, to, len(body), len(bodies[n]))
            verbs = {x.split(" ")[0] for x in s.said}
            need(("BDAT" in verbs) == chunking and ("DATA" in verbs) != chunking, verbs)


def test_long_lines():
    with Server(keywords=b.PLAIN + ("CHUNKING",)) as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        for n in (998, 999, 5000):
            with i.smtp() as c:
                c.sendmail(ME, ["l%d@far.test" % n], "Subject: x\r\n\r\n" + "y" * n + "\r\nend\r\n")
            need("status=sent" in result(i, "l%d@far.test" % n), i.log())
        need(s.longest == 998, s.longest)
        need(b"y" * 5000 + b"\r\nend" in s.mails[2][2].replace(b"\r\n ", b""), s.mails[2])


def test_names_and_words():
    with Server(keywords=("PIPELINING", "8BITMIME", "CHUNKING", "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE")) as s, \
            Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port, "smtp_helo_name = other.name.test",
                               "smtp_discard_ehlo_keywords = chunking, pipelining",
                               "smtp_send_xforward_command = yes"]) as i:
        with i.smtp() as c:
            c.sendmail(ME, ["x@far.test"], "Subject: x\r\n\r\nx\r\n")
        need(wait_for(lambda: s.mails), i.log())
        need(s.said[0] == "EHLO other.name.test" and "DATA" in s.said, s.said)
        xf = [x for x in s.said if x.startswith("XFORWARD")]
        name = re.search(r": (\w+): client=.*\[127\.0\.0\.1\]$", i.log(), re.M).group(1)
        need(len(xf) == 2 and re.fullmatch(r"XFORWARD( NAME=\S+)? ADDR=127\.0\.0\.1 PORT=\d+", xf[0]) and
             xf[1] == "XFORWARD PROTO=ESMTP HELO=client.test IDENT=%s SOURCE=LOCAL" % name, xf)
    with Server() as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port, "smtp_never_send_ehlo = yes"]) as i:
        send(i, "x@far.test")
        need("status=sent" in result(i, "x@far.test") and s.said[0].startswith("HELO "), s.said)
    path = None
    with Server() as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        path = os.path.join(i.etc, "words")
        with open(path, "w") as f:
            f.write("127.0.0.1 size, 8bitmime\n")
        i.set("smtp_discard_ehlo_keyword_address_maps = texthash:" + path)
        reload(i)
        send(i, "x@far.test")
        need("status=sent" in result(i, "x@far.test"), i.log())
        need(any(x == "MAIL FROM:<ann@example.test>" for x in s.said), s.said)


def test_own_name():
    """A server on port 25 that calls itself as we do would be ourselves."""
    with Server(plan={"connect": reply("554 5.0.0 no")}) as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_skip_5xx_greeting = no"]) as i:
        send(i, "x@far.test")
        need("status=bounced (host 127.0.0.1[127.0.0.1] refused to talk to me: 554 5.0.0 no)"
             in result(i, "x@far.test"))


# --- what changes on the way ---

MIXED = """MIME-Version: 1.0
Subject: mixed
Content-Type: multipart/mixed; boundary=outer
Content-Transfer-Encoding: 8bit

preamble
--outer
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

caf\u00e9 = good, and a long line: %s
.dot
--outer
Content-Type: multipart/alternative; boundary=inner
Content-Transfer-Encoding: 8bit

--inner
Content-Type: text/plain

plain, 7bit
--inner
Content-Type: text/html; charset=utf-8
content-transfer-encoding: 8BIT

<p>\u00e9t\u00e9 </p>
--inner--
--outer
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inside
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

\u00e0 l'int\u00e9rieur
--outer--
""" % ("\u00fc " * 100)
SIGNED = """MIME-Version: 1.0
Content-Type: multipart/signed; boundary=s; protocol="application/pgp-signature"
Content-Transfer-Encoding: 8bit

--s
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

sign\u00e9
--s
Content-Type: application/pgp-signature

xxx
--s--
"""


def parts(raw):
    """(type, encoding, decoded text) of each leaf."""
    def walk(m):
        if m.is_multipart():
            for p in m.get_payload():
                yield from walk(p)
        else:
            yield m.get_content_type(), m.get("Content-Transfer-Encoding"), m.get_payload(decode=True)
    return list(walk(email.message_from_bytes(raw)))


def test_8bit_to_quoted_printable():
    with Server(keywords=("PIPELINING", "CHUNKING")) as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        raw = MIXED.replace("\n", "\r\n").encode()
        with i.smtp() as c:
            c.sendmail(ME, ["x@far.test"], raw, ["BODY=8BITMIME"])
        need("status=sent" in result(i, "x@far.test"), i.log())
        got = s.mails[0][2]
        need(max(got) < 128, "8-bit is left", got)
        # Trailing blanks of an encoded line are kept, too.
        need([p[2] for p in parts(got)] == [p[2] for p in parts(raw)], got)
        need([p[1] for p in parts(got)] == ["quoted-printable", None, "quoted-printable", "quoted-printable"], parts(got))
        need("BODY=" not in " ".join(s.said) and "DATA" in s.said, s.said)
        with i.smtp() as c:
            c.sendmail(ME, ["signed@far.test"], SIGNED.replace("\n", "\r\n").encode(), ["BODY=8BITMIME"])
        need("dsn=5.6.3, status=bounced" in result(i, "signed@far.test"), i.log())
        need(len(s.mails) == 1)
    with Server(keywords=("PIPELINING",)) as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "disable_mime_output_conversion = yes"]) as i:
        with i.smtp() as c:
            c.sendmail(ME, ["x@far.test"], raw, ["BODY=8BITMIME"])
        need("status=sent" in result(i, "x@far.test") and s.mails[0][2].endswith(raw[raw.index(b"\r\n\r\n"):]))


def test_generic_and_checks():
    with Server() as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        with open(os.path.join(i.etc, "generic"), "w") as f:
            f.write("ann@example.test her.name@isp.test\n@inside.test @outside.test\n")
        with open(os.path.join(i.etc, "checks"), "w") as f:
            f.write("/^X-Secret:/ IGNORE\n/^Subject: old/ REPLACE Subject: new\n/^To:/ PREPEND X-Added: yes\n"
                    "/^X-Warn/ WARN look at this\n")
        with open(os.path.join(i.etc, "body"), "w") as f:
            f.write("/^drop/ IGNORE\n/^change/ REPLACE changed\n")
        i.run("postmap", "hash:" + os.path.join(i.etc, "generic"))
        i.set("smtp_generic_maps = hash:%s/generic" % i.etc)
        i.set("smtp_header_checks = regexp:%s/checks" % i.etc)
        i.set("smtp_body_checks = regexp:%s/body" % i.etc)
        reload(i)
        for n in range(2):
            send(i, "bob@inside.test", "z%d@far.test" % n, text="Subject: old\nX-Secret: 1\nX-Warn: w\nTo: Bob <bob@inside.test>,\n "
                 "z@far.test\nFrom: Ann (home) <ann@example.test>\n\nfirst\ndrop this\nchange that\nlast\n")
            need("status=sent" in result(i, "z%d@far.test" % n), i.log())
            time.sleep(1.5)                     # tables are asked again, in the sandbox
        need(len(s.mails) == 2, s.mails)
        for sender, to, got in s.mails:
            need(sender.startswith("<her.name@isp.test>"), sender)
            need([x.split(" ")[0] for x in to][0] == "<bob@outside.test>", to)
            for want in (b"Subject: new\r\n", b"X-Added: yes\r\nTo: Bob <bob@outside.test>,\r\n z@far.test\r\n",
                         b"From: Ann (home) <her.name@isp.test>\r\n", b"\r\n\r\nfirst\r\nchanged\r\nlast\r\n"):
                need(want in got, want, got)
            need(b"X-Secret" not in got and b"inside.test" not in got, got)
        need(i.wait_log(r"warning: header X-Warn: w: look at this"), i.log())
        need("to=<bob@inside.test>" in i.log(), i.log())


def test_pix():
    """A blotted greeting: HELO, and the last dot in a packet of its own, later."""
    with Server(plan={"connect": reply("220 " + "*" * 50)}) as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_pix_workaround_threshold_time = 0s",
            "smtp_pix_workaround_delay_time = 1s"]) as i:
        for n, text in enumerate(("Subject: x\n\n.dot\nsmall\n", "Subject: x\n\n" + "large\n" * 30000)):
            send(i, "m%d@far.test" % n, text=text)
            line = result(i, "m%d@far.test" % n)
            need("status=sent" in line and float(re.search(r"delays=.*/([\d.]+),", line).group(1)) >= 1, line)
        need("HELO mx.example.test" in s.said and not any(x.startswith("EHLO") for x in s.said), s.said)
        need(wait_for(lambda: len(s.mails) == 2), len(s.mails))
        need(b"\r\n.dot\r\nsmall\r\n" in s.mails[0][2] and s.mails[1][2].count(b"large\r\n") == 30000)


def test_deadline_of_content():
    """smtp_per_request_deadline: content that trickles in has its end."""
    def slow(c):
        c.put("354 go on")
        while c.s.recv(2000):               # a little at a time, and never all
            if c.stop.wait(0.2):
                break
        raise b.Gone
    with Server(plan={"DATA": slow}, keywords=("PIPELINING",)) as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "message_size_limit = 100000000", "virtual_mailbox_limit = 0",
            "smtp_per_request_deadline = yes", "smtp_data_xfer_timeout = 2s", "smtp_min_data_rate = 100000000"]) as i:
        send(i, "x@far.test", text="Subject: x\n\n" + "much of it\n" * 2000000)
        need("timed out while sending message body" in result(i, "x@far.test", 60), i.log()[-1000:])


def test_filters():
    with Server(plan={"RCPT": lambda c: c.put("550 5.7.1 greylisted" if "grey" in c.server.said[-1] else
                                              "550 5.2.2 full" if "full" in c.server.said[-1] else "250 ok")}) as s, \
            Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        with open(os.path.join(i.etc, "replies"), "w") as f:
            f.write("/^550 5.7.1 greylisted/ 450 4.7.1 greylisted\n")
        with open(os.path.join(i.etc, "status"), "w") as f:
            f.write("/^5\\.2\\.2 (.*full.*)/ 4.2.2 $1\n/^2\\..* taken/ 2.0.0 took it\n/^4.7.1/ 2.0.0 no\n")
        i.set("smtp_reply_filter = regexp:%s/replies" % i.etc)
        i.set("smtp_delivery_status_filter = regexp:%s/status" % i.etc)
        reload(i)
        send(i, "grey@far.test", "full@far.test", "good@far.test")
        need("dsn=4.7.1, status=deferred (host 127.0.0.1[127.0.0.1] said: 450 4.7.1 greylisted" in result(i, "grey@far.test"))
        need("dsn=4.2.2, status=deferred (host" in result(i, "full@far.test"), i.log())
        need("dsn=2.0.0, status=sent (took it)" in result(i, "good@far.test"), i.log())
        need(i.wait_log("delivery status filter: bad result: 2.0.0 no"), i.log())


# --- connections that are used again ---

def test_reuse():
    with Server() as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port,
                                           "smtp_destination_concurrency_limit = 1",
                                           "defer_transports = smtp"]) as i:
        for n in range(20):
            send(i, "m%d@far.test" % n)
        need(wait_for(lambda: len(i.queue()) == 20), i.queue())
        i.set("defer_transports =")
        reload(i)
        i.run("postqueue", "-f")
        need(wait_for(lambda: len(s.mails) == 20, 30), len(s.mails))
        need(s.clients <= 3, "connections", s.clients)
        need(i.wait_log(r"conn_use=1\d, "), i.log()[-2000:])
        need(len({m[1][0] for m in s.mails}) == 20)
    with Server() as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port,
                                           "smtp_connection_cache_on_demand = no"]) as i:
        for n in range(3):
            send(i, "m%d@far.test" % n)
        need(wait_for(lambda: len(s.mails) == 3) and s.clients == 3, s.clients)


def test_reset_between():
    """After a transaction that came to nothing, RSET."""
    with Server(plan=lambda n: {"RCPT": lambda c: c.put("550 5.1.1 no" if "bad" in c.server.said[-1] else "250 ok")}) as s, \
            Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port,
                               "smtp_connection_cache_destinations = [127.0.0.1]:%d" % s.port,
                               "smtp_connection_cache_time_limit = 100s", "connection_cache_ttl_limit = 100s"]) as i:
        for to in ("ok1", "bad", "ok2"):
            send(i, to + "@far.test")
            result(i, to + "@far.test")
        need(len(s.mails) == 2 and s.clients == 1, s.mails, s.clients)
        need("RSET" in s.said, s.said)


# --- LMTP ---

def test_lmtp():
    answers = iter(("250 2.1.5 a delivered", "450 4.2.1 b is over quota", "550 5.2.1 c is off"))

    def dot(c):
        c.put(next(answers))
    with Server(plan={"DOT": dot, "DOT2": dot}, lmtp=True) as s, Instance(settings=[
            "default_transport = lmtp:inet:127.0.0.1:%d" % s.port]) as i:
        send(i, "a@far.test", "b@far.test", "c@far.test")
        words = {"a": "sent (250 2.1.5 a delivered)", "b": "deferred (host 127.0.0.1[127.0.0.1] said: 450 4.2.1 b",
                 "c": "bounced (host 127.0.0.1[127.0.0.1] said: 550 5.2.1 c"}
        lines = [result(i, x + "@far.test") for x in words]
        need(sorted(re.sub(r".*status=(\w+).*", r"\1", x) for x in lines) == ["bounced", "deferred", "sent"], lines)
        need(s.said[0].startswith("LHLO "), s.said)


def test_lmtp_unix():
    with Instance() as i:
        os.makedirs(os.path.join(i.dir, "spool", "private"), exist_ok=True)
        path = os.path.join(i.dir, "spool", "private", "mailboxes")
        with Server(lmtp=True, path=path) as s:
            os.chmod(path, 0o666)
            i.set("default_transport = lmtp:unix:private/mailboxes")
            reload(i)
            send(i, "a@far.test", "b@far.test")
            line = result(i, "a@far.test")
            need("relay=mx.example.test[private/mailboxes], " in line and "status=sent" in line, line)
            need("status=sent" in result(i, "b@far.test"))
            need(len(s.mails) == 2, s.mails)
        send(i, "c@far.test")
        line = result(i, "c@far.test")
        need("status=deferred (connect to mx.example.test[private/mailboxes]: Connection refused)" in line, line)


if __name__ == "__main__":
    sys.exit(main(globals()))
