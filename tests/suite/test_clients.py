#!/usr/bin/env python3
"""Programs of other hands deliver through an instance; what they are told.

swaks, curl, msmtp, Python's smtplib, bsd-mailx and git send-email, each by
SMTP or by sendmail as it does it itself. Then what matters to any client:
replies, content kept byte for byte, reports, extensions, deferral.
"""
import contextlib
import email
import os
import re
import select
import shutil
import signal
import smtplib
import subprocess
import sys

from harness import Instance, Wire, main, need, tool, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"
NOBODY = "nobody.here@example.test"
_shared = []


def shared():
    if not _shared:
        i = Instance(settings=[
            "transport_maps = texthash:$config_directory/transport",
            "relay_domains = broken.test",
            "smtpd_error_sleep_time = 0",
            "message_size_limit = 30000000"])
        with open(os.path.join(i.etc, "transport"), "w") as f:
            f.write("gone@example.test error:5.1.6 has moved away\n"
                    "bob+later@example.test retry:4.2.0 not now\nbroken.test error:5.7.0 no such place\n")
        with open(os.path.join(i.etc, "vmailbox"), "a") as f:
            f.write("gr\u00fcn@example.test example.test/ann/\ngone@example.test example.test/ann/\n")
        with open(os.path.join(i.etc, "virtual"), "a") as f:
            f.write("sales@example.test ann@example.test, bob@example.test\n"
                    "moved@example.test gone@example.test\nlater@example.test bob+later@example.test\n")
        i.start()
        _shared.append(i)
    return _shared[0]


def call(args, stdin=b"", env=None, **kw):
    p = subprocess.run(args, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=60, env=dict(os.environ, LC_ALL="C.UTF-8", **(env or {})), **kw)
    return p.returncode, p.stdout.decode("utf-8", "replace")


def arrived(i, user, subject, seconds=15):
    def find():
        for m in i.mails(user):
            if email.message_from_bytes(m)["Subject"] == subject:
                return m
        return None
    return wait_for(find, seconds)


def body_of(mail):
    return mail.split(b"\n\n", 1)[1]


def have(program):
    """Every client stands in conf/packages: one that is absent is a fault."""
    need(shutil.which(program), program, "is not installed: conf/install-packages")


# --- the programs ---

def test_swaks():
    have("swaks")
    i = shared()
    base = ["swaks", "--server", "127.0.0.1", "--port", str(i.port), "--from", "s@elsewhere.test", "--helo", "h.test"]
    status, out = call(base + ["--to", ANN, "--header", "Subject: swaks", "--body", "hello"])
    need(status == 0 and arrived(i, "ann", "swaks"), status, out)
    status, out = call(base + ["--to", NOBODY])
    need(status == 24 and "550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table" % NOBODY
         in out, status, out)
    status, out = call(base + ["--to", "%s,%s" % (ANN, NOBODY), "--header", "Subject: swaks two"])
    need(status == 0 and arrived(i, "ann", "swaks two"), "one of two", status, out)
    status, out = call(base + ["--to", ANN, "--pipeline", "--header", "Subject: swaks pipe"])
    need(status == 0 and arrived(i, "ann", "swaks pipe"), "pipelined", status, out)


def test_curl():
    have("curl")
    i = shared()
    base = ["curl", "-sS", "--url", "smtp://127.0.0.1:%d/c.test" % i.port, "--mail-from", "c@elsewhere.test"]
    mail = b"From: c@elsewhere.test\r\nTo: ann@example.test\r\nSubject: curl%d\r\n\r\nbody\r\n.dot\r\n"
    status, out = call(base + ["--mail-rcpt", ANN, "--upload-file", "-"], mail % 1)
    need(status == 0 and body_of(arrived(i, "ann", "curl1")) == b"body\n.dot\n", status, out)
    status, out = call(base + ["--mail-rcpt", NOBODY, "--upload-file", "-"], mail % 2)
    need(status == 55 and "550" in out, status, out)
    status, out = call(base + ["--mail-rcpt-allowfails", "--mail-rcpt", NOBODY, "--mail-rcpt", ANN,
                               "--upload-file", "-"], mail % 3)
    need(status == 0 and arrived(i, "ann", "curl3"), "partial refusal", status, out)


