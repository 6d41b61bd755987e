"""test_local_faults - mailboxes, forwards and commands of users of the
system while things break.

The dispatcher and both kinds of agent are killed at one system call after
the other, and get errors from them; disks are full, over quota, read only
or away. Nothing is lost, nothing comes back as undeliverable, and all goes
on by itself; twice is what a kill may cost.
"""
import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys
import time

import ledger
from harness import is_root, main, need, wait_for
from localbox import Box, mbox_of
from test_faults import full, no_inodes

TAKE = """#!/bin/sh
f=$(mktemp $HOME/tmp.XXXXXX) || exit 75
cat >$f || exit 75
mv $f $HOME/in.${f##*.}
"""


# What one message must bring each user, and so each way to a mailbox: al's
# is a command, bea's her mailbox, cy's leads to it, dan's is a file.
WANTED = {"al": 2, "bea": 3, "dan": 1}


class Ways(Box):
    """home: bea's mailbox is a Maildir in her home."""

    def __init__(self, *settings, home=False):
        super().__init__(names=("al", "bea", "cy", "dan"), settings=(
            "service_throttle_time = 1s", "maximal_backoff_time = 1s",
            *(("home_mailbox = Maildir/",) if home else ()), *settings))
        self.in_home = home
        self.n = 0
        self.fill_homes()
        self.aliases("both: {al}, {bea}")

    def fill_homes(self):
        self.forward("al", "\"|exec $HOME/take\"\n")
        self.write(self.home("al") + "/take", TAKE.replace("{", "{{").replace("}", "}}"), "al", 0o755)
        self.forward("cy", "{bea}\n")
        self.forward("dan", "~/in\n")

    def one(self, lines=300):
        """A message, each way."""
        self.n += 1
        self.mail(*[self.at(x) for x in ("al", "bea", "cy", "dan", "both")],
                  text="Subject: n%d.\n\n%sEND\n" % (self.n, "line\n" * lines))

    def mails_of(self, n):
        if n == "dan":
            return mbox_of(self.home("dan") + "/in")
        if n == "bea" and not self.in_home:
            return self.mbox("bea")
        found = []
        for path in glob.glob(self.home("al") + "/in.*" if n == "al" else self.home("bea") + "/Maildir/new/*"):
            with open(path, "rb") as f:
                found.append(f.read())
        return found

    def counts(self, n):
        """How often each has it, whole."""
        return {u: sum(b"Subject: n%d.\n" % n in m and m.rstrip().endswith(b"END")
                       for m in self.mails_of(u)) for u in WANTED}

    def all_there(self, n):
        got = self.counts(n)
        return all(got[u] >= WANTED[u] for u in WANTED)

    def account(self, dups):
        """All came, nothing went back."""
        need(self.empty(60), "still queued", self.mails_queued(), self.log()[-2000:])
        twice = 0
        for n in range(1, self.n + 1):
            need(self.all_there(n), "lost:", n, self.counts(n), self.log()[-3000:])
            twice += sum(self.counts(n).values()) - sum(WANTED.values())
        need("status=bounced" not in self.log(), re.findall(".*status=bounced.*", self.log())[:3])
        need(twice <= dups, "too many came twice:", twice)
        return twice


