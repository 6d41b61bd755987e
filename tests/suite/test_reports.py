#!/usr/bin/env python3
"""Delivery reports: who gets which, what they say, word by word.

RFC 3461, 3462, 3464, 6533, and the texts and rules of Postfix's bounce(8).
"""
import email
import email.policy
import os
import re
import signal
import subprocess
import sys
import time

from harness import Instance, main, need, tool, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"
GONE = "gone@example.test"
TABLE = "%s error:5.1.6 moved away\nlater@example.test retry:4.2.0 not now\n" % GONE
_shared = []


def make(settings=(), users=("ann", "bob", "gone", "later")):
    i = Instance(users=users, settings=["transport_maps = texthash:$config_directory/transport",
                                             "smtpd_reject_unlisted_recipient = no", *settings])
    with open(os.path.join(i.etc, "transport"), "w") as f:
        f.write(TABLE)
    return i


def shared():
    """No copies for postmaster."""
    if not _shared:
        i = make(["enable_threaded_bounces = yes", "bounce_size_limit = 3000"])
        i.start()
        _shared.append(i)
    return _shared[0]


def send(i, to, mail="", rcpt="", sender=ANN, text="Subject: about this\nMessage-ID: <id.1@x>\n\nbody line\n"):
    """One message by SMTP with DSN parameters; its queue id."""
    with i.smtp() as s:
        s.ehlo()
        need(s.docmd("MAIL FROM:<%s>%s" % (sender, mail and " " + mail))[0] == 250)
        for r in [to] if isinstance(to, str) else to:
            need(s.docmd("RCPT TO:<%s>%s" % (r, rcpt and " " + rcpt))[0] == 250, r)
        need(s.docmd("DATA")[0] == 354)
        s.send(text.replace("\n", "\r\n") + ".\r\n")
        reply = s.getreply()[1].decode()
        return re.search(r"queued as (\w+)", reply).group(1)


def done(i, qid):
    need(wait_for(lambda: re.search(r"%s: removed" % qid, i.log())), "not removed", qid, i.log()[-3000:])


def report_of(i, qid, user="ann", kind="sender non-delivery notification"):
    """The report that the log names, from the mailbox; parsed."""
    m = i.wait_log(r"%s: %s: (\w+)" % (qid, kind))
    need(m, "no report", kind, i.log()[-3000:])
    done(i, m.group(1))
    found = [t for t in i.mails(user) if b"\tid %s;" % m.group(1).encode() in t]
    need(found and "Postfix-Queue-ID: " + qid in found[0].decode("utf-8", "replace"), "not in the mailbox", i.log()[-2000:])
    return email.message_from_bytes(found[-1], policy=email.policy.default), found[-1].decode("utf-8", "replace")


def fields(text):
    """The fields of message/delivery-status, per recipient."""
    part = re.search(r"Content-Type: message/(?:global-)?delivery-status.*?\n\n(.*?)\n\n--", text, re.S).group(1)
    return [dict(l.split(": ", 1) for l in re.sub(r"\n +", " ", g).split("\n")) for g in part.split("\n\n")]


def test_failure_whole():
    i = shared()
    qid = send(i, GONE, "RET=FULL ENVID=my+2Benv", "NOTIFY=FAILURE ORCPT=rfc822;orig+2Bx@example.test")
    m, text = report_of(i, qid)
    need(m["From"] == "Mail Delivery System <MAILER-DAEMON@mx.example.test>" or
         m["From"].startswith("Mail Delivery System <MAILER-DAEMON@"), m["From"])
    need(m["Subject"] == "Undelivered Mail Returned to Sender" and m["To"] == ANN and
         m["Auto-Submitted"] == "auto-replied" and m["Return-Path"] == "<>", m.items())
    need(m["References"] == "<id.1@x>" and m["In-Reply-To"] == "<id.1@x>", "threaded", m.items())
    need(m.get_content_type() == "multipart/report" and m.get_param("report-type") == "delivery-status")
    parts = [p.get_content_type() for p in m.iter_parts()]
    need(parts == ["text/plain", "message/delivery-status", "message/rfc822"], parts)
    words = next(m.iter_parts()).get_content()
    need(words.startswith("This is the mail system at host mx.example.test.\n\nI'm sorry to have to inform you"), words)
    need("\n<%s>: moved away\n" % GONE in words, words)
    head, rcpt = fields(text)
    need(head["Reporting-MTA"] == "dns; mx.example.test" and head["Original-Envelope-Id"] == "my+env" and
         head["X-Postfix-Queue-ID"] == qid and head["X-Postfix-Sender"] == "rfc822; " + ANN, head)
    need(rcpt == {"Final-Recipient": "rfc822; " + GONE, "Original-Recipient": "rfc822;orig+x@example.test",
                  "Action": "failed", "Status": "5.1.6", "Diagnostic-Code": "X-Postfix; moved away"}, rcpt)
    need("body line" in list(m.iter_parts())[2].get_payload(0).get_content(), "the message")


