"""Clients of trusted clients: XCLIENT, XFORWARD, the PROXY protocol."""
import re
import socket
import struct
import sys

from badserver import Server
from harness import Instance, Wire, main, need

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def hello(i):
    w = Wire(i.port)
    need(w.reply().startswith("220"))
    return w, w.say("EHLO client.test")


def test_xclient():
    with Instance(settings=("smtpd_authorized_xclient_hosts = 127.0.0.1",
                            "smtpd_recipient_restrictions = check_client_access "
                            "inline:{{192.0.2.7=REJECT not you}}, permit_sasl_authenticated, reject",
                            "smtpd_relay_restrictions = permit")) as i:
        w, ehlo = hello(i)
        need("XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT" in ehlo, ehlo)
        need("XFORWARD" not in ehlo)
        need(w.say("XCLIENT") == "501 5.5.4 Syntax: XCLIENT attribute=value...")
        need(w.say("XCLIENT ADDR=300.1.2.3") == "501 5.5.4 Bad ADDR syntax: 300.1.2.3")
        need(w.say("XCLIENT NAME=a_b/c") == "501 5.5.4 Bad NAME syntax: a_b/c")
        need(w.say("XCLIENT COLOUR=red") == "501 5.5.4 Bad XCLIENT attribute name: COLOUR")
        need(w.say("XCLIENT ADDR") == "501 5.5.4 Error: attribute=value expected")
        need(w.say("XCLIENT PROTO=X400") == "501 5.5.4 Bad PROTO syntax: X400")
        need(w.say("XFORWARD NAME=x").startswith("550 5.7.0"))
        got = w.say("XCLIENT NAME=mail.example.org ADDR=192.0.2.7 PORT=4711 LOGIN=ann")
        need(got.startswith("220 "), got)
        # That client may not say XCLIENT, and is judged by its address.
        need(w.say("XCLIENT ADDR=127.0.0.1") == "550 5.7.0 Error: insufficient authorization")
        need(w.say("EHLO other.test").startswith("250"))
        need(w.say("MAIL FROM:<a@example.org>").startswith("250"))
        got = w.say("RCPT TO:<ann@example.test>")
        need(got == "554 5.7.1 <mail.example.org[192.0.2.7]>: Client host rejected: not you", got)
        w.close()
        w, _ = hello(i)
        need(w.say("XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 LOGIN=an+40n HELO=h.test PROTO=ESMTP")
             .startswith("220"))
        need(w.say("MAIL FROM:<a@example.org>").startswith("250"))
        need(w.say("RCPT TO:<ann@example.test>").startswith("250"))
        need(w.say("DATA").startswith("354"))
        need(w.say("Subject: x\r\n\r\nx\r\n.").startswith("250"))
        w.close()
        need(i.wait_log(r": client=unknown\[2001:db8::1\], sasl_method=XCLIENT, sasl_username=an@n$"), i.log()[-900:])
        mail = i.wait_mails("ann", 1)[0].decode()
        need("Received: from h.test (unknown [IPv6:2001:db8::1])" in mail, mail)
    with Instance() as i:
        w, ehlo = hello(i)
        need("XCLIENT" not in ehlo)
        need(w.say("XCLIENT ADDR=1.2.3.4") == "550 5.7.0 Error: insufficient authorization")
        need(w.say("NOOP").startswith("250"))
        w.close()


def test_xforward():
    with Instance(settings=("smtpd_authorized_xforward_hosts = 127.0.0.1",)) as i:
        w, ehlo = hello(i)
        need("XFORWARD NAME ADDR PROTO HELO PORT SOURCE IDENT" in ehlo, ehlo)
        need(w.say("XFORWARD NAME=spike.example ADDR=192.0.2.1 IDENT=4711 SOURCE=REMOTE") == "250 2.0.0 Ok")
        need(w.say("XFORWARD PROTO=ESMTP HELO=spike") == "250 2.0.0 Ok")
        need(w.say("XFORWARD LOGIN=ann").startswith("501 5.5.4 Bad XFORWARD attribute name"))
        w.say("MAIL FROM:<a@example.org>")
        w.say("RCPT TO:<ann@example.test>")
        w.say("DATA")
        need(w.say("Subject: x\r\n\r\nx\r\n.").startswith("250"))
        need(i.wait_log(r": client=\S+\[127\.0\.0\.1\], orig_queue_id=4711, "
                        r"orig_client=spike\.example\[192\.0\.2\.1\]$"), i.log()[-900:])
        # For one message.
        w.say("MAIL FROM:<b@example.org>")
        w.say("RCPT TO:<ann@example.test>")
        w.say("DATA")
        need(w.say("Subject: y\r\n\r\ny\r\n.").startswith("250"))
        need(i.wait_log(r": client=\S+\[127\.0\.0\.1\]$"), i.log()[-900:])
        w.close()


