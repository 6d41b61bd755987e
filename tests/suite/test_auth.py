"""Logging in: mechanisms, stores, refusals that read alike, log lines.

With Python's smtplib, swaks, curl, msmtp, gsasl and raw lines, on the plain
port; TLS has its own tests (test_submission.py).
"""
import base64
import contextlib
import hashlib
import hmac
import os
import re
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from badserver import Server, reply
from harness import Instance, Wire, main, need, wait_for

PASSWORD = "correct horse"
SETTINGS = ("smtpd_sasl_auth_enable = yes", "smtpd_tls_auth_only = no",
            "smtpd_recipient_restrictions = permit_sasl_authenticated, reject",
            "smtpd_relay_restrictions = permit_sasl_authenticated, reject")


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def plain(user, password, authzid=""):
    return b64("%s\0%s\0%s" % (authzid, user, password))


def add_user(i, name, password=PASSWORD):
    there = i.run("postern", "-c", i.etc, "user", "list", check=False)[1]
    i.run("postern", "-c", i.etc, "user", "passwd" if name + " " in there else "add", "--stdin", name,
          stdin=password.encode() + b"\n")


def instance(*more, users=("ann@example.test",)):
    i = Instance(settings=SETTINGS + more)
    for u in users:
        add_user(i, u)
    return i


def hello(i):
    w = Wire(i.port)
    need(w.reply().startswith("220"))
    w.ehlo = w.say("EHLO client.test").splitlines()
    return w


def auth_words(w):
    for line in w.ehlo:
        if line[4:].startswith("AUTH "):
            return line[9:].split()
    return []


class Scram:
    """RFC 5802's client, with every part to be got wrong on purpose."""

    def __init__(self, user, password, name="SCRAM-SHA-256", flag="n", binding=b"", nonce="rOprNGfwEbeRWgbNEkqO"):
        self.password, self.hash = password, "sha256" if "256" in name else "sha1"
        self.gs2 = flag + ",,"
        self.binding = binding
        self.bare = "n=%s,r=%s" % (user.replace("=", "=3D").replace(",", "=2C"), nonce)
        self.first = self.gs2 + self.bare

    def final(self, server_first):
        got = dict(p.split("=", 1) for p in server_first.split(","))
        self.iterations, self.salt = int(got["i"]), got["s"]
        without = "c=%s,r=%s" % (b64(self.gs2.encode() + self.binding), got["r"])
        salted = hashlib.pbkdf2_hmac(self.hash, self.password.encode(), base64.b64decode(got["s"]), int(got["i"]))
        mac = lambda key, text: hmac.new(key, text, self.hash).digest()  # noqa: E731
        client = mac(salted, b"Client Key")
        auth = ",".join((self.bare, server_first, without)).encode()
        proof = bytes(a ^ b for a, b in zip(client, mac(hashlib.new(self.hash, client).digest(), auth)))
        self.server = b64(mac(mac(salted, b"Server Key"), auth))
        return without + ",p=" + b64(proof)


def scram(w, user, password, name="SCRAM-SHA-256", **kw):
    """The last reply of a SCRAM login, and the client's state."""
    c = Scram(user, password, name, **kw)
    got = w.say("AUTH %s %s" % (name, b64(c.first)))
    if not got.startswith("334 "):
        return got, c
    got = w.say(b64(c.final(base64.b64decode(got[4:]).decode())))
    if not got.startswith("334 "):
        return got, c
    need(base64.b64decode(got[4:]).decode() == "v=" + c.server, "server's proof", got)
    return w.say(""), c