def test_notify_and_ret():
    """Every combination that RFC 3461 4.1, 4.3 tells apart: who hears, and how much."""
    i = shared()
    # (to, NOTIFY) -> a report or none
    for to, notify, kind in ((GONE, "NEVER", None), (GONE, "SUCCESS", None), (GONE, "DELAY", None),
                             (GONE, "FAILURE", "fail"), (GONE, "SUCCESS,FAILURE,DELAY", "fail"), (GONE, "", "fail"),
                             (BOB, "NEVER", None), (BOB, "FAILURE", None), (BOB, "", None), (BOB, "DELAY", None),
                             (BOB, "SUCCESS", "success"), (BOB, "FAILURE,SUCCESS", "success")):
        for ret in ("", "RET=HDRS", "RET=FULL"):
            if kind is None and ret:
                continue
            qid = send(i, to, ret, notify and "NOTIFY=" + notify)
            done(i, qid)
            if kind is None:
                need(not re.search(r"%s: \w+ \S+ \S* ?notification" % qid, i.log()), "a report", to, notify)
                continue
            m, text = report_of(i, qid, kind="sender non-delivery notification" if kind == "fail" else
                                "sender delivery status notification")
            whole = kind == "fail" and ret != "RET=HDRS"
            need(("body line" in text) == whole, "how much", to, notify, ret)
            need(("text/rfc822-headers" in text) == (not whole), "headers", text)
            need(fields(text)[1]["Action"] == ("failed" if kind == "fail" else "delivered"), fields(text))


def test_expanded():
    """NOTIFY=SUCCESS of an alias for several: expanded, and no more; failures still come."""
    i = shared()
    with open(os.path.join(i.etc, "virtual"), "a") as f:
        f.write("team@example.test bob@example.test, ann@example.test\nteam2@example.test bob@example.test, gone@example.test\n"
                "one@example.test bob@example.test\n")
    i.run("postern", "reload")
    for to, n in (("team@example.test", 2), ("one@example.test", 1)):
        mark = len(i.log())
        qid = wait_for(lambda: send(i, to, "", "NOTIFY=SUCCESS"))
        m, text = report_of(i, qid, kind="sender delivery status notification")
        got = fields(text)[1:]
        need([(f["Final-Recipient"], f["Action"], f["Status"]) for f in got] == [("rfc822; " + to, "expanded", "2.0.0")], got)
        need("<%s>: alias expanded" % to in text, text)
        need("%s: from=<%s>, size=" % (qid, ANN) in i.log()[mark:] and "nrcpt=%d " % n in i.log()[mark:], i.log()[mark:])
        done(i, qid)
        need(i.log()[mark:].count("status notification") == 1, "one report", i.log()[mark:])
    qid = send(i, "team2@example.test", "", "NOTIFY=SUCCESS,FAILURE")
    m, text = report_of(i, qid, kind="sender delivery status notification")
    need([f["Action"] for f in fields(text)[1:]] == ["expanded"], text)
    m, text = report_of(i, qid)
    need([f["Final-Recipient"] for f in fields(text)[1:]] == ["rfc822; gone@example.test"], text)


def test_one_report_of_many():
    i = shared()
    qid = send(i, [BOB, GONE, "gone+x@example.test", ANN])
    m, text = report_of(i, qid)
    need([f["Final-Recipient"] for f in fields(text)[1:]] == ["rfc822; " + GONE, "rfc822; gone+x@example.test"], text)
    need(text.count("\n<gone") == 2, text)