class Trials:
    def __init__(self, **kw):
        self.b = Ways(**kw)
        self.hit = 0

    def trial(self, program, calls, inject):
        pid = wait_for(lambda: self.b.pids(program))
        if not pid:                     # an agent leaves when it is idle
            self.b.one()
            pid = wait_for(lambda: self.b.pids(program))
        t = ledger.Trace(pid[-1], calls, [inject])
        try:
            self.b.one()
            wait_for(lambda: self.b.all_there(self.b.n), 2)
        finally:
            lines = t.end()
        # Killed by the injection: the trace ends with it.
        self.hit += any("INJECTED" in x or "killed by" in x for x in lines) or \
            not os.path.exists("/proc/%d" % pid[-1])

    def finish(self, trials, dups):
        twice = self.b.account(dups)
        print("#   %d trials, %d hit, %d came twice" % (trials, self.hit, twice), flush=True)
        need(self.hit >= trials // 2, "hit too seldom:", self.hit, trials)


def run(kinds, dups_each, **kw):
    reason = ledger.can_trace()
    if reason or not is_root():
        return reason or "needs root"
    t = Trials(**kw)
    trials = 0
    with t.b:
        t.b.one()                       # so that there are agents
        need(wait_for(lambda: t.b.all_there(1)), t.b.log()[-2000:])
        for program, calls, inject in kinds:
            trials += 1
            t.trial(program, calls, inject)
        t.finish(trials, trials * dups_each)
    return None


def test_kills():
    """SIGKILL at the first, second ... of each call."""
    kinds = [(program, calls, "%s:signal=SIGKILL:when=%d" % (calls, when))
             for program, calls, most in (
                 ("local", "sendmsg", 4), ("local", "recvmsg,recvfrom", 2),
                 ("local", "pread64", 2),
                 ("agent", "openat", 3), ("agent", "fsync", 1), ("agent", "sendmsg", 2),
                 ("agent", "pread64", 2),
                 ("command", "pipe2", 1), ("command", "clone,clone3,vfork,fork", 1),
                 ("command", "wait4", 1), ("command", "sendmsg", 1), ("command", "write", 2))
             for when in range(1, most + 1)]
    return run(kinds, 5)


def errors(*rows):
    return [(program, call, "%s:error=%s" % (call, error))
            for program, call, names in rows for error in names.split()]


def test_errors():
    """Each call fails for a while: mail is put off, never returned."""
    return run(errors(
        ("local", "pread64", "EIO"), ("local", "sendmsg", "ENOBUFS"),
        ("agent", "openat", "EMFILE EIO ENOMEM ENFILE ESTALE"), ("agent", "fsync", "EIO ENOSPC EDQUOT"),
        ("agent", "pread64", "EIO ESTALE"), ("agent", "write", "ENOSPC EDQUOT EIO"),
        ("agent", "lstat,newfstatat", "EIO ESTALE"), ("agent", "fstat", "EIO ESTALE"),
        ("command", "pipe2", "EMFILE ENFILE"), ("command", "clone,clone3,fork,vfork", "EAGAIN ENOMEM"),
        ("command", "pread64", "EIO"), ("command", "execve", "ENOMEM EIO ESTALE ETXTBSY"),
        ("command", "chdir", "EIO ESTALE")), 5)


def test_errors_in_homes():
    """The same for home_mailbox = Maildir/."""
    return run(errors(
        ("agent", "openat", "EMFILE EIO ENOSPC EDQUOT EROFS ESTALE"), ("agent", "fsync", "EIO ENOSPC EDQUOT"),
        ("agent", "renameat2", "EIO ENOSPC EDQUOT EROFS ESTALE"), ("agent", "write", "ENOSPC EDQUOT EIO"),
        ("agent", "lstat,newfstatat", "EIO ESTALE"), ("agent", "pread64", "EIO")), 5, home=True)


# --- disks ---

def put_off(b, what, n=1):
    """The message is sent; so many of its recipients wait, none comes back."""
    at = len(b.log())
    b.one()
    pattern = r"status=deferred \(.*%s" % what
    need(wait_for(lambda: len(set(re.findall(r"to=<[^>]*>.*" + pattern, b.log()[at:]))) >= n),
         "not put off:", what, b.log()[at:][-3000:])
    time.sleep(1.5)                     # and the tries after that


def come_back(b):
    """It is over."""
    b.run("postqueue", "-f")
    b.account(0)


@contextlib.contextmanager
def mounted(path, options):
    """A tmpfs over that directory, with its mode and owner; why not, or ""."""
    st = os.stat(path)
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", "%s,mode=%o,uid=%d,gid=%d" % (
        options, st.st_mode & 0o7777, st.st_uid, st.st_gid), "postern-test", path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield p.stdout.decode()
    finally:
        if p.returncode == 0:
            subprocess.run(["umount", "-l", path], check=False)


@contextlib.contextmanager
def small_disks(b, options="size=1m,nr_inodes=200"):
    """Homes and spool are small; the homes are made anew on theirs. Whoever
    closes b cannot remove where they are mounted."""
    try:
        with mounted(b.spool, options) as why, mounted(b.home_dir, options) as why_home:
            if not why and not why_home:
                for n in b.names:
                    b.make_home(n)
                b.fill_homes()
            yield why or why_home
    finally:
        shutil.rmtree(b.dir, ignore_errors=True)


