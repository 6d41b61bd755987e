"""TLS to other servers: each level against each kind of certificate, DANE
(RFC 7672), fall-back, resumption, client certificates, what is refused.
"""
import base64
import contextlib
import hashlib
import os
import re
import socket
import ssl
import sys
import tempfile

from dns import DNS
from harness import Instance, main, need, wait_for
from tls import Authority, TlsServer, fingerprint, openssl

HOSTS = {"good": "127.0.1.1", "expired": "127.0.1.2", "wrong": "127.0.1.3", "self": "127.0.1.4"}
NOT_TRUSTED = "Server certificate not trusted"
NOT_VERIFIED = "Server certificate not verified"

# level: what comes of good, expired, wrong name, self-signed. A word of the
# log for mail that is sent, else why it waits.
LEVELS = {
    "none": ("plain", "plain", "plain", "plain"),
    "may": ("Trusted", "Untrusted", "Trusted", "Untrusted"),
    "encrypt": ("Trusted", "Untrusted", "Trusted", "Untrusted"),
    "verify": ("Verified", NOT_TRUSTED, NOT_VERIFIED, NOT_TRUSTED),
    "secure": ("Verified", NOT_TRUSTED, NOT_VERIFIED, NOT_TRUSTED),
    "fingerprint": ("Verified", NOT_TRUSTED, NOT_VERIFIED, NOT_TRUSTED),
}


@contextlib.contextmanager
def world(settings=(), modes=None, zone="", ca_server=None, dns_host="127.0.0.1"):
    """A server for each kind of certificate, all on one port."""
    directory = tempfile.mkdtemp(prefix="postern-ca-")
    os.chmod(directory, 0o755)
    ca = Authority(directory)
    certs = {
        "good": ca.make("good", ["mx.good.test", "*.good.test"]),
        "expired": ca.make("expired", ["mx.expired.test", "*.expired.test"], days=-1),
        "wrong": ca.make("wrong", ["mx.elsewhere.test"], "rsa"),
        "self": ca.self_signed("self", ["mx.self.test", "*.self.test"]),
    }
    with contextlib.ExitStack() as stack:
        servers, port = {}, 0
        for name, host in HOSTS.items():
            chain = certs[name][1] if name == "self" else ca.chain(certs[name][1])
            s = TlsServer(host, port, chain, certs[name][0],
                          (modes or {}).get(name, "starttls"), ca=ca_server and ca.cert)
            servers[name], port = stack.enter_context(s), s.port
        dns = stack.enter_context(DNS(zone, host=dns_host))
        for name, host in HOSTS.items():
            dns.add("mx.%s.test A %s" % (name, host))
            dns.add("*.%s.test MX 10 mx.%s.test" % (name, name))
            dns.add("%s.test MX 10 mx.%s.test" % (name, name))
        i = Instance(dns=dns, settings=["smtp_tcp_port = %d" % port, "smtp_tls_loglevel = 1",
                                        "inet_interfaces = 127.0.0.1", "smtp_tls_CAfile = " + ca.cert,
                                        "minimal_backoff_time = 1000s", *settings])
        i.ca, i.certs, i.tcp = ca, certs, port
        stack.enter_context(i)
        yield i, servers, dns


def policy(i, lines):
    with open(os.path.join(i.etc, "tls_policy"), "w") as f:
        f.write("\n".join(lines) + "\n")
    i.set("smtp_tls_policy_maps = texthash:%s/tls_policy" % i.etc)
    before = set(i.pids("smtp") + i.pids("lookup"))
    i.run("postern", "-c", i.etc, "reload")
    need(wait_for(lambda: not before & {p for p, _ in i.children()} and i.pids("smtp") and i.pids("lookup")))


def send(i, *to):
    for address in to:
        i.run("sendmail", "-f", "ann@example.test", address, stdin=b"Subject: x\n\nbody\n")


def result(i, to, seconds=30):
    m = wait_for(lambda: re.search(r"to=<%s>, .*status=(\w+) (.*)" % re.escape(to), i.log()), seconds)
    need(m, "no result for", to, i.log()[-2500:])
    return m.group(1), m.group(2)


