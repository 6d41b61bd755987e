#!/usr/bin/env python3
"""sendmail, mailq, newaliases: each way that a program of Debian calls them.

The argument vectors are those of the programs named beside them, word for
word; each one's mail must arrive.
"""
import email
import os
import re
import subprocess
import sys

from harness import Instance, Wire, is_root, main, need, tool, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"
FROM = "bob+caller@example.test"
BODY = b"Subject: %s\nTo: ann@example.test\n\nbody of %s\n"

# (who, arguments, header has the recipient)
VECTORS = [
    ("cron", "-FCronDaemon -i -B8BITMIME -oem ANN"),
    ("anacron", "-FAnacron -odi ANN"),
    ("at", "-i ANN"),
    ("mdadm", "-t"),
    ("unattended-upgrades", "-oi -t"),
    ("cron-apt", "-t -oi"),
    ("popularity-contest", "-oi -f FROM ANN"),
    ("fail2ban", "-f FROM ANN"),
    ("php", "-t -i"),
    ("php-f", "-t -i -fFROM"),
    ("git", "-i ANN"),
    ("git-envelope", "-f FROM -i ANN"),
    ("mutt", "-oem -oi -f FROM -N failure -R hdrs -B 8BITMIME -- ANN"),
    ("mutt-plain", "-oem -oi -- ANN"),
    ("bsd-mailx", "-i -m -f FROM ANN"),
    ("mailutils", "-oi -f FROM -t"),
    ("s-nail", "-i -m -r FROM -- ANN"),
    ("s-nail-v", "-i -r FROM -- ANN"),
    ("emacs", "-oi -f FROM -oem -odb -t"),
    ("emacs-args", "-oi -f FROM -oem -odb ANN"),
    ("MIME::Lite", "-t -oi -oem"),
    ("sympa", "-oi -odi -oem -N success,delay,failure -V envid -f FROM -- ANN"),
    ("rt", "-oi -ODeliveryMode=b -OErrorMode=m -t"),
    ("rt-bounce", "-oi -t -f <>"),
    ("arpwatch", "-odi ANN"),
    ("reportbug", "-f FROM -oi -oem -t"),
    ("dovecot", "-i -f FROM -- ANN"),
    ("lsb", "-bm -om -oep -oeq -odf -odq -F name -f FROM ANN"),
    ("sendmail-old", "-Am -Ac -G -hN -Lx -U -o7 -o8 -oo -xv -pESMTP:host ANN"),
    ("nullmailer", "-n -X /dev/null -e x -c -x ANN"),
    ("bundles", "-tioem"),
    ("bundles2", "-ti"),
    ("bracket", "-r <FROM> ANN"),
    ("name-addr", "-fAnn_Example_<FROM> ANN"),
    ("null", "-f EMPTY ANN"),
    ("verbose", "-v -f ann@example.test ANN"),
    ("list", "-oi ann@example.test,bob@example.test"),
]


def words(text):
    """An argument vector: EMPTY is one without letters, _ a blank."""
    names = {"ANN": ANN, "FROM": FROM, "EMPTY": "", "_": " "}
    return [re.sub("ANN|FROM|EMPTY|_", lambda m: names[m.group()], w) for w in text.split()]


def subject(mail):
    return str(email.message_from_bytes(mail)["Subject"])


def arrived(i, user, name, seconds=15):
    """The mail with this subject, once it is there."""
    return wait_for(lambda: next((m for m in i.mails(user) if subject(m) == name), None), seconds)


_shared = []


def shared():
    if not _shared:
        _shared.append(Instance(settings=["message_size_limit = 30000000",
                                          "fast_flush_domains = mx.example.test"]))
        _shared[0].start()
    return _shared[0]


def test_argument_vectors():
    i = shared()
    for who, args in VECTORS:
        body = BODY % (who.encode(), who.encode())
        if who.startswith("php"):
            body = body.replace(b"\n", b"\r\n")
        i.run("sendmail", *words(args), stdin=body)
    for who, args in VECTORS:
        mail = arrived(i, "ann", who)
        need(mail, "not delivered:", who, args, i.log()[-3000:])
        need(b"body of " + who.encode() + b"\n" in mail and b"\r" not in mail, who, mail)
        if "FROM" in args:
            need(b"Return-Path: <" + FROM.encode() + b">\n" in mail, who, mail)
        if "EMPTY" in args or "<>" in args.split():
            need(b"Return-Path: <>\n" in mail, who, mail)
    need(b"\nFrom: CronDaemon <" in arrived(i, "ann", "cron"), "full name", arrived(i, "ann", "cron"))
    need(arrived(i, "bob", "list"), "second of a list")