def test_no_report_of_a_report():
    i = shared()
    mark = len(i.log())
    qid = send(i, GONE, sender="")
    done(i, qid)
    qid = send(i, GONE, sender="double-bounce@example.test")
    done(i, qid)
    need(re.search("%s: undeliverable postmaster notification discarded" % qid, i.log()) or
         "double-bounce" in i.log(), i.log()[mark:])
    need("notification: " not in i.log()[mark:], "a report of a report", i.log()[mark:])
    # A report that cannot be delivered ends there.
    qid = send(i, GONE, sender=GONE)
    second = i.wait_log("%s: sender non-delivery notification: (\\w+)" % qid).group(1)
    done(i, second)
    need(not re.search("%s: .*notification" % second, i.log()), "twice")


def test_large_gives_headers():
    i = shared()
    qid = send(i, GONE, "RET=FULL", text="Subject: big\n\n" + ("x" * 70 + "\n") * 60)
    m, text = report_of(i, qid)
    need("text/rfc822-headers" in text and "xxxx" not in text and "Subject: big" in text)


def test_smtputf8():
    i = shared()
    with i.smtp() as s:
        s.ehlo()
        need(s.docmd("MAIL FROM:<%s> SMTPUTF8 BODY=8BITMIME" % ANN)[0] == 250)
        s.send("RCPT TO:<gone+\u00e9t\u00e9@example.test>\r\n".encode())
        need(s.getreply()[0] == 250)
        s.docmd("DATA")
        s.send("Subject: \u00e9\r\n\r\n\u00fc\r\n.\r\n".encode())
        qid = re.search(r"queued as (\w+)", s.getreply()[1].decode()).group(1)
    m, text = report_of(i, qid)
    need("Content-Type: message/global-delivery-status" in text and "Content-Type: message/global\n" in text, text)
    need(fields(text)[1]["Final-Recipient"] == "utf-8; gone+\u00e9t\u00e9@example.test", fields(text))
    need("charset=utf-8" in text, text)


def test_sendmail_bv():
    """Nothing is delivered; the caller reads what would have been."""
    i = shared()
    before, mark = len(i.mails("bob")), len(i.log())
    out = i.run("sendmail", "-f", ANN, "-bv", BOB, GONE, "later@example.test")[1]
    need("Mail Delivery Status Report will be mailed to <%s>." % ANN in out, out)
    qid = wait_for(lambda: re.search(r"(\w+): uid=", i.log()[mark:])).group(1)
    m, text = report_of(i, qid, kind="sender delivery status notification")
    need(m["Subject"] == "Mail Delivery Status Report" and
         "Enclosed is the mail delivery report that you requested." in text, text)
    got = {f["Final-Recipient"].split()[1]: (f["Action"], f["Status"]) for f in fields(text)[1:]}
    need(got[BOB][0] == "deliverable" and got[GONE] == ("undeliverable", "5.1.6") and
         got["later@example.test"][0] == "undeliverable", got)
    done(i, qid)
    need(len(i.mails("bob")) == before, "delivered")
    need("non-delivery notification" not in "".join(l for l in i.log().splitlines() if qid in l), "a bounce too")


def test_sendmail_v():
    """Real delivery, and a report of it; failures are returned besides."""
    i = shared()
    mark = len(i.log())
    i.run("sendmail", "-f", ANN, "-v", BOB, GONE, stdin=b"Subject: traced\n\nx\n")
    need(wait_for(lambda: [m for m in i.mails("bob") if b"Subject: traced" in m]), "delivered")
    qid = re.search(r"(\w+): uid=", i.log()[mark:]).group(1)
    m, text = report_of(i, qid, kind="sender delivery status notification")
    got = {f["Final-Recipient"].split()[1]: f["Action"] for f in fields(text)[1:]}
    need(got == {BOB: "delivered", GONE: "failed"}, got)
    report_of(i, qid)


def flush(i, qid):
    before = len(re.findall("%s: to=" % qid, i.log()))
    i.run("postqueue", "-i", qid)
    need(wait_for(lambda: len(re.findall("%s: to=" % qid, i.log())) > before), "no attempt", i.log()[-2000:])