def established(i, host):
    return re.findall(r"(\w+) TLS connection established to mx\.%s\.test" % host, i.log())


def test_levels():
    with world() as (i, servers, _):
        lines = []
        for level in LEVELS:
            for kind in HOSTS:
                extra = " match=" + fingerprint(i.certs["good"][1]) if level == "fingerprint" else ""
                lines.append("%s.%s.test %s%s" % (level, kind, level, extra))
        policy(i, lines)
        for level, wants in LEVELS.items():
            for kind, want in zip(HOSTS, wants):
                before, to = len(established(i, kind)), "u@%s.%s.test" % (level, kind)
                mails = len(servers[kind].mails)
                send(i, to)
                status, text = result(i, to)
                new = established(i, kind)[before:]
                if want == "plain":
                    need(status == "sent" and not new and not servers[kind].mails[mails][0], to, status, text, new)
                elif " " in want:
                    need(status == "deferred" and want in text, to, status, text, new)
                    need(len(servers[kind].mails) == mails, "mail was given to", to)
                else:
                    need(status == "sent" and new == [want] and servers[kind].mails[mails][0],
                         to, status, text, new)


def tlsa(cert, usage=3, selector=1, matching=1):
    """A record for a certificate: of its key (1) or the whole (0)."""
    der = ssl.PEM_cert_to_DER_cert(open(cert).read())
    if selector == 1:
        pem = openssl("x509", "-in", cert, "-noout", "-pubkey")
        der = base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
    data = {0: der, 1: hashlib.sha256(der).digest(), 2: hashlib.sha512(der).digest()}[matching]
    return "%d %d %d %s" % (usage, selector, matching, data.hex())