def test_mechanisms():
    """Each mechanism, right and wrong; all refusals read alike."""
    with instance() as i:
        w = hello(i)
        need(sorted(auth_words(w)) == ["LOGIN", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"], w.ehlo)
        ok = "235 2.7.0 Authentication successful"
        no = "535 5.7.8 Error: authentication failed: authentication failure"
        user = "ann@example.test"
        need(w.say("AUTH PLAIN " + plain(user, "wrong")) == no)
        need(w.say("AUTH PLAIN " + plain("nobody", PASSWORD)) == no)
        need(w.say("AUTH PLAIN " + plain(user, PASSWORD, "bob")) == no)
        need(w.say("AUTH PLAIN") == "334 ")
        need(w.say(plain(user, "wrong")) == no)
        need(w.say("AUTH LOGIN") == "334 " + b64("Username:"))
        need(w.say(b64(user)) == "334 " + b64("Password:"))
        need(w.say(b64("wrong")) == no)
        w.close()
        w = hello(i)
        for name in "SCRAM-SHA-256", "SCRAM-SHA-1":
            need(scram(w, user, "wrong", name)[0] == no, name)
            need(scram(w, "nobody@example.test", PASSWORD, name)[0] == no, name)
        for good in (
                lambda w: w.say("AUTH PLAIN " + plain(user, PASSWORD)),
                lambda w: w.say("AUTH PLAIN " + plain("ANN@example.test", PASSWORD)),
                lambda w: (w.say("AUTH PLAIN"), w.say(plain(user, PASSWORD)))[1],
                lambda w: (w.say("auth login"), w.say(b64(user)), w.say(b64(PASSWORD)))[2],
                lambda w: (w.say("AUTH LOGIN " + b64(user)), w.say(b64(PASSWORD)))[1],
                lambda w: scram(w, user, PASSWORD)[0],
                lambda w: scram(w, user, PASSWORD, "SCRAM-SHA-1")[0]):
            w = hello(i)
            need(good(w) == ok)
            need(w.say("AUTH PLAIN " + plain(user, PASSWORD)) ==
                 "503 5.5.1 Error: already authenticated")
            need(w.say("MAIL FROM:<ann@example.test>").startswith("250"))
            need(w.say("RCPT TO:<bob@example.test>").startswith("250"))
            w.close()


def test_after_failure():
    """An exchange that failed can't be carried on, nor another begun in it."""
    with instance() as i:
        w = hello(i)
        user = "ann@example.test"
        # A downgrade: "y" says that the client thinks we have no -PLUS.
        need(scram(w, user, "wrong")[0].startswith("535"))
        need(w.say("").startswith("500 5.5.2"))
        need(w.say("MAIL FROM:<a@example.test>").startswith("250"))
        need(w.say("RCPT TO:<bob@example.test>").startswith("554 5.7.1"))
        need(w.say("RSET").startswith("250"))
        need(w.say("AUTH PLAIN " + plain(user, PASSWORD)).startswith("235"))
        w.close()


def test_unknown_users():
    """A user who is not there has a salt, the same each time, as others."""
    with instance() as i:
        def salt(user):
            w = hello(i)
            got, c = scram(w, user, "wrong")
            need(got.startswith("535"), got)
            w.close()
            return c.salt, c.iterations
        need(salt("nobody") == salt("nobody") == salt("NOBODY"), "salt changes")
        need(salt("nobody")[0] != salt("nobody2")[0], "one salt for all")
        need(salt("nobody")[1] == salt("ann@example.test")[1], "iterations tell")
        need(len(salt("nobody")[0]) == len(salt("ann@example.test")[0]), "size tells")
        before = salt("nobody")
        i.stop()
        i.start()
        need(salt("nobody") == before, "a restart changes the salt")


def test_bad_syntax():
    with instance() as i:
        w = hello(i)
        need(w.say("AUTH").startswith("501 5.5.4 Syntax: AUTH mechanism"))
        need(w.say("AUTH PLAIN a b").startswith("501 5.5.4"))
        need(w.say("AUTH CRAM-MD5").startswith("535 5.7.8"))
        need(w.say("AUTH EXTERNAL =").startswith("535 5.7.8"))
        need(w.say("AUTH PLAIN !!!!").startswith("535 5.7.8"))
        need(w.say("AUTH PLAIN =").startswith(("535 5.7.8", "334")))
        w.close()
        w = hello(i)
        for first in ("n,,", "n,", "", "n,,n=a", "y,,m=ext,n=a,r=b", "p=,,n=a,r=b", "n,,n=,r=x",
                      "n,,n=a,r=", "x,,n=a,r=b", "n,,n=a\0b,r=c", "n,b=c,n=a,r=b"):
            got = w.say("AUTH SCRAM-SHA-256 " + (b64(first) or "="))
            need(got.startswith("535 5.7.8") or got.startswith("421"), first, got)
            if got.startswith("421"):
                w.close()
                w = hello(i)
        w.close()
        w = hello(i)
        need(w.say("AUTH LOGIN").startswith("334"))
        need(w.say("*") == "501 5.7.0 Authentication aborted")
        need(i.wait_log(r"SASL LOGIN authentication aborted"))
        need(w.say("AUTH LOGIN").startswith("334"))
        need(w.say("A" * 12300).startswith("500 5.5.6 SASL response limit exceeded"))
        need(w.closed(), "open after a response without end")
        w = hello(i)
        w.say("MAIL FROM:<a@example.test>")
        need(w.say("AUTH PLAIN").startswith("503 5.5.1 Error: MAIL transaction in progress"))
        w.close()
    with Instance() as i:
        w = hello(i)
        need(not auth_words(w), w.ehlo)
        need(w.say("AUTH PLAIN x") == "503 5.5.1 Error: authentication not enabled")
        w.close()


def test_log_and_headers():
    """Postfix's log lines, and fail2ban's shipped filter on them."""
    with instance("smtpd_sasl_authenticated_header = yes") as i:
        w = hello(i)
        w.say("AUTH PLAIN " + plain("mallory", "wrong"))
        w.close()
        need(i.wait_log(r"smtpd\[\d+\]: warning: \S+\[127\.0\.0\.1\]: SASL PLAIN authentication failed: "
                        r"authentication failure, sasl_username=mallory$"), i.log()[-2000:])
        with i.smtp() as s:
            s.login("ann@example.test", PASSWORD)
            s.sendmail("ann@example.test", ["bob@example.test"], "Subject: hi\n\nx\n")
        need(i.wait_log(r": client=\S+\[127\.0\.0\.1\], sasl_method=\S+, sasl_username=ann@example\.test$"))
        mail = i.wait_mails("bob", 1)[0].decode()
        need("(Authenticated sender: ann@example.test)" in mail and "with ESMTPA id" in mail, mail)
        p = subprocess.run(["fail2ban-regex", i.log_file, "postfix[mode=auth]"], stdout=subprocess.PIPE)
        need(re.search(rb"Failregex: [1-9]", p.stdout), p.stdout.decode())


def test_clients():
    with instance() as i:
        port = str(i.port)
        to, user = "bob@example.test", "ann@example.test"
        n = 0
        for mech in "PLAIN", "LOGIN":
            p = subprocess.run(["swaks", "--server", "127.0.0.1:" + port, "--to", to, "--from", user, "--auth", mech,
                                "--auth-user", user, "--auth-password", PASSWORD], stdout=subprocess.PIPE)
            need(p.returncode == 0, p.stdout.decode())
            n += 1
        p = subprocess.run(["swaks", "--server", "127.0.0.1:" + port, "--to", to, "--from", user, "--auth", "PLAIN",
                            "--auth-user", user, "--auth-password", "wrong"], stdout=subprocess.PIPE)
        need(p.returncode == 28, p.stdout.decode())
        text = os.path.join(i.dir, "mail.txt")
        with open(text, "w") as f:
            f.write("Subject: curl\n\nx\n")
        for mech in "PLAIN", "LOGIN", "SCRAM-SHA-256":
            p = subprocess.run(["curl", "-sS", "smtp://127.0.0.1:" + port, "--mail-from", user, "--mail-rcpt", to,
                                "-T", text, "--user", user + ":" + PASSWORD, "--login-options", "AUTH=" + mech],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if b"not supported" in p.stdout or p.returncode == 67 and mech.startswith("SCRAM"):
                continue                # a curl without gsasl
            need(p.returncode == 0, mech, p.stdout.decode())
            n += 1
        for mech in "plain", "login", "scram-sha-1", "scram-sha-256":
            p = subprocess.run(["msmtp", "--host=127.0.0.1", "--port=" + port, "--auth=" + mech, "--user=" + user,
                                "--passwordeval=echo " + PASSWORD, "--tls=off", "--from=" + user, to],
                               input=b"Subject: msmtp\n\nx\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if b"not supported" in p.stdout:
                continue
            if mech in ("plain", "login") and p.returncode != 0:
                continue                # msmtp refuses these without TLS
            need(p.returncode == 0, mech, p.stdout.decode())
            n += 1
        for mech in "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN":
            p = subprocess.run(["gsasl", "--smtp", "--connect", "127.0.0.1:" + port, "--mechanism", mech, "-a", user,
                                "-p", PASSWORD, "--no-starttls"],
                               input=b"QUIT\r\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            need(b"235" in p.stdout or p.returncode == 0, mech, p.stdout.decode())
        need(len(i.wait_mails("bob", n)) == n, n)


def test_client_login():
    """smtp(8) logs in at servers: each mechanism, by destination and by sender."""
    with instance() as b:
        add_user(b, "carol@example.test", "carol's own")
        relay = "[127.0.0.1]:%d" % b.port
        a = Instance(domain="client.test", settings=(
            "relayhost = " + relay, "smtp_sasl_auth_enable = yes", "smtp_tls_security_level =",
            "smtp_sasl_security_options = noanonymous",
            "smtp_sasl_password_maps = texthash:$config_directory/passwords"))
        with open(os.path.join(a.etc, "passwords"), "w") as f:
            f.write("%s ann@example.test:%s\nann@client.test carol@example.test:carol's own\n" % (relay, PASSWORD))
        with a:
            n = 0
            for mech in "scram-sha-256", "scram-sha-1", "plain", "login":
                a.set("smtp_sasl_mechanism_filter = " + mech)
                a.run("postern", "-c", a.etc, "reload")
                need(wait_for(lambda m=mech: send_mail(a) and
                              b.wait_log(r"sasl_method=%s, sasl_username=ann@example\.test" % m.upper(), 5), 60),
                     mech, a.log()[-1500:])
                n += 1
            a.set("smtp_sasl_mechanism_filter = ")
            a.set("smtp_sender_dependent_authentication = yes")
            a.run("postern", "-c", a.etc, "reload")
            need(wait_for(lambda: send_mail(a) and b.wait_log(r"sasl_username=carol@example\.test", 5), 60),
                 a.log()[-1500:])
            # No plain text by the default options: nothing that is left fits.
            a.set("smtp_sender_dependent_authentication = no")
            a.set("smtp_sasl_security_options = noplaintext, noanonymous")
            a.set("smtp_sasl_mechanism_filter = plain, login")
            a.run("postern", "-c", a.etc, "reload")
            need(wait_for(lambda: send_mail(a) and a.wait_log(
                r"dsn=4\.7\.0, status=deferred \(SASL authentication failed: server offered no compatible "
                r"authentication mechanisms", 5), 60), a.log()[-1500:])
            with open(os.path.join(a.etc, "passwords"), "w") as f:
                f.write("%s ann@example.test:wrong\n" % relay)
            a.set("smtp_sasl_mechanism_filter = ")
            a.run("postern", "-c", a.etc, "reload")
            need(wait_for(lambda: send_mail(a) and a.wait_log(
                r"dsn=4\.7\.8, status=deferred \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] "
                r"said: 535 5\.7\.8 Error: authentication failed: authentication failure\)", 5), 60), a.log()[-1500:])
            need(n == 4)


def test_refused_logins_are_remembered():
    """smtp_sasl_auth_cache_name: one attempt a password and server, and mail is put off or returned."""
    refuse = {"unknown": reply("535 5.7.8 no such luck")}
    with Server(refuse, keywords=("AUTH PLAIN",)) as s, contextlib.ExitStack() as stack:
        i = Instance(settings=(
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_sasl_auth_enable = yes", "smtp_sasl_security_options =",
            "smtp_sasl_password_maps = hash:$config_directory/passwords", "smtp_tls_security_level =",
            "smtp_sasl_auth_cache_name = proxy:btree:/nonexistent/cache", "smtp_sasl_auth_cache_time = 100s",
            "default_destination_concurrency_failed_cohort_limit = 100", "minimal_backoff_time = 1000s"))

        def tried():
            return sum(1 for line in s.said if line.startswith("AUTH"))

        def password(text):
            path = os.path.join(i.etc, "passwords")
            with open(path, "w") as f:
                f.write("[127.0.0.1]:%d me:%s\n" % (s.port, text))
            i.run("postmap", "hash:" + path)

        def sent(to):
            i.run("sendmail", "-f", "ann@example.test", to, stdin=b"Subject: x\n\nx\n")
            m = i.wait_log(r"to=<%s>, .*" % to)
            need(m, "no result for", to, i.log()[-1500:])
            i.run("postsuper", "-d", "ALL")
            return m.group(0)

        password("one")
        stack.enter_context(i)
        line = sent("a@far.test")
        need("dsn=4.7.8, status=deferred (SASL authentication failed; server 127.0.0.1[127.0.0.1] said: "
             "535 5.7.8 no such luck)" in line, line)
        for n in range(2):
            line = sent("b%d@far.test" % n)
            need("dsn=4.7.8, status=deferred (SASL [CACHED] authentication failed; server 127.0.0.1 said: "
                 "535 5.7.8 no such luck)" in line, line)
        need(tried() == 1, s.said)
        # Another password is tried, once.
        password("two")
        for n in range(2):
            line = sent("c%d@far.test" % n)
            need(("[CACHED]" in line) == (n > 0), line)
        need(tried() == 2, s.said)
        # Where a refusal is final, the one that is remembered is, too.
        i.set("smtp_sasl_auth_soft_bounce = no")
        i.reload()
        for n in range(2):
            line = sent("d%d@far.test" % n)
            need("dsn=5.7.8, status=bounced" in line and ("[CACHED]" in line) == (n > 0), line)
        need(tried() == 3, "a start forgets:", s.said)
        # It is forgotten in time; without a name nothing is kept.
        i.set("smtp_sasl_auth_cache_time = 0s")
        i.reload()
        sent("e@far.test")
        wait_for(lambda: False, 1.1)
        need("[CACHED]" not in sent("f@far.test"))
        i.set("smtp_sasl_auth_cache_name =")
        i.reload()
        need("[CACHED]" not in sent("g@far.test") + sent("h@far.test"))


def test_user_command():
    """add, passwd, del, disable, enable, list; import of others' formats."""
    with instance("auth_mechanisms = plain login") as i:
        def user(*args, stdin="", check=True):
            return i.run("postern", "-c", i.etc, "user", *args, stdin=stdin.encode(), check=check)

        def may(name, password):
            w = hello(i)
            got = w.say("AUTH PLAIN " + plain(name, password))
            w.close()
            return got.startswith("235")
        user("add", "--stdin", "new@x.test", stdin="first\n")
        need(user("add", "--stdin", "NEW@x.test", stdin="x\n", check=False)[0] != 0, "twice")
        need(wait_for(lambda: may("new@x.test", "first")))
        user("passwd", "--stdin", "new@x.test", stdin="second\n")
        need(wait_for(lambda: may("new@x.test", "second")), "the new password")
        need(not may("new@x.test", "first"), "the old password")
        user("disable", "new@x.test")
        need(wait_for(lambda: not may("new@x.test", "second")), "disabled")
        user("enable", "new@x.test")
        need(wait_for(lambda: may("new@x.test", "second")), "enabled")
        need(re.search(r"^new@x\.test ARGON2ID SCRAM-SHA-256 SCRAM-SHA-1$", user("list")[1], re.M))
        user("del", "new@x.test")
        need(wait_for(lambda: not may("new@x.test", "second")), "deleted")
        need(user("del", "new@x.test", check=False)[0] != 0)
        need(user("add", "--stdin", "a b", stdin="x\n", check=False)[0] != 0)
        crypt6 = subprocess.run(["openssl", "passwd", "-6", "six"], stdout=subprocess.PIPE).stdout.decode().strip()
        text = ("one:%s:1000:1000::/home/one:/bin/sh\ntwo:{SHA512-CRYPT}%s\nthree:{PLAIN}drei\n"
                "four {SSHA}%s\nfive:x:1:1\nsix:{WHAT}x\n# comment\n\nseven:*:1\n") % (
            crypt6, crypt6, b64(hashlib.sha1(b"viersalz").digest() + b"salz"))
        code, out, err = user("import", "-", stdin=text, check=False)
        need(code == 1 and out.startswith("4 users imported, 3 lines left out") and "weak" in err, out, err)
        need(wait_for(lambda: may("one", "six")))
        need(may("two", "six") and may("three", "drei") and may("four", "vier"))
        need(not may("five", "x") and not may("one", crypt6) and not may("six", "x") and not may("seven", "*"))
        need("three ARGON2ID" in user("list")[1])


def test_cram_md5():
    """Only where it is asked for, and every user's password is in the clear."""
    with instance("auth_mechanisms = plain cram-md5") as i:
        w = hello(i)
        need(auth_words(w) == ["PLAIN"], w.ehlo)
        w.close()
        i.set("auth_user_schemes = ARGON2ID PLAIN")
        for name in "ann@example.test", "bob@example.test":
            add_user(i, name, "nochblank")
        need(wait_for(lambda: "CRAM-MD5" in auth_words(hello(i))))
        for password, code in ("nochblank", 235), ("wrong", 535):
            with i.smtp() as s:
                s.ehlo()
                s.user, s.password = "ann@example.test", password
                try:
                    got = s.auth("CRAM-MD5", s.auth_cram_md5)[0]
                except smtplib.SMTPAuthenticationError as e:
                    got = e.smtp_code
                need(got == code, password, got)
        w = hello(i)
        need(w.say("AUTH CRAM-MD5").startswith("334 "))
        need(w.say(b64("nobody " + "0" * 32)).startswith("535 5.7.8"))
        w.close()


def test_stores():
    """Tables, and saslauthd, asked in order; one that is away puts off."""
    where = tempfile.mkdtemp(prefix="postern-saslauthd-")
    os.chmod(where, 0o755)
    path = os.path.join(where, "mux")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(10)
    asked = []

    def saslauthd():
        while True:
            try:
                s = listener.accept()[0]
            except OSError:
                return
            f, got = s.makefile("rb"), []
            for _ in range(4):
                got.append(f.read(int.from_bytes(f.read(2), "big")).decode())
            asked.append(got)
            answer = b"OK" if got[1] == "pam's" else b"NO wrong"
            s.sendall(len(answer).to_bytes(2, "big") + answer)
            f.close()
            s.close()
    threading.Thread(target=saslauthd, daemon=True).start()
    try:
        i = instance("auth_stores = texthash:$config_directory/passwd, users, saslauthd",
                     "auth_saslauthd_socket = " + path)
        with open(os.path.join(i.etc, "passwd"), "w") as f:
            f.write("carl {PLAIN}carl's:1000\n")
        with i:
            def say(name, password):
                w = hello(i)
                need(auth_words(w) == ["PLAIN", "LOGIN"], w.ehlo)      # not every store has keys
                got = w.say("AUTH PLAIN " + plain(name, password))
                w.close()
                return got[:3]
            need(say("carl", "carl's") == "235")
            need(say("ann@example.test", PASSWORD) == "235")
            need(say("root@pam.test", "pam's") == "235" and asked[-1] == ["root", "pam's", "smtp", "pam.test"], asked)
            need(say("root", "no") == "535")
            n = len(asked)
            need(say("carl", "pam's") == "535" and len(asked) == n, "who is known is not asked of the next")
            listener.close()
            os.unlink(path)
            need(say("dave", "x") == "454" and say("carl", "carl's") == "235")
    finally:
        listener.close()
        shutil.rmtree(where, ignore_errors=True)


def test_sasldb():
    """The database of saslpasswd2: all mechanisms, since it holds clear text."""
    with instance("auth_stores = sasldb", "auth_sasldb_path = $config_directory/sasldb2", "auth_mechanisms = "
                  "plain login scram-sha-256 scram-sha-1 cram-md5", users=()) as i:
        path = os.path.join(i.etc, "sasldb2")
        need(say_plain(i, "ann", "x").startswith("454"), "there is none yet")

        def put(realm, user, password):
            subprocess.run(["saslpasswd2", "-p", "-c", "-f", path, "-u", realm, user], check=True,
                           input=password.encode())
            os.chmod(path, 0o644)
        put("mx.example.test", "ann", PASSWORD)
        put("far.test", "ann", "another")
        need(say_plain(i, "ann").startswith("235"), i.log()[-900:])
        need(say_plain(i, "ann@far.test", "another").startswith("235"))
        need(say_plain(i, "ann@far.test").startswith("535") and say_plain(i, "bob").startswith("535"))
        w = hello(i)
        need(sorted(auth_words(w)) == ["CRAM-MD5", "LOGIN", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"], w.ehlo)
        for name in "SCRAM-SHA-1", "SCRAM-SHA-256":
            need(scram(w, "ann@far.test", PASSWORD, name)[0].startswith("535"), name)
            got, state = scram(w, "ann", PASSWORD, name)
            need(got.startswith("235"), name, got, i.log()[-900:])
            w.close()
            w = hello(i)
        # Who is there does not show: the same salt each time, the same rounds.
        told = {}
        for user in "ann", "nobody", "ann", "nobody":
            got, state = scram(w, user, "wrong")
            need(got.startswith("535"), user, got)
            need(told.setdefault(user, (state.salt, state.iterations)) == (state.salt, state.iterations), user)
        need(told["ann"][1] == told["nobody"][1] and told["ann"][0] != told["nobody"][0], told)
        w.close()
        with i.smtp() as s:
            s.ehlo()
            s.user, s.password = "ann", PASSWORD
            need(s.auth("CRAM-MD5", s.auth_cram_md5)[0] == 235)
        with open(path, "wb") as f:
            f.write(os.urandom(8192))
        need(say_plain(i, "ann").startswith("454"), "a damaged database is no reason to say no")


def test_rounds_of_two_stores():
    """Users of the database and of sasldb have other rounds; unknown names have either."""
    with instance("auth_stores = users, sasldb", "auth_sasldb_path = $config_directory/sasldb2",
                  "auth_failure_delay = 0", "auth_penalty_exceptions = static:all", users=("ann",)) as i:
        path = os.path.join(i.etc, "sasldb2")
        for user in "bob", "off":
            subprocess.run(["saslpasswd2", "-p", "-c", "-f", path, "-u", "mx.example.test", user], check=True,
                           input=PASSWORD.encode())
        os.chmod(path, 0o644)

        def look(user, password="wrong"):
            w = hello(i)
            got, c = scram(w, user, password)
            w.close()
            need(got.startswith("535" if password == "wrong" else "235"), user, got)
            return c.iterations, len(c.salt)
        ann, bob = look("ann", PASSWORD), look("bob", PASSWORD)
        need((ann[0], bob[0]) == (65536, 4096), ann, bob)
        # Chance decides: of so many none of these counts fails in a million runs.
        names = ["nobody%d" % n for n in range(80)]
        told = [look(name) for name in names]
        need(set(told) == {ann, bob} and 3 < told.count(ann) < 77, told)
        need([look("nobody%d" % n) for n in range(8)] == told[:8], "another look the second time")
        # Imported keys keep their own rounds and salts: unknown names have such, too.
        salt, keys = b64(b"s" * 24), b64(b"k" * 32)
        i.run("postern", "-c", i.etc, "user", "import", "-", stdin="".join(
            "old%d:{SCRAM-SHA-256}8192,%s,%s,%s\n" % (n, salt, keys, keys) for n in range(3)).encode())
        need(wait_for(lambda: look("old1") == (8192, 32), 5), "its own")
        told = [look(name) for name in names]
        need(set(told) <= {ann, bob, (8192, 32)} and told.count((8192, 32)) > 3, told)
        # The first store that knows the name decides.
        add_user(i, "off")
        i.run("postern", "-c", i.etc, "user", "disable", "off")

        def refused():
            w = hello(i)
            got = scram(w, "off", PASSWORD)[0]
            w.close()
            return got.startswith("535")
        need(wait_for(refused, 5, 0.3), "let in by the next store")


def say_plain(i, name, password=PASSWORD):
    w = hello(i)
    got = w.say("AUTH PLAIN " + plain(name, password))
    w.close()
    return got


def test_penalties():
    """Wrong guesses make later answers late, for that address alone."""
    with instance("auth_socket = private/auth", "auth_failure_delay = 0s", "auth_penalty_free = 1",
                  "auth_penalty_max = 3s", "auth_penalty_exceptions =") as i:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(os.path.join(i.dir, "spool/private/auth"))
        c = Lines(s)
        while c.get() != "DONE":
            pass
        c.put("VERSION", "1", "1")
        user, number = "ann@example.test", [0]

        def ask(password, rip, name=user):
            number[0] += 1
            c.put("AUTH", str(number[0]), "PLAIN", "service=smtp", "rip=" + rip, "resp=" + plain(name, password))
            return str(number[0])

        def took(*args):
            start = time.monotonic()
            n = ask(*args)
            got = c.get().split("\t")
            need(got[1] == n, got)
            return got[0], time.monotonic() - start
        need(took(PASSWORD, "192.0.2.9")[0] == "OK")     # this address is known to be hers
        for k in range(6):
            need(took("wrong%d" % k, "192.0.2.1")[0] == "FAIL")
        word, seconds = took(PASSWORD, "192.0.2.1")
        need(word == "OK" and seconds > 2.5, "a guess that fits comes as late as one that does not", word, seconds)
        # While one waits, others are answered: another account and address, and hers.
        late = ask("wrong again", "192.0.2.1")
        first = ask(PASSWORD, "192.0.2.9")
        got = [c.get().split("\t") for _ in range(2)]
        need([g[1] for g in got] == [first, late] and got[0][0] == "OK", got)
        s.close()
        # A new auth goes on from there.
        before = i.pids("auth")
        i.reload()
        need(wait_for(lambda: i.pids("auth") and not set(before) & set(i.pids("auth"))), "no new auth")
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(os.path.join(i.dir, "spool/private/auth"))
        c = Lines(s)
        while c.get() != "DONE":
            pass
        c.put("VERSION", "1", "1")
        word, seconds = took("x", "192.0.2.1", "bob@example.test")
        need(word == "FAIL" and seconds > 2.5, "a reload forgets guesses", word, seconds)
        s.close()


class Lines:
    """A UNIX socket that speaks in lines."""

    def __init__(self, s):
        self.s, self.f = s, s.makefile("rb")

    def get(self):
        return self.f.readline().decode().rstrip("\n")

    def put(self, *fields):
        self.s.sendall("\t".join(fields).encode() + b"\n")


def test_auth_socket():
    """Dovecot's protocol, its server's half: other servers use our users."""
    with instance("auth_socket = private/auth") as i:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(os.path.join(i.dir, "spool/private/auth"))
        c = Lines(s)
        c.put("VERSION", "1", "1")
        c.put("CPID", "4711")
        hello = []
        while not hello or hello[-1] != "DONE":
            hello.append(c.get())
        need(hello[0].startswith("VERSION\t1\t") and "MECH\tPLAIN\tplaintext" in hello, hello)
        need(any(h.startswith("MECH\tSCRAM-SHA-256") for h in hello), hello)
        user = "ann@example.test"
        c.put("AUTH", "1", "PLAIN", "service=smtp", "rip=192.0.2.1", "secured", "resp=" + plain(user, PASSWORD))
        need(c.get() == "OK\t1\tuser=" + user)
        c.put("AUTH", "2", "LOGIN", "service=imap")
        need(c.get() == "CONT\t2\t" + b64("Username:"))
        c.put("CONT", "2", b64(user))
        need(c.get() == "CONT\t2\t" + b64("Password:"))
        # Another login meanwhile, and a wrong one, which is answered late.
        c.put("AUTH", "3", "PLAIN", "service=smtp", "rip=192.0.2.1", "resp=" + plain(user, "wrong"))
        c.put("CONT", "2", b64(PASSWORD))
        need(c.get() == "OK\t2\tuser=" + user)
        need(re.match("FAIL\t3\tuser=%s\treason=authentication failure$" % user, c.get()))
        state = Scram(user, PASSWORD)
        c.put("AUTH", "4", "SCRAM-SHA-256", "service=smtp", "resp=" + b64(state.first))
        got = c.get().split("\t")
        need(got[:2] == ["CONT", "4"], got)
        c.put("CONT", "4", b64(state.final(base64.b64decode(got[2]).decode())))
        got = c.get().split("\t")
        need(base64.b64decode(got[2]).decode() == "v=" + state.server, got)
        c.put("CONT", "4", "")
        need(c.get() == "OK\t4\tuser=" + user)
        c.put("AUTH", "x", "PLAIN")
        need(c.get().startswith("FAIL\t"))
        c.put("AUTH", "5", "PLAIN", "resp=!!!")
        need(c.get().startswith("FAIL\t5\t"))
        s.close()


def fake_dovecot(listener, said):
    """Knows ann; LOGIN fails for now; hangs up on mallory."""
    while True:
        try:
            s = listener.accept()[0]
        except OSError:
            return
        with contextlib.suppress(OSError):
            dovecot_client(Lines(s), said)
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_RDWR)
        s.close()


def dovecot_client(c, said):
    c.put("VERSION", "1", "2")
    c.put("MECH", "PLAIN", "plaintext")
    c.put("MECH", "LOGIN", "plaintext")
    c.put("MECH", "ANONYMOUS", "anonymous")
    c.put("SPID", "1")
    c.put("DONE")
    while True:
        fields = c.get().split("\t")
        if fields == [""]:
            break
        said.append(fields)
        if fields[0] == "AUTH" and fields[2] == "LOGIN":
            c.put("FAIL", "1", "temp", "reason=not now")
        elif fields[0] == "AUTH" and not fields[-1].startswith("resp="):
            c.put("CONT", "1", "")
        elif fields[0] in ("AUTH", "CONT"):
            who = base64.b64decode(fields[-1].replace("resp=", "") + "==").split(b"\0")
            if who[1] == b"mallory":
                break
            if who[2] == PASSWORD.encode():
                c.put("OK", "1", "user=" + who[1].decode())
            else:
                c.put("FAIL", "1", "user=" + who[1].decode())


def test_type_dovecot():
    """smtpd_sasl_type = dovecot: its server proves our clients."""
    where = tempfile.mkdtemp(prefix="postern-dovecot-")
    os.chmod(where, 0o755)
    path = os.path.join(where, "auth")
    said = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(10)
    threading.Thread(target=fake_dovecot, args=(listener, said), daemon=True).start()
    try:
        with instance("smtpd_sasl_type = dovecot", "smtpd_sasl_path = " + path) as i:
            w = hello(i)
            need(auth_words(w) == ["PLAIN", "LOGIN"], w.ehlo, i.log()[-900:])
            need(w.say("AUTH LOGIN") == "454 4.7.0 Temporary authentication failure: not now")
            need(w.say("AUTH PLAIN " + plain("ann", "wrong")).startswith("535 5.7.8 Error: authentication failed: "))
            need(w.say("AUTH PLAIN " + plain("mallory", "x")) ==
                 "454 4.7.0 Temporary authentication failure: Connection lost to authentication server")
            need(w.say("AUTH PLAIN a\tb").startswith(("535", "501", "454")))
            got = w.say("AUTH PLAIN")
            need(got == "334 ", got, said, i.log()[-700:])
            need(w.say(plain("ann", PASSWORD)).startswith("235"))
            w.close()
            need(["service=smtp" in f and "nologin" in f for f in said if f[0] == "AUTH"], said)
            need(i.wait_log(r"SASL LOGIN authentication failed: not now"))
    finally:
        listener.close()
        shutil.rmtree(where, ignore_errors=True)


def send_mail(i):
    i.send(to=["bob@example.test"], sender="ann@client.test")
    return True


if __name__ == "__main__":
    sys.exit(main(globals()))