def test_delay():
    i = make(["delay_warning_time = 1s", "notify_classes = delay", "delay_notice_recipient = bob@example.test"])
    i.start()
    try:
        later = "later@example.test"
        qid = send(i, later, "RET=FULL")
        quiet = send(i, later, "", "NOTIFY=FAILURE")
        need(wait_for(lambda: len(re.findall("status=deferred", i.log())) >= 2), i.log()[-2000:])
        need(wait_for(lambda: (flush(i, qid), "%s: sender delay notification" % qid in i.log())[1]), i.log()[-2000:])
        flush(i, quiet)
        m, text = report_of(i, qid, kind="sender delay notification")
        need(m["Subject"] == "Delayed Mail (still being retried)" and "THIS IS A WARNING ONLY" in text, text)
        need("Content-Description: Undelivered Message Headers" in text and "body line" not in text, "headers alone", text)
        f = fields(text)[1]
        need(f["Action"] == "delayed" and f["Status"] == "4.2.0" and "Will-Retry-Until" in f, f)
        m, text = report_of(i, qid, "bob", "postmaster delay notification")
        need(m["Subject"] == "Postmaster Warning: Delayed Mail" and m["Auto-Submitted"] == "auto-generated" and
             "THIS IS A WARNING" not in text, text)
        need(wait_for(lambda: "%s: postmaster delay notification" % quiet in i.log()), "postmaster hears of all")
        need("%s: sender delay notification" % quiet not in i.log(), "NOTIFY=FAILURE")
        # Once alone.
        flush(i, qid)
        flush(i, qid)
        need(i.log().count("%s: sender delay notification" % qid) == 1, "once")
    finally:
        i.close()


def test_confirm_delay_cleared():
    i = make(["delay_warning_time = 1s", "confirm_delay_cleared = yes"])
    with open(os.path.join(i.etc, "transport"), "w") as f:
        f.write("%s retry:4.2.0 not now\n" % BOB)
    i.start()
    try:
        told, never = send(i, BOB), send(i, BOB, "", "NOTIFY=NEVER")
        need(wait_for(lambda: len(re.findall("status=deferred", i.log())) >= 2), i.log()[-2000:])
        need(wait_for(lambda: (flush(i, told), "%s: sender delay notification" % told in i.log())[1]), i.log()[-2000:])
        flush(i, never)
        open(os.path.join(i.etc, "transport"), "w").close()
        i.run("postern", "reload")
        need(wait_for(lambda: (i.run("postqueue", "-f"), not i.queue())[1], step=1), i.log()[-2000:])
        m, text = report_of(i, told, kind="sender delivery status notification")
        need(m["Subject"] == "Successful Mail Delivery Report" and fields(text)[1]["Action"] == "delivered", text)
        need("%s: sender" % never not in i.log(), "NOTIFY=NEVER")
    finally:
        i.close()


def test_postmaster():
    """notify_classes: copies of bounces, and what nobody else could get."""
    i = make(["notify_classes = bounce, 2bounce", "transport_maps = inline:{{%s=error:5.1.6 moved}}" % GONE, "bounce_notice_recipient = bob@example.test",
              "2bounce_notice_recipient = later+x@example.test"])
    i.start()
    try:
        qid = send(i, GONE, "", "NOTIFY=NEVER")
        m, text = report_of(i, qid, "bob", "postmaster non-delivery notification")
        need(m["Subject"] == "Postmaster Copy: Undelivered Mail" and "I'm sorry" not in text and
             "text/rfc822-headers" in text, text)
        need("sender non-delivery" not in i.log(), "NOTIFY=NEVER")
        need(m["Return-Path"].startswith("<double-bounce@"), m["Return-Path"])
        # A report that can't be delivered goes to postmaster, whole.
        qid = send(i, GONE, sender=GONE)
        second = i.wait_log("%s: sender non-delivery notification: (\\w+)" % qid).group(1)
        m, text = report_of(i, second, "later", "postmaster non-delivery notification")
        need("message/rfc822" in text and "body line" in text, text)
    finally:
        i.close()


def notices(i, user):
    return [m.decode() for m in i.mails(user) if b"SMTP server: errors from" in m]


