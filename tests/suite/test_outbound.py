"""Mail to other hosts, second part: parameters and combinations that a site
may well have, each with its effect. First part and helpers: test_smtp.py.
"""
import base64
import re
import sys

from badserver import Server, reply
from dns import DNS
from harness import Instance, Wire, main, need, wait_for
from test_smtp import reload, result, send, world


def test_best_mx():
    """best_mx_transport: what has this machine as its best MX goes another way."""
    with world(["best_mx_transport = virtual", "transport_maps = inline:{{again.test = smtp:}}"]) as (i, one, two, dns):
        dns.add("hosted.test MX 10 me.test")
        send(i, "x@hosted.test", "y@hosted.test", "z@two.test")
        for to in ("x@hosted.test", "y@hosted.test"):
            line = result(i, to)
            need("relay=virtual" in line and "unknown user" in line.lower(), line)
        need("status=sent" in result(i, "z@two.test"))
        i.set("best_mx_transport = smtp:[127.0.0.3]")
        reload(i)
        send(i, "v@hosted.test")
        need(re.search(r"relay=127.0.0.3\[.*status=sent", result(i, "v@hosted.test")), i.log()[-900:])
        # Not round and round: what comes back as ours is returned.
        i.set("best_mx_transport = smtp:hosted.test")
        reload(i)
        send(i, "w@hosted.test")
        need("dsn=5.4.6, status=bounced (mail for hosted.test loops back to myself)" in result(i, "w@hosted.test"), i.log()[-1500:])


def test_dns_reply_filter():
    with world(["smtp_dns_reply_filter = regexp:{{/^two\\.test\\. \\d* ?[0-9]* IN MX 10 a\\./ ignore}, "
                "{/^nomx\\.test\\. [0-9]+ IN A 127\\.0\\.0\\.3$$/ IGNORE}, {/^(null|same)\\.test\\. / what}}"]) as (i, one, two, dns):
        send(i, "x@two.test", "x@nomx.test", "x@null.test", "x@same.test")
        need("relay=b.two.test[127.0.0.3]" in result(i, "x@two.test"))
        line = result(i, "x@nomx.test")
        need("dsn=4.7.0, status=deferred (Error looking up name=nomx.test type=A: "
             "DNS reply filter drops all results)" in line, line)
        line = result(i, "x@same.test")
        need("status=deferred" in line and "Invalid DNS reply filter" in line, line)
        # No filter is asked about a null MX (RFC 7505).
        need("status=bounced (Domain null.test does not accept mail (nullMX))" in result(i, "x@null.test"))
        need("ignoring DNS RR: two.test. 0 IN MX 10 a.two.test." in i.log())


def test_dns_reply_filter_of_restrictions():
    zone = "bad.test MX 10 mx.bad.test\nmx.bad.test A 127.0.0.2\ngood.test MX 10 mx.good.test\n"
    with DNS(zone) as dns, Instance(dns=dns, settings=[
            "smtpd_dns_reply_filter = pcre:{{/ IN MX 10 mx\\.bad\\.test\\.$$/ IGNORE}}",
            "smtpd_sender_restrictions = reject_unknown_sender_domain"]) as i:
        w = Wire(i.port)
        w.reply()
        w.say("EHLO x.test")
        w.say("MAIL FROM:<a@good.test>")
        need(w.say("RCPT TO:<ann@example.test>").startswith("250"))
        w.say("RSET")
        w.say("MAIL FROM:<a@bad.test>")
        got = w.say("RCPT TO:<ann@example.test>")
        # A filter that leaves nothing is no reason to refuse: Postfix warns.
        need(got.startswith("250") and "DNS reply filter drops all results" in i.log(), got, i.log()[-900:])
        w.close()


def test_filter_nexthop():
    with Server() as s, Instance(settings=["content_filter = smtp:",
                                           "default_filter_nexthop = [127.0.0.1]:%d" % s.port]) as i:
        send(i, "x@far.test", "y@else.test")
        for to in ("x@far.test", "y@else.test"):
            need("relay=127.0.0.1[127.0.0.1]:%d" % s.port in result(i, to))
        need(len(s.mails) == 1, "one delivery for all", s.mails)


def test_names_behind_aliases():
    with world(["smtp_cname_overrides_servername = yes"]) as (i, one, two, dns):
        send(i, "x@mxcname.test", "x@two.test")
        need("relay=b.two.test[127.0.0.3]" in result(i, "x@mxcname.test"))
        need("relay=a.two.test[127.0.0.2]" in result(i, "x@two.test"))


