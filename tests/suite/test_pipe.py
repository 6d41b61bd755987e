"""test_pipe - pipe(8): flags, macros, limits, ends; rmail and uux."""
import os
import pwd
import re
import shutil
import subprocess
import sys

from badserver import Server
from harness import TOP, Wire, is_root, main, need, wait_for
from localbox import Box

WHY = "needs root"


def text_of(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode("utf-8", "replace")
    except OSError:
        return ""


def box(*lines, settings=(), domain="piped.test"):
    b = Box(names=("al",), settings=("recipient_delimiter = +",) + tuple(settings))
    out = os.path.join(b.dir, "out")
    os.makedirs(out)
    os.chmod(out, 0o1777)
    b.out = out
    b.write(os.path.join(b.dir, "run"), """#!/bin/sh
for a; do printf '<%s>\\n' "$a"; done >>{out}/args
cat >>{out}/mail
env >{out}/env; id -u >{out}/uid; pwd >{out}/pwd
""".replace("{out}", out), mode=0o755)
    maps = []
    for i, line in enumerate(lines):
        b.service(line.format(run=b.dir + "/run", out=out, dir=b.dir))
        maps.append("{p%d.test = p%d:Next.Hop}" % (i, i))
    b.set("transport_maps = inline:{ %s }" % ", ".join(maps))
    b.set("relay_domains = " + " ".join("p%d.test" % i for i in range(len(lines))))
    return b


def test_probes():
    """verify(8) asks by way of pipe, and of LMTP over a UNIX socket: no command runs, no mail arrives."""
    if not is_root():
        return WHY
    with box("p0 unix - n n - - pipe user=nobody argv={run}",
             settings=("smtpd_recipient_restrictions = reject_unverified_recipient",
                       "unverified_recipient_reject_code = 550",
                       "smtpd_client_event_limit_exceptions = 127.0.0.0/8")) as b:
        def rcpt(c):
            c.put("550 5.1.1 no such" if "bad" in c.server.said[-1] else "250 2.1.5 ok")

        def ask(to):
            w = Wire(b.port)
            for line in ("", "EHLO x.test", "MAIL FROM:<ann@elsewhere.test>", "RCPT TO:<%s>" % to):
                got = w.say(line) if line else w.reply()
            w.close()
            return got
        path = os.path.join(b.dir, "lmtp.sock")
        with Server({"RCPT": rcpt}, lmtp=True, path=path) as s:
            os.chmod(path, 0o777)
            b.set("relay_domains = p0.test box.test")
            b.set("transport_maps = inline:{ {p0.test = p0:}, {box.test = lmtp:unix:%s} }" % path)
            b.reload()
            need(ask("u@p0.test").startswith("250"), b.log()[-1500:])
            need("to=<u@p0.test>, relay=p0, " in b.log() and "status=deliverable (delivers to command: " in b.log(),
                 b.log()[-1500:])
            need(ask("good@box.test").startswith("250"), b.log()[-1500:])
            need(ask("bad@box.test").startswith("550 5.1.1 <bad@box.test>: Recipient address rejected: undeliverable"),
                 b.log()[-1500:])
            need(wait_for(lambda: not b.queue()), b.queue())
            need(not text_of(b.out + "/mail") and not text_of(b.out + "/args") and not s.mails, s.mails)


def test_macros_and_flags():
    if not is_root():
        return WHY
    b = box("p0 unix - n n - - pipe flags=DFORhu user=nobody directory={out} argv={run} "
            "-f $sender ${{recipient}} $user $extension ${{mailbox}} $domain $nexthop $original_recipient "
            "$size $queue_id $client_address $client_protocol {{a b}}",
            "p1 unix - n n - - pipe flags=q.>B user=nobody eol=\\r\\n null_sender=nobody@x argv={run} -- ($recipient) $sender")
    with b:
        b.mail("Al+Ext@P0.Test", text="Subject: x\n\n.dot\nFrom me\n")
        need(wait_for(lambda: text_of(b.out + "/pwd") and not b.mails_queued()), b.log()[-2000:])
        words = re.findall("<(.*)>", text_of(b.out + "/args"))
        need(words[:9] == ["-f", b.addr("ann"), "al+ext@p0.test", "al", "ext", "al+ext", "p0.test", "next.hop",
                           "al+ext@p0.test"], words)
        need(words[9].isdigit() and words[11:] == ["127.0.0.1", "ESMTP", "a b"], words)
        mail = text_of(b.out + "/mail")
        need(re.match(r"From ann@example.test  .*\nReturn-Path: <ann@example.test>\nX-Original-To: \S+\n"
                      r"Delivered-To: \S+\n", mail), mail)
        need("\n.dot\nFrom me\n" in mail and "\r" not in mail, mail)
        need(text_of(b.out + "/uid").strip() == str(pwd.getpwnam("nobody").pw_uid))
        need(text_of(b.out + "/pwd").strip() == b.out, text_of(b.out + "/pwd"))
        need("PATH=/usr/bin:/bin" in text_of(b.out + "/env") and "SENDER" not in text_of(b.out + "/env"))
        need(re.search(r"relay=p0, .*status=sent \(delivered via p0 service\)", b.log()), b.log()[-1000:])
        os.unlink(b.out + "/args")
        os.unlink(b.out + "/mail")
        b.mail("a@p1.test", "b@p1.test", text="Subject: x\n\n.dot\nFrom me\n", sender="")
        need(wait_for(lambda: text_of(b.out + "/mail") and not b.mails_queued()), b.log()[-2000:])
        words = re.findall("<(.*)>", text_of(b.out + "/args"))
        need(words == ["--", "(a@p1.test)", "(b@p1.test)", "nobody@x"], words)
        mail = text_of(b.out + "/mail")
        need(mail.endswith("\r\n..dot\r\n>From me\r\n\r\n") and not mail.startswith("From "), mail)


def test_ends():
    """sysexits, status and text of the output, time, size, loop, no such."""
    if not is_root():
        return WHY
    b = box("p0 unix - n n - - pipe user=nobody argv=/bin/sh -c {{echo fine; exit 0}}",
            "p1 unix - n n - - pipe user=nobody argv=/bin/sh -c {{exit 67}}",
            "p2 unix - n n - - pipe user=nobody argv=/bin/sh -c {{echo 4.7.1 come again; exit 1}}",
            "p3 unix - n n - - pipe user=nobody argv=/bin/sleep 60",
            "p4 unix - n n - - pipe user=nobody size=100 argv=/bin/cat",
            "p5 unix - n n - - pipe user=nobody argv=/no/such",
            "p6 unix - n n - - pipe user=nobody flags=D argv=/bin/true",
            "p7 unix - n n - - pipe user=root argv=/bin/true",
            "p8 unix - n n - - pipe user=nobody argv=/bin/true $nosuch",
            "p9 unix - n n - - pipe user=postern argv=/bin/true",
            settings=("p3_time_limit = 1s",))
    want = (r"status=sent \(delivered via p0 service \(fine\)\)", r"dsn=5.1.1, status=bounced \(user unknown\)",
            r"dsn=4.7.1, status=deferred \(come again\)",
            r'dsn=5.3.0, status=bounced \(Command time limit exceeded: "/bin/sleep"\)',
            r"dsn=5.2.3, status=bounced \(message too large\)",
            r"dsn=4.3.0, status=deferred \(temporary failure. Command output: pipe: fatal: execvp /no/such",
            r"dsn=5.4.6, status=bounced \(mail forwarding loop for u@p6.test\)",
            r"dsn=4.3.5, status=deferred \(mail system configuration error\)",
            r"dsn=4.3.5, status=deferred \(mail system configuration error\)",
            r"status=deferred \(.*one of the mail system's own")
    with b:
        for i, pattern in enumerate(want):
            at = len(b.log())
            b.mail("u@p%d.test" % i, text="Delivered-To: u@p6.test\nSubject: x\n\nbody\n")
            need(wait_for(lambda: re.search(r"to=<u@p%d.test>.*%s" % (i, pattern), b.log()[at:])), i, b.log()[at:])
        need(re.search(r"service p7: .*root", b.log()), "no word of root")


def test_each_gets_its_own():
    """With D a command for each recipient; addresses are never shell text."""
    if not is_root():
        return WHY
    b = box("p0 unix - n n - 2 pipe user=nobody flags=Dq argv={run} $recipient",
            settings=("p0_destination_recipient_limit = 50",))
    with b:
        to = ["u%d@p0.test" % i for i in range(6)] + ['"a b;$(id)`x`"@p0.test']
        with b.smtp() as s:
            s.ehlo()
            s.mail(b.addr("ann"))
            for t in to:
                need(s.docmd("RCPT", "TO:<%s>" % t)[0] == 250, t)
            s.data("Subject: x\r\n\r\nbody\r\n")
        need(wait_for(lambda: not b.mails_queued() and len(text_of(b.out + "/args").split("\n")) == len(to) + 1),
             text_of(b.out + "/args"), b.log()[-2000:])
        need(sorted(re.findall("<(.*)>", text_of(b.out + "/args"))) == sorted(to), text_of(b.out + "/args"))
        need(sorted(re.findall("Delivered-To: (.*)", text_of(b.out + "/mail"))) == sorted(to))


def put_program(root, path):
    """A program and its libraries below root; its place there."""
    needs = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    for f in [path] + re.findall(r"(/\S+) \(0x", needs):
        os.makedirs(root + os.path.dirname(f), exist_ok=True)
        shutil.copy(f, root + f)
    return path


def test_chroot():
    """chroot=: the command sees nothing else, is its user, and runs in / or directory=."""
    if not is_root():
        return WHY
    b = box("p0 unix - n n - - pipe user=nobody chroot={dir}/root argv=%s -c {{pwd; cat >/drop/mail; [ ! -e /etc ] && echo bare; read x </proc/self/stat || exit 0; exit 1}}" % "/bin/sh",
            "p1 unix - n n - - pipe user=nobody chroot={dir}/root directory=/drop argv=/bin/sh -c {{pwd >in; exit 0}}",
            "p2 unix - n n - - pipe user=nobody argv=/bin/sh -c {{ls /drop && exit 1; exit 0}}",
            "p3 unix - n n - - pipe user=nobody chroot={dir}/loose argv=/bin/sh -c {{exit 0}}",
            "p4 unix - n n - - pipe user=nobody chroot={dir}/none argv=/bin/sh -c {{exit 0}}")
    root = os.path.join(b.dir, "root")
    os.makedirs(root + "/drop")
    os.chmod(root + "/drop", 0o1777)
    os.makedirs(b.dir + "/loose")
    os.chmod(b.dir + "/loose", 0o777)
    put_program(root, "/bin/sh")
    put_program(root, "/bin/cat")
    with b:
        b.mail("a@p0.test", text="Subject: inside\n\nx\n")
        need(wait_for(lambda: "Subject: inside" in text_of(root + "/drop/mail")), b.log()[-2000:])
        need(b.wait_log(r"to=<a@p0.test>.*status=sent \(delivered via p0 service \(/ bare"), b.log()[-2000:])
        need(os.stat(root + "/drop/mail").st_uid == pwd.getpwnam("nobody").pw_uid)
        b.mail("a@p1.test", "a@p2.test")
        need(wait_for(lambda: text_of(root + "/drop/in") == "/drop\n"), text_of(root + "/drop/in"), b.log()[-2000:])
        need(b.wait_log(r"to=<a@p2.test>.*status=sent"), "the same user, outside", b.log()[-2000:])
        b.mail("a@p3.test", "a@p4.test")
        for n in (3, 4):
            need(b.wait_log(r"to=<a@p%d.test>.*dsn=4.3.5, status=deferred" % n), b.log()[-2000:])
        need("chroot= is not root's alone" in b.log() and "chroot= is no directory" in b.log(), b.log()[:3000])
        # A reload hands the agent over: it is known by its root.
        b.reload()
        b.mail("b@p0.test", text="Subject: again\n\nx\n")
        need(wait_for(lambda: "Subject: again" in text_of(root + "/drop/mail")), b.log()[-2000:])


def test_uucp():
    """conf/examples/uucp: uux gets the mail of a domain, as user uucp."""
    if not is_root():
        return WHY
    example = os.path.join(TOP, "conf", "examples", "uucp")
    b = box()
    with open(os.path.join(example, "master.cf")) as f:
        b.service(f.read().replace("/usr/bin/uux", b.dir + "/run"))
    with open(os.path.join(example, "main.cf")) as f:
        for line in f.read().splitlines():
            if line and not line.startswith("#"):
                b.set(line)
    with b:
        b.run("sendmail", "-f", b.addr("ann"), "sub.far.example!Joe", "x@Far.Example",
              stdin=b"Subject: x\n\nbody\n")
        need(wait_for(lambda: text_of(b.out + "/uid") and not b.mails_queued()), b.log()[-2000:])
        words = re.findall("<(.*)>", text_of(b.out + "/args"))
        need(words[:5] == ["-r", "-n", "-z", "-a" + b.addr("ann"), "-"] and "neighbour!rmail" in words, words)
        need("(joe@sub.far.example)" in words and "(x@far.example)" in words, words)
        need(text_of(b.out + "/uid").split()[0] == str(pwd.getpwnam("uucp").pw_uid))
        need(text_of(b.out + "/mail").startswith("From ann@example.test "), text_of(b.out + "/mail"))


if __name__ == "__main__":
    sys.exit(main(globals()))