def test_transcripts():
    """notify_classes policy, protocol, bounce: the session's lines, without passwords, once."""
    i = make(["notify_classes = policy, protocol, bounce", "error_notice_recipient = bob@example.test",
              "bounce_notice_recipient = later+x@example.test", "message_size_limit = 100000", "mynetworks = 10.1.1.1",
              "transport_maps ="])
    i.start()
    try:
        with i.smtp() as s:             # all is well: nobody hears
            s.sendmail(ANN, [BOB], "Subject: fine\n\nx\n")
        with i.smtp() as s:
            s.ehlo()
            s.docmd("AUTH PLAIN c2VjcmV0LXBhc3N3b3Jk")
            s.docmd("MAIL FROM:<%s>" % ANN)
            s.docmd("RCPT TO:<x@other.test>")
            s.docmd("NONSENSE " + "y" * 300)
        got = wait_for(lambda: notices(i, "bob"))
        need(got and len(got) == 1, i.log()[-2000:])
        m = email.message_from_string(got[0], policy=email.policy.default)
        need(m["Subject"] == "Postfix SMTP server: errors from localhost[127.0.0.1]" or
             m["Subject"].endswith(" SMTP server: errors from localhost[127.0.0.1]"), m["Subject"])
        need(m["Return-Path"].startswith("<double-bounce@") and "Postmaster" in m["To"], m.items())
        text = m.get_content()
        for line in ("Transcript of session follows.", " Out: 220 mx.example.test ESMTP", " In:  ehlo client.test", " In:  AUTH PLAIN\n",
                     " In:  MAIL FROM:<ann@example.test>", "Relay access denied", "Error: command not recognized",
                     "For other details, see the local mail logfile"):
            need(line in text, line, text)
        need("c2VjcmV0" not in text and "Subject: fine" not in text, text)
        need(all(len(l) <= 80 for l in text.splitlines()), text)
        with i.smtp() as s:             # a long session: what was said so far
            s.ehlo()
            s.docmd("NONSENSE")
            for n in range(60):
                s.docmd("NOOP %d" % n)
            got = wait_for(lambda: len(notices(i, "bob")) == 2 and notices(i, "bob"))
            need(got, i.log()[-2000:])
        need(sum("NOOP 40" in n for n in got) == 1 and not any("NOOP 59" in n for n in got), got)
        with i.smtp() as s:             # refused for what it is: to whom bounces go
            s.ehlo()
            s.docmd("MAIL FROM:<%s> SIZE=99999999" % ANN)
        got = wait_for(lambda: notices(i, "later"))
        need(got and "5.3.4" in got[0], i.log()[-2000:])
        need(len(notices(i, "bob")) == 2, "once")
    finally:
        i.close()


def test_no_transcripts_of_users_errors():
    """The default's classes are our own faults, not what a client does."""
    i = make(["notify_classes = " + subprocess.run([tool("postconf"), "-dh", "notify_classes"],
                                                   capture_output=True, text=True).stdout.strip()])
    i.start()
    try:
        with i.smtp() as s:
            s.ehlo()
            s.docmd("NONSENSE")
            s.docmd("MAIL FROM:<%s>" % ANN)
            s.docmd("RCPT TO:<x@nowhere.invalid")
        need(i.wait_log("disconnect from .*unknown=0/1") and not i.queue() and not i.mails("ann") and
             "postmaster notify" not in i.log(), i.log()[-1000:])
    finally:
        i.close()


def test_triple():
    """A postmaster notice that comes back is dropped with a warning."""
    i = make(["notify_classes = 2bounce", "2bounce_notice_recipient = gone@example.test"])
    i.start()
    try:
        send(i, GONE, sender="")
        need(i.wait_log("undeliverable postmaster notification discarded"), i.log()[-2000:])
        need(wait_for(lambda: not i.queue()), i.queue())
    finally:
        i.close()


def test_template_file():
    i = make()
    path = os.path.join(i.etc, "bounce.cf")
    with open(path, "wb") as f:
        f.write("failure_template = <<ENDE\nCharset: utf-8\nFrom: Post <MAILER-DAEMON>\nSubject: Zur\u00fcck\n\nx\nENDE\n"
                "# as Postfix's\nfailure_template = <<ENDE\nCharset: utf-8\nFrom: Postamt <MAILER-DAEMON>\nSubject: Unzustellbar\n\n"
                "Hier ist $myhostname. F\u00fcr $$5 und $maximal_queue_lifetime_hours Stunden.\n  Gru\u00df\nENDE\n".encode())
    try:
        status, out, err = i.run("postconf", "-b", path)
        need("expanded_failure_text = <<EOF\nHier ist mx.example.test. F\u00fcr $5 und 120 Stunden.\n  Gru\u00df\nEOF\n" in out, out)
        need("non-ASCII \"Subject\" header value in failure template -- ignoring this template" in err, err)
        need(i.run("postconf", "-t", path)[1].startswith("failure_template = <<EOF\nCharset: utf-8\nFrom: Postamt"))
        i.set("bounce_template_file = " + path)
        i.start()
        m, text = report_of(i, send(i, GONE))
        need(m["Subject"] == "Unzustellbar" and m["From"].startswith("Postamt <MAILER-DAEMON@"), m.items())
        part = next(m.iter_parts())
        need(part.get_content_charset() == "utf-8" and part["Content-Transfer-Encoding"] == "8bit", part.items())
        need(part.get_content().startswith("Hier ist mx.example.test. F\u00fcr $5 und 120 Stunden.\n  Gru\u00df\n"), part.get_content())
    finally:
        i.close()


