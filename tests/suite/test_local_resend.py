#!/usr/bin/env python3
"""Commands of users that send mail themselves: a .forward that calls
sendmail, procmail's forwarding, an answer from vacation.

sendmail's postdrop is set-gid, so the process that runs users' commands must
let a set-gid program be one. As an installed Postern: in a mount namespace of
its own, /etc/postern is the instance's.
"""
import os
import re
import shutil
import subprocess
import sys

import harness
from harness import is_root, main, need, wait_for
from localbox import HOST, Box
from test_local_users import own_namespace

# What vacation(1) does, word for word: an answer from nobody, by sendmail -t.
VACATION = """#!/bin/sh
( echo "From: $USER"; echo "To: $SENDER"; echo "Subject: away"; echo "Precedence: bulk"; echo; echo "I am away." ) |
	%s -f '<>' -t
cat >>$HOME/kept
"""


class Installed(Box):
    """Set-gid programs, and /etc/postern."""

    def start(self):
        need(subprocess.run(["mount", "--bind", self.etc, "/etc/postern"]).returncode == 0)
        self.etc = "/etc/postern"
        self.bin = os.path.join(self.dir, "sbin")
        shutil.copytree(harness.SBIN, self.bin, symlinks=True)
        for name in ("postdrop", "postqueue"):
            shutil.chown(os.path.join(self.bin, name), "root", self.run("postconf", "-h", "setgid_group")[1].strip())
            os.chmod(os.path.join(self.bin, name), 0o2755)
        super().start()

    def close(self):
        super().close()
        subprocess.run(["umount", "/etc/postern"])

    def sendmail(self, args=""):
        return "%s/sendmail %s" % (self.bin, args)


def got(b, user, what):
    need(wait_for(lambda: [m for m in b.mbox(user) if what in m]), user, what, b.mbox(user), b.log()[-3000:])
    return [m for m in b.mbox(user) if what in m]


def test_forward_that_sends():
    with Installed() as b:
        b.forward("al", '"|%s"\n' % b.sendmail("-i -f other@%s %s" % (HOST, b.at("bea"))))
        b.mail(b.at("al"), text="Subject: passed on\n\nbody\n.\nbehind a dot\n")
        m = got(b, "bea", b"Subject: passed on")[0]
        need(b"Return-Path: <other@" in m and b"behind a dot" in m, m)
        need(re.search(r"pickup\[\d+\]: \w+: uid=%d from=<other@" % b.user("al").pw_uid, b.log()), "as the user", b.log()[-2000:])
        # Through a shell, with an identity of its own, into the mailbox too.
        b.forward("al", '\\%s, "|(echo X-Seen: yes; cat) | %s"\n' % (b.names["al"], b.sendmail("-i " + b.at("bea"))))
        b.mail(b.at("al"), text="Subject: both\n\nbody\n")
        need(b"X-Seen: yes" in got(b, "bea", b"Subject: both")[0])
        got(b, "al", b"Subject: both")
        need(b.empty(), b.queue())


def test_vacation():
    with Installed() as b:
        script = b.write(os.path.join(b.dir, "vacation"), VACATION % b.sendmail(), mode=0o755)
        b.forward("al", '\\%s, "|%s"\n' % (b.names["al"], script))
        for n in range(2):
            b.mail(b.at("al"), text="Subject: are you there\n\n?\n", sender=b.at("bea"))
        m = got(b, "bea", b"Subject: away")
        need(wait_for(lambda: len(got(b, "bea", b"Subject: away")) == 2) and b"Return-Path: <>" in m[0], m)
        got(b, "al", b"Subject: are you there")


def test_procmail():
    if not shutil.which("procmail"):
        return "there is no procmail"
    with Installed() as b:
        own = os.path.join(b.spool, b.names["al"])
        b.write(os.path.join(b.home("al"), ".procmailrc"),
                "SENDMAIL=%s/sendmail\nDEFAULT=%s\n:0 c\n! %s\n" % (b.bin, own, b.at("bea")), "al")
        b.forward("al", '"|IFS=\' \' && exec %s -f- || exit 75 #%s"\n' % (shutil.which("procmail"), b.names["al"]))
        b.mail(b.at("al"), text="Subject: by procmail\n\nx\n")
        got(b, "bea", b"Subject: by procmail")
        got(b, "al", b"Subject: by procmail")
        need(re.search(r"pickup\[\d+\]: \w+: uid=%d " % b.user("al").pw_uid, b.log()), b.log()[-2000:])


def test_from_pipe():
    """A command of pipe(8), too: a content filter that hands mail back by sendmail."""
    with Installed() as b:
        b.set("transport_maps = inline:{%s=filter:}" % b.at("al"))
        b.service("filter unix - n n - - pipe flags=Rq user=%s argv=%s -G -i -f ${sender} -- %s" %
                  (b.names["al"], b.sendmail().strip(), b.at("bea")))
        b.reload()
        b.mail(b.at("al"), text="Subject: filtered\n\nx\n", sender="someone@there.test")
        need(b"Return-Path: <someone@there.test>" in got(b, "bea", b"Subject: filtered")[0])


def test_mail_waits_while_the_queue_is_shut():
    """What sendmail cannot hand in comes back to the command, and the mail is tried again."""
    with Installed() as b:
        drop = os.path.join(b.dir, "spool", "maildrop")
        mode = os.stat(drop).st_mode & 0o7777
        b.forward("al", '"|%s"\n' % b.sendmail("-i " + b.at("bea")))
        os.chmod(drop, 0)
        b.mail(b.at("al"), text="Subject: later\n\nx\n")
        need(wait_for(lambda: re.search(r"to=<%s>.*dsn=4.3.0, status=deferred \(temporary failure" % re.escape(b.at("al")),
                                        b.log())), b.log()[-2000:])
        os.chmod(drop, mode)
        need(len(got(b, "bea", b"Subject: later")) == 1)


if __name__ == "__main__":
    if not is_root():
        print("ok test_local_resend skipped: needs root, to become users")
        sys.exit(0)
    own_namespace()
    sys.exit(main({k: v for k, v in globals().items() if not k.startswith("test_") or v.__module__ == "__main__"}))
