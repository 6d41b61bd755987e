#!/usr/bin/env python3
"""VERP: a sender for each recipient, by sendmail -XV and by SMTP's XVERP.

What Postfix's VERP_README and bounce_notify_verp promise: the envelope sender
of each delivery, one delivery for each recipient, and for each that failed a
report to the sender that was made for it.
"""
import email
import email.policy
import os
import re
import sys

from harness import Instance, main, need, wait_for

LIST = "owner-list@example.test"
GONE, OUT = "gone@example.test", "out@example.test"
_shared = []


def shared():
    if not _shared:
        i = Instance(users=("ann", "bob", "gone", "out", "owner-list"), settings=[
            "transport_maps = texthash:$config_directory/transport", "recipient_delimiter = +",
            "owner_request_special = no", "smtpd_authorized_verp_clients = $mynetworks",
            "mynetworks = 127.0.0.0/8", "virtual_alias_maps = inline:{team@example.test=ann@example.test}"])
        with open(os.path.join(i.etc, "transport"), "w") as f:
            f.write("%s error:5.1.6 moved away\n%s error:5.2.1 closed\n" % (GONE, OUT))
        i.start()
        _shared.append(i)
    return _shared[0]


def returns(i, user):
    """The Return-Path of each mail of a user."""
    return [email.message_from_bytes(m, policy=email.policy.default)["Return-Path"] for m in i.mails(user)]


def qid_of(i, mark, who):
    m = wait_for(lambda: re.search(r"(\w+): from=<%s>, size" % re.escape(who), i.log()[mark:]))
    need(m, "not taken up", i.log()[mark:])
    return m.group(1)


def done(i, qid):
    need(wait_for(lambda: re.search(r"%s: removed" % qid, i.log())), "not removed", qid, i.log()[-3000:])


def mail(i, *rcpts, args=("-XV",), sender=LIST):
    mark = len(i.log())
    i.run("sendmail", *args, "-f", sender, *rcpts, stdin=b"Subject: to the list\n\ntext\n")
    qid = qid_of(i, mark, sender)
    done(i, qid)
    return qid


def test_each_has_its_sender():
    i = shared()
    qid = mail(i, "ann@example.test", "bob@example.test", "team@example.test")
    need("<owner-list+bob=example.test@example.test>" in returns(i, "bob"), returns(i, "bob"))
    need("<owner-list+ann=example.test@example.test>" in returns(i, "ann"), returns(i, "ann"))
    need("<owner-list+team=example.test@example.test>" in returns(i, "ann"), "as it was given", returns(i, "ann"))
    need(len(re.findall(r"%s: to=<" % qid, i.log())) == 3, i.log()[-2000:])


def test_delimiters():
    i = shared()
    mail(i, "bob@example.test", args=("-XV-=",))
    need("<owner-list-bob=example.test@example.test>" in returns(i, "bob"), returns(i, "bob"))
    _, _, err = i.run("sendmail", "-V+=", "-f", "old@example.test", "bob@example.test", stdin=b"\nx\n")
    need("-V+= is deprecated" in err and "-XV+=" in err, err)
    need(wait_for(lambda: "<old+bob=example.test@example.test>" in returns(i, "bob")), returns(i, "bob"))
    _, _, err = i.run("sendmail", "-V", "-f", "older@example.test", "bob@example.test", stdin=b"\nx\n")
    need("deprecated" in err and wait_for(lambda: "<older+bob=example.test@example.test>" in returns(i, "bob")), err)
    # An envelope id is none of that.
    _, _, err = i.run("sendmail", "-V", "an-id", "-f", "plain@example.test", "bob@example.test", stdin=b"\nx\n")
    need(err == "" and wait_for(lambda: "<plain@example.test>" in returns(i, "bob")), err)


def test_sendmail_refuses():
    i = shared()
    for args, why in ((("-XVab", "-f", LIST), "-V requires two characters from -=+"),
                      (("-XV+", "-f", LIST), "-V requires two characters"),
                      (("-XV", "-f", ""), "requires non-null sender")):
        status, _, err = i.run("sendmail", *args, "bob@example.test", stdin=b"\nx\n", check=False)
        need(status == 64 and why in err, args, status, err)


def test_a_report_for_each():
    i = shared()
    qid = mail(i, GONE, "bob@example.test", OUT)
    ids = re.findall(r"%s: sender non-delivery notification: (\w+)" % qid, i.log())
    need(len(ids) == 2, ids, i.log()[-3000:])
    for name in ids:
        done(i, name)
    to = sorted(re.findall(r"(?:%s): to=<([^>]+)>" % "|".join(ids), i.log()))
    need(to == ["owner-list+gone=example.test@example.test", "owner-list+out=example.test@example.test"], to)
    reports = [m.decode() for m in i.mails("owner-list") if qid.encode() in m]
    need(len(reports) == 2, len(reports))
    for text in reports:
        need(len(re.findall("^Final-Recipient", text, re.M)) == 1 and len(re.findall("^<(?:gone|out)@", text, re.M)) == 1, text)
        need("X-Postfix-Sender: rfc822; " + LIST in text, text)


