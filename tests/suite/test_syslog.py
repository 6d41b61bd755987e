#!/usr/bin/env python3
"""Lines to a real syslogd (busybox's), at /dev/log of a mount namespace of the test's own."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from harness import Instance, is_root, main, need, wait_for

OWN = "POSTERN_OWN_DEV"
DEVICES = ("null", "zero", "full", "random", "urandom")


def enter():
    """Goes on in a mount namespace whose /dev is this test's."""
    if OWN not in os.environ:
        os.environ[OWN] = tempfile.mkdtemp(prefix="postern-syslog-")
        os.chmod(os.environ[OWN], 0o755)
        p = subprocess.run(["unshare", "-m", sys.executable, *sys.argv])
        shutil.rmtree(os.environ[OWN], ignore_errors=True)
        sys.exit(p.returncode)
    dev = os.path.join(os.environ[OWN], "dev")
    os.mkdir(dev)
    for name in DEVICES:
        open(os.path.join(dev, name), "w").close()
        subprocess.run(["mount", "--bind", "/dev/" + name, os.path.join(dev, name)], check=True)
    subprocess.run(["mount", "--bind", dev, "/dev"], check=True)


class Syslogd:
    def __init__(self):
        self.file = os.path.join(os.environ[OWN], "messages")
        self.start()

    def start(self):
        self.p = subprocess.Popen(["busybox", "syslogd", "-n", "-S", "-O", self.file])
        need(wait_for(lambda: os.path.exists("/dev/log")), "no syslogd")

    def stop(self):
        self.p.send_signal(signal.SIGCONT)
        self.p.terminate()
        self.p.wait()

    def text(self):
        with open(self.file, errors="replace") as f:
            return f.read()

    def has(self, pattern):
        return wait_for(lambda: re.search(pattern, self.text(), re.M))


def mail(i, subject):
    i.send("Subject: %s\nMessage-ID: <%s@x>\n\nbody\n" % (subject, subject))


def test_syslog():
    if not is_root():
        return "not root"
    log = Syslogd()
    try:
        with Instance(settings=["maillog_file ="]) as i:
            mail(i, "first")
            # As syslog(3) would have it: facility and level taken off, tag[pid]: text.
            need(log.has(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d (\S+ )?postfix/smtpd\[\d+\]: connect from localhost\[127\.0\.0\.1\]$"), log.text())
            need(log.has(r"postfix/cleanup\[\d+\]: [0-9A-F]+: message-id=<first@x>$"), log.text())
            need(log.has(r"postfix/qmgr\[\d+\]: [0-9A-F]+: removed$"), log.text())
            # A syslogd that does not read holds up nobody.
            log.p.send_signal(signal.SIGSTOP)
            for n in range(100):
                mail(i, "stopped%d" % n)
            need(len(i.wait_mails("ann", 101)) == 101, "mail waits for syslogd")
            log.p.send_signal(signal.SIGCONT)
            mail(i, "after-stop")
            need(log.has("message-id=<after-stop@x>"), log.text()[-2000:])
            # And one that is replaced is found again, by those in a sandbox too.
            log.stop()
            mail(i, "nobody")
            log.start()
            mail(i, "again")
            need(log.has("cleanup.*message-id=<again@x>"), log.text()[-2000:])
            mark = len(log.text())
            mail(i, "more")
            need(wait_for(lambda: re.search(r"smtpd\[\d+\]: disconnect from", log.text()[mark:])), log.text()[mark:])
    finally:
        log.stop()


if __name__ == "__main__":
    if is_root():
        enter()
    sys.exit(main(globals()))
