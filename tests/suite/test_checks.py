#!/usr/bin/env python3
"""header_checks and body_checks, access(5) actions, whole system: replies, logs, what arrives."""
import os
import re
import smtplib
import sys

from harness import Instance, main, need, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"
LOG = r"from \S+\[127\.0\.0\.1\]; from=<sender@elsewhere\.test> to=<ann@example\.test> proto=ESMTP helo=<client\.test>"

RULES = r"""
/^Subject: reject (.*)/     REJECT no $1 here
/^Subject: coded/           REJECT 5.6.3 Coded text
/^Subject: later/           REJECT 4.7.5 Come back
/^Subject: warn/            WARN look at this
/^Subject: info/            INFO
/^Subject: hold/            HOLD for review
/^Subject: discard/         DISCARD gone
/^Subject: redirect/        REDIRECT bob@example.test
/^Subject: bcc/             BCC bob@example.test
/^Subject: filter/          FILTER retry:4.3.2 filtered
if /^X-Many:/
/many: (\S+)/               REPLACE X-One: $1
endif
/^X-Ignore:/                IGNORE
/^X-Strip:/                 STRIP out
/^X-Prepend:/               PREPEND X-Before: yes
/^Content-Disposition:.*name="?(\S+\.(exe|scr))"?/  REJECT no $2 files
"""
BODY = r"""
/^body-reject/      REJECT bad body
/^body-ignore/      IGNORE
/^body-replace/     REPLACE replaced
~^unsubscribe$~     PREPEND before it
"""


def instance(settings=(), **files):
    i = Instance(settings=settings)
    for name, text in files.items():
        with open(os.path.join(i.etc, name), "w") as f:
            f.write(text)
    i.start()
    return i


def checked(*more):
    return instance(["header_checks = pcre:$config_directory/header",
                     "body_checks = regexp:$config_directory/body", *more],
                    header=RULES, body=BODY)


def refused(i, text, to=None):
    try:
        i.send(text, to=to)
    except smtplib.SMTPDataError as e:
        return e.smtp_code, e.smtp_error.decode()
    raise AssertionError("not refused: " + text)


def test_actions():
    i = checked()
    try:
        need(refused(i, "Subject: reject me\n\n") == (550, "5.7.1 no me here"), "reject")
        need(i.wait_log(r"reject: header Subject: reject me %s: 5\.7\.1 no me here$" % LOG), i.log()[-1500:])
        need(refused(i, "Subject: coded\n\n") == (550, "5.6.3 Coded text"), "coded")
        need(refused(i, "Subject: later\n\n") == (451, "4.7.5 Come back"), "later")
        need(refused(i, "Subject: x\n\na\nbody-reject\n") == (550, "5.7.1 bad body"), "body")
        need(i.wait_log(r"reject: body body-reject %s: 5\.7\.1 bad body$" % LOG), i.log()[-1500:])
        i.send("Subject: warn\n\nb\n")
        need(i.wait_log(r"warning: header Subject: warn %s: look at this$" % LOG), i.log()[-1500:])
        i.send("Subject: info\n\nb\n")
        need(i.wait_log(r"info: header Subject: info %s$" % LOG), i.log()[-1500:])
        i.send("Subject: edit\nX-Ignore: 1\nX-Strip: 2\nX-Prepend: 3\nX-Many: 4 5\n\nbody-ignore\nbody-replace\nunsubscribe\nend\n")
        got = wait_for(lambda: [m for m in i.mails("ann") if b"Subject: edit" in m])
        need(got, i.log()[-1500:])
        text = got[0].decode().replace("\r\n", "\n")
        need("\nSubject: edit\nX-Before: yes\nX-Prepend: 3\nX-One: 4\nMessage-Id: " in text, text)
        need(text.endswith("\n\nreplaced\nbefore it\nunsubscribe\nend\n"), text)
    finally:
        i.close()


