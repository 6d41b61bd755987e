#!/usr/bin/env python3
"""A user who swaps mailbox, Maildir or .forward for links, FIFOs and
directories, as fast as he can, while mail for him is delivered.

What is not his stays untouched, nothing hangs, and each message is in a
mailbox of his, or returned. He moves his own mail aside, he never deletes it.
"""
import contextlib
import itertools
import os
import random
import re
import signal
import stat
import sys
import threading
import time

from harness import is_root, main, need
from localbox import Box
from test_local import WHY, settled, text_of

MAILS = 120


def attack(path, targets):
    """A kind of thing that cannot be made is passed over."""
    kinds = [lambda t=t: os.symlink(t, path) for t in targets] + [lambda t=t: os.link(t, path) for t in targets] + [
        lambda: os.mkfifo(path), lambda: os.mkdir(path), lambda: os.symlink("/dev/zero", path), lambda: os.symlink(path, path),
        lambda: os.symlink("/proc/self/fd/1", path), lambda: os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o000))]
    rnd = random.Random(7)
    for n in itertools.count():
        with contextlib.suppress(OSError):
            os.rename(path, "%s.%d" % (path, n))    # his own, whatever it is
        try:
            rnd.choice(kinds)()
        except OSError:
            continue
        time.sleep(rnd.random() * 0.02)
        os.rename(path, path + ".trap.%d" % n)
        time.sleep(rnd.random() * 0.01)


class Attack:
    """As that user, until the with is over."""

    def __init__(self, b, user, path, *targets):
        u = b.user(user)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setgroups([])
                os.setresgid(u.pw_gid, u.pw_gid, u.pw_gid)
                os.setresuid(u.pw_uid, u.pw_uid, u.pw_uid)
                attack(path, targets)
            finally:
                os._exit(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        need(os.waitpid(self.pid, os.WNOHANG) == (0, 0), "the attacker gave up")
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def send_many(b, to, n=MAILS):
    """Subjects race.0 .. race.n-1, over a few connections."""
    def some(first):
        for i in range(first, n, 4):
            b.mail(to, text="Subject: race.%d.\n\nx\n" % i)
            time.sleep(0.01)
    threads = [threading.Thread(target=some, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def found(*places):
    """How often each of the mails stands in regular files below."""
    seen = {}
    for place in places:
        for d, _, names in os.walk(place):
            for name in names:
                path = os.path.join(d, name)
                if stat.S_ISREG(os.lstat(path).st_mode):
                    for k in re.findall(r"^Subject: race\.(\d+)\.", text_of(path), re.M):
                        seen.setdefault(int(k), set()).add(os.lstat(path).st_ino)
    return seen


def calm(b, path):
    """The attack is over: what stands in the way goes, and the queue empties."""
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode) or os.path.isfile(path) and os.stat(path).st_mode & 0o200 == 0:
        os.rename(path, path + ".last")
    b.run("postqueue", "-f")
    settled(b)


def whole(b, *places):
    seen, returned = found(*places), len(b.mails("ann"))
    lost = [k for k in range(MAILS) if k not in seen]
    need(len(lost) <= returned, "lost", lost, returned, b.log()[-3000:])
    need(all(len(v) == 1 for v in seen.values()), "twice", {k: v for k, v in seen.items() if len(v) > 1})


def victims(b):
    """Of root and of another user: readable, not writable, or written by anybody."""
    paths = [b.write(os.path.join(b.dir, "secret"), "root's\n", mode=0o600), b.write(os.path.join(b.dir, "public"), "root's\n"),
             b.write(os.path.join(b.home_dir, "others"), "bea's\n", "bea", 0o666)]
    return paths, [(text_of(p), os.stat(p).st_mode, os.stat(p).st_uid) for p in paths]


def untouched(paths, before):
    now = [(text_of(p), os.stat(p).st_mode, os.stat(p).st_uid) for p in paths]
    need(now == before, "written through", now, before)


def test_mailbox():
    if not is_root():
        return WHY
    with Box() as b:
        paths, before = victims(b)
        box = os.path.join(b.spool, b.names["al"])
        os.chmod(b.spool, 0o777)                    # no sticky bit in his way
        with Attack(b, "al", box, *paths):
            send_many(b, b.at("al"))
            b.mail(b.at("bea"))                     # others are served meanwhile
            need(len(b.wait_mbox("bea", 1)) == 1, b.log()[-2000:])
        need(b.log().count("status=deferred") > 5, "no race was run")
        calm(b, box)
        untouched(paths, before)
        whole(b, b.spool)


def test_maildir():
    """home_mailbox = Maildir/: the directory itself, and new/ in it."""
    if not is_root():
        return WHY
    for part in ("Maildir", "Maildir/new", "Maildir/tmp"):
        with Box(settings=("home_mailbox = Maildir/",)) as b:
            paths, before = victims(b)
            theirs = os.path.join(b.home("bea"), "dir")
            for d in ("", "/tmp", "/new", "/cur"):
                os.makedirs(theirs + d, exist_ok=True)
                os.chmod(theirs + d, 0o755)
            os.chmod(b.home("bea"), 0o755)
            b.mail(b.at("al"), text="Subject: first\n\nx\n")
            settled(b)
            path = os.path.join(b.home("al"), part)
            with Attack(b, "al", path, theirs, theirs + "/new", "/etc", *paths):
                send_many(b, b.at("al"))
            calm(b, path)
            untouched(paths, before)
            need(not [n for _, _, n in os.walk(theirs) if n], "in another's", list(os.walk(theirs)))
            whole(b, b.home("al"))


def test_forward():
    """.forward files of others are not his, whatever he makes of the name."""
    if not is_root():
        return WHY
    with Box() as b:
        paths, before = victims(b)
        evil = b.write(os.path.join(b.home_dir, "evil"), "evil@elsewhere.test\n\"|touch %s/ran\"\n" % b.dir, "bea", 0o644)
        for p in paths:
            os.chmod(p, before[paths.index(p)][1] & 0o7777)
        b.forward("al", "\\{al}\n")
        os.chmod(b.dir, 0o777)
        path = b.home("al") + "/.forward"
        with Attack(b, "al", path, evil, *paths):
            send_many(b, b.at("al"))
        calm(b, path)
        untouched(paths, before)
        need("evil@" not in b.log() and not os.path.exists(b.dir + "/ran"), "it was followed")
        whole(b, b.spool)


def test_file_destination():
    """~/file of a .forward: written as the user, through no link of his."""
    if not is_root():
        return WHY
    with Box() as b:
        paths, before = victims(b)
        b.forward("al", "~/box/file\n")
        box = os.path.join(b.home("al"), "box")
        os.makedirs(box)
        os.chown(box, b.user("al").pw_uid, b.user("al").pw_gid)
        with Attack(b, "al", box + "/file", *paths):
            send_many(b, b.at("al"))
        calm(b, box + "/file")
        untouched(paths, before)
        whole(b, b.home("al"))


if __name__ == "__main__":
    sys.exit(main({k: v for k, v in globals().items() if not k.startswith("test_") or v.__module__ == "__main__"}))
