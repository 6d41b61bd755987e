"""Mail to other hosts, third part: how their servers are found. SRV records,
protocols, fallback relays, and whose word about DNSSEC counts.
"""
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import threading

from badserver import STALL, Server, reply
from dns import DNS
from harness import Instance, Wire, main, need, wait_for
from test_smtp import result, send


def srv_world(settings=()):
    """A zone whose servers have ports of their own."""
    dns = DNS("h1.test A 127.0.0.2\nh2.test A 127.0.0.3\nmx.test A 127.0.0.4\nme.test A 127.0.0.1\n"
              "two.test A 127.0.0.5\nboth.test MX 10 mx.test\nnone.test MX 10 mx.test\nbad.test MX 10 mx.test\n"
              "lost.test MX 10 mx.test\n_submission._tcp.null.test SRV 0 0 0 .\nnull.test A 127.0.0.4\n"
              "_submission._tcp.lost.test SRV 1 1 25 nowhere.test\n")
    return dns, ["use_srv_lookup = submission", *settings]


def test_srv():
    """use_srv_lookup = submission, relayhost = both.test:submission."""
    dns, settings = srv_world()
    with dns, Server(host="127.0.0.2") as one, Server(host="127.0.0.3") as two, Server(host="127.0.0.4") as mx:
        dns.add("_submission._tcp.both.test SRV 10 0 %d h1.test" % one.port)
        dns.add("_submission._tcp.both.test SRV 20 0 %d h2.test" % two.port)
        with Instance(dns=dns, settings=[*settings, "relayhost = both.test:submission",
                                         "smtp_tcp_port = %d" % mx.port]) as i:
            send(i, "a@far.test")
            need("relay=h1.test[127.0.0.2]:%d" % one.port in result(i, "a@far.test"))
            # The first in order is down: the second, at its own port.
            one.close()
            send(i, "b@far.test")
            need("relay=h2.test[127.0.0.3]:%d" % two.port in result(i, "b@far.test"))
            need("connect to h1.test[127.0.0.2]:%d: Connection refused" % one.port in i.log(), i.log()[-900:])
            # [ ] asks for no SRV, another service neither.
            before = dns.asked("_submission._tcp.both.test")
            i.set("transport_maps = inline:{{x.test = smtp:[mx.test]:%d}, {y.test = smtp:none.test:%d}}" %
                  (mx.port, mx.port))
            i.reload()
            send(i, "c@x.test", "d@y.test")
            for to in ("c@x.test", "d@y.test"):
                need("relay=mx.test[127.0.0.4]:%d" % mx.port in result(i, to))
            need(dns.asked("_submission._tcp.both.test") == before, dns.queries)


def test_srv_weights():
    """Both get mail, one much more: RFC 2782."""
    dns, settings = srv_world()
    with dns, Server(host="127.0.0.2") as one, Server(host="127.0.0.3") as two:
        dns.add("_submission._tcp.w.test SRV 10 9 %d h1.test" % one.port)
        dns.add("_submission._tcp.w.test SRV 10 1 %d h2.test" % two.port)
        with Instance(dns=dns, settings=[*settings, "relayhost = w.test:submission",
                                         "smtp_connection_cache_on_demand = no"]) as i:
            to = ["r%d@d%d.test" % (n, n) for n in range(80)]
            for n in range(0, 80, 20):
                send(i, *to[n:n + 20])
            for n in range(60):
                send(i, "s%d@e.test" % n)
            for n in range(60):
                result(i, "s%d@e.test" % n)
            need(len(one.mails) > len(two.mails) > 0, len(one.mails), len(two.mails))


def test_srv_that_fails():
    """What stands in the place of SRV records: nothing, unless it is allowed."""
    def ask(more, wanted):
        dns, settings = srv_world(more)
        with dns, Server(host="127.0.0.4") as mx:
            dns.fail("_submission._tcp.bad.test", "servfail", "SRV")
            with Instance(dns=dns, settings=[*settings, "known_tcp_ports = smtp=25, lmtp=24, submission=%d" % mx.port,
                                             "default_transport = smtp"]) as i:
                names = list(wanted)
                i.set("transport_maps = inline:{%s}" % ", ".join(
                    "{%s = smtp:%s:submission}" % (n, n) for n in names))
                i.reload()
                send(i, *("u@" + n for n in names))
                for n in names:
                    line = result(i, "u@" + n)
                    need(wanted[n] in line, n, wanted[n], line)
                return i.log()

    relayed = "relay=mx.test[127.0.0.4]"
    refused = {"null.test": "dsn=5.1.0, status=bounced (Domain _submission._tcp.null.test does not support "
                            "SRV requests)",
               "none.test": "dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for "
                            "name=_submission._tcp.none.test type=SRV: Host not found)",
               "lost.test": "dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for "
                            "name=nowhere.test type=A"}
    log = ask([], dict(refused, **{
        "bad.test": "dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for "
                    "name=_submission._tcp.bad.test type=SRV: Host not found, try again)"}))
    need("no SRV host for _submission._tcp.lost.test has a valid address record" in log)
    ask(["ignore_srv_lookup_error = yes"], dict(refused, **{"bad.test": relayed}))
    log = ask(["allow_srv_lookup_fallback = yes"], {
        "null.test": "relay=null.test[127.0.0.4]", "none.test": relayed, "lost.test": relayed, "bad.test": relayed})
    need("skipping SRV lookup for _submission._tcp.none.test: Host or domain name not found." in log)