def test_msmtp():
    have("msmtp")
    i = shared()
    base = ["msmtp", "--host=127.0.0.1", "--port=%d" % i.port, "--from=m@elsewhere.test", "--tls=off", "--auth=off"]
    status, out = call(base + ["--", ANN, BOB], b"Subject: msmtp\n\nbody\n.\nafter\n")
    need(status == 0 and body_of(arrived(i, "ann", "msmtp")) == b"body\n.\nafter\n", status, out)
    need(arrived(i, "bob", "msmtp"))
    status, out = call(base + [NOBODY], b"Subject: x\n\n\n")
    need(status == 65 and "User unknown" in out, status, out)
    status, out = call(base[:3] + ["--serverinfo", "--tls=off"])
    need(status == 0 and "mx.example.test ESMTP" in out and "PIPELINING" in out, status, out)


def test_bsd_mailx():
    have("bsd-mailx")
    i = shared()
    rc = os.path.join(i.dir, "mailrc")
    with open(rc, "w") as f:
        f.write("set sendmail=%s\n" % tool("sendmail"))
    status, out = call(["bsd-mailx", "-s", "from mailx", "-c", BOB, ANN], b"Gr\xc3\xbc\xc3\x9fe\n.x\n",
                       {"MAILRC": rc, "MAIL_CONFIG": i.etc})
    need(status == 0 and arrived(i, "ann", "from mailx"), status, out)
    need("Grüße\n.x\n".encode() in arrived(i, "bob", "from mailx"), arrived(i, "bob", "from mailx"))


def test_git_send_email():
    have("git")
    i = shared()
    tree = os.path.join(i.dir, "git")
    env = {"GIT_AUTHOR_NAME": "Ann Author", "GIT_AUTHOR_EMAIL": ANN, "GIT_COMMITTER_NAME": "Ann Author",
           "GIT_COMMITTER_EMAIL": ANN, "HOME": tree, "GIT_CONFIG_NOSYSTEM": "1", "MAIL_CONFIG": i.etc}
    os.mkdir(tree)
    for args in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "start"],):
        need(call(["git", "-C", tree] + args, env=env)[0] == 0, args)
    with open(os.path.join(tree, "f"), "w") as f:
        f.write("one\n.\nFrom here\n")
    for args in (["add", "f"], ["commit", "-q", "-m", "area: add a file"], ["format-patch", "-q", "-1"]):
        need(call(["git", "-C", tree] + args, env=env)[0] == 0, args)
    patch = os.path.join(tree, "0001-area-add-a-file.patch")
    common = ["git", "-C", tree, "send-email", "--quiet", "--confirm=never", "--suppress-cc=all", "--from", ANN,
              "--to", BOB]
    ways = (["--smtp-server", "127.0.0.1", "--smtp-server-port", str(i.port), "--smtp-domain", "git.test"],
            ["--smtp-server", tool("sendmail")],
            ["--smtp-server", tool("sendmail"), "--envelope-sender", ANN],
            ["--sendmail-cmd", tool("sendmail") + " -i"])
    for way in ways:
        status, out = call(common + way + [patch], env=env)
        need(status == 0, way, out)
    found = wait_for(lambda: [m for m in i.mails("bob") if b"[PATCH] area: add a file" in m][3:])
    need(found and b"\n+one\n+.\n+From here\n" in found[0], "all four", i.mails("bob"))


def test_smtplib():
    i = shared()
    with i.smtp() as s:
        s.ehlo()
        need(s.esmtp_features.get("size") == "30000000", s.esmtp_features)
        for word in ("pipelining", "vrfy", "etrn", "enhancedstatuscodes", "8bitmime", "dsn", "smtputf8", "chunking"):
            need(s.has_extn(word), word)
        refused = s.sendmail("a@elsewhere.test", [ANN, NOBODY], "Subject: lib\n\nx\n")
        need(list(refused) == [NOBODY] and refused[NOBODY][0] == 550, refused)
        need(arrived(i, "ann", "lib"))
        try:
            s.sendmail("a@elsewhere.test", [NOBODY], "Subject: none\n\nx\n")
            need(False, "no recipient at all")
        except smtplib.SMTPRecipientsRefused as e:
            need(e.recipients[NOBODY][0] == 550, e.recipients)
        s.sendmail("a@elsewhere.test", [ANN], "Subject: after a refusal\n\nx\n")
        need(arrived(i, "ann", "after a refusal"), "the same session goes on")
        s.mail("a@elsewhere.test")
        need(s.rcpt("x@not-ours.test")[0] == 250, "mynetworks may relay")


# --- content ---

