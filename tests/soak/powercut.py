#!/usr/bin/env python3
"""powercut - pull the plug under load, put it back, count.

    tests/soak/powercut.py [--cuts N] [--messages N] [--fs ext4,xfs]
                           [--mbox] [--through forward|command]
                           [--users spool|home] [--sessions N] [--seed N] [--dir DIR]

Queue and mailboxes stand on file systems of their own, on loop devices. A
cut is FS_IOC_SHUTDOWN without a flush of the log (what was not synced is
gone, as when power fails), SIGKILL of every process, unmount, mount (the
journal is replayed), start. ext4 is mounted with commit=300, so that nothing
reaches the disk by chance. A reply that comes after the cut began is no
promise: a machine without power says nothing, but here the kernel lives on,
and while it shuts a file system down some fsync() return 0 for what is not
on the disk (seen with nothing but open, write, fsync: 3 of 26744 on xfs, 8
of 12662 on ext4, all of them after the ioctl had begun). Such mail counts as
unknown. The queue's disk fails first, so that nothing is removed from it on
the word of such an fsync(). With --through mail takes a way around: an alias
that forwards it, or a command that writes the Maildir. With --users it goes
to users of the system: their mbox or home_mailbox, and .forward files to a
file, another user and a command. Root only. The last line of each run is a
table row; exit status 1 if anything was lost or torn.
"""
import argparse
import contextlib
import fcntl
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "suite"))
import harness		# noqa: E402  pylint: disable=wrong-import-position
import ledger		# noqa: E402  pylint: disable=wrong-import-position
import localbox		# noqa: E402  pylint: disable=wrong-import-position

FS_IOC_SHUTDOWN = 0x8004587d
NOLOGFLUSH = 2
IMAGE_MB = 1500
MKFS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
OPTIONS = {"ext4": "loop,commit=300", "xfs": "loop"}
# One cut may send again what was under way: deliveries, and those whose
# files' removal was not in the journal yet.
TWICE_PER_CUT = 60


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def usable(fs="ext4"):
    """Why no loop device can be mounted here, or ""."""
    if not harness.is_root():
        return "not root"
    if shutil.which(MKFS[fs][0]) is None:
        return "no " + MKFS[fs][0]
    top = "/tmp/postern-loop-%d" % os.getpid()
    os.mkdir(top)
    try:
        with Disk(top, "try", os.path.join(top, "on"), fs):
            return ""
    except (OSError, subprocess.CalledProcessError) as e:
        return "no loop devices: %s" % e
    finally:
        shutil.rmtree(top, ignore_errors=True)


class Disk:
    """A file system in a file, mounted at `at`, whose power can fail."""
    def __init__(self, top, name, at, fs):
        self.image = os.path.join(top, name + ".img")
        self.at, self.fs = at, fs
        os.makedirs(at, exist_ok=True)
        with open(self.image, "wb") as f:
            f.truncate(IMAGE_MB << 20)
        run(*MKFS[fs], self.image)
        self.mounted = False
        self.mount()

    def mount(self):
        run("mount", "-t", self.fs, "-o", OPTIONS[self.fs], self.image,
            self.at)
        self.mounted = True

    def fail(self):
        fd = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN,
                        NOLOGFLUSH.to_bytes(4, sys.byteorder))
        finally:
            os.close(fd)

    def unmount(self):
        if not self.mounted:
            return
        def done():
            return subprocess.run(["umount", self.at], check=False,
                                  stderr=subprocess.DEVNULL).returncode == 0
        if not harness.wait_for(done, 10, 0.1):
            run("umount", "-l", self.at)
        self.mounted = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unmount()
        with contextlib.suppress(OSError):
            os.unlink(self.image)


# A careful delivery program, as sh has it.
TAKE = """#!/bin/sh
cd %s/$1 || exit 75
f=$(mktemp tmp/XXXXXXXXXX) || exit 75
sed 1d >$f && sync $f && mv $f new/ && sync new || exit 75
"""