@contextlib.contextmanager
def ways_on_small_disks(home):
    """(Ways that work, ""), or (None, why there are no such disks)."""
    b = Ways(home=home)
    with small_disks(b) as why:
        if why:
            b.close()
            yield None, why
            return
        with b:
            b.one()
            b.account(0)
            yield b, ""


def test_full_disks():
    """No space, then no inodes, for mbox, Maildir, file and command."""
    if not is_root():
        return "needs root"
    for home in (False, True):
        with ways_on_small_disks(home) as (b, why):
            if why:
                return why
            with full(b.spool), full(b.home_dir):
                put_off(b, "No space left on device", 2)
            come_back(b)
            with no_inodes(b.spool), no_inodes(b.home_dir):
                put_off(b, "(No space left on device|temporary failure)")
            come_back(b)
    return None


def test_quota():
    """A user's limit, by the kernel."""
    if not is_root():
        return "needs root"
    b = Ways()
    with small_disks(b, "size=8m,usrquota,usrquota_block_hardlimit=200k") as why:
        if why:
            b.close()
            return "no quota here: " + why.strip()
        with b:
            b.one()
            b.account(0)
            pads = []
            for n in b.names:
                pads.append(os.path.join(b.home(n), "pad"))
                subprocess.run(["sh", "-c", "head -c 400000 /dev/zero >%s" % pads[-1]], check=False,
                               user=b.user(n).pw_uid, stderr=subprocess.DEVNULL)
            put_off(b, "Disk quota exceeded")
            for pad in pads:
                os.unlink(pad)
            come_back(b)
    return None


def remount(b, how):
    for path in (b.spool, b.home_dir):
        subprocess.run(["mount", "-o", "remount," + how, path], check=True)


def test_read_only():
    """As a kernel does it that has seen errors on a disk."""
    if not is_root():
        return "needs root"
    for home in (False, True):
        with ways_on_small_disks(home) as (b, why):
            if why:
                return why
            remount(b, "ro")
            put_off(b, "Read-only file system", 2)
            remount(b, "rw")
            come_back(b)
    return None


def test_home_is_away():
    """Nothing, then an empty directory, where the homes should be."""
    if not is_root():
        return "needs root"
    for home in (False, True):
        with Ways("require_home_directory = yes", home=home) as b:
            b.one()
            b.account(0)
            os.rename(b.home_dir, b.home_dir + ".away")
            put_off(b, "cannot access home directory .*: No such file", 4)
            os.mkdir(b.home_dir)
            put_off(b, "cannot access home directory .*: No such file", 4)
            os.rmdir(b.home_dir)
            os.rename(b.home_dir + ".away", b.home_dir)
            come_back(b)
    return None


def test_maildir_is_away():
    """home_mailbox and no home, where none is required: nobody may make it."""
    if not is_root():
        return "needs root"
    with Box(names=("bea",), settings=("home_mailbox = Maildir/",)) as b:
        os.rename(b.home("bea"), b.home("bea") + ".away")
        b.mail(b.at("bea"))
        need(b.wait_log(r"status=deferred \(.*create maildir"), b.log()[-2000:])
        os.rename(b.home("bea") + ".away", b.home("bea"))
        b.run("postqueue", "-f")
        need(b.empty() and "status=bounced" not in b.log(), b.mails_queued(), b.log()[-2000:])
        need(len(os.listdir(b.home("bea") + "/Maildir/new")) == 1)
    return None


def test_zeroed_end():
    """What a power cut left of mail that was not told delivered is cut off."""
    if not is_root():
        return "needs root"
    with Ways() as b:
        b.one()
        b.account(0)
        whole = {}
        for path, n in ((os.path.join(b.spool, b.names["bea"]), 3000), (b.home("dan") + "/in", 3 << 30)):
            with open(path, "r+b") as f:
                whole[path] = f.read(), n
                f.truncate(len(whole[path][0]) + n)
        b.one()
        b.account(0)
        for path, (before, n) in whole.items():
            need(b.wait_log(r"warning: \w+: %s: cut off the %d NULs" % (re.escape(path), n)), b.log()[-2000:])
            with open(path, "rb") as f:
                after = f.read()
            need(after.startswith(before + b"From ") and b"\0" not in after, after[len(before):][:300])
    return None


if __name__ == "__main__":
    sys.exit(main({k: v for k, v in globals().items() if not k.startswith("test_") or v.__module__ == "__main__"}))