def test_content_is_kept_byte_for_byte():
    i = shared()
    bodies = {
        "latin": bytes(range(128, 256)) + b"\r\n",
        "utf8": "Grüße, 日本語, \U0001f600\r\n".encode(),
        "controls": bytes(c for c in range(1, 128) if c not in (10, 13)) + b"\r\n",
        "dots": b".\r\n..\r\n.x\r\nx.\r\n",
        "blank": b"  \r\n\t\r\n\r\n\r\n \r\n",
        "no body": b"",
        "from": b"From here\r\n>From there\r\n",
        "long": b"y" * 5000 + b"\r\n",
    }
    with i.smtp() as s:
        for name, body in bodies.items():
            s.sendmail("a@elsewhere.test", [ANN], b"Subject: kept " + name.encode() + b"\r\nX-Raw: \xe4\xff\r\n\r\n" + body,
                       ["BODY=8BITMIME"])
    for name, body in bodies.items():
        mail = arrived(i, "ann", "kept " + name)
        need(mail and body_of(mail) == body.replace(b"\r\n", b"\n"), name, mail)
        need(b"\nX-Raw: \xe4\xff\n" in mail, name, "header", mail)


def test_smtputf8():
    i = shared()
    w = Wire(i.port)
    w.reply()
    w.say("EHLO u.test")
    need(w.say("MAIL FROM:<s\u00e4nder@b\u00fccher.test> SMTPUTF8").startswith("250"), "sender")
    need(w.say("RCPT TO:<gr\u00fcn@example.test>").startswith("250"), "recipient")
    need(w.say("DATA").startswith("354"))
    need(w.say("Subject: utf8 \u00e4ddress\r\n\r\nx\r\n.").startswith("250"))
    need(wait_for(lambda: [m for m in i.mails("ann") if "Return-Path: <s\u00e4nder@b\u00fccher.test>\n".encode() in m]))
    w.close()


def test_bdat():
    i = shared()
    w = Wire(i.port)
    w.reply()
    w.say("EHLO b.test")
    parts = [b"Subject: bdat\r\n\r\n", b".\r\n", b"bare \x00? no\r\n".replace(b"\x00", b"0"), b"last\r\n.\r\n"]
    w.send("MAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<%s>\r\n" % ANN)
    for n, part in enumerate(parts):
        w.send(b"BDAT %d%s\r\n" % (len(part), b" LAST" if n == len(parts) - 1 else b"") + part)
    got = [w.reply() for _ in range(2 + len(parts))]
    need(all(r.startswith("250") for r in got), got)
    need(re.match(r"250 2\.0\.0 Ok: \d+ bytes queued as [0-9A-F]+$", got[-1]), got[-1])
    need(body_of(arrived(i, "ann", "bdat")) == b".\nbare 0? no\nlast\n.\n", arrived(i, "ann", "bdat"))
    w.close()