def test_dane():
    """RFC 7672: each kind of record, with and without DNSSEC."""
    with world(settings=["smtp_tls_security_level = dane"]) as (i, servers, dns):
        dns.secure = True
        good, wrong = i.certs["good"][1], i.certs["wrong"][1]
        ca = tlsa(i.ca.cert, 2, 0, 1)
        rows = (
            # (server, records, insecure, dane, dane-only)
            ("good", [tlsa(good)], False, "Verified", "Verified"),
            ("good", [tlsa(good, 3, 0, 2)], False, "Verified", "Verified"),
            ("good", [ca], False, "Verified", "Verified"),
            # Each selector and matching type, of a key and of an authority's.
            ("good", [tlsa(good, 3, 0, 0)], False, "Verified", "Verified"),
            ("good", [tlsa(good, 3, 0, 1)], False, "Verified", "Verified"),
            ("good", [tlsa(good, 3, 1, 0)], False, "Verified", "Verified"),
            ("good", [tlsa(good, 3, 1, 2)], False, "Verified", "Verified"),
            ("good", [tlsa(i.ca.cert, 2, 1, 1)], False, "Verified", "Verified"),
            ("good", [tlsa(i.ca.cert, 2, 1, 2)], False, "Verified", "Verified"),
            ("good", [tlsa(i.ca.cert, 2, 0, 2)], False, "Verified", "Verified"),
            ("good", [tlsa(i.ca.cert, 2, 0, 0)], False, "Verified", "Verified"),
            ("good", [tlsa(i.ca.cert, 2, 1, 0)], False, "Verified", "Verified"),
            ("good", [tlsa(wrong, 3, 0, 0)], False, NOT_TRUSTED, NOT_TRUSTED),
            ("expired", [ca], False, "Server certificate not", "Server certificate not"),
            # Usages 0 and 1 count for nothing (RFC 7672 3.1.3), nor what is unknown.
            ("self", [tlsa(i.certs["self"][1], 0)], False, "Untrusted", "unusable"),
            ("good", [tlsa(wrong, 1), tlsa(good)], False, "Verified", "Verified"),
            ("good", [tlsa(good, 1), tlsa(wrong)], False, NOT_TRUSTED, NOT_TRUSTED),
            ("self", ["3 1 9 " + "ab" * 32], False, "Untrusted", "unusable"),
            ("self", ["3 1 1 abcd"], False, "Untrusted", "unusable"),
            ("good", [tlsa(wrong)], False, NOT_TRUSTED, NOT_TRUSTED),
            ("good", [tlsa(wrong), tlsa(good)], False, "Verified", "Verified"),
            # DANE-EE: dates and names do not count; DANE-TA: they do.
            ("expired", [tlsa(i.certs["expired"][1])], False, "Verified", "Verified"),
            ("wrong", [tlsa(wrong)], False, "Verified", "Verified"),
            ("self", [tlsa(i.certs["self"][1])], False, "Verified", "Verified"),
            ("wrong", [ca], False, "Server certificate not", "Server certificate not"),
            # None that can be used (PKIX): encryption alone.
            ("self", [tlsa(i.certs["self"][1], 1)], False, "Untrusted", "unusable"),
            ("self", [], False, "Untrusted", "no TLSA records found"),
            # Without DNSSEC records mean nothing.
            ("good", [tlsa(wrong)], True, "Trusted", "non DNSSEC destination"),
        )
        for level in ("dane", "dane-only"):
            i.set("smtp_tls_security_level = " + level)
            policy(i, ["never.test none"])
            for n, (kind, records, insecure, *wants) in enumerate(rows):
                name = "_%d._tcp.mx.%s.test" % (i.tcp, kind)
                for record in records:
                    dns.add(name + " TLSA " + record)
                dns.secure = not insecure
                to = "r%d@%s.%s.test" % (n, level, kind)
                before, want = len(established(i, kind)), wants[level == "dane-only"]
                send(i, to)
                status, text = result(i, to)
                new = established(i, kind)[before:]
                if " " in want or want == "unusable":
                    need(status == "deferred" and want in text, n, to, status, text, new)
                else:
                    need(status == "sent" and new == [want], n, to, status, text, new)
                dns.remove(name)
        # What can't be looked up is no reason to go without.
        i.set("smtp_tls_security_level = dane")
        policy(i, ["never.test none"])
        dns.secure = True
        dns.fail("_%d._tcp.mx.good.test" % i.tcp, "servfail")
        send(i, "fail@x.good.test")
        status, text = result(i, "fail@x.good.test")
        need(status == "deferred" and "TLSA lookup error" in text, status, text)
        need(servers["good"].names[-1] is None or servers["good"].names[-1] == "mx.good.test", servers["good"].names)
        need("mx.good.test" in servers["good"].names, "no SNI with DANE", servers["good"].names)


def own_address():
    """One of this machine's that is not loopback, or None; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, contextlib.suppress(OSError):
        s.connect(("192.0.2.1", 9))
        host = s.getsockname()[0]
        return None if host.startswith("127.") else host
    return None


def test_whose_ad_bit():
    """DNSSEC's word counts from a resolver on loopback alone: else whoever is on the way says it."""
    host = own_address()
    if not host:
        return "this machine has no address but loopback"
    def ask(**args):
        with world(["smtp_tls_security_level = dane"], **args) as (i, servers, dns):
            dns.secure = True
            dns.add("_%d._tcp.mx.good.test TLSA %s" % (i.tcp, tlsa(i.certs["good"][1])))
            dns.add("_%d._tcp.mx.self.test TLSA %s" % (i.tcp, tlsa(i.certs["wrong"][1])))
            policy(i, ["only.good.test dane-only"])
            send(i, "u@x.good.test", "u@only.good.test", "u@x.self.test")
            got = [result(i, to) for to in ("u@x.good.test", "u@only.good.test", "u@x.self.test")]
            return got, established(i, "good"), established(i, "self"), dns
    got, good, other, dns = ask()
    need(got[0][0] == got[1][0] == "sent" and good == ["Verified"] * 2, got, good)
    need(got[2][0] == "deferred" and NOT_TRUSTED in got[2][1], got)
    # From elsewhere it is as if nothing were signed: opportunistic, and no TLSA question.
    got, good, other, dns = ask(dns_host=host)
    need(got[0][0] == got[2][0] == "sent" and good == ["Trusted"] and other == ["Untrusted"], got, good, other)
    need(got[1][0] == "deferred" and "non DNSSEC destination" in got[1][1], got)
    need(not [q for q in dns.queries if q[1] == "TLSA"] and [q for q in dns.queries if q[1] == "MX"], dns.queries)