def test_full_name_from_environment():
    i = shared()
    i.run("sendmail", ANN, stdin=b"Subject: named\n\nx\n", env={"NAME": "Ann O'Nym"})
    need(b"\nFrom: Ann O'Nym <" in arrived(i, "ann", "named"), arrived(i, "ann", "named"))


def fails(i, status, text, *args, stdin=b"Subject: x\n\nx\n"):
    got, out, err = i.run("sendmail", *args, stdin=stdin, check=False)
    need(got == status and re.search(text, err), "sendmail", args, "exit", got, err)


def test_usage_errors_are_64():
    i = shared()
    fails(i, 64, "usage", "-Z", ANN)
    fails(i, 64, "unsupported: -bt", "-bt")
    fails(i, 64, "unsupported: -bD", "-bD")
    fails(i, 64, "-qS is not implemented", "-qSx")
    fails(i, 64, "No recipient addresses found in message header", "-t")
    fails(i, 64, "Recipient addresses must be specified")
    fails(i, 64, "-t can be used only in delivery mode", "-t", "-bp")
    fails(i, 78, "main.cf", "-C", "/nonexistent", ANN)


def test_t_strips_bcc_and_adds_arguments():
    i = shared()
    i.run("sendmail", "-t", BOB, stdin=b"Subject: tbcc\nTo: someone@example.test\nBcc: ann@example.test,\n"
          b" ann+two@example.test\nCc: (nobody) ann+three@example.test\n\nhi\n")
    mail = arrived(i, "ann", "tbcc")
    need(mail and b"Bcc" not in mail and b"ann+two" not in mail.split(b"Received:")[1].split(b"Subject")[1], mail)
    need(arrived(i, "bob", "tbcc"), "recipient of the command line")
    need(wait_for(lambda: len([m for m in i.mails("ann") if subject(m) == "tbcc"]) == 3), "all three of the header")


INPUTS = [
    # name, input, body as it must arrive; LF
    ("no header", b"just text, no colon\nmore\n", b"just text, no colon\nmore\n"),
    ("mbox From line", b"From x@y Thu Jan  1 00:00:00 1970\nSubject: s\n\nbody\n", b"body\n"),
    ("mbox From with CR", b"From x@y Thu Jan  1 00:00:00 1970\r\nSubject: s\r\n\r\nbody\r\n", b"body\n"),
    ("CRLF", b"Subject: s\r\n\r\none\r\ntwo\r\n", b"one\ntwo\n"),
    ("no newline at the end", b"Subject: s\n\nlast", b"last\n"),
    ("empty", b"", b""),
    ("header alone", b"Subject: s\n", b""),
    ("dots", b"Subject: s\n\n..x\n.y\n", b"..x\n.y\n"),
    ("100 kB line", b"Subject: s\n\n" + b"x" * 100000 + b"\n", b"x" * 100000 + b"\n"),
    ("8 bit", "Subject: s\n\nGrüße \U0001f600\n".encode() + b"\xff\xfe\x80\n", "Grüße \U0001f600\n".encode() + b"\xff\xfe\x80\n"),
    ("leading blank line", b"\nbody\n", b"body\n"),
]


def body_of(mail):
    return mail.split(b"\n\n", 1)[1]


def test_inputs_byte_for_byte():
    i = shared()
    for n, (name, text, want) in enumerate(INPUTS):
        to = "ann+in%d@example.test" % n
        i.run("sendmail", "-i", to, stdin=text)
        found = wait_for(lambda: [m for m in i.mails("ann") if b"for <%s>" % to.encode() in m or
                                  b"X-Original-To: " + to.encode() in m])
        need(found, "not delivered:", name)
        need(body_of(found[0]) == want, name, found[0][-300:], want[-100:])


def test_lone_dot_ends_input_without_i():
    i = shared()
    text = b"Subject: dot%d\n\nbefore\n.\nafter\n"
    i.run("sendmail", ANN, stdin=text % 1)
    i.run("sendmail", "-i", ANN, stdin=text % 2)
    i.run("sendmail", "-oi", ANN, stdin=text % 3)
    need(body_of(arrived(i, "ann", "dot1")) == b"before\n", "dot ends")
    need(body_of(arrived(i, "ann", "dot2")) == b"before\n.\nafter\n", "-i")
    need(body_of(arrived(i, "ann", "dot3")) == b"before\n.\nafter\n", "-oi")


