#!/usr/bin/env python3
"""What postmaster is told of servers: notify_classes = protocol, data.

The cases are those of Postfix's smtp_check_code and smtp_chat_notify: a reply
that is none, or one of x0z; the words, to whom, and that no password, no
content and no report of a report is among it.
"""
import contextlib
import email
import email.policy
import re
import sys

import badserver as b
from badserver import Server, reply
from harness import Instance, main, need, wait_for

TO = "someone@there.test"


@contextlib.contextmanager
def sending(plan, classes="protocol", lmtp=False, more=()):
    with Server(plan=plan, lmtp=lmtp) as s, Instance(settings=[
            "notify_classes = " + classes, "error_notice_recipient = bob@example.test",
            ("default_transport = lmtp:inet:127.0.0.1:%d" if lmtp else "relayhost = [127.0.0.1]:%d") % s.port, *more]) as i:
        i.port_there = s.port
        yield i


def notices(i):
    return [m for m in (email.message_from_bytes(t, policy=email.policy.default) for t in i.mails("bob"))
            if "errors from" in m["Subject"]]


def send(i, sender="ann@example.test"):
    """One mail, and its fate."""
    mark = len(i.log())
    i.send("Subject: secret\n\nof the content\n", to=[TO], sender=sender)
    m = wait_for(lambda: re.search(r"to=<%s>.*status=(\w+)" % TO, i.log()[mark:]))
    need(m, i.log()[-2000:])
    return m.group(1)


def test_words():
    with sending({"MAIL": reply("503 5.5.1 not now \x01\xe4" + " word" * 40)}) as i:
        need(send(i) == "bounced")
        got = wait_for(lambda: notices(i))
        need(got and len(got) == 1, i.log()[-2000:])
        m, there = got[0], "127.0.0.1[127.0.0.1]:%d" % i.port_there
        need(m["Subject"].endswith(" SMTP client: errors from " + there), m["Subject"])
        need(m["Return-Path"].startswith("<double-bounce@") and "bob@example.test" in m["To"], m.items())
        text = m.get_content()
        need(text.startswith("Unexpected response from %s.\n\nTranscript of session follows.\n\n In:  220 bad.test ESMTP\n"
                             " Out: EHLO mx.example.test\n In:  250-bad.test\n" % there), text)
        for line in (" Out: MAIL FROM:<ann@example.test>", " In:  503 5.5.1 not now ???",
                     "For other details, see the local mail logfile"):
            need(line in text, line, text)
        need("of the content" not in text and all(len(l) <= 80 for l in text.splitlines()), text)


def test_which():
    """step, what comes there, is postmaster told?"""
    for plan, told in (({"RCPT": reply("550 5.1.1 who?")}, False), ({"RCPT": reply("555 5.5.4 what?")}, True),
                       ({"DATA": reply("501 5.5.4 no")}, True), ({"DOT": reply("554 5.7.1 spam")}, False),
                       ({"MAIL": reply("451 4.3.0 later")}, False), ({"RCPT": b.GARBAGE}, True), ({"connect": b.CLOSE}, False)):
        with sending(plan) as i:
            send(i)
            got = wait_for(lambda: notices(i), 10 if told else 0)
            need(bool(got) == told, plan, got, i.log()[-1500:])
            if b.GARBAGE in plan.values():
                need(" In:  ??what is this?" in got[0].get_content().replace("? what", "?what"), got[0].get_content())


def test_lmtp():
    with sending({"RCPT": reply("500 what?")}, lmtp=True) as i:
        need(send(i) == "bounced")
        got = wait_for(lambda: notices(i))
        need(got and " LMTP client: errors from 127.0.0.1[127.0.0.1]:" in got[0]["Subject"] and
             " Out: LHLO mx.example.test" in got[0].get_content(), i.log()[-2000:])


def test_not_asked():
    for classes in ("", "resource, software, policy, bounce"):
        with sending({"RCPT": reply("500 what?")}, classes=classes) as i:
            send(i)
            need(not notices(i), classes)


def test_no_word_about_reports():
    """What is wrong with a notice is told in no notice: no war of mails."""
    with sending({"RCPT": reply("500 what?")}, more=["error_notice_recipient = master@there.test"]) as i:
        send(i)
        need(wait_for(lambda: re.search(r"to=<master@there.test>.*status=bounced", i.log())), i.log()[-2000:])
        mark = len(i.log())
        need(send(i, sender="") == "bounced")
        need(wait_for(lambda: i.log()[mark:].count(": removed") >= 1) and
             "master@there.test" not in i.log()[mark:], i.log()[mark:])


if __name__ == "__main__":
    sys.exit(main(globals()))
