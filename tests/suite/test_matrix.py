"""Every client with every mechanism that it has, over 587 and 465.

swaks, msmtp, curl, mutt, gsasl, Python's smtplib and openssl s_client; the log
tells whether it was that mechanism. Each with the right password, then with a
wrong one, which reads alike whatever the mechanism.
"""
import os
import smtplib
import subprocess
import sys

from harness import Instance, main, need, wait_for
from test_auth import add_user, b64, plain
from test_submission import SClient, client, plus

USER, PASSWORD = "ann@example.test", "correct-horse"
NO = "535 5.7.8 Error: authentication failed: authentication failure"
HAVE = {
    "swaks": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "msmtp": ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
    "curl": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "mutt": ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
    "gsasl": ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"),
    "smtplib": ("PLAIN", "LOGIN", "CRAM-MD5"),
    "openssl": ("PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"),
}


def instance():
    i = Instance(settings=("auth_user_schemes = ARGON2ID SCRAM-SHA-256 SCRAM-SHA-1 PLAIN", "auth_failure_delay = 0s",
                           "auth_mechanisms = plain login cram-md5 scram-sha-256 scram-sha-1",
                           "auth_penalty_exceptions = 127.0.0.0/8", "smtpd_error_sleep_time = 0",
                           "smtpd_client_connection_count_limit = 0", "auth_penalty_waiting = 10000"))
    for name in USER, "bob@example.test":
        add_user(i, name, PASSWORD)
    with open(os.path.join(i.etc, "tls.pem")) as f:
        pem = f.read()
    i.certs = os.path.join(i.dir, "certs")
    with open(i.certs, "w") as f:
        f.write(pem[pem.index("-----BEGIN CERTIFICATE"):])
    i.mail = os.path.join(i.dir, "mail.txt")
    with open(i.mail, "w") as f:
        f.write("Subject: matrix\n\nx\n")
    return i


def swaks(i, port, mech, password):
    return ["swaks", "--server", "127.0.0.1:%d" % (i.base + port), "--to", "bob@example.test", "--from", USER,
            "-tls" if port == 587 else "-tlsc", "--auth", mech, "--auth-user", USER, "--auth-password", password], b""


def msmtp(i, port, mech, password):
    return ["msmtp", "--host=127.0.0.1", "--port=%d" % (i.base + port), "--auth=" + mech.lower(), "--user=" + USER,
            "--passwordeval=echo " + password, "--tls=on", "--tls-starttls=" + ("on" if port == 587 else "off"),
            "--tls-certcheck=off", "--from=" + USER, "bob@example.test"], b"Subject: msmtp\n\nx\n"


def curl(i, port, mech, password):
    return ["curl", "-sSk", "--ssl-reqd", "%s://127.0.0.1:%d" % ("smtp" if port == 587 else "smtps", i.base + port),
            "--login-options", "AUTH=" + mech, "--mail-from", USER, "--mail-rcpt", "bob@example.test",
            "-T", i.mail, "--user", USER + ":" + password], b""


def mutt(i, port, mech, password):
    rc = os.path.join(i.dir, "muttrc")
    with open(rc, "w") as f:
        f.write('set ssl_starttls=yes ssl_force_tls=yes certificate_file="%s" from="%s" use_from=yes copy=no\n'
                'set ssl_verify_host=no ssl_verify_dates=no use_envelope_from=yes smtp_authenticators="%s"\n'
                'set smtp_url="%s://ann%%40example.test@127.0.0.1:%d/" smtp_pass="%s"\n'
                % (i.certs, USER, mech.lower(), "smtp" if port == 587 else "smtps", i.base + port, password))
    return ["mutt", "-n", "-F", rc, "-s", "mutt", "bob@example.test"], b"by mutt\n"


def gsasl(i, port, mech, password):
    if port == 465:
        return None                     # it knows STARTTLS alone
    # A client that could bind says so, which forbids the mechanism without.
    unbound = ["--no-cb"] if mech.startswith("SCRAM") and not mech.endswith("PLUS") else []
    return ["gsasl", "--smtp", "--connect", "127.0.0.1:%d" % (i.base + port), "--mechanism", mech, "-a", USER,
            "-p", password, "--no-client-first" if mech == "LOGIN" else "--quiet", "--x509-ca-file=",
            *unbound], b"QUIT\r\n"


def by_smtplib(i, port, mech, password):
    with client(i, port) as s:
        s.ehlo()
        s.user, s.password = USER, password
        try:
            return s.auth(mech, getattr(s, "auth_" + mech.lower().replace("-", "_")))[0] == 235
        except smtplib.SMTPAuthenticationError as e:
            need(e.smtp_code == 535 and NO.endswith(e.smtp_error.decode().split(" ", 1)[1]), e)
            return False


def by_openssl(i, port, mech, password):
    c = SClient(i, port)
    c.say("EHLO client.test")
    if mech == "PLAIN":
        got = c.say("AUTH PLAIN " + plain(USER, password))
    elif mech == "LOGIN":
        c.say("AUTH LOGIN " + b64(USER))
        got = c.say(b64(password))
    elif mech.endswith("-PLUS"):
        got = plus(c, USER, password, mech)
    else:
        got = plus(c, USER, password, mech, flag="n")
    need(got.startswith("235") or got == NO, got)
    c.close()
    return got.startswith("235")


def attempt(i, name, port, mech, password):
    """True: logged in; None: this client cannot."""
    if name in ("smtplib", "openssl"):
        return (by_smtplib if name == "smtplib" else by_openssl)(i, port, mech, password)
    made = globals()[name](i, port, mech, password)
    if made is None:
        return None
    p = subprocess.run(made[0], input=made[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    i.said = p.stdout.decode("utf-8", "replace")
    return p.returncode == 0


def test_matrix():
    with instance() as i:
        done, lost = 0, []
        for name, mechs in HAVE.items():
            for port in 587, 465:
                for mech in mechs:
                    for password in PASSWORD, "wrong":
                        i.said, mark = "", len(i.log())
                        got = attempt(i, name, port, mech, password)
                        if got is None:
                            continue
                        done += 1
                        want = "sasl_method=%s, sasl_username=%s" % (mech, USER) if got else \
                            "SASL %s authentication failed: authentication failure, sasl_username=%s" % (mech, USER)
                        # Who sends no mail leaves no such line where it was let in.
                        told = got and name in ("smtplib", "openssl", "gsasl") or \
                            wait_for(lambda w=want, m=mark: w in i.log()[m:], 5)
                        new = i.log()[mark:]
                        if got != (password == PASSWORD) or not told:
                            lost.append("%s %d %s %s: %s\n%s\n%s" % (name, port, mech, password, got, i.said[-700:], new[-500:]))
        need(not lost, "\n".join([""] + lost))
        need(done > 100, done)
        print("# %d logins" % done)


if __name__ == "__main__":
    sys.exit(main(globals()))
