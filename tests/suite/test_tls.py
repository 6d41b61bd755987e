"""TLS for clients of smtpd: STARTTLS, TLS from the first byte, chains, server
names, client certificates, tickets, new certificates without a restart, and
what must not work (injection, plaintext where TLS is a must).
"""
import os
import shutil
import smtplib
import socket
import ssl
import sys

from harness import Instance, Wire, main, need, wait_for
from tls import Authority, context, fingerprint, openssl, peer_name, starttls


class Served(Instance):
    """With a CA, an RSA and an ECDSA certificate, and what a test adds."""

    def __init__(self, *settings, **kw):
        super().__init__(**kw)
        self.ca = Authority(os.path.join(self.dir, "ca"))
        rsa = self.ca.make("rsa", ["mx.example.test"], "rsa")
        ec = self.ca.make("ec", ["mx.example.test"], "ec")
        chains = []
        for key, cert in (rsa, ec):
            chains += [key, cert]
        self.set("smtpd_tls_chain_files = " + ", ".join(chains))
        for line in settings:
            self.set(line)

    def service(self, port, *overrides):
        self.run("postconf", "-M", "127.0.0.1:%d/inet=127.0.0.1:%d inet n - n - - smtpd %s" %
                 (port, port, " ".join("-o " + o for o in overrides)))


def test_setup_makes_a_certificate():
    with Instance() as i:
        need("tls.pem" in i.setup_output, i.setup_output)
        need(os.stat(os.path.join(i.etc, "tls.pem")).st_mode & 0o777 == 0o600)
        with starttls(i.port) as s:
            need(peer_name(s) == "mx.example.test", peer_name(s))
            s.sendmail("a@elsewhere.test", [i.addr("ann")], "Subject: tls\n\nx\n")
        mail = i.wait_mails("ann", 1)[0].decode()
        need("(using TLSv1.3 with cipher " in mail and "with ESMTPS id" in mail and
             "(No client certificate requested)" in mail, mail)
        need("Anonymous TLS connection established from localhost[127.0.0.1]: TLSv1.3 with cipher" in i.log())
        # A second run keeps it.
        before = open(os.path.join(i.etc, "tls.pem")).read()
        i._run([os.path.join(os.environ.get("POSTERN_BUILD", "build"), "sbin", "postern"),
                "setup", i.dir, "--user", "carl"], cwd=os.path.dirname(os.path.dirname(
                    os.path.dirname(os.path.abspath(__file__)))))
        need(open(os.path.join(i.etc, "tls.pem")).read() == before)