def test_xforward_chain():
    """What a filter in front says of its client is what the next hop hears:
    all of it, and nothing of the filter itself."""
    words = "NAME ADDR PORT PROTO HELO IDENT SOURCE"
    said = (["NAME=spike.example", "ADDR=2001:db8::1", "PORT=4711", "PROTO=ESMTP", "HELO=[192.0.2.1]", "IDENT=F00",
             "SOURCE=REMOTE"], ["ADDR=192.0.2.1", "SOURCE=LOCAL"], ["PROTO=[UNAVAILABLE]", "NAME=[UNAVAILABLE]"])
    with Server(keywords=("PIPELINING", "XFORWARD " + words)) as s, Instance(settings=(
            "smtpd_authorized_xforward_hosts = 127.0.0.1", "smtp_send_xforward_command = yes",
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_connection_cache_on_demand = no")) as i:
        w, _ = hello(i)
        for n, attributes in enumerate(said):
            for a in attributes:
                need(w.say("XFORWARD " + a) == "250 2.0.0 Ok", a)
            w.say("MAIL FROM:<a@example.org>")
            w.say("RCPT TO:<x%d@far.test>" % n)
            w.say("DATA")
            need(w.say("Subject: x\r\n\r\nx\r\n.").startswith("250"))
            need(i.wait_log(r"to=<x%d@far.test>.*status=sent" % n), i.log()[-900:])
        heard = [x[9:] for x in s.said if x.startswith("XFORWARD ")]
        ids = re.findall(r": (\w+): to=<x\d@far.test>", i.log())
        need(heard == ["NAME=spike.example ADDR=2001:db8::1 PORT=4711",
                       "PROTO=ESMTP HELO=[192.0.2.1] IDENT=F00 SOURCE=REMOTE",
                       "ADDR=192.0.2.1", "IDENT=%s SOURCE=LOCAL" % ids[1],
                       "IDENT=%s SOURCE=LOCAL" % ids[2]], heard)
        w.close()


def test_proxy():
    v2 = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12 + 5) + socket.inet_aton("192.0.2.9") + \
        socket.inet_aton("192.0.2.1") + struct.pack("!HH", 4711, 25) + b"\x04\0\x02ab"
    local = SIGNATURE + b"\x20\0\0\0"
    i0 = Instance(settings=("smtpd_upstream_proxy_protocol = haproxy", "smtpd_upstream_proxy_timeout = 2s"))
    i0.answers = lambda: True           # no greeting without a header
    with i0:
        for header, addr in ((b"PROXY TCP4 192.0.2.8 192.0.2.1 4711 25\r\n", "192.0.2.8"),
                             (b"PROXY TCP6 2001:db8::8 2001:db8::1 4711 25\r\n", "2001:db8::8"),
                             (b"PROXY UNKNOWN whatever\r\n", "127.0.0.1"),
                             (v2, "192.0.2.9"), (local, "127.0.0.1")):
            w = Wire(i0.port)
            # One byte at a time at first: a header comes in any cut.
            for k in range(3):
                w.send(header[k:k + 1])
            w.send(header[3:] + b"EHLO x.test\r\n")
            need(w.reply().startswith("220"), header)
            need(i0.wait_log(r": connect from \S+\[%s\]$" % addr.replace(".", r"\.")), addr)
            w.close()
        for bad in (b"EHLO x.test\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 1\r\n", b"PROXY " + b"x" * 200,
                    SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 600, SIGNATURE + b"\x11\x11\0\0",
                    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", SIGNATURE + b"\x21\x31\0\0"):
            w = Wire(i0.port)
            w.send(bad)
            try:
                got = w.reply()
            except ConnectionError:     # what it did not read is reset
                got = ""
            need(got == "" and w.closed(), "an answer to", bad, got)
            w.close()
        w = Wire(i0.port)
        need(w.closed(20), "waits for ever")
        w.close()
    i = Instance(settings=("smtpd_upstream_proxy_protocol = haproxy",
                           "smtpd_authorized_proxy_hosts = 192.0.2.0/24"))
    i.answers = lambda: True
    with i:
        w = Wire(i.port)
        w.send(b"PROXY TCP4 192.0.2.8 192.0.2.1 4711 25\r\n")
        need(w.closed(), "believes a stranger's header")
        need(i.wait_log(r"haproxy read: no proxy of ours"))
        w.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
