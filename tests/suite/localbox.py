"""localbox - instances with users of the system, for tests of local(8).

Needs root: the users are made for the test and removed behind it.
"""
import contextlib
import os
import pwd
import shutil
import subprocess
import time

import harness

HOST = "mx.example.test"
QUICK = ("minimal_backoff_time = 1s", "maximal_backoff_time = 2s",
         "queue_run_delay = 1s", "transport_retry_time = 1s")


def _tool(*args):
    for _ in range(50):                 # somebody else may hold the lock
        p = subprocess.run(args, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        if p.returncode == 0 or p.returncode == 9:
            return
        time.sleep(0.2)
    raise RuntimeError("%s: %s" % (args, p.stdout))


class Box(harness.Instance):
    """names: users that exist as NAME + a number of this process."""

    def __init__(self, names=("al", "bea"), settings=(), quick=True,
                 users=("ann",), where=None):
        super().__init__(users=users, where=where, settings=(
            "mailbox_size_limit = 0", "message_size_limit = 0",
            "virtual_mailbox_limit = 0") + (QUICK if quick else ()))
        self.names = {}
        self.home_dir = os.path.join(self.dir, "home")
        self.spool = os.path.join(self.dir, "box")
        for d, mode in ((self.home_dir, 0o755), (self.spool, 0o1777)):
            os.makedirs(d)
            os.chmod(d, mode)
        self.set("mail_spool_directory = " + self.spool)
        self.set("myorigin = $myhostname")
        for line in settings:
            self.set(line)
        for n in names:
            self.names[n] = "pt%s%d" % (n, os.getpid())
            _tool("useradd", "-M", "-s", "/bin/sh", "-d", self.home(n),
                  self.names[n])
            self.make_home(n)

    def close(self):
        super().close()
        for name in self.names.values():
            with contextlib.suppress(Exception):
                _tool("userdel", name)
        shutil.rmtree(self.dir, ignore_errors=True)

    def make_home(self, n):
        u = self.user(n)
        os.makedirs(self.home(n))
        os.chown(self.home(n), u.pw_uid, u.pw_gid)
        os.chmod(self.home(n), 0o700)

    def home(self, n):
        return os.path.join(self.home_dir, n)

    def user(self, n):
        return pwd.getpwnam(self.names[n])

    def at(self, n, extension=""):
        return self.names.get(n, n) + extension + "@" + HOST

    def service(self, line):
        """A line more in master.cf."""
        with open(os.path.join(self.etc, "master.cf"), "a") as f:
            f.write(line + "\n")

    def aliases(self, *lines):
        """{al} stands for the user's name."""
        with open(os.path.join(self.etc, "aliases"), "w") as f:
            for line in lines:
                f.write(line.format(**self.names) + "\n")
        self.run("newaliases")

    def write(self, path, text, owner=None, mode=0o644):
        with open(path, "w") as f:
            f.write(text.format(**self.names))
        if owner:
            u = self.user(owner)
            os.chown(path, u.pw_uid, u.pw_gid)
        os.chmod(path, mode)
        return path

    def forward(self, n, text, name=".forward", mode=0o600, owner=None):
        return self.write(os.path.join(self.home(n), name), text,
                          owner or n, mode)

    def mbox(self, n):
        """Mails in the spool file, each without its From line."""
        return mbox_of(os.path.join(self.spool, self.names.get(n, n)))

    def wait_mbox(self, n, count, seconds=20):
        harness.wait_for(lambda: len(self.mbox(n)) >= count, seconds)
        return self.mbox(n)

    def mail(self, *to, text="Subject: t\n\nbody\n", sender=None):
        return self.send(text, to=list(to), sender=self.addr("ann") if sender is None else sender)

    def empty(self, seconds=30):
        """Has all left the queue?"""
        return harness.wait_for(lambda: not self.mails_queued(), seconds)

    def mails_queued(self):
        return [q for q in self.queue() if q[0] in ("active", "deferred", "maildrop")]


def mbox_of(path):
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError:
        return []
    return (b"\n\n" + data).split(b"\n\nFrom ")[1:]
