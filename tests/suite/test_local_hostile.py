"""test_local_hostile - local(8) and users who mean no good: links, FIFOs,
devices, others' files, names that look like something else.

Users of the system are made for the test, so it needs root.
"""
import os
import re
import stat
import sys

from harness import is_root, main, need, wait_for
from localbox import HOST, Box
from test_local import WHY, logged, settled, text_of


def test_forward_is_checked():
    """Links, FIFOs, others' files, world writable ones: not followed."""
    if not is_root():
        return WHY
    b = Box(names=("al", "bea"))
    evil = b.write(os.path.join(b.dir, "evil"), "evil@elsewhere.test\n")
    home = b.home("al") + "/.forward"

    def world():
        b.forward("al", "evil@elsewhere.test\n", mode=0o666)

    def others():
        b.forward("al", "evil@elsewhere.test\n", owner="bea", mode=0o644)

    with b:
        for n, make in enumerate((lambda: os.symlink(evil, home), lambda: os.mkfifo(home),
                                  lambda: os.mkdir(home), world, others,
                                  lambda: os.symlink("/dev/zero", home),
                                  lambda: b.forward("al", "", mode=0o000))):
            make()
            b.mail(b.at("al"))
            need(len(b.wait_mbox("al", n + 1)) == n + 1, n, b.log()[-2000:])
            (os.rmdir if os.path.isdir(home) and not os.path.islink(home) else os.unlink)(home)
        need("evil@" not in b.log(), "it was followed")


def test_hostile_mailboxes():
    """A mailbox that is a link, FIFO, device, directory or another's file:
    nothing is written there, and the mail is kept."""
    if not is_root():
        return WHY
    b = Box(names=("al", "bea"))
    box = os.path.join(b.spool, b.names["al"])
    victim = b.write(os.path.join(b.dir, "victim"), "precious\n", mode=0o666)
    os.chmod(b.spool, 0o1777)

    def foreign():
        b.write(box, "bea's\n", "bea", 0o666)

    with b:
        for make in (lambda: os.symlink(victim, box), lambda: os.link(victim, box),
                     lambda: os.mkfifo(box), lambda: os.mkdir(box), foreign,
                     lambda: os.symlink("/etc/passwd", box),
                     lambda: os.mknod(box, stat.S_IFCHR | 0o666, os.makedev(1, 3))):
            n = len(re.findall("status=deferred", b.log()))
            make()
            b.mail(b.at("al"))
            need(wait_for(lambda: len(re.findall("status=deferred", b.log())) > n), b.log()[-2000:])
            need(text_of(victim) == "precious\n", "written through", text_of(victim))
            (os.rmdir if os.path.isdir(box) else os.unlink)(box)
        settled(b)
        need(len(b.wait_mbox("al", 7)) == 7, "mail was lost", len(b.mbox("al")), b.log()[-2000:])


def test_hostile_names():
    """Recipients that look like files, commands, lists or options."""
    if not is_root():
        return WHY
    b = Box(settings=("local_recipient_maps =",))
    names = ("../../etc/passwd", "/etc/passwd", "|touch %s/x" % b.dir, ":include:/etc/passwd",
             "\\\\%s" % b.names["al"], "~/x", "-f", "..", ".", "%s/../%s" % (b.names["al"], b.names["bea"]),
             "a" * 200, b.names["al"] + "+../x", "root:x", "#0", " ", "$(id)", "$n`s`")
    before = set(os.listdir(b.spool) + os.listdir(b.dir))
    with b:
        for n in names:
            with b.smtp() as s:
                s.ehlo()
                s.mail(b.addr("ann"))
                code, _ = s.docmd("RCPT", 'TO:<"%s"@%s>' % (n, HOST))
                if code == 250:
                    s.data("Subject: x\r\n\r\nx\r\n")
                need(code in (250, 501, 550, 553, 555), n, code)
        settled(b)
        # al with an extension that is none: al's own.
        need(wait_for(lambda: len(b.mbox("al")) == 1), b.log()[-2000:])
        need(set(os.listdir(b.spool) + os.listdir(b.dir)) <= before | {b.names["al"], "log", "maildrop"},
             os.listdir(b.spool), os.listdir(b.dir))
        need("status=deferred" not in b.log(), re.findall(".*status=deferred.*", b.log())[:3])
        need(len(re.findall(r"dsn=5.1.[13], status=bounced", b.log())) >= 12, b.log()[-3000:])


def test_restricted():
    """allow_mail_to_commands, _files; root's mail; luser_relay; no home."""
    if not is_root():
        return WHY
    b = Box(settings=("allow_mail_to_commands =", "allow_mail_to_files = alias",
                      "local_recipient_maps =", "require_home_directory = yes",
                      "luser_relay = {al}+$user"))
    b.set("luser_relay = %s+$user" % b.names["al"])
    b.forward("bea", "~/file\n")
    b.aliases("cmd: |/bin/true", "file: %s/file" % b.dir)
    with b:
        b.mail(b.at("cmd"))
        logged(b, r"to=<cmd@.*dsn=5.7.1, status=bounced \(mail to command is restricted\)")
        b.mail(b.at("bea"))
        logged(b, r"dsn=5.7.1, status=bounced \(mail to file is restricted\)")
        b.mail(b.at("stranger"))
        need(len(b.wait_mbox("al", 1)) == 1, b.log()[-2000:])
        need(b"X-Original-To: stranger@" in b.mbox("al")[0], b.mbox("al"))
        b.mail("root@" + HOST)
        logged(b, r"to=<root@.*status=deferred \(mail for root is never delivered as root")
        os.rename(b.home("al"), b.home("al") + ".away")
        b.mail(b.at("al"))
        logged(b, r"status=deferred \(cannot access home directory")
        os.rename(b.home("al") + ".away", b.home("al"))
        need(len(b.wait_mbox("al", 2)) == 2, b.log()[-2000:])


if __name__ == "__main__":
    sys.exit(main({k: v for k, v in globals().items() if not k.startswith("test_") or
                   v.__module__ == "__main__"}))