def test_idle_connections():
    """connection_cache_ttl_limit is above smtp_connection_cache_time_limit."""
    with Server() as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_connection_cache_destinations = [127.0.0.1]:%d" % s.port,
            "smtp_connection_cache_time_limit = 6000s", "connection_cache_ttl_limit = 1s"]) as i:
        send(i, "x@far.test")
        need("status=sent" in result(i, "x@far.test"))
        need(wait_for(lambda: "QUIT" in s.said, 30), s.said)


def test_dnssec_probe():
    with world(["smtp_tls_security_level = dane"]) as (i, one, two, dns):
        dns.add(". NS a.root.test")
        send(i, "a@two.test")
        need("status=sent" in result(i, "a@two.test"))
        need(i.wait_log("DNSSEC validation may be unavailable: dnssec_probe 'ns:.' received a response that is "
                        "not DNSSEC validated"), i.log()[-900:])
        send(i, "b@two.test")
        need("status=sent" in result(i, "b@two.test"))
        need(len([q for q in dns.queries if q[0] == "" and q[1] == "NS"]) == 1, dns.queries)
    with world(["smtp_tls_security_level = dane"]) as (i, one, two, dns):
        # The resolver validates; this destination is not signed.
        dns.add(". NS a.root.test")
        dns.secure, dns.unsigned = True, {"test"}
        send(i, "a@two.test")
        need("status=sent" in result(i, "a@two.test"))
        need(wait_for(lambda: [q for q in dns.queries if q[0] == ""]), dns.queries)
        send(i, "b@two.test")
        need("status=sent" in result(i, "b@two.test"))
        need("DNSSEC validation" not in i.log(), i.log()[-900:])


def test_ways():
    """Next hops of tables: with and without transport, port, brackets."""
    with world() as (i, one, two, dns):
        port = one.port
        i.set("transport_maps = inline:{{a.far.test = smtp:[127.0.0.3]:%d}, {b.far.test = :[127.0.0.3]}, "
              "{c.far.test = smtp:two.test:%d}, {d.far.test = :same.test}, {e.far.test = smtp:nomx.test}, "
              "{f.far.test = smtp:[a.two.test]}, {two.test = slow:}, {.two.test = error:no}}" % (port, port))
        i.set("sender_dependent_default_transport_maps = inline:{{vip@example.test = smtp:[127.0.0.3]}}")
        i.set("sender_dependent_relayhost_maps = inline:{{@relay.test = [127.0.0.2]}}")
        with open(i.etc + "/master.cf", "a") as f:
            f.write("slow unix - - n - - smtp -o smtp_helo_name=slow.name.test -o smtp_bind_address=127.0.0.7\n")
        i.run("postern", "-c", i.etc, "stop")
        i.start()
        at2, at3 = r"\[127\.0\.0\.2\]", r"\[127\.0\.0\.3\]"
        for sender, to, want in (
                ("ann@example.test", "x@a.far.test", at3), ("ann@example.test", "x@b.far.test", at3),
                ("ann@example.test", "x@c.far.test", "a.two.test" + at2),
                ("ann@example.test", "x@d.far.test", at2 + "|" + at3), ("ann@example.test", "x@e.far.test", at3),
                ("ann@example.test", "x@f.far.test", "a.two.test" + at2),
                ("vip@example.test", "x@unknown.test", at3), ("u@relay.test", "y@unknown.test", at2),
                ("ann@example.test", "x@two.test", at2)):
            send(i, to, sender=sender)
            line = result(i, to)
            need(re.search("relay=\\S*(%s):%d, .*status=sent" % (want, port), line), to, line)
        need("EHLO slow.name.test" in one.said and "EHLO mx.example.test" in one.said, one.said)
        send(i, "x@sub.two.test")
        need("status=bounced (no)" in result(i, "x@sub.two.test"))


def test_debug_peers():
    with world(["debug_peer_list = two.test", "smtp_sasl_auth_enable = yes", "smtp_sasl_security_options =",
                "smtp_sasl_password_maps = inline:{a.two.test=me:geheim}"],
               keywords=("AUTH PLAIN",), plan={"unknown": reply("235 2.7.0 fine")}) as (i, one, two, dns):
        send(i, "x@two.test", "x@nomx.test")
        need("status=sent" in result(i, "x@two.test") and "status=sent" in result(i, "x@nomx.test"))
        at = r"a\.two\.test\[127\.0\.0\.2\]:\d+: "
        for line in ("< " + at + "220 bad", "> " + at + "EHLO mx", "> " + at + "AUTH PLAIN$", "> " + at + "RCPT TO:<x@two.test>"):
            need(re.search(line, i.log(), re.M), line, i.log()[-1500:])
        need("nomx.test[127.0.0.3]:%d: " % one.port not in i.log() and "geheim" not in i.log())
        need("AG1lAGdlaGVpbQ" not in i.log())