def test_300_recipients():
    i = shared()
    before = len(i.mails("bob"))
    i.run("sendmail", "-oi", *["bob+%d@example.test" % n for n in range(300)], stdin=b"Subject: many\n\nx\n")
    need(wait_for(lambda: len(i.mails("bob")) == before + 300, 30), len(i.mails("bob")) - before)


def test_long_options():
    """-O: what can't be kept is refused, what makes no sense is told of."""
    i = shared()
    for option, want, err in (("requiretls=yes", 69, "fatal: -O requiretls=yes is not supported yet"),
                              ("REQUIRETLS=maybe", 0, "warning: bad -O option: 'REQUIRETLS=maybe' -- ignored"),
                              ("smtputf8=x", 0, "warning: bad -O option: 'smtputf8=x' -- ignored"),
                              ("requiretls=no", 0, ""), ("SmtpUtf8=no", 0, ""), ("whatever=1", 0, ""), ("x", 0, "")):
        status, _, said = i.run("sendmail", "-O", option, ANN, stdin=b"Subject: long\n\nx\n", check=False)
        need(status == want and said == (err and "sendmail: %s\n" % err), option, status, said)


def test_closed_descriptors_empty_environment():
    i = shared()
    script = ["/bin/sh", "-c", 'exec "$0" "$@" >&- 2>&-', tool("sendmail"), "-C", i.etc, ANN]
    p = subprocess.run(script, input=b"Subject: closed\n\nx\n", env={})
    need(p.returncode == 0 and arrived(i, "ann", "closed"), p.returncode)
    p = subprocess.run([tool("sendmail"), "-C", i.etc, "-t"], stdin=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, env={})
    need(p.returncode == 64, p.returncode, p.stderr)
    script[2] = 'exec "$0" "$@" <&-'
    p = subprocess.run(script, env={})
    need(p.returncode in (0, 65), "closed stdin", p.returncode)


def test_as_nobody_in_an_unreadable_directory():
    if not is_root():
        return
    i = shared()
    hole = os.path.join(i.dir, "hole")
    os.mkdir(hole, 0o700)
    # The helper's group stands on the installed postdrop; here by hand.
    where = os.path.join(i.dir, "bin")
    os.mkdir(where)
    os.chmod(where, 0o755)
    for name in ("sendmail", "postdrop", "postqueue"):
        subprocess.run(["cp", tool(name), where], check=True)
    group = [l.split("=")[1].strip() for l in open(os.path.join(i.etc, "main.cf")) if l.startswith("setgid_group")][0]
    for name in ("postdrop", "postqueue"):
        subprocess.run(["chgrp", group, os.path.join(where, name)], check=True)
        os.chmod(os.path.join(where, name), 0o2755)
    os.makedirs("/etc/postern", exist_ok=True)
    default = "/etc/postern/main.cf"
    if os.path.exists(default):
        return          # an installed system: not ours to change
    try:
        with open(default, "w") as f:
            f.write("alternate_config_directories = %s\n" % i.etc)
        p = subprocess.run([os.path.join(where, "sendmail"), "-C", i.etc, ANN], input=b"Subject: nobody\n\nx\n",
                           cwd=hole, env={}, user="nobody", group="nogroup", extra_groups=[],
                           stderr=subprocess.PIPE)
        need(p.returncode == 0, p.stderr)
        mail = arrived(i, "ann", "nobody")
        need(mail and b"nobody@" in mail, mail)
        need(re.search(r"postfix/pickup\[\d+\]: [0-9A-F]+: uid=65534 from=<nobody>", i.log()), "pickup's line")
        p = subprocess.run([os.path.join(where, "postqueue"), "-c", i.etc, "-p"], env={}, user="nobody",
                           group="nogroup", extra_groups=[], stdout=subprocess.PIPE)
        need(p.stdout.startswith((b"Mail queue is empty\n", b"-Queue ID-")) and p.returncode == 0, p.stdout)
    finally:
        os.remove(default)
        os.rmdir("/etc/postern")