def test_whole_message():
    i = checked()
    try:
        i.send("Subject: hold\n\nb\n")
        need(wait_for(lambda: [q for d, q in i.queue() if d == "hold"]), i.queue())
        need(i.wait_log(r"hold: header Subject: hold %s: for review$" % LOG), i.log()[-1500:])
        i.send("Subject: discard\n\nbody-reject\n")
        need(i.wait_log(r"discard: header Subject: discard %s: gone$" % LOG), i.log()[-1500:])
        i.send("Subject: redirect\n\nb\n")
        need(wait_for(lambda: [m for m in i.mails("bob") if b"Subject: redirect" in m]), i.log()[-1500:])
        i.send("Subject: bcc\n\nb\n")
        for user in ("ann", "bob"):
            need(wait_for(lambda: [m for m in i.mails(user) if b"Subject: bcc" in m]), user, i.log()[-1500:])
        i.send("Subject: filter\n\nb\n")
        need(i.wait_log(r"filter: header Subject: filter %s: retry:4\.3\.2 filtered$" % LOG), i.log()[-1500:])
        need(i.wait_log(r"status=deferred \(filtered\)"), i.log()[-1500:])
        need(not [m for m in i.mails("ann") if b"Subject: discard" in m or b"Subject: redirect" in m or b"Subject: filter" in m])
    finally:
        i.close()


def test_attachments():
    i = checked()
    try:
        part = ("Subject: mime\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=\"x y\"\n\n--x y\n"
                "Content-Type: text/plain\n%s\nhello\n--x y--\n")
        need(refused(i, part % 'Content-Disposition: attachment;\n filename="a.exe"\n') == (550, "5.7.1 no exe files"), "exe")
        need(i.wait_log(r"reject: header Content-Disposition: attachment;\? filename=\"a\.exe\" %s" % LOG), i.log()[-1500:])
        i.send(part % "X-Ignore: 1\n")
        got = wait_for(lambda: [m for m in i.mails("ann") if b"Subject: mime" in m])
        need(got and b"X-Ignore" not in got[0] and got[0].replace(b"\r\n", b"\n").endswith(
            b"--x y\nContent-Type: text/plain\n\nhello\n--x y--\n"), got)
        nested = "Subject: out\nContent-Type: message/rfc822\n\nSubject: reject inner\n\nx\n"
        need(refused(i, nested) == (550, "5.7.1 no inner here"), "nested")
        i.set("disable_mime_input_processing = yes")
        i.run("postern", "-c", i.etc, "reload")
        need(wait_for(lambda: not sends_fail(i, nested)), i.log()[-1500:])
    finally:
        i.close()


def sends_fail(i, text):
    try:
        i.send(text)
        return False
    except smtplib.SMTPException:
        return True


def test_local_submission():
    """sendmail's mail is checked too; what is refused comes back to its sender."""
    i = checked()
    try:
        i.run("sendmail", "-f", BOB, ANN, stdin=b"Subject: reject local\n\nx\n")
        got = wait_for(lambda: [m for m in i.mails("bob") if b"no local here" in m])
        need(got, i.log()[-2000:])
        need(i.wait_log(r"reject: header Subject: reject local from local; from=<bob@example\.test> to=<ann@example\.test>: 5\.7\.1 no local here$"), i.log()[-1500:])
    finally:
        i.close()


def test_overrides_and_strictness():
    i = checked("receive_override_options = no_header_body_checks", "always_bcc = bob@example.test")
    try:
        i.send("Subject: reject me\n\nbody-reject\n")
        need(i.wait_mails("ann", 1) and i.wait_mails("bob", 1), i.log()[-1500:])
    finally:
        i.close()
    i = instance(["strict_7bit_headers = yes", "strict_8bitmime_body = yes", "strict_mime_encoding_domain = yes",
                  "message_reject_characters = \\1", "message_strip_characters = \\2"])
    try:
        need(refused(i, "Subject: \xe9\n\n".encode("latin1"))[1] == "5.6.0 improper use of 8-bit data in message header", "header")
        need(refused(i, "Subject: x\n\n\xe9\n".encode("latin1"))[1] == "5.6.0 improper use of 8-bit data in message body", "body")
        need(refused(i, "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nx\n")[1] ==
             "5.6.0 invalid message/* or multipart/* encoding domain", "domain")
        need(i.wait_log(r"reject: mime-error invalid message/\* or multipart/\* encoding domain: base64 from "), i.log()[-1500:])
        need(refused(i, "Subject: x\n\na\1b\n") == (550, "5.7.1 disallowed character"), "reject")
        i.send("Subject: strip\n\na\2b\n")
        got = i.wait_mails("ann", 1)
        need(got and got[0].replace(b"\r\n", b"\n").endswith(b"\n\nab\n"), got)
    finally:
        i.close()