def test_never_is_never():
    i = shared()
    mark = len(i.log())
    qid = mail(i, GONE, OUT, args=("-XV", "-N", "never"))
    need("%s: sender non-delivery" % qid not in i.log()[mark:], i.log()[mark:])


def test_one_report_where_asked():
    with Instance(users=("ann", "owner-list"), settings=["disable_verp_bounces = yes",
                  "notify_classes = bounce", "recipient_delimiter = +",
                  "transport_maps = inline:{{%s=error:gone} {%s=error:out}}" % (GONE, OUT)]) as i:
        qid = mail(i, GONE, OUT)
        ids = re.findall(r"%s: sender non-delivery notification: (\w+)" % qid, i.log())
        need(len(ids) == 1, ids)
        done(i, ids[0])
        need("%s: to=<%s>" % (ids[0], LIST) in i.log(), i.log()[-2000:])
        i.set("disable_verp_bounces = no")
        i.reload()
        qid = mail(i, GONE, OUT)
        need(len(re.findall(r"%s: sender non-delivery" % qid, i.log())) == 2 and
             len(re.findall(r"%s: postmaster non-delivery" % qid, i.log())) == 2, i.log()[-3000:])


def test_xverp():
    i = shared()
    with i.smtp() as s:
        s.ehlo()
        need(s.has_extn("xverp"), s.esmtp_features)
        for arg, code, text in (("<> XVERP", 503, "requires non-null"), ("<a@b.test> XVERP=ab", 501, "needs two characters from -=+"),
                                ("<a@b.test> XVERP=+=+", 501, "needs two"), ("<a@b.test> XVERP=+", 501, "needs two")):
            got = s.docmd("MAIL FROM:" + arg)
            need(got[0] == code and text in got[1].decode(), arg, got)
        for arg, want in (("XVERP", "<smtp+bob=example.test@example.test>"), ("XVERP=-+", "<smtp-bob+example.test@example.test>")):
            need(s.docmd("MAIL FROM:<smtp@example.test> " + arg)[0] == 250)
            need(s.docmd("RCPT TO:<bob@example.test>")[0] == 250 and s.data("Subject: x\n\nx\n")[0] == 250)
            need(wait_for(lambda: want in returns(i, "bob")), want, returns(i, "bob"))


def test_xverp_not_for_everybody():
    with Instance() as i, i.smtp() as s:
        s.ehlo()
        need(not s.has_extn("xverp"), s.esmtp_features)
        got = s.docmd("MAIL FROM:<a@b.test> XVERP")
        need(got == (555, b"5.5.4 Unsupported option: XVERP"), got)


def test_requeue_keeps_it():
    with Instance(users=("bob",), settings=["defer_transports = virtual"]) as j:
        j.run("sendmail", "-XV-=", "-f", "kept@example.test", "bob@example.test", stdin=b"\nx\n")
        need(wait_for(lambda: [q for q in j.queue() if q[0] == "deferred"]), j.queue())
        out = j.run("postcat", "-e", "-q", j.queue()[0][1])[1]
        need("verp_delimiters=-=" in out, out)
        j.run("postsuper", "-r", "ALL")
        j.set("defer_transports =")
        j.reload()
        j.run("postqueue", "-f")
        need(wait_for(lambda: returns(j, "bob") == ["<kept-bob=example.test@example.test>"]), returns(j, "bob"), j.log()[-2000:])


def test_many_fail_and_bounce_dies():
    """Killed in the midst of its reports: each is there, nearly none twice."""
    rcpts = ["u%d@example.test" % n for n in range(300)]
    with Instance(users=("list",), settings=["transport_maps = pcre:{{/^u[0-9]+@/ error:gone}}", "recipient_delimiter = +"]) as i:
        i.run("sendmail", "-XV", "-f", "list@example.test", *rcpts, stdin=b"Subject: x\n\nx\n")
        need(wait_for(lambda: i.log().count("sender non-delivery") > 20), i.log()[-2000:])
        for pid in i.pids("bounce"):
            os.kill(pid, 9)
        def told():
            i.run("postqueue", "-f")
            return len(set(re.findall(r"to=<(list\+u\d+=example.test@example.test)>.*status=sent", i.log()))) == 300
        need(wait_for(told, 60, 0.5), "reports are missing", i.log()[-3000:])
        n = len(i.wait_mails("list", 300))
        need(300 <= n <= 302, "reports came twice", n)


if __name__ == "__main__":
    status = main(globals())
    for inst in _shared:
        inst.close()
    sys.exit(status)