def test_stopped_system_takes_mail():
    i = Instance()
    try:
        i.run("sendmail", ANN, stdin=b"Subject: early\n\nx\n")
        need([d for d, _ in i.queue()] == ["maildrop"], i.queue())
        i.start()
        need(arrived(i, "ann", "early"), i.log())
        i.stop()
        i.run("sendmail", "-f", "a@b.test", "-t", stdin=b"Subject: between\nTo: bob@example.test\n\nx\n")
        status, out, err = i.run("mailq", check=False)
        need(status == 0, status, out, err)
        i.start()
        need(arrived(i, "bob", "between"), i.log())
        need(wait_for(lambda: not i.queue(), 5), i.queue())
    finally:
        i.close()


def test_bs_dialogue():
    i = shared()
    talk = (b"EHLO me\nMAIL FROM:<a@b.test>\r\nRCPT TO:<ann@example.test>\nRCPT TO:<bob@example.test>\r\n"
            b"DATA\nSubject: bs\n\nline\n..dot\n.\nNOOP\nBOGUS\nRSET\nQUIT\n")
    status, out, err = i.run("sendmail", "-bs", stdin=talk)
    codes = [l[:3] for l in out.splitlines() if l[3:4] == " "]
    need(codes == ["220", "250", "250", "250", "250", "354", "250", "250", "500", "250", "221"] or
         codes == ["220", "250", "250", "250", "250", "354", "250", "250", "502", "250", "221"], out, err)
    need(all(l.endswith("\r") for l in out.split("\n")[:-1]), "CRLF", out)
    need(body_of(arrived(i, "ann", "bs")) == b"line\n.dot\n", arrived(i, "ann", "bs"))
    need(arrived(i, "bob", "bs"))


def test_bv_and_v_report():
    i = shared()
    status, out, _ = i.run("sendmail", "-bv", "-f", ANN, BOB, "nosuch@example.test")
    need(out == "Mail Delivery Status Report will be mailed to <ann@example.test>.\n", out)
    status, out, _ = i.run("sendmail", "-bh", ANN)
    need(status == 0)


def test_newaliases_forms():
    i = shared()
    with open(os.path.join(i.etc, "aliases"), "a") as f:
        f.write("carol: %s\n" % ANN)
    for name, args in (("newaliases", []), ("sendmail", ["-bi"]), ("sendmail", ["-I"])):
        os.remove(os.path.join(i.etc, "aliases.lmdb"))
        status, out, err = i.run(name, *args)
        need(os.path.exists(os.path.join(i.etc, "aliases.lmdb")), name, args, out, err)
    status, out, _ = i.run("postalias", "-q", "carol", "lmdb:" + os.path.join(i.etc, "aliases"))
    need(out.strip() == ANN, out)


def test_empty_queue_forms():
    i = shared()
    need(wait_for(lambda: not i.queue(), 5), i.run("mailq")[1])
    for name, args in (("mailq", []), ("sendmail", ["-bp"]), ("postqueue", ["-p"])):
        status, out, err = i.run(name, *args)
        need(out == "Mail queue is empty\n" and status == 0, name, args, out, err)
    need(i.run("postqueue", "-j")[1] == "", "JSON of nothing")
    for args in (["-q"], ["-q15m"], ["-qRmx.example.test"]):
        need(i.run("sendmail", *args)[0] == 0, args)
    fails(i, 69, "Flush service is not configured for destination", "-qRelsewhere.test")


def test_local_unknown_user_bounces_to_the_caller():
    i = shared()
    status, out, err = i.run("sendmail", "-f", ANN, "nosuch.user@example.test", stdin=b"Subject: lost\n\nx\n")
    need(status == 0, err)
    need(wait_for(lambda: [m for m in i.mails("ann") if b"Undelivered Mail Returned to Sender" in m]), i.log()[-2000:])


def test_20_mb():
    i = shared()
    line = b"0123456789" * 7 + b"\n"
    text = b"Subject: big\n\n" + line * (20_000_000 // len(line))
    i.run("sendmail", "-i", ANN, stdin=text)
    mail = arrived(i, "ann", "big", 30)
    need(mail and body_of(mail) == body_of(text), "20 MB")
    status, _, err = i.run("sendmail", "-i", ANN, stdin=text + line * 200000, check=False)
    need(status == 69 and re.search("file too big|too big|exceeds", err), "larger than message_size_limit", status, err)


if __name__ == "__main__":
    bad = main(globals())
    for one in _shared:
        one.close()
    sys.exit(bad)