def test_a_table_that_fails():
    i = checked()
    try:
        os.rename(os.path.join(i.etc, "header"), os.path.join(i.etc, "gone"))
        need(wait_for(lambda: sends_fail(i, "Subject: x\n\ny\n"), 10), i.log()[-1500:])
        code, text = refused(i, "Subject: x\n\ny\n")
        need(code == 451 and text.startswith("4.3.0"), code, text)
        os.rename(os.path.join(i.etc, "gone"), os.path.join(i.etc, "header"))
        need(wait_for(lambda: not sends_fail(i, "Subject: ok\n\ny\n"), 10), i.log()[-1500:])
        with open(os.path.join(i.etc, "header"), "w") as f:
            f.write("/^Subject: new/ REJECT changed\n")
        need(wait_for(lambda: sends_fail(i, "Subject: new\n\ny\n"), 10), i.log()[-1500:])
    finally:
        i.close()


def test_access_actions():
    table = """
hold@a.test     HOLD
filter@a.test   FILTER retry:4.3.3 by access
pre@a.test      PREPEND X-Access: 1
redirect@a.test REDIRECT bob@example.test
bcc@a.test      BCC bob@example.test
warn@a.test     WARN seen
info@a.test     INFO noted
discard@a.test  DISCARD thrown
defer@a.test    DEFER_IF_PERMIT not now
dr@a.test       DEFER_IF_REJECT perhaps later
code@a.test     554 5.7.9 by code
four@a.test     450 later
class@a.test    strict
ok@a.test       OK
number@a.test   554
"""
    i = instance(["smtpd_sender_restrictions = check_sender_access texthash:$config_directory/access",
                  "smtpd_restriction_classes = strict", "strict = reject"], access=table)

    def send(sender, text="Subject: %s\n\nb\n"):
        try:
            i.send(text % sender, sender=sender + "@a.test")
            return None
        except smtplib.SMTPRecipientsRefused as e:
            code, text = e.recipients[ANN]
            return "%d %s" % (code, text.decode())

    try:
        need(send("hold") is None and wait_for(lambda: [q for d, q in i.queue() if d == "hold"]), i.log()[-1500:])
        need(send("filter") is None and i.wait_log(r"status=deferred \(by access\)"), i.log()[-1500:])
        need(send("pre") is None, i.log()[-1500:])
        got = wait_for(lambda: [m for m in i.mails("ann") if b"Subject: pre" in m])
        need(got and re.search(rb"X-Access: 1\r?\nReceived:", got[0]), got)
        need(send("redirect") is None and wait_for(lambda: [m for m in i.mails("bob") if b"Subject: redirect" in m]), i.log()[-1500:])
        need(send("bcc") is None and wait_for(lambda: [m for m in i.mails("bob") if b"Subject: bcc" in m]), i.log()[-1500:])
        need(send("warn") is None and i.wait_log(r"NOQUEUE: warn: RCPT from .*: seen; from=<warn@a\.test> to=<ann@example\.test>"), i.log()[-1500:])
        need(send("info") is None and i.wait_log(r"NOQUEUE: info: RCPT from .*: noted;"), i.log()[-1500:])
        need(send("discard") is None and i.wait_log(r"NOQUEUE: discard: RCPT from .*: <discard@a\.test>: Sender address thrown;"), i.log()[-1500:])
        need(send("defer") == "450 4.7.1 <defer@a.test>: Sender address rejected: not now", send("defer"))
        need(send("dr") is None, send("dr"))
        need(send("code") == "554 5.7.9 <code@a.test>: Sender address rejected: by code", send("code"))
        need(send("four") == "450 4.7.1 <four@a.test>: Sender address rejected: later", send("four"))
        need(send("class") == "554 5.7.1 <class@a.test>: Sender address rejected: Access denied", send("class"))
        need(send("ok") is None and send("number") is None, "all numerical is OK")
        need(not [m for m in i.mails("ann") if b"Subject: discard" in m])
    finally:
        i.close()


