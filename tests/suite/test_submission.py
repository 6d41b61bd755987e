"""Submission on 587 and 465: each mechanism under TLS, channel binding, who
may send as whom, and that no network process holds a stored password."""
import base64
import os
import re
import select
import smtplib
import ssl
import subprocess
import sys
import time

from harness import Instance, is_root, main, need
from test_auth import PASSWORD, Scram, add_user, b64, plain

USER = "ann@example.test"


def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c


def instance(*settings):
    i = Instance(settings=settings)
    add_user(i, USER)
    return i


def client(i, port):
    if port == 465:
        return smtplib.SMTP_SSL("127.0.0.1", i.base + 465, "client.test", timeout=60, context=context())
    s = smtplib.SMTP("127.0.0.1", i.base + 587, "client.test", timeout=60)
    s.starttls(context=context())
    return s


class SClient:
    """openssl s_client, with the channel binding that it exports."""

    def __init__(self, i, port, *more):
        args = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % (i.base + port), "-ign_eof", "-crlf",
                "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32", *more]
        if port == 587:
            args += ["-starttls", "smtp"]
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  bufsize=0)
        self.text = b""
        self.at = 0
        need(self.until(rb"Keying material: ([0-9A-F]+)\s"), self.text.decode("utf-8", "replace"))
        self.binding = bytes.fromhex(re.search(rb"Keying material: ([0-9A-F]+)", self.text).group(1).decode())
        if port == 465:
            need(self.until(rb"^220 "), "no greeting")

    def until(self, pattern, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            m = re.search(pattern, self.text[self.at:], re.M)
            if m:
                return m
            if select.select([self.p.stdout], [], [], 0.2)[0]:
                got = os.read(self.p.stdout.fileno(), 65536)
                if not got:
                    return None
                self.text += got
        return None

    def say(self, line):
        self.at = len(self.text)
        self.p.stdin.write(line.encode() + b"\n")
        m = self.until(rb"^(\d\d\d .*?)\r*\n")
        return m.group(1).decode() if m else ""

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()


def plus(c, user, password, name="SCRAM-SHA-256-PLUS", flag="p=tls-exporter", binding=None):
    if binding is None:
        binding = c.binding if flag.startswith("p=") else b""
    s = Scram(user, password, name, flag, binding)
    got = c.say("AUTH %s %s" % (name, b64(s.first)))
    if not got.startswith("334 "):
        return got
    got = c.say(b64(s.final(base64.b64decode(got[4:]).decode())))
    if not got.startswith("334 "):
        return got
    need(base64.b64decode(got[4:]).decode() == "v=" + s.server)
    return c.say("")


def test_ports():
    """TLS before a password, on both ports; headers completed; relaying."""
    with instance() as i:
        with smtplib.SMTP("127.0.0.1", i.base + 587, "client.test") as s:
            need(not s.has_extn("auth"))
            need(s.docmd("EHLO x.test")[1].find(b"AUTH") < 0)
            need(s.docmd("AUTH PLAIN " + plain(USER, PASSWORD))[0] == 530)
            need(s.docmd("MAIL FROM:<a@b.test>")[0] == 530)
        for n, port in enumerate((587, 465), 1):
            with client(i, port) as s:
                s.ehlo()
                need(set(s.esmtp_features["auth"].split()) >= {"PLAIN", "LOGIN", "SCRAM-SHA-256",
                                                               "SCRAM-SHA-256-PLUS"}, s.esmtp_features)
                need(s.docmd("MAIL FROM:<%s>" % USER)[0] == 250)
                need(s.docmd("RCPT TO:<bob@example.test>")[0] == 554, "not logged in")
                s.rset()
                s.login(USER, PASSWORD)
                s.sendmail("ann", ["bob"], "Subject: to bob\n\nx\n")
            mail = i.wait_mails("bob", n)[-1].decode()
            need(re.search(r"^From: ann@example\.test|^From: <?ann@example\.test", mail, re.M) and
                 re.search(r"^Message-Id: ", mail, re.M | re.I) and re.search(r"^Date: ", mail, re.M), mail)
            need("with ESMTPSA id" in mail and "(Authenticated sender: %s)" % USER in mail, mail)
            need(re.search(r"^Return-Path: <ann@example\.test>", mail, re.M), mail)


def test_lists():
    """Sessions of the same second, with TLS and without, hear what is theirs."""
    def heard(s):
        s.ehlo()
        return set(s.esmtp_features.get("auth", "").split())

    with instance("smtpd_sasl_auth_enable = yes", "smtpd_tls_auth_only = no") as i:
        for _ in range(3):
            with smtplib.SMTP("127.0.0.1", i.port, "client.test") as s:
                need(heard(s) == {"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256"}, s.esmtp_features)
                s.starttls(context=context())
                need({"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"} <= heard(s), s.esmtp_features)


def test_mechanisms():
    """Each mechanism on each port: right, wrong, and all refused alike."""
    with instance("auth_penalty_exceptions = 127.0.0.1") as i:
        for port in 587, 465:
            for mech in "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS":
                c = SClient(i, port)
                c.say("EHLO client.test")
                no = "535 5.7.8 Error: authentication failed: authentication failure"
                need(plus(c, USER, "wrong", mech) == no)
                need(plus(c, "nobody", PASSWORD, mech) == no)
                c.close()
                c = SClient(i, port)
                c.say("EHLO client.test")
                got = plus(c, USER, PASSWORD, mech, binding=b"\0" * 32)
                need(got.startswith("535 5.7.8"), "wrong binding", got)
                # A client that binds, but was told that we do not.
                got = plus(c, USER, PASSWORD, mech[:-5], flag="y")
                need(got.startswith("535 5.7.8"), "downgrade", got)
                need(c.say("").startswith("500"), "a step after the failure")
                got = plus(c, USER, PASSWORD, mech, flag="p=tls-unique")
                need(got.startswith("535 5.7.8"), "another binding", got)
                need(c.say("MAIL FROM:<x@y.test>").startswith("250"))
                need(c.say("RCPT TO:<bob@example.test>").startswith("554"))
                need(c.say("RSET").startswith("250"))
                need(plus(c, USER, PASSWORD, mech) == "235 2.7.0 Authentication successful", c.text)
                c.close()
            for good, password in ((True, PASSWORD), (False, "wrong")):
                for way in "PLAIN", "LOGIN":
                    with client(i, port) as s:
                        s.ehlo()
                        s.user, s.password = USER, password
                        try:
                            code = s.auth(way, getattr(s, "auth_" + way.lower()))[0]
                        except smtplib.SMTPAuthenticationError as e:
                            code = e.smtp_code
                        need(code == (235 if good else 535), way, code)
                with client(i, port) as s:
                    s.ehlo()
                    state = Scram(USER, password)
                    code, text = s.docmd("AUTH SCRAM-SHA-256 " + b64(state.first))
                    code, text = s.docmd(b64(state.final(base64.b64decode(text).decode())))
                    if code == 334:
                        code, text = s.docmd("")
                    need(code == (235 if good else 535), "SCRAM", code)


def test_external():
    """EXTERNAL: a verified client certificate's name, where it is let in."""
    i = instance("smtpd_tls_ask_ccert = yes", "smtpd_sasl_mechanism_filter = static:all",
                 "smtpd_tls_CAfile = $config_directory/client.pem")
    key, cert = os.path.join(i.dir, "client.key"), os.path.join(i.etc, "client.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=" + USER],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with i:
        c = SClient(i, 465, "-cert", cert, "-key", key)
        c.say("EHLO client.test")
        need(c.say("AUTH EXTERNAL " + b64("boss@example.test")).startswith("535"), "another's name")
        got = c.say("AUTH EXTERNAL =")
        need(got.startswith("235"), got, i.log()[-900:])
        need(c.say("MAIL FROM:<%s>" % USER).startswith("250"))
        need(c.say("RCPT TO:<bob@example.test>").startswith("250"))
        c.close()
        with client(i, 465) as s:           # without a certificate
            s.ehlo()
            need("EXTERNAL" not in s.esmtp_features["auth"], s.esmtp_features)
            need(s.docmd("AUTH EXTERNAL =")[0] == 535)


def run_clients(i, to):
    """[(name, command, input)] of other hands."""
    text = os.path.join(i.dir, "mail.txt")
    with open(text, "w") as f:
        f.write("Subject: curl\n\nx\n")
    with open(os.path.join(i.etc, "tls.pem")) as f:
        pem = f.read()
    with open(os.path.join(i.dir, "certs"), "w") as f:
        f.write(pem[pem.index("-----BEGIN CERTIFICATE"):])
    # By itself mutt 2.2 chooses -PLUS, which it can't do (auth(8), CAVEATS).
    for port, url, how in ((587, "smtp", "scram-sha-256"), (465, "smtps", "scram-sha-1"), (465, "smtps", "plain"),
                           (587, "smtp", "login")):
        rc = os.path.join(i.dir, "muttrc%d" % port)
        with open(rc, "w") as f:
            f.write('set ssl_starttls=yes ssl_force_tls=yes certificate_file="%s/certs" from="%s" use_from=yes copy=no\n'
                    'set ssl_verify_host=no ssl_verify_dates=no use_envelope_from=yes\n'
                    'set smtp_url="%s://ann%%40example.test@127.0.0.1:%d/" smtp_pass="%s"\nset smtp_authenticators="%s"\n'
                    % (i.dir, USER, url, i.base + port, PASSWORD, how))
        yield "mutt %d %s" % (port, how), ["mutt", "-n", "-F", rc, "-s", "mutt", to], b"by mutt\n"
    yield "swaks 587", ["swaks", "--server", "127.0.0.1:%d" % (i.base + 587), "--to", to, "--from", USER, "-tls",
                        "--auth", "PLAIN", "--auth-user", USER, "--auth-password", PASSWORD], b""
    yield "swaks 465", ["swaks", "--server", "127.0.0.1:%d" % (i.base + 465), "--to", to, "--from", USER, "-tlsc",
                        "--auth", "LOGIN", "--auth-user", USER, "--auth-password", PASSWORD], b""
    for port, scheme in (587, "smtp"), (465, "smtps"):
        yield "curl %d" % port, ["curl", "-sSk", "--ssl-reqd", "%s://127.0.0.1:%d" % (scheme, i.base + port),
                                 "--mail-from", USER, "--mail-rcpt", to, "-T", text, "--user", USER + ":" + PASSWORD], b""
        yield "msmtp %d" % port, ["msmtp", "--host=127.0.0.1", "--port=%d" % (i.base + port), "--auth=on",
                                  "--user=" + USER, "--passwordeval=echo " + PASSWORD, "--tls=on",
                                  "--tls-starttls=" + ("on" if port == 587 else "off"), "--tls-certcheck=off",
                                  "--from=" + USER, to], b"Subject: msmtp\n\nx\n"
        need(scheme)


def test_clients():
    with instance() as i:
        n = 0
        for name, args, text in run_clients(i, "bob@example.test"):
            p = subprocess.run(args, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
            need(p.returncode == 0, name, p.stdout.decode("utf-8", "replace"))
            n += 1
        need(len(i.wait_mails("bob", n)) == n, n)


def test_gsasl():
    """A client that binds by itself."""
    with instance() as i:
        p = subprocess.run(["gsasl", "--smtp", "--connect", "127.0.0.1:%d" % (i.base + 587), "--mechanism",
                            "SCRAM-SHA-256-PLUS", "-a", USER, "-p", PASSWORD, "--verbose", "--x509-ca-file="],
                           input=b"QUIT\r\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        text = p.stdout.decode("utf-8", "replace")
        if "235 2.7.0" not in text and "SCRAM-SHA-256-PLUS" in text and "535" not in text:
            return "this gsasl has no tls-exporter: " + text[-200:]
        need("235 2.7.0" in text, text)


def test_login_maps():
    maps = "inline:{{ann@example.test=%s} {boss@example.test=boss} {shared@example.test=boss, %s}}" % (USER, USER)
    for rule, want in (("reject_sender_login_mismatch", (250, 553, 250, 553)),
                       ("reject_known_sender_login_mismatch", (250, 553, 250, 250)),
                       ("reject_authenticated_sender_login_mismatch", (250, 553, 250, 553)),
                       ("reject_unauthenticated_sender_login_mismatch", (250, 250, 250, 250))):
        with instance("smtpd_sender_login_maps = " + maps) as i:
            i.run("postconf", "-P", "127.0.0.1:%d/inet/smtpd_sender_restrictions=%s" % (i.base + 587, rule))
            i.run("postern", "-c", i.etc, "reload")
            time.sleep(1)
            with client(i, 587) as s:
                s.login(USER, PASSWORD)
                got = []
                for sender in USER, "boss@example.test", "shared@example.test", "other@example.test":
                    s.mail(sender)
                    code, text = s.rcpt("bob@example.test")
                    got.append(code)
                    if code == 553:
                        need(text.endswith(b"Sender address rejected: not owned by user ann@example.test"), text)
                    s.rset()
                need(tuple(got) == want, rule, got)


def test_account_limits():
    """Messages and recipients of a login in an hour, over both ports."""
    i = instance("smtpd_account_message_limit = 3", "smtpd_account_recipient_limit = 4")
    add_user(i, "bob@example.test")
    with i:
        for port in 587, 465, 587:
            with client(i, port) as s:
                s.login(USER, PASSWORD)
                need(s.mail(USER)[0] == 250)
                need(s.rcpt("bob@example.test")[0] == 250)
        with client(i, 465) as s:
            s.login(USER, PASSWORD)
            code, text = s.mail(USER)
            need(code == 450 and b"too many messages from ann@example.test: the limit is 3 in an hour" in text,
                 code, text)
        need(i.wait_log(r"account limit exceeded: 4 messages of sasl_username=ann@example\.test"))
        with client(i, 587) as s:           # another's mail is not concerned
            s.login("bob@example.test", PASSWORD)
            s.mail("bob@example.test")
            codes = [s.rcpt("ann@example.test")[0] for _ in range(5)]
            need(codes == [250] * 4 + [450], codes)


def test_no_hash_in_smtpd():
    """Reading smtpd's memory while it serves logins finds no stored password."""
    if not is_root():
        return "needs root"
    with instance() as i:
        with client(i, 587) as s, client(i, 465) as s2:
            s.login(USER, PASSWORD)
            need(s2.ehlo()[0] == 250)
            with open(os.path.join(i.etc, "users.lmdb"), "rb") as f:
                stored = re.findall(rb"\$argon2id\$[^ \0]{60,}|(?<=65536,)[A-Za-z0-9+/=]{20,},[A-Za-z0-9+/=]{20,}",
                                    f.read())
            need(len(stored) >= 3, "finds no hash in the database")
            key = [k for k in stored]
            for name in "smtpd", "auth":
                found = 0
                for pid in i.pids(name):
                    found += scan(pid, key)
                need((found > 0) == (name == "auth"), name, found)


def scan(pid, texts):
    found = 0
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not m or "[vvar" in line or "[vsyscall" in line:
                continue
            a, b = int(m.group(1), 16), int(m.group(2), 16)
            if b - a > 1 << 30:         # a sanitizer's shadow
                continue
            try:
                mem.seek(a)
                data = mem.read(b - a)
            except (OSError, ValueError, OverflowError):
                continue
            found += sum(data.count(t) for t in texts)
    return found


if __name__ == "__main__":
    sys.exit(main(globals()))