def test_dane_zones():
    """An MX record without DNSSEC, hosts with it; and hosts with other names."""
    with world(settings=["smtp_tls_security_level = dane"]) as (i, servers, dns):
        dns.secure = True
        dns.unsigned.add("far.test")
        own, wrong = tlsa(i.certs["self"][1]), tlsa(i.certs["wrong"][1])
        record = "_%d._tcp.mx.self.test" % i.tcp
        n = 0
        for level, insecure, records, want in (
                # Who was asked for could have been forged: never Verified.
                ("dane", "dane", [own], "Trusted"), ("dane", "dane", [wrong], NOT_TRUSTED),
                ("dane", "encrypt", [own], "Untrusted"), ("dane", "encrypt", [wrong], "Untrusted"),
                ("dane", "may", [own], "Untrusted"), ("dane", "may", [wrong], "Untrusted"),
                ("dane-only", "dane", [own], "non DNSSEC destination")):
            i.set("smtp_tls_security_level = " + level)
            i.set("smtp_tls_dane_insecure_mx_policy = " + insecure)
            policy(i, ["never.test none"])
            for r in records:
                dns.add(record + " TLSA " + r)
            n += 1
            dns.add("z%d.far.test MX 10 mx.self.test" % n)
            before = len(established(i, "self"))
            send(i, "a@z%d.far.test" % n)
            status, text = result(i, "a@z%d.far.test" % n)
            new = established(i, "self")[before:]
            if " " in want:
                need(status == "deferred" and want in text, level, insecure, status, text, new)
            else:
                need(status == "sent" and new == [want], level, insecure, records, status, text, new)
            dns.remove(record)
        # RFC 7672 2.1.3: records where the alias leads, else at its own name.
        i.set("smtp_tls_security_level = dane-only")
        policy(i, ["never.test none"])
        for n, (name, data, want) in enumerate((("mx.self.test", own, "Verified"), ("alias.good.test", own, "Verified"),
                                                ("mx.self.test", wrong, NOT_TRUSTED))):
            dns.add("c%d.good.test MX 10 alias.good.test" % n)
            if n == 0:
                dns.add("alias.good.test CNAME mx.self.test")
            dns.add("_%d._tcp.%s TLSA %s" % (i.tcp, name, data))
            send(i, "a@c%d.good.test" % n)
            status, text = result(i, "a@c%d.good.test" % n)
            found = re.findall(r"(\w+) TLS connection established to alias\.good\.test", i.log())
            need((status == "sent" and found[-1:] == [want]) or (" " in want and status == "deferred" and want in text),
                 name, status, text, found)
            dns.remove("_%d._tcp.%s" % (i.tcp, name))


def verdicts(i, wanted):
    """{recipient: text that its result has}."""
    send(i, *wanted)
    for to, want in wanted.items():
        status, text = result(i, to)
        need(want in status + " " + text, to, want, status, text, i.log()[-1500:])