def test_pattern_tables_in_restrictions():
    """pcre, regexp, cidr and tables of tables, asked by smtpd through lookup."""
    i = instance(["smtpd_client_restrictions = check_client_access cidr:{{ 127.0.0.0/8 DUNNO }, { !10.0.0.0/8 REJECT }}",
                  "smtpd_helo_restrictions = check_helo_access pcre:{{ /^evil/ REJECT no helo }}",
                  "smtpd_sender_restrictions = check_sender_access pcre:$config_directory/senders, "
                  "check_sender_access proxy:unionmap:{regexp:{{ /^two@/ REJECT two words }}}",
                  "mynetworks = cidr:{{ 192.0.2.0/24 ok }}",
                  "smtpd_recipient_restrictions = permit_mynetworks, check_recipient_access pipemap:{regexp:{{ /^(ann)@/ $$1 }}, inline:{ann=OK}}, reject"],
                 senders="if /@a\\.test$/\n/^(bad.*)@/ 550 5.7.8 $1 is not welcome\nendif\n/^fault(a+)+$/ REJECT\n")
    try:
        with i.smtp() as s:
            s.ehlo("evil.example")
            s.mail("x@y.test")
            need(s.rcpt(ANN) == (554, b"5.7.1 <evil.example>: Helo command rejected: no helo"))
        for sender, reply in (("bad1@a.test", (550, b"5.7.8 <bad1@a.test>: Sender address rejected: bad1 is not welcome")),
                              ("two@b.test", (554, b"5.7.1 <two@b.test>: Sender address rejected: two words")),
                              ("bad1@b.test", (250, b"2.1.5 Ok"))):
            with i.smtp() as s:
                s.ehlo("h.test")
                s.mail(sender)
                got = s.rcpt(ANN)
                need(got == reply, sender, got, i.log()[-800:])
        with i.smtp() as s:
            s.ehlo("h.test")
            s.mail("ok@b.test")
            need(s.rcpt(BOB)[0] == 554, "bob")
    finally:
        i.close()


def test_content_filter():
    """content_filter of all doors, but for the one behind the filter."""
    i = instance(["content_filter = retry:4.2.1 by the filter", "canonical_maps = inline:{ {away@example.test = bob@example.test} }"])
    try:
        i.send("Subject: in\n\nx\n")
        i.run("sendmail", "-f", BOB, ANN, stdin=b"Subject: local\n\nx\n")
        need(wait_for(lambda: len(re.findall(r"status=deferred \(by the filter\)", i.log())) >= 2), i.log()[-1500:])
        with open(os.path.join(i.etc, "master.cf")) as f:
            services = re.findall(r"^(\S+)\s+inet.*\bsmtpd$", f.read(), re.M)
        need(services, "no smtpd service")
        for override in ("content_filter=", "receive_override_options=no_address_mappings,no_unknown_recipient_checks"):
            i.run("postconf", "-c", i.etc, "-P", "%s/inet/%s" % (services[0], override))
        i.run("postern", "-c", i.etc, "reload")

        def behind():
            try:
                i.send("Subject: behind\n\nx\n")
            except (OSError, smtplib.SMTPException):
                return None
            return wait_for(lambda: [m for m in i.mails("ann") if b"Subject: behind" in m], 2)
        need(wait_for(behind, 20), i.log()[-1500:])
        i.send("Subject: mapped\n\nx\n", to=["away@example.test"])
        need(i.wait_log(r"to=<away@example\.test>.*status=bounced"), i.log()[-1500:])
        need(not [m for m in i.mails("bob") if b"Subject: mapped" in m and b"Undelivered" not in m])
    finally:
        i.close()


def test_end_of_data_actions():
    """What is asked behind the content reaches the message too."""
    table = "hold@a.test HOLD\ndiscard@a.test DISCARD\nbcc@a.test BCC bob@example.test\nfilter@a.test FILTER retry:4.3.3 late\nno@a.test REJECT late\n"
    i = instance(["smtpd_end_of_data_restrictions = check_sender_access texthash:$config_directory/access"], access=table)
    try:
        for what in ("hold", "discard", "bcc", "filter"):
            i.send("Subject: %s\n\nb\n" % what, sender=what + "@a.test")
        need(wait_for(lambda: [q for d, q in i.queue() if d == "hold"]), i.log()[-1500:])
        need(i.wait_log(r"removed \(discarded\)"), i.log()[-1500:])
        need(wait_for(lambda: [m for m in i.mails("bob") if b"Subject: bcc" in m]), i.log()[-1500:])
        need(i.wait_log(r"status=deferred \(late\)"), i.log()[-1500:])
        try:
            i.send("Subject: no\n\nb\n", sender="no@a.test")
            raise AssertionError("not refused")
        except smtplib.SMTPDataError as e:
            need(e.smtp_code == 554, e)
    finally:
        i.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