def test_chains_and_versions():
    with Served("smtpd_tls_loglevel = 1") as i:
        trusted = context(i.ca.cert)
        with starttls(i.port, trusted, "mx.example.test") as s:
            need(s.sock.version() == "TLSv1.3", s.sock.version())
        for sigalgs, kind in (("rsa_pss_rsae_sha256", "RSA-PSS"),
                              ("ecdsa_secp256r1_sha256", "ECDSA")):
            out = openssl("s_client", "-connect", "127.0.0.1:%d" % i.port, "-starttls", "smtp",
                          "-sigalgs", sigalgs, stdin=b"QUIT\r\n")
            need("Peer signature type: " + kind in out, out[-1500:])
        for cipher, kind in (("ECDHE-RSA-AES128-GCM-SHA256", "RSA"),
                             ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA")):
            out = openssl("s_client", "-connect", "127.0.0.1:%d" % i.port, "-starttls", "smtp",
                          "-tls1_2", "-cipher", cipher, stdin=b"QUIT\r\n")
            need("Cipher is " + cipher in out, out[-1500:])
        # Refused: too old, RSA key exchange, renegotiation.
        for bad in (["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
                    ["-tls1_2", "-cipher", "AES256-GCM-SHA384"]):
            out = openssl("s_client", "-connect", "127.0.0.1:%d" % i.port, "-starttls", "smtp",
                          *bad, stdin=b"QUIT\r\n", check=False)
            need("Cipher is (NONE)" in out, bad, out[-800:])
        need(wait_for(lambda: "SSL_accept error from localhost[127.0.0.1]: -1" in i.log() and
                      "lost connection after STARTTLS from localhost[127.0.0.1]" in i.log() and
                      "TLS library problem: error:" in i.log()), i.log()[-1500:])
        need("key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256" in i.log() or
             "server-signature ECDSA (prime256v1) server-digest SHA256" in i.log(), i.log()[-1500:])


def test_injection():
    """CVE-2011-0411: what came before the handshake is never used after it."""
    for forbid in ("yes", "no"):
        with Served("smtpd_forbid_unauth_pipelining = " + forbid) as i:
            w = Wire(i.port)
            w.reply()
            w.say("EHLO x")
            w.send("STARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@x.test>\r\n")
            answer = w.reply()
            if forbid == "yes":
                need(answer.startswith("554 5.5.0"), answer)
                need(w.closed())
                continue
            need(answer.startswith("220"), answer)
            tls = context().wrap_socket(w.s)
            f = tls.makefile("rb")
            tls.sendall(b"NOOP\r\n")
            need(f.readline() == b"250 2.0.0 Ok\r\n")
            # The greeting is forgotten, too.
            tls.sendall(b"RCPT TO:<ann@example.test>\r\n")
            line = f.readline()
            need(line.startswith(b"503 5.5.1"), line)
            tls.close()
            w.close()


def test_commands():
    with Served("smtpd_helo_required = yes") as i:
        w = Wire(i.port)
        w.reply()
        ehlo = w.say("EHLO x").split("\n")
        need("250-STARTTLS" in ehlo, ehlo)
        need(w.say("STARTTLS now") == "501 5.5.4 Syntax: STARTTLS")
        w.close()
        with starttls(i.port) as s:
            need("starttls" not in s.esmtp_features, s.esmtp_features)
            need(s.docmd("STARTTLS") == (554, b"5.5.1 Error: TLS already active"))
        s = smtplib.SMTP("127.0.0.1", i.port, timeout=60)
        s.ehlo("before.test")
        s.mail("a@b.test")
        s.starttls(context=context())
        need(s.docmd("MAIL", "FROM:<a@b.test>")[0] == 503, "EHLO was kept")
        s.close()
        # Truncation within DATA is no message.
        s = starttls(i.port)
        s.mail("a@b.test")
        s.rcpt(i.addr("ann"))
        s.docmd("DATA")
        s.sock.sendall(b"Subject: cut\r\n\r\nbody\r\n")
        socket.socket(fileno=s.sock.detach()).close()
        need(wait_for(lambda: "lost connection after DATA" in i.log()), i.log()[-800:])
        need(i.mails("ann") == [])
    with Served("smtpd_tls_security_level = encrypt") as i:
        w = Wire(i.port)
        w.reply()
        need("250-STARTTLS" in w.say("EHLO x").split("\n"))
        for line in ("MAIL FROM:<a@b.test>", "RSET", "VRFY x", "AUTH PLAIN"):
            need(w.say(line) == "530 5.7.0 Must issue a STARTTLS command first", line)
        need(w.say("NOOP").startswith("250"))
        w.close()
        with starttls(i.port) as s:
            s.sendmail("a@b.test", [i.addr("ann")], "Subject: x\n\nx\n")
    with Served("smtpd_tls_security_level = none") as i:
        w = Wire(i.port)
        w.reply()
        need("STARTTLS" not in w.say("EHLO x"))
        need(w.say("STARTTLS") == "502 5.5.1 Error: command not implemented")
        w.close()
    with Served("smtpd_tls_chain_files =") as i:
        w = Wire(i.port)
        w.reply()
        need("STARTTLS" not in w.say("EHLO x"))
        need(w.say("STARTTLS") == "454 4.7.0 TLS not available due to local problem")
        w.close()
    with Served("smtpd_starttls_timeout = 1s") as i:
        w = Wire(i.port)
        w.reply()
        w.say("STARTTLS")
        need(w.closed(20))
        need(wait_for(lambda: "SSL_accept error from localhost[127.0.0.1]: Connection timed out" in i.log()))
        w.close()


def test_wrapper():
    i = Served()
    i.service(i.base + 993, "smtpd_tls_wrappermode=yes", "smtpd_tls_loglevel=1")
    with i:
        for port in (i.base + 993, i.base + 465):
            with smtplib.SMTP_SSL("127.0.0.1", port, context=context(), timeout=60) as s:
                s.ehlo()
                need("starttls" not in s.esmtp_features, s.esmtp_features)
                need(s.docmd("STARTTLS")[0] == 554)
        s = socket.create_connection(("127.0.0.1", i.base + 993), 30)
        s.sendall(b"EHLO plain\r\n")
        s.settimeout(20)
        need(not s.recv(100).startswith(b"220"), "plain text was answered")
        s.close()
        need(wait_for(lambda: "lost connection after CONNECT" in i.log()), i.log()[-800:])


def resume(port, session=None):
    ctx = context(least=ssl.TLSVersion.TLSv1_2, most=ssl.TLSVersion.TLSv1_2)
    if session:
        ctx = session[0]
    s = socket.create_connection(("127.0.0.1", port), 30)
    f = s.makefile("rb")
    f.readline()
    s.sendall(b"STARTTLS\r\n")
    f.readline()
    t = ctx.wrap_socket(s, session=session[1] if session else None)
    t.sendall(b"QUIT\r\n")
    while t.recv(1000):
        pass
    out = (ctx, t.session), t.session_reused
    t.close()
    return out


def test_resumption_across_processes():
    i = Served("smtpd_worker_processes = 3")
    with i:
        session, reused = resume(i.port)
        need(not reused)
        # Whoever of the three takes it has the same keys.
        for _ in range(12):
            session, reused = resume(i.port, session)
            need(reused, "a full handshake")
        i.reload()
        need(resume(i.port, session)[1], "a reload has lost the tickets' keys")
        # TLS 1.3, by openssl(1).
        path = os.path.join(i.dir, "session")
        connect = ["s_client", "-connect", "127.0.0.1:%d" % i.port, "-starttls", "smtp"]
        openssl(*connect, "-sess_out", path, "-ign_eof", stdin=b"NOOP\r\nQUIT\r\n")
        out = openssl(*connect, "-sess_in", path, stdin=b"QUIT\r\n")
        need("Reused, TLSv1.3" in out, out[-1000:])
    with Served("smtpd_tls_session_cache_timeout = 0") as i:
        session, reused = resume(i.port)
        need(not resume(i.port, session)[1], "resumed without tickets")


def test_server_names():
    i = Served()
    sni = os.path.join(i.dir, "sni")
    os.makedirs(os.path.join(sni, "live.example.test"))
    for name in ("one.example.test", "two.example.test", "live.example.test", "a.wild.test"):
        i.ca.make(name, [name])
    with open(os.path.join(sni, "one.example.test.pem"), "w") as f:
        for end in (".key", ".pem"):
            f.write(open(i.ca.path("one.example.test" + end)).read())
    shutil.copy(i.ca.path("live.example.test.key"), os.path.join(sni, "live.example.test", "privkey.pem"))
    shutil.copy(i.ca.path("live.example.test.pem"), os.path.join(sni, "live.example.test", "fullchain.pem"))
    table = os.path.join(i.dir, "snimap")
    with open(table, "w") as f:
        f.write("two.example.test %s, %s\n" % (i.ca.path("two.example.test.key"),
                                              i.ca.path("two.example.test.pem")))
        f.write(".wild.test %s, %s\n" % (i.ca.path("a.wild.test.key"), i.ca.path("a.wild.test.pem")))
    i.run("postmap", "-F", "lmdb:" + table)
    i.set("tls_server_sni_directory = " + sni)
    i.set("tls_server_sni_maps = lmdb:" + table)
    # The level by client: the address's network, after a name that is none.
    i.set("smtpd_tls_loglevel_maps = inline:{{127.0 = 1}}")
    with i:
        for name in ("one.example.test", "two.example.test", "live.example.test"):
            with starttls(i.port, context(i.ca.cert), name) as s:
                need(peer_name(s) == name, name, peer_name(s))
            with starttls(i.port, context(i.ca.cert), name.upper()) as s:
                need(peer_name(s) == name, name, peer_name(s))
        with starttls(i.port, name="b.wild.test") as s:
            need(peer_name(s) == "a.wild.test", peer_name(s))
        for name in ("other.example.test", "mx.example.test"):
            with starttls(i.port, name=name) as s:
                need(peer_name(s) == "mx.example.test", name, peer_name(s))
        need("established from localhost[127.0.0.1] to one.example.test: TLSv1.3" in i.log(), i.log()[-900:])


def test_client_certificates():
    i = Served("smtpd_tls_loglevel = 2", "smtpd_tls_ask_ccert = yes", "mynetworks = 192.0.2.0/24",
               "smtpd_relay_restrictions = permit_tls_clientcerts, reject_unauth_destination")
    good = i.ca.make("client", ["client.test"], client=True)
    other = i.ca.self_signed("stranger", ["stranger.test"])
    i.set("smtpd_tls_CAfile = " + i.ca.cert)
    i.set("local_header_rewrite_clients = permit_tls_clientcerts")
    i.set("relay_clientcerts = inline:{{%s = client}}" % fingerprint(good[1]))
    i.service(i.base + 110, "smtpd_tls_security_level=encrypt", "smtpd_tls_req_ccert=yes")
    i.service(i.base + 143, "smtpd_relay_restrictions=permit_tls_all_clientcerts,reject")
    with open(os.path.join(i.etc, "certs"), "w") as f:
        f.write("%s REJECT no\n" % fingerprint(other[1]))
    i.service(i.base + 993, "smtpd_client_restrictions=check_ccert_access,texthash:%s/certs" % i.etc)
    with i:
        def relay(port, cert):
            ctx = context(cert=cert[1], key=cert[0]) if cert else context()
            with starttls(port, ctx) as s:
                s.mail("a@b.test")
                return s.rcpt("x@elsewhere.test")[0]
        need(relay(i.port, good) == 250)
        need(relay(i.port, other) == 554)
        need(relay(i.port, None) == 554)
        need(relay(i.base + 143, good) == 250)
        need(relay(i.base + 143, other) == 554)
        with starttls(i.base + 110, context(cert=good[1], key=good[0])) as s:
            s.sendmail("a@b.test", [i.addr("ann")], "Subject: x\n\nx\n")
        for cert, why in ((other, "Client certificate not trusted"), (None, "No client certificate presented")):
            try:
                with starttls(i.base + 110, context(cert=cert[1], key=cert[0]) if cert else context()) as s:
                    need(False, "no certificate, yet served", s.noop())
            except (smtplib.SMTPException, OSError):
                pass
            need(wait_for(lambda: "NOQUEUE: abort: TLS from localhost[127.0.0.1]: " + why in i.log()), why)
        with starttls(i.base + 993, context(cert=other[1], key=other[0])) as s:
            s.mail("a@b.test")
            code, text = s.rcpt(i.addr("ann"))
            need(code == 554 and b"no" in text, code, text)
        log = i.log()
        need("Trusted TLS connection established" in log and "Untrusted TLS connection established" in log)
        need("fingerprint=" + fingerprint(good[1]) in log)
        # Its headers are completed as those of our own users: Date is added.
        with starttls(i.port, context(cert=good[1], key=good[0])) as s:
            s.sendmail("a@b.test", [i.addr("bob")], "Subject: mine\n\nx\n")
        need(b"\nDate: " in i.wait_mails("bob", 1)[0], i.mails("bob"))
        i.send("Subject: a stranger's\n\nx\n", to=[i.addr("bob")])
        strange = [m for m in i.wait_mails("bob", 2) if b"stranger" in m][0]
        need(b"\nDate: " not in strange, strange)
        mail = i.wait_mails("ann", 1)[0].decode()
        need('(Client CN "client.test", Issuer "Test CA" (verified OK))' in mail, mail)


def test_new_certificate_without_restart():
    with Served() as i:
        old = starttls(i.port)
        need(peer_name(old) == "mx.example.test")
        pid = [p for p, n in i.children() if n == "smtpd"]
        for name in ("rsa", "ec"):
            key, cert = i.ca.make(name + "-new", ["new.example.test"], name)
            # As certbot: one by one, each renamed into place.
            for src, end in ((cert, ".pem"), (key, ".key")):
                os.rename(src, i.ca.path(name + end))

        def shown():
            with starttls(i.port) as s:
                return peer_name(s)
        need(wait_for(lambda: shown() == "new.example.test", 30), shown(), i.log()[-1500:])
        need(old.noop()[0] == 250, "a session was dropped")
        old.quit()
        need([p for p, n in i.children() if n == "smtpd"] == pid, "smtpd was replaced")
        # A pair that does not fit is told, and the next good one is taken.
        shutil.copy(i.ca.path("ca.pem"), i.ca.path("ec.pem"))
        need(wait_for(lambda: "the private key does not match" in i.log(), 30), i.log()[-1500:])


def test_check_names_what_is_wrong():
    i = Instance()
    ca = Authority(os.path.join(i.dir, "ca"))
    a, b = ca.make("a", ["a.test"]), ca.make("b", ["b.test"])
    old = ca.make("old", ["old.test"], days=-1)
    try:
        for lines, want, status in (
                (["smtpd_tls_chain_files =", "smtpd_tls_cert_file = /nonexistent.pem"],
                 "smtpd_tls_cert_file: /nonexistent.pem: No such file", 1),
                (["smtpd_tls_cert_file = " + a[1], "smtpd_tls_key_file = " + b[0]],
                 "the private key does not match the certificate", 1),
                (["smtpd_tls_cert_file = " + old[1], "smtpd_tls_key_file = " + old[0]],
                 "the certificate expired on", 0),
                (["smtpd_tls_cert_file = " + a[1], "smtpd_tls_key_file = " + a[0],
                  "smtpd_tls_protocols = TLSv9"], "unknown TLS version: TLSv9", 1),
                (["smtpd_tls_protocols = >=TLSv1.2", "smtpd_tls_ciphers = best"],
                 "unknown grade of ciphers: best", 1),
                (["smtpd_tls_ciphers = high", "smtpd_tls_CAfile = /nonexistent"], "/nonexistent", 1),
                (["smtpd_tls_CAfile =", "smtpd_tls_security_level = maybe"],
                 "say none, may or encrypt", 1)):
            for line in lines:
                i.set(line)
            code, out, err = i.run("postern", "-c", i.etc, "check", check=False)
            need(want in err and code == status, want, code, err)
    finally:
        i.close()


def test_stock_debian_configuration():
    """The lines of Debian's main.cf: it starts and serves."""
    i = Instance(settings=("smtpd_tls_chain_files =",))
    ca = Authority(os.path.join(i.dir, "ca"))
    key, cert = ca.make("snakeoil", ["snake.test"], "rsa")
    for line in ("smtpd_tls_cert_file=" + cert, "smtpd_tls_key_file=" + key,
                 "smtpd_tls_security_level=may", "smtpd_use_tls=yes",
                 "smtp_tls_CApath=/etc/ssl/certs.not.there", "smtp_tls_security_level=may",
                 "smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache",
                 "smtpd_tls_session_cache_database = btree:${data_directory}/smtpd_scache"):
        i.set(line)
    with i:
        with starttls(i.port) as s:
            need(peer_name(s) == "snake.test")
        need("certs.not.there: there is no such directory" in i.log(), i.log())


if __name__ == "__main__":
    sys.exit(main(globals()))