def test_fallback_has_its_own_policy():
    """A host that must encrypt and does not is passed over for the fallback."""
    with Server() as spare, world(["smtp_fallback_relay = [127.0.0.1]:%d" % spare.port,
                                   "smtp_tls_policy_maps = inline:{two.test=encrypt}"]) as (i, one, two, dns):
        send(i, "x@two.test")
        line = result(i, "x@two.test")
        need("relay=127.0.0.1[127.0.0.1]:%d" % spare.port in line and "status=sent" in line, line)
        need(not one.mails and not two.mails and len(spare.mails) == 1)
        need("TLS is required, but was not offered by host a.two.test[127.0.0.2]" in i.log())


def test_limits_of_hosts():
    """smtp_mx_session_limit counts who greeted us, smtp_mx_address_limit all."""
    busy = {"MAIL": reply("450 4.7.1 later")}
    for setting, tried in (("smtp_mx_session_limit = 1", 1), ("smtp_mx_session_limit = 2", 2),
                           ("smtp_mx_address_limit = 1", 1)):
        with world([setting], plan=busy) as (i, one, two, dns):
            send(i, "x@two.test")
            need("status=deferred" in result(i, "x@two.test"))
            need(one.clients + two.clients == tried, setting, one.clients, two.clients)


def test_dsn_words_are_passed():
    """ENVID, RET, NOTIFY, ORCPT: on to servers with DSN, to others not."""
    with Server() as s, Server(keywords=("PIPELINING",)) as old, Instance(settings=[
            "transport_maps = inline:{{far.test = smtp:[127.0.0.1]:%d}, {old.test = smtp:[127.0.0.1]:%d}}" %
            (s.port, old.port)]) as i:
        with i.smtp() as c:
            c.ehlo("client.test")
            c.mail("ann@example.test", ["ENVID=a+2Bb", "RET=HDRS"])
            c.rcpt("x@far.test", ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;orig+2B1@far.test"])
            c.rcpt("y@far.test", ["NOTIFY=NEVER"])
            c.rcpt("z@old.test", ["NOTIFY=FAILURE"])
            c.data("Subject: x\r\n\r\nx\r\n")
        for to in ("x@far.test", "y@far.test", "z@old.test"):
            need("status=sent" in result(i, to))
        mail = [x for x in s.said if x.startswith("MAIL")][0]
        need(" ENVID=a+2Bb" in mail and " RET=HDRS" in mail, mail)
        rcpts = {x.split(">")[0].split("<")[1]: x for x in s.said if x.startswith("RCPT")}
        need(rcpts["x@far.test"].endswith(" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;orig+2B1@far.test"), rcpts)
        need(" NOTIFY=NEVER" in rcpts["y@far.test"], rcpts)
        need(not [x for x in old.said if "NOTIFY" in x or "ENVID" in x or "ORCPT" in x], old.said)


def test_tlsa_of_unsigned_hosts():
    for force, asked in (("no", 0), ("yes", 1)):
        with world(["smtp_tls_security_level = dane", "dnssec_probe =",
                    "smtp_tls_force_insecure_host_tlsa_lookup = " + force]) as (i, one, two, dns):
            send(i, "a@two.test")
            need("status=sent" in result(i, "a@two.test"))
            need(len([q for q in dns.queries if q[1] == "TLSA"]) == asked, force, dns.queries)


def test_authorization_identity():
    for words, want in ((["send_cyrus_sasl_authzid = yes"], b"me\0me\0secret"), ([], b"\0me\0secret")):
        with Server(keywords=("AUTH PLAIN",)) as s, Instance(settings=[
                "relayhost = [127.0.0.1]:%d" % s.port, "smtp_sasl_auth_enable = yes",
                "smtp_sasl_password_maps = inline:{127.0.0.1=me:secret}", "smtp_sasl_security_options =", *words]) as i:
            send(i, "a@two.test")
            need(wait_for(lambda: [x for x in s.said if x.startswith("AUTH ")]), i.log()[-900:])
            got = [base64.b64decode(x.split()[2]) for x in s.said if x.startswith("AUTH ")]
            need(got[0] == want, got)


def test_options_of_mechanisms_are_checked():
    i = Instance(settings=["lmtp_sasl_auth_enable = yes", "lmtp_sasl_password_maps = inline:{a=b:c}",
                           "lmtp_sasl_tls_security_options = noanonymous, nosuch"])
    try:
        status, out, err = i.run("postern", "-c", i.etc, "check", check=False)
        need(status != 0 and re.search(r"main\.cf, line \d+: lmtp_sasl_tls_security_options: unknown option: nosuch",
                                       out + err), out + err)
    finally:
        i.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