class Powered:
    """For an instance some of whose directories are disks of their own."""
    disks = ()

    def plug(self, fs, names):
        """The first fails first: the queue's."""
        self.disks = []
        for name in names:
            at = os.path.join(self.dir, name)
            st = os.stat(at)
            shutil.rmtree(at)	# so that nobody writes below it
            os.mkdir(at)
            self.disks.append(Disk(self.dir, name, at, fs))
            os.chown(at, st.st_uid, st.st_gid)
            os.chmod(at, st.st_mode & 0o7777)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(at, "lost+found"))
        self._run([harness.tool("postern"), "setup", self.dir])

    def cut(self, load):
        """The power fails and comes back; when mail could flow again."""
        began = time.monotonic()
        for disk in self.disks:
            disk.fail()
        ledger.kill_all(self)
        time.sleep(0.2)			# replies under way are read
        with load.lock:
            late = [n for n, (t, _) in load.accepted.items() if t >= began]
            for n in late:
                load.unknown[n] = load.accepted.pop(n)
        for disk in self.disks:
            disk.unmount()
            disk.mount()
        since = time.monotonic()
        self.start()
        return since

    def close(self):
        ledger.kill_all(self)
        for disk in self.disks:
            disk.unmount()
        super().close()


class Virtual(Powered, harness.Instance):
    """Mailboxes of virtual(8), and ways to them by local(8)."""
    def __init__(self, fs, opts):
        super().__init__(users=ledger.USERS, settings=ledger.SETTINGS,
                         where=opts.dir)
        try:
            self.plug(fs, ("spool", "mail"))
            if opts.mbox:
                ledger.use_mbox(self)
            if opts.through:
                self.lead(opts.through)
        except BaseException:
            self.close()
            raise

    kinds = staticmethod(ledger.recipients)

    def all_boxes(self):
        return [(self.addr(user), user) for user in ("ann", "bob")]

    def lead(self, through):
        """ann's and bob's mail goes by an alias of the same name."""
        boxes = os.path.join(self.dir, "mail", self.domain)
        take = os.path.join(self.dir, "take")
        with open(take, "w") as f:
            f.write(TAKE % boxes)
        os.chmod(take, 0o755)
        with open(os.path.join(self.etc, "virtual"), "a") as virtual, \
                open(os.path.join(self.etc, "vmailbox"), "a") as vmailbox, \
                open(os.path.join(self.etc, "aliases"), "a") as aliases:
            for user in ("ann", "bob"):
                virtual.write("%s via-%s@localhost\n" % (self.addr(user), user))
                vmailbox.write("in-%s %s/%s/\n" % (self.addr(user), self.domain, user))
                aliases.write("via-%s: %s\n" % (user, "in-" + self.addr(user) if through == "forward"
                                                else '"|%s %s"' % (take, user)))
                for sub in ("", "tmp", "new", "cur"):
                    d = os.path.join(boxes, user, sub)
                    os.makedirs(d, exist_ok=True)
                    os.chmod(d, 0o1777)
        for d in (os.path.dirname(boxes), boxes):
            os.chmod(d, 0o1777)
        self.run("newaliases")
        os.sync()