def test_trust_anchors():
    """smtp_tls_trust_anchor_file and tafile=: these alone are believed."""
    with world(["smtp_tls_security_level = secure"]) as (i, servers, _):
        key = os.path.join(i.etc, "key.pem")
        with open(key, "w") as f:
            f.write(openssl("x509", "-in", i.ca.cert, "-noout", "-pubkey"))
        private = os.path.join(i.etc, "private.pem")
        with open(private, "w") as f, open(i.certs["good"][0]) as secret:
            f.write(secret.read())
        os.chmod(private, 0o644)
        stranger = i.ca.self_signed("stranger", ["stranger.test"])[1]
        lines = ["ca.good.test secure tafile=" + i.ca.cert, "key.good.test secure tafile=" + key,
                 "two.good.test secure { tafile = %s } tafile=%s" % (stranger, i.ca.cert),
                 "no.good.test secure tafile=" + stranger, "ca.wrong.test secure tafile=" + i.ca.cert,
                 "ca.expired.test secure tafile=" + i.ca.cert, "own.self.test verify tafile=" + i.certs["self"][1],
                 "gone.good.test secure tafile=/nonexistent", "none.good.test secure tafile=" + private,
                 "may.good.test may tafile=" + i.ca.cert]
        policy(i, lines)
        verdicts(i, {
            "u@ca.good.test": "sent", "u@key.good.test": "sent", "u@two.good.test": "sent",
            "u@no.good.test": NOT_TRUSTED, "u@ca.wrong.test": NOT_VERIFIED, "u@ca.expired.test": NOT_TRUSTED,
            "u@own.self.test": "sent", "u@gone.good.test": "client TLS configuration problem",
            "u@none.good.test": "client TLS configuration problem",
            "u@may.good.test": "client TLS configuration problem", "u@other.good.test": "sent"})
        need("tafile: no certificate and no public key" in i.log(), i.log()[-2000:])
        # main.cf's: the authority of smtp_tls_CAfile is not asked any more.
        i.set("smtp_tls_trust_anchor_file = " + stranger)
        policy(i, lines)
        verdicts(i, {"v@other.good.test": NOT_TRUSTED, "v@ca.good.test": "sent"})
        i.set("smtp_tls_trust_anchor_file = %s, %s" % (stranger, key))
        policy(i, lines)
        verdicts(i, {"w@other.good.test": "sent", "w@no.good.test": NOT_TRUSTED, "w@x.self.test": NOT_TRUSTED})
        i.set("smtp_tls_trust_anchor_file = /nonexistent")
        status, out, err = i.run("postern", "-c", i.etc, "check", check=False)
        need(status != 0 and "smtp_tls_trust_anchor_file: /nonexistent: No such file" in out + err, out, err)


def test_sts_patterns():
    """smtp_tls_enforce_sts_mx_patterns: hosts that the policy does not name get nothing."""
    with world() as (i, servers, _):
        sts = " policy_type=sts policy_domain=good.test policy_ttl=9 { policy_string = version: STSv1 }"
        lines = ["a.good.test secure match=mx.good.test mx_host_pattern=mx.good.test" + sts,
                 "b.good.test secure match=.good.test mx_host_pattern=*.good.test" + sts,
                 "c.good.test secure match=mx.good.test mx_host_pattern=mx2.good.test" + sts,
                 # The certificate is another host's of the same policy.
                 "d.wrong.test secure match=mx.elsewhere.test:mx.wrong.test mx_host_pattern=mx.wrong.test " + sts]
        policy(i, lines)
        verdicts(i, {"u@a.good.test": "sent", "u@b.good.test": "sent",
                     "u@c.good.test": "MX name mx.good.test does not match", "u@d.wrong.test": NOT_VERIFIED})
        need("MX name 'mx.good.test' does not match STS MX pattern for 'good.test'" in i.log())
        need(len(servers["good"].mails) == 2 and not servers["wrong"].mails)
        i.set("smtp_tls_enforce_sts_mx_patterns = no")
        policy(i, lines)
        verdicts(i, {"v@c.good.test": "sent", "v@d.wrong.test": "sent"})