def test_refused_by_cleanup():
    """A program's mail that header_checks refuse comes back, in the template's words."""
    i = make(["header_checks = regexp:$config_directory/checks", "bounce_template_file = $config_directory/bounce.cf"])
    with open(os.path.join(i.etc, "checks"), "w") as f:
        f.write("/^Subject: forbidden/ REJECT not with this subject\n")
    with open(os.path.join(i.etc, "bounce.cf"), "w") as f:
        f.write("failure_template = <<EOF\nSubject: Came back\n\nSays $myhostname.\nEOF\n")
    i.start()
    try:
        i.run("sendmail", "-f", ANN, BOB, stdin=b"Subject: forbidden things\n\nx\n")
        got = i.wait_mails("ann", 1)
        need(len(got) == 1, i.log()[-2000:])
        m = email.message_from_bytes(got[0], policy=email.policy.default)
        need(m["Subject"] == "Came back" and m["From"] == "Mail Delivery System <MAILER-DAEMON@example.test>", m.items())
        words = next(m.iter_parts()).get_content()
        need(words.startswith("Says mx.example.test.\n\n<%s>: " % BOB) and "not with this subject" in words, words)
        f = fields(got[0].decode())[1]
        need(f["Action"] == "failed" and f["Status"].startswith("5.7"), f)
        need(i.wait_log("sender non-delivery notification: ") and wait_for(lambda: not i.queue()) and not i.mails("bob"))
    finally:
        i.close()


def test_bad_template_stops_the_start():
    i = make()
    try:
        for text, why in (("failure_template = <<EOF\n\n$nonsense\nEOF\n", "undefined $name in failure template"),
                          ("nonsense\n", "missing '=' after attribute name"), (None, "No such file")):
            path = os.path.join(i.etc, "bounce.cf")
            if text is None:
                os.unlink(path)
            else:
                with open(path, "w") as f:
                    f.write(text)
            i.set("bounce_template_file = " + path)
            status, out, err = i.run("postern", "check", check=False)
            need(status != 0 and why in out + err, why, out, err)
            p = subprocess.run([tool("postconf"), "-c", i.etc, "-b"], capture_output=True, text=True)
            need(p.returncode != 0 and why in p.stderr, why, p)
    finally:
        i.close()


def test_crash_of_bounce():
    """It dies in the middle, again and again: one report in the end, none lost."""
    i = make()
    i.start()
    try:
        ids = []
        for n in range(30):
            ids.append(send(i, GONE))
            for pid in i.pids("bounce") if n % 3 == 0 else []:
                os.kill(pid, 9)
        need(wait_for(lambda: (i.run("postqueue", "-f"), not i.queue())[1], 60, 0.5), i.queue(), i.log()[-2000:])
        got = "".join(m.decode() for m in i.mails("ann"))
        for qid in ids:
            need("X-Postfix-Queue-ID: %s\n" % qid in got, "lost", qid)
    finally:
        i.close()


def test_dead_bounce():
    """bounce dies over a report: the next one writes it, long before the message's next turn."""
    with make() as i:
        bounce = i.pids("bounce")[0]
        os.kill(bounce, signal.SIGSTOP)
        qid = send(i, GONE)
        need(i.wait_log(r"%s: to=.* status=bounced" % qid), i.log()[-2000:])
        time.sleep(0.5)                 # qmgr has asked it meanwhile
        os.kill(bounce, signal.SIGKILL)
        report_of(i, qid)
        need("no report to its sender yet" not in i.log(), i.log()[-2000:])


def test_end_of_shared():
    if _shared:
        _shared[0].close()


if __name__ == "__main__":
    sys.exit(main(globals()))