class Users(Powered, localbox.Box):
    """
    Users of the system, on four disks. box has mail in mail_spool_directory,
    or in home_mailbox; a .forward leads file's into a file, other's to box,
    and command's to a program that writes a Maildir.
    """
    def __init__(self, fs, opts):
        super().__init__(names=("box", "file", "other", "command"),
                         users=ledger.USERS, settings=ledger.SETTINGS,
                         where=opts.dir)
        try:
            self.plug(fs, ("spool", "mail", "box", "home"))
            for n in self.names:
                self.make_home(n)
            if opts.users == "home":
                self.set("home_mailbox = Maildir/")
            self.forward("file", self.home("file") + "/in\n")
            self.forward("other", "{box}\n")
            self.forward("command", "\"|exec $HOME/take Maildir\"\n")
            self.make_take()
        except BaseException:
            self.close()
            raise
        self.boxes = {
            "box": os.path.join(self.home("box"), "Maildir")
                   if opts.users == "home" else
                   os.path.join(self.spool, self.names["box"]),
            "file": self.home("file") + "/in",
            "command": self.home("command") + "/Maildir",
            ledger.BACK: self.maildir(ledger.BACK)}

    def make_take(self):
        home, u = self.home("command"), self.user("command")
        self.write(home + "/take", TAKE % home, "command", 0o755)
        for sub in ("", "/tmp", "/new", "/cur"):
            os.mkdir(home + "/Maildir" + sub)
            os.chown(home + "/Maildir" + sub, u.pw_uid, u.pw_gid)
        os.sync()

    @staticmethod
    def kinds(inst, number):
        if number % 40 in (7, 23):
            return ledger.recipients(inst, number)
        if number % 10 == 3:
            return [(inst.at("box"), "box"), (inst.at("file"), "file")]
        way = ("box", "file", "other", "command")[number // 3 % 4]
        return [(inst.at(way), "box" if way == "other" else way)]

    def all_boxes(self):
        return [(self.at(n), n) for n in ("box", "file", "command")]


def arrived(inst, kind, number):
    needle = b"X-Number: %d\n" % number
    return any(needle in m for m in ledger.newest(inst, kind))


def deliver(inst, number, to):
    """One more message, the whole way: to is [(address, kind)]."""
    def sent():
        try:
            s = ledger.Session(inst.port)
            bad = s.mail(inst.addr(ledger.BACK), [a for a, _ in to],
                         ledger.make_mail(number, 100))
            s.close()
            return bad is None
        except ledger.Lost:
            return False
    harness.need(harness.wait_for(sent, 20), "no mail is accepted")
    for _, kind in to:
        harness.need(harness.wait_for(lambda k=kind: arrived(inst, k, number), 20),
                     "no mail arrives:", kind,
                     [x for x in inst.log().split("\n") if "status=" in x][-5:])


def heal(inst, since, number):
    """Seconds from the start to a mail that went the whole way."""
    deliver(inst, number, inst.all_boxes()[:1])
    return time.monotonic() - since


def story(inst, load, number, say):
    """Where a lost message was seen last, and what the log says of it."""
    say("      %d: %s" % (number, load.accepted[number]))
    needle = b"X-Number: %d\r\n" % number
    ids = set()
    for where, _, files in os.walk(os.path.join(inst.dir, "spool")):
        for name in files:
            path = os.path.join(where, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    data = f.read()
                if needle in data:
                    say("      in %s, %d bytes, head %r" % (
                        path, len(data), data[:120].replace(b"\0", b"")))
                    ids.add(name)
    lines = inst.log().split("\n")
    for queue_id in ids:
        for line in lines:
            if queue_id in line:
                say("      " + line[:200])


def powercut(fs, opts, say=print):
    """One run. Returns its Account; raises where something is wrong."""
    rng = random.Random(opts.seed)
    heals = []
    per_cut = opts.messages // opts.cuts
    with (Users if opts.users else Virtual)(fs, opts) as inst:
        with ledger.Load(inst, sessions=opts.sessions, kinds=inst.kinds) as load:
            for i in range(opts.cuts):
                until = len(load.accepted) + per_cut
                load.limit = until + 50	# so that the cut meets work
                ok = harness.wait_for(lambda u=until: len(load.accepted) >= u,
                                      300, 0.005)
                harness.need(ok, "the load makes no progress",
                             len(load.accepted))
                time.sleep(rng.random() * 0.05)
                since = inst.cut(load)
                heals.append(heal(inst, since, 10**9 + i))
            load.stop()
        ledger.quiet(inst)
        # What a cut left at the end of an mbox goes with the next delivery.
        deliver(inst, 10**9 + opts.cuts, inst.all_boxes())
        a = ledger.Account(load, TWICE_PER_CUT * opts.cuts)
        say("%-5s %-7s cuts %d  %s; in corrupt/ %d; healed in %.1f s at most"
            % (fs, opts.users or opts.through or ("mbox" if opts.mbox else "Maildir"),
               opts.cuts, a, len(a.corrupt), max(heals)))
        lines = inst.log()
        for text in ("removed: its writer died", "saving corrupt file", ": cut off the "):
            say("      log: %d x \"%s\"" % (lines.count(text), text))
        for n, _ in a.lost[:5]:
            story(inst, load, n, say)
        a.check_delivered()
        harness.need(max(heals) < 10, "healed late:", max(heals))
        return a


def options(args=None):
    p = argparse.ArgumentParser()
    p.add_argument("--cuts", type=int, default=20)
    p.add_argument("--messages", type=int, default=10000)
    p.add_argument("--fs", default="ext4,xfs")
    p.add_argument("--mbox", action="store_true")
    p.add_argument("--through", choices=("forward", "command"))
    p.add_argument("--users", choices=("spool", "home"),
                   help="of the system, with mbox files or a home_mailbox")
    p.add_argument("--sessions", type=int, default=8)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--dir", default=None, help="where images are made")
    return p.parse_args(args)


def main():
    opts, bad = options(), 0
    for fs in opts.fs.split(","):
        reason = usable(fs)
        if reason:
            print("%s: skipped: %s" % (fs, reason))
            continue
        try:
            powercut(fs, opts)
        except AssertionError as e:
            bad = 1
            print("%s: FAILED: %s" % (fs, e))
    return bad


if __name__ == "__main__":
    sys.exit(main())