def test_feature_status():
    """tls= of log lines: what was wanted, and what came of it."""
    with world(["smtp_tls_security_level = may"], modes={"wrong": "plain", "expired": "refuse"}) as (i, servers, dns):
        dns.secure, dns.unsigned = True, {"wrong.test"}
        dns.add("_%d._tcp.mx.good.test TLSA %s" % (i.tcp, tlsa(i.certs["good"][1])))
        dns.add("_%d._tcp.mx.self.test TLSA %s" % (i.tcp, tlsa(i.certs["wrong"][1])))
        policy(i, ["none.good.test none", "enc.good.test encrypt", "enc.wrong.test encrypt", "sec.good.test secure",
                   "sec.self.test secure", "dane.good.test dane", "dane.self.test dane", "dane.wrong.test dane",
                   "bad.good.test what", "enc.expired.test encrypt", "only.wrong.test dane-only"])
        for to, want in (("none.good", "none"), ("x.good", "may"), ("x.wrong", "may:none"), ("x.expired", "may:none"),
                         ("enc.good", "encrypt"), ("enc.wrong", "!encrypt"), ("enc.expired", "!encrypt"),
                         ("sec.good", "secure"), ("sec.self", "!secure"), ("dane.good", "dane"),
                         ("dane.self", "!dane"), ("dane.wrong", "may:none"), ("only.wrong", "dane-only?"),
                         ("bad.good", "unknown?")):
            send(i, "s@%s.test" % to)
            m = i.wait_log(r"to=<s@%s\.test>, .*" % re.escape(to))
            need(m and re.search(r" delays=[0-9./]+, tls=%s, dsn=" % re.escape(want), m.group(0)), to, want, m)
        i.set("smtp_log_tls_feature_status = no")
        i.reload()
        send(i, "t@x.good.test")
        need("tls=" not in i.wait_log(r"to=<t@x\.good\.test>, .*").group(0))


def test_tls_required_no():
    """RFC 8689: "TLS-Required: no" goes where it can; a report about it does, too, and other mail does not."""
    with world(["smtp_tls_security_level = secure", "smtp_tls_connection_reuse = yes"],
               modes={"wrong": "plain"}) as (i, servers, dns):
        policy(i, ["never.good.test secure match=nobody.test", "bounce.good.test none"])

        def mail(to, header="TLS-Required: No"):
            i.run("sendmail", "-f", "ann@example.test", to, stdin=(header + "\nSubject: x\n\nbody\n").encode())
            return result(i, to)
        need(mail("a@never.good.test")[0] == "sent" and established(i, "good") == ["Trusted"], i.log()[-1500:])
        need(mail("a@x.self.test")[0] == "sent" and established(i, "self") == ["Untrusted"], i.log()[-1500:])
        need(mail("a@x.wrong.test")[0] == "sent", i.log()[-1500:])          # no STARTTLS at all
        need("\r\nTLS-Required: No\r\n" in servers["self"].mails[-1][-1].decode(), servers["self"].mails[-1])
        # What follows at once has the policy's word.
        need(mail("b@never.good.test", "X-Y: z")[0] == "deferred")
        need(mail("b@x.self.test", "TLS-Required: maybe")[0] == "deferred")
        need("ignoring malformed header: 'TLS-Required: maybe'" in i.log())
        i.run("postsuper", "-d", "ALL")
        # A report has the header, where it is wanted.
        for wanted in (True, False):
            i.set("transport_maps = inline:{{dead.test = error:5.1.1 nobody}}")
            i.set("tls_required_enable = " + ("yes" if wanted else "no"))
            policy(i, ["never.good.test secure match=nobody.test"])
            to = "u%d@dead.test" % wanted
            i.run("sendmail", "-f", "ann@example.test", to, stdin=b"TLS-Required: no\nSubject: x\n\nx\n")
            need(result(i, to)[0] == "bounced")
            need(i.wait_mails("ann", 1 if wanted else 2), "no report")
        heads = [m.split(b"\n\n")[0].split(b"\r\n\r\n")[0] for m in i.mails("ann")]
        need(sum(b"TLS-Required: no" in h for h in heads) == 1 and len(heads) == 2, heads)
        need(mail("c@never.good.test")[0] == "deferred", "it is off")