def test_srv_of_lmtp():
    dns, _ = srv_world()
    with dns, Server(host="127.0.0.2", lmtp=True) as s:
        dns.add("_lmtp._tcp.box.test SRV 0 0 %d h1.test" % s.port)
        with Instance(dns=dns, settings=["use_srv_lookup = lmtp", "lmtp_tcp_port = lmtp",
                                         "transport_maps = inline:{{far.test = lmtp:box.test}}"]) as i:
            send(i, "a@far.test")
            need("relay=h1.test[127.0.0.2]:%d" % s.port in result(i, "a@far.test"))


def two_families(stack, zone, six=None, settings=(), **four):
    """(instance, server of IPv4): names of both families, one port."""
    server = stack.enter_context(Server(host="127.0.0.2", **four))
    if six is not None:
        stack.enter_context(Server(host="::1", port=server.port, plan=six))
    dns = stack.enter_context(DNS(zone))
    return stack.enter_context(Instance(dns=dns, settings=[
        "smtp_tcp_port = %d" % server.port, "inet_interfaces = 127.0.0.1", "minimal_backoff_time = 1000s",
        "smtp_helo_timeout = 3s", *settings])), server


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_ipv6_that_is_dead():
    """A first address that refuses, or says nothing: the other protocol has the mail, in the same attempt."""
    if not has_ipv6():
        return "no IPv6 here"
    zone = "both.test A 127.0.0.2\nboth.test AAAA ::1\n"
    for six, why in ((None, r"connect to both.test\[::1\]:\d+: Connection refused"),
                     ({"connect": STALL}, r"conversation with both.test\[::1\] timed out"),
                     ({"connect": reply("554 5.3.2 not here")}, r"refused to talk to me: 554 5.3.2 not here")):
        with contextlib.ExitStack() as stack:
            i, four = two_families(stack, zone, six, ["smtp_address_preference = ipv6"])
            send(i, "x@both.test")
            need("relay=both.test[127.0.0.2]:%d" % four.port in result(i, "x@both.test"))
            need(re.search(why, i.log()) and len(four.mails) == 1, why, i.log()[-1500:])


def test_balance_of_protocols():
    """All of the first addresses are IPv6, and dead: smtp_balance_inet_protocols lets the other in."""
    if not has_ipv6():
        return "no IPv6 here"
    zone = "".join("many.test MX %d m%d.test\nm%d.test AAAA ::1\n" % (n, n, n) for n in range(10, 15)) + \
        "many.test MX 20 four.test\nfour.test A 127.0.0.2\n"
    for setting, wanted in (("yes", "relay=four.test[127.0.0.2]"), ("no", "status=deferred")):
        with contextlib.ExitStack() as stack:
            i, _ = two_families(stack, zone, None, ["smtp_mx_address_limit = 3",
                                                    "smtp_balance_inet_protocols = " + setting])
            send(i, "x@many.test")
            need(wanted in result(i, "x@many.test"), setting, i.log()[-1500:])


def test_fallback_that_is_us():
    """smtp_fallback_relay leads back here: the loop ends by itself, with one report."""
    with DNS("dead.test A 127.0.0.9\n") as dns:
        i = Instance(dns=dns, settings=["smtp_tcp_port = 1", "hopcount_limit = 5", "minimal_backoff_time = 1000s"])
        i.set("smtp_fallback_relay = [127.0.0.1]:%d" % i.port)
        with i:
            i.send(to=["x@dead.test"], sender=i.addr("ann"))
            mails = i.wait_mails("ann", 1)
            need(len(mails) == 1 and b"too many hops" in mails[0], mails, i.log()[-3000:])
            need(wait_for(lambda: not i.queue()), i.queue(), i.log()[-2000:])
            rounds = len(re.findall(r"to=<x@dead.test>, relay=127.0.0.1\[127.0.0.1\].*status=sent", i.log()))
            need(0 < rounds <= 6, rounds)
            need("status=bounced" in i.log() and len(i.mails("ann")) == 1, i.log()[-2000:])


def test_window_size():
    """tcp_windowsize: of connections that come, and of those that we make."""
    if not shutil.which("ss"):
        return "no ss(8) here"
    reached, go = threading.Event(), threading.Event()

    def connect(c):
        reached.set()
        go.wait(60)
        c.put("220 x ESMTP")
    for size in (0, 5000):
        reached.clear()
        go.clear()
        with Server({"connect": connect}) as s, Instance(settings=[
                "relayhost = [127.0.0.1]:%d" % s.port, "tcp_windowsize = %d" % size]) as i:
            send(i, "x@far.test")
            need(reached.wait(20), i.log()[-900:])
            w = Wire(i.port)
            w.reply()

            def buffers(filter_):
                out = subprocess.run(["ss", "-tmnH", "state", "established", filter_], stdout=subprocess.PIPE, check=True)
                return [int(n) for n in re.findall(r"rb(\d+)", out.stdout.decode())]
            for found in (buffers("( dport = :%d )" % s.port), buffers("( sport = :%d )" % i.port)):
                # The kernel doubles what it is given.
                need(found and all((n == 2 * size) if size else n > 10000 for n in found), size, found)
            go.set()
            need("status=sent" in result(i, "x@far.test"))
            w.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