def test_pipelined_group():
    i = shared()
    w = Wire(i.port)
    w.reply()
    w.say("EHLO p.test")
    w.send("MAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<%s>\r\nRCPT TO:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (ANN, NOBODY, BOB))
    got = [w.reply()[:3] for _ in range(5)]
    need(got == ["250", "250", "550", "250", "354"], got)
    w.send("Subject: group\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\nRSET\r\nQUIT\r\n" % ANN)
    got = [w.reply()[:3] for _ in range(5)]
    need(got == ["250", "250", "250", "250", "221"] and w.closed(), got)
    need(arrived(i, "ann", "group") and arrived(i, "bob", "group"))
    w.close()


def test_size_limit():
    text = "Subject: big\r\n\r\n" + ("0123456789" * 7 + "\r\n") * 290000
    i = Instance()
    try:
        i.start()
        with i.smtp() as s:
            try:
                s.sendmail("a@elsewhere.test", [ANN], text)
                need(False, "20 MB accepted")
            except smtplib.SMTPSenderRefused as e:
                need(e.smtp_code == 552 and b"5.3.4 Message size exceeds fixed limit" in e.smtp_error, e)
            s.rset()
            s.ehlo_or_helo_if_needed()
            s.mail("a@elsewhere.test")        # says no SIZE
            s.rcpt(ANN)
            code, what = s.data(text)
            need(code == 552 and b"5.3.4" in what, code, what)
        i.set("message_size_limit = 30000000")
        i.run("postern", "reload")
        need(wait_for(lambda: b"SIZE 30000000" in hello(i)), "reload")
        with i.smtp() as s:
            s.sendmail("a@elsewhere.test", [ANN], text)
        mail = arrived(i, "ann", "big")
        need(mail and body_of(mail) == text.split("\r\n\r\n", 1)[1].replace("\r\n", "\n").encode(), "20 MB kept")
    finally:
        i.close()


def hello(i):
    with i.smtp() as s:
        return s.ehlo()[1]


# --- where mail goes ---

def test_addresses():
    i = shared()
    with i.smtp() as s:
        for rcpt in ("ann+folder@example.test", "ANN@Example.TEST", "sales@example.test", "postmaster@example.test",
                     "\"ann\"@example.test"):
            s.sendmail("a@elsewhere.test", [rcpt], "Subject: to %s\n\nx\n" % rcpt)
    need(b"Delivered-To: ann+folder@example.test\n" in arrived(i, "ann", "to ann+folder@example.test"))
    need(arrived(i, "ann", "to ANN@Example.TEST"))
    for user in ("ann", "bob"):
        need(arrived(i, user, "to sales@example.test"), user)
    need(b"X-Original-To: sales@example.test\n" in arrived(i, "bob", "to sales@example.test"))
    need(arrived(i, "ann", "to postmaster@example.test"))
    need(arrived(i, "ann", 'to "ann"@example.test'))


def test_relay_is_refused_to_strangers():
    i = Instance(settings=["mynetworks = 192.0.2.0/24"])
    try:
        i.start()
        with i.smtp() as s:
            s.ehlo()
            s.mail("a@elsewhere.test")
            code, text = s.rcpt("x@not-ours.test")
            need(code == 454 and text == b"4.7.1 <x@not-ours.test>: Relay access denied", code, text)
            need(s.rcpt(ANN)[0] == 250, "own domain")
    finally:
        i.close()


def report(i, user, subject):
    """The parts of a report to user about mail with this subject."""
    def find():
        for m in i.mails(user):
            e = email.message_from_bytes(m)
            if e.get_content_type() == "multipart/report" and ("Subject: " + subject).encode() in m:
                return e
        return None
    return wait_for(find, 15)


def test_non_delivery_report():
    i = shared()
    i.run("sendmail", "-f", BOB, NOBODY, ANN, stdin=b"Subject: lost one\nX-Mark: 7\n\nthe body\n")
    need(arrived(i, "ann", "lost one"), "the other recipient")
    e = report(i, "bob", "lost one")
    need(e, "no report", i.log()[-2000:])
    need(e["Subject"] == "Undelivered Mail Returned to Sender" and e["Auto-Submitted"] == "auto-replied" and
         e["From"] == "Mail Delivery System <MAILER-DAEMON@example.test>" and e["To"] == BOB and
         e["Return-Path"] == "<>", e.items())
    need(e.get_param("report-type") == "delivery-status", e["Content-Type"])
    text, status, back = e.get_payload()
    need(text.get_content_type() == "text/plain" and "<%s>: " % NOBODY in text.get_payload(), text)
    need(status.get_content_type() == "message/delivery-status", status)
    message, *rcpts = status.get_payload()
    need(message["Reporting-MTA"] == "dns; mx.example.test" and message["Arrival-Date"], message.items())
    need(len(rcpts) == 1, "only the failed one", rcpts)
    r = rcpts[0]
    need(r["Final-Recipient"] == "rfc822; " + NOBODY and r["Action"] == "failed" and r["Status"] == "5.1.1" and
         "unknown user" in r["Diagnostic-Code"], r.items())
    need(back.get_content_type() == "message/rfc822", back.get_content_type())
    need(back.get_payload(0)["X-Mark"] == "7" and back.get_payload(0).get_payload() == "the body\n", back)


def test_error_and_retry_transports_at_rcpt():
    i = shared()
    with i.smtp() as s:
        s.ehlo()
        s.mail("a@elsewhere.test")
        need(s.rcpt("gone@example.test") == (550, b"5.1.6 <gone@example.test>: Recipient address rejected: "
                                             b"has moved away"), "error:")
        code, text = s.rcpt("bob+later@example.test")
        need(code == 450 and text.startswith(b"4.2.0 "), "retry:", code, text)
        need(s.rcpt("x@broken.test")[0] == 550, "of a domain")


def test_recipients_of_one_domain():
    """Where no table tells users of a domain apart, it is asked about once a second and message; else each is."""
    with contextlib.closing(Instance(settings=["transport_maps = texthash:$config_directory/transport",
                                               "smtpd_error_sleep_time = 0"])) as i:
        def table(text):
            with open(os.path.join(i.etc, "transport"), "w") as f:
                f.write("far.test discard:\nfull.test error:5.2.2 all full\n" + text)

        def rcpts(w, *to):
            return [w.say("RCPT TO:<%s>" % a)[:3] for a in to]

        def answered_alone(w):
            need(rcpts(w, "a@far.test") == ["250"])
            pid = i.pids("lookup")[0]
            os.kill(pid, signal.SIGSTOP)
            w.send(b"RCPT TO:<b@far.test>\r\n")
            early = select.select([w.s], [], [], 5)[0]
            os.kill(pid, signal.SIGCONT)
            return w.reply()[:3] == "250" and early

        table("")
        i.start()
        w = Wire(i.port)
        w.reply()
        need(w.say("EHLO client.test").startswith("250"))
        need(w.say("MAIL FROM:<a@elsewhere.test>")[:3] == "250")
        need(any(answered_alone(w) for _ in range(5)), "lookup is asked about each")
        need(rcpts(w, "a@full.test", "b@full.test", "a@far.test") == ["550", "550", "250"])
        table("gone@far.test error:5.1.6 moved\n")
        need(wait_for(lambda: rcpts(w, "gone@far.test") == ["550"], 10, 0.5), "the new table is not seen")
        need(rcpts(w, "a@far.test", "gone@far.test", "b@far.test", "gone@far.test") == ["250", "550", "250", "550"])
        w.close()


def test_null_sender_never_bounces():
    i = shared()
    mark = len(i.log())
    with i.smtp() as s:
        s.sendmail("", ["moved@example.test"], "Subject: null\n\nx\n")
    need(wait_for(lambda: re.search(r"to=<gone@example.test>.*status=bounced", i.log()[mark:])), i.log()[mark:])
    need(wait_for(lambda: not [d for d, _ in i.queue() if d != "deferred"]), i.queue())
    need("notification" not in i.log()[mark:], i.log()[mark:])


def test_dsn_notify():
    i = shared()
    with i.smtp() as s:
        s.sendmail(BOB, ["moved@example.test"], "Subject: hush\n\nx\n", rcpt_options=["NOTIFY=NEVER"])
        s.sendmail(BOB, ["moved@example.test"], "Subject: tell\n\nx\n", ["RET=HDRS", "ENVID=e+2B1"],
                   ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;first@example.test"])
        s.sendmail(BOB, [ANN], "Subject: done\n\nx\n", rcpt_options=["NOTIFY=SUCCESS"])
        for bad in ("NOTIFY=NEVER,SUCCESS", "NOTIFY=", "ORCPT=nothing"):
            s.mail(BOB)
            need(s.rcpt(ANN, [bad])[0] in (501, 555), bad)
            s.rset()
    e = report(i, "bob", "tell")
    text, status, back = e.get_payload()
    message, r = status.get_payload()
    need(message["Original-Envelope-Id"] == "e+1", message.items())
    need(r["Original-Recipient"] == "rfc822;first@example.test" and r["Status"] == "5.1.6", r.items())
    need(back.get_content_type() == "text/rfc822-headers", back.get_content_type())
    e = report(i, "bob", "done")
    need(e and e.get_payload(1).get_payload(1)["Action"] == "delivered", e)
    need(not report_now(i, "bob", "hush"), "NOTIFY=NEVER")


def report_now(i, user, subject):
    return [m for m in i.mails(user) if b"multipart/report" in m and ("Subject: " + subject).encode() in m]


def test_deferred_then_flushed():
    i = shared()
    i.send("Subject: later\n\nx\n", ["later@example.test"])
    need(i.wait_log(r"to=<bob\+later@example.test>.*dsn=4\.2\.0, status=deferred \(not now\)"), i.log()[-1500:])
    need(wait_for(lambda: [d for d, _ in i.queue()] == ["deferred"]), i.queue())
    with open(os.path.join(i.etc, "transport"), "w") as f:
        f.write("gone@example.test error:5.1.6 has moved away\n")
    i.reload()
    i.run("postqueue", "-f")
    need(arrived(i, "bob", "later"), i.log()[-2000:])
    need(wait_for(lambda: not i.queue()), i.queue())


if __name__ == "__main__":
    bad = main(globals())
    for one in _shared:
        one.close()
    sys.exit(bad)