def test_per_site():
    """smtp_tls_per_site: the old form, by next hop and by host."""
    with world(["smtp_tls_security_level = encrypt"]) as (i, servers, _):
        i.set("smtp_tls_per_site = inline:{{none.good.test = NONE}, {must.wrong.test = MUST}, {may.good.test = MAY}, "
              "{mx.self.test = MUST_NOPEERMATCH}, {must.self.test = MUST}, {odd.good.test = encrypt}, "
              "{mx.expired.test = NONE}, {any.expired.test = MAY}}")
        i.reload()
        verdicts(i, {"u@none.good.test": "sent", "u@must.wrong.test": NOT_VERIFIED, "u@x.self.test": "sent",
                     "u@must.self.test": NOT_TRUSTED, "u@odd.good.test": "client TLS configuration problem",
                     "u@any.expired.test": "sent"})
        need([m[0] for m in servers["good"].mails] == [False], servers["good"].mails)
        need([m[0] for m in servers["expired"].mails] == [False], "NONE is more than MAY")
        need([m[0] for m in servers["self"].mails] == [True])
        # MAY of main.cf's encrypt is encrypt.
        verdicts(i, {"u@may.good.test": "sent"})
        need(servers["good"].mails[-1][0])
        i.set("smtp_tls_policy_maps = inline:{none.good.test=may}")
        i.reload()
        verdicts(i, {"v@none.good.test": "sent"})
        need(servers["good"].mails[-1][0] and "smtp_tls_per_site is ignored" in i.log())


def test_what_servers_refuse():
    modes = {"good": "plain", "expired": "refuse", "wrong": "break", "self": "inject"}
    with world(modes=modes) as (i, servers, _):
        policy(i, ["%s.%s.test %s" % (level, kind, level) for level in ("may", "encrypt") for kind in HOSTS] +
               ["bad.good.test sometimes", "old.self.test encrypt protocols=TLSv9"])
        for to, want, why in (
                ("a@may.good.test", "sent", ""),
                ("a@encrypt.good.test", "deferred", "TLS is required, but was not offered by host mx.good.test"),
                ("a@may.expired.test", "sent", ""),
                ("a@encrypt.expired.test", "deferred", "refused to start TLS: 454 4.7.0 not now"),
                ("a@may.wrong.test", "deferred", "Cannot start TLS: handshake failure"),
                ("a@encrypt.wrong.test", "deferred", "Cannot start TLS: handshake failure"),
                # CVE-2021-38371 and its kin: a reply from before.
                ("a@may.self.test", "deferred", "remote protocol error"),
                ("a@encrypt.self.test", "deferred", "remote protocol error"),
                ("a@bad.good.test", "deferred", "client TLS configuration problem"),
                ("a@old.self.test", "deferred", "")):
            send(i, to)
            status, text = result(i, to)
            need(status == want and why in text, to, status, text)
        need("SSL_connect error to mx.wrong.test[127.0.1.3]:%d: " % i.tcp in i.log())


def test_lmtp():
    """The same over LMTP, by lmtp_tls_*: levels, policies; not by smtp's."""
    words = ["smtp_tls_security_level = none", "lmtp_tls_loglevel = 1", "lmtp_tls_security_level = secure",
             "transport_maps = inline:{" + ", ".join(
                 "{%s.test = lmtp:inet:mx.%s.test:$smtp_tcp_port}" % (k, k) for k in HOSTS) + "}"]
    with world(settings=words) as (i, servers, dns):
        i.set("lmtp_tls_CAfile = " + i.ca.cert)
        i.set("lmtp_tls_policy_maps = inline:{{mx.self.test:%d = encrypt}, {mx.expired.test:%d = may}}" %
              (i.tcp, i.tcp))
        before = set(i.pids("lmtp") + i.pids("lookup"))
        i.run("postern", "-c", i.etc, "reload")
        need(wait_for(lambda: not before & {p for p, _ in i.children()} and i.pids("lmtp") and i.pids("lookup")))
        for kind, want, word in (("good", "sent", "Verified"), ("wrong", "deferred", NOT_VERIFIED),
                                 ("self", "sent", "Untrusted"), ("expired", "sent", "Untrusted")):
            send(i, "u@%s.test" % kind)
            status, text = result(i, "u@%s.test" % kind)
            need(status == want, kind, status, text)
            if want == "sent":
                need(established(i, kind) == [word] and servers[kind].mails[0][0], kind, established(i, kind))
            else:
                need(word in text and not servers[kind].mails, kind, text)


def test_without_tls_when_it_has_waited():
    """may: a handshake that fails is no wall, once the message has waited."""
    with world(settings=["minimal_backoff_time = 1s", "maximal_backoff_time = 1s", "queue_run_delay = 1s",
                         "smtp_tls_security_level = may"], modes={"good": "break"}) as (i, servers, _):
        send(i, "a@good.test")
        need(wait_for(lambda: servers["good"].mails, 40), i.log()[-2000:])
        need(not servers["good"].mails[0][0])
        need("Cannot start TLS: handshake failure" in i.log(), "the first try")


def test_no_plain_text_where_we_log_in():
    """may, and a handshake that fails: who has a password for that server does not go on without TLS."""
    with world(settings=["minimal_backoff_time = 1s", "maximal_backoff_time = 1s", "queue_run_delay = 1s",
                         "smtp_tls_security_level = may", "smtp_sasl_auth_enable = yes",
                         "smtp_sasl_password_maps = inline:{{mx.good.test = me:secret}}"],
               modes={"good": "break", "wrong": "break"}) as (i, servers, _):
        send(i, "a@good.test", "a@wrong.test")
        need(wait_for(lambda: servers["wrong"].mails, 40), i.log()[-2000:])
        need(not servers["wrong"].mails[0][0], "without TLS, and without a password")
        need(wait_for(lambda: i.log().count("SSL_connect error to mx.good.test") >= 4, 30), i.log()[-2000:])
        need(not servers["good"].mails and not any(
            re.search(r"to=<a@good.test>.*status=sent", x) for x in i.log().splitlines()), "it was sent")
        need(i.log().count("to=<a@good.test>") >= 3 and "Cannot start TLS: handshake failure" in i.log())


def test_connection_lost_under_tls():
    """may: TLS is up, and then the server is gone at the first command: once the message has waited, without."""
    with world(settings=["minimal_backoff_time = 1s", "maximal_backoff_time = 1s", "queue_run_delay = 1s",
                         "smtp_tls_security_level = may", "smtp_mx_session_limit = 1"],
               modes={"good": "hangup"}) as (i, servers, _):
        policy(i, ["must.good.test encrypt"])
        send(i, "a@x.good.test", "a@must.good.test")
        need(wait_for(lambda: servers["good"].mails, 40), i.log()[-2000:])
        need(not servers["good"].mails[0][0])
        m = i.wait_log(r"to=<a@x.good.test>, .*tls=may:none, .*status=sent")
        need(m, i.log()[-2000:])
        first = re.search(r"to=<a@x.good.test>, .*", i.log()).group(0)
        need("status=deferred (lost connection with mx.good.test" in first, first)
        need(wait_for(lambda: i.log().count("to=<a@must.good.test>") >= 3, 30), i.log()[-1500:])
        need(len(servers["good"].mails) == 1, "encrypt is a must")


def test_wrapper_resumption_names_certificates():
    modes = {name: "wrapper" for name in HOSTS}
    settings = ["smtp_tls_wrappermode = yes", "smtp_tls_security_level = encrypt",
                "smtp_tls_servername = hostname"]
    with world(settings=settings, modes=modes, ca_server=True) as (i, servers, _):
        key, cert = i.ca.make("me", ["me.test"], client=True)
        i.set("smtp_tls_chain_files = %s, %s" % (key, cert))
        policy(i, ["secure.good.test secure", "none.good.test none", "v12.good.test encrypt protocols=TLSv1.2"])
        for n in range(3):
            send(i, "u%d@secure.good.test" % n)
            need(result(i, "u%d@secure.good.test" % n)[0] == "sent", i.log()[-2000:])
        s = servers["good"]
        need(s.names[:3] == ["mx.good.test"] * 3, s.names)
        need(s.resumed == [False, True, True], s.resumed)
        need(established(i, "good") == ["Verified"] * 3, established(i, "good"))
        need(s.peers[0] == ssl.PEM_cert_to_DER_cert(open(cert).read()), "no certificate of ours")
        # No such port without TLS, whatever a policy says; and versions.
        send(i, "a@none.good.test", "a@v12.good.test")
        need(result(i, "a@none.good.test")[0] == "sent")
        need(result(i, "a@v12.good.test")[0] == "sent")
        need("TLSv1.2" in s.versions, s.versions)


if __name__ == "__main__":
    sys.exit(main(globals()))
