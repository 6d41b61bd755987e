"""test_faults - the disk is full or fails, files of the queue are damaged.

Expected everywhere: a client is told 4xx or its mail is kept; a local fault
puts mail off and never bounces it; nothing is lost or comes twice beyond
what was under way; all goes on by itself when the fault is over. Errors are
injected with strace, full file systems are small tmpfs (both need root).
"""
import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import harness
import ledger
from harness import need

sys.path.insert(0, os.path.join(harness.TOP, "tests", "soak"))
import powercut		# noqa: E402  pylint: disable=wrong-import-position

# So that what is put off comes again while we wait.
FAST = ("minimal_backoff_time = 1s", "maximal_backoff_time = 2s",
        "queue_run_delay = 1s", "transport_retry_time = 1s",
        "postern_pickup_interval = 1s")


def box(*settings, fast=True):
    return harness.Instance(users=ledger.USERS, settings=ledger.SETTINGS +
                            (FAST if fast else ()) + settings)


def send(inst, load, n, size=800):
    """One message with that number, noted in load; its refusal or None."""
    to = [a for a, _ in ledger.recipients(inst, n)]
    try:
        s = ledger.Session(inst.port)
        bad = s.mail(inst.addr(ledger.BACK), to, ledger.make_mail(n, size))
        s.close()
    except ledger.Lost as e:
        late = getattr(e, "late", False)
        load._note(load.unknown if late else load.refused, n, str(e))
        return str(e)
    load._note(load.accepted if bad is None else load.refused, n, bad)
    return bad


def book(inst):
    """A Load that only keeps the books."""
    return ledger.Load(inst, sessions=0, sendmail=False)


def all_arrived(inst, load, dups_most, seconds=40):
    """Everything that was accepted for a mailbox is in it, by itself."""
    def here():
        queued = ledger.in_queue(inst)
        return ledger.settled(inst) and not any(
            n in queued and k not in ("queue",)
            for n in load.accepted for _, k in ledger.recipients(inst, n))
    here_now = harness.wait_for(here, seconds, 0.2)
    a = ledger.Account(load, dups_most)
    print("#   %s" % a, flush=True)
    need(here_now, "does not go on by itself:", inst.queue()[:10],
         inst.log()[-1500:])
    a.check()
    for n, (_, text) in load.refused.items():
        need(text.startswith("4") or not text[:1].isdigit(),
             "refused for good:", n, text)
    return a


# --- errors in system calls ---

# program: (call, errors, what a message does there)
FAULTS = {
    "cleanup": (("openat", "EMFILE ENFILE ENOSPC ENOMEM EROFS"),
                ("pwritev", "ENOSPC EIO EDQUOT ENOMEM"),
                ("fsync", "EIO ENOSPC EDQUOT"),
                ("flock", "ENOLCK"), ("unlinkat", "EIO")),
    "qmgr": (("openat", "EMFILE ENFILE ENOMEM EIO"),
             ("renameat2", "EIO ENOSPC EDQUOT EROFS"),
             ("pwrite64", "EIO ENOSPC EDQUOT"), ("fstat", "EIO"),
             ("unlinkat", "EIO EROFS"), ("utimensat", "EIO EROFS")),
    "agent": (("openat", "EMFILE ENOSPC EDQUOT EIO ENOMEM EROFS"),
              ("pwrite64,pwritev",
               "ENOSPC EIO EDQUOT"),
              ("pread64", "EIO"),
              ("fsync", "EIO ENOSPC EDQUOT"),
              ("renameat2", "EIO ENOSPC EDQUOT EROFS"),
              ("fstat", "EIO")),
    "virtual": (("sendmsg", "ENOBUFS"),),
    "pickup": (("openat", "EMFILE ENFILE EIO"), ("pread64", "EIO"),
               ("unlinkat", "EIO EROFS")),
    "smtpd": (("accept4", "EMFILE ENFILE ENOMEM ECONNABORTED"),),
}


# Where lib/store/ordered.c lets one sync serve file and name.
ORDERED = (("sync_file_range", "EIO ENOSPC EDQUOT"), ("renameat2", "EIO ENOSPC"), ("fsync", "EIO ENOSPC EDQUOT"))


class Faulty:
    """An instance, one of whose programs gets errors."""
    def __init__(self, program, faults=None):
        self.program = program
        self.faults = faults or FAULTS[program]
        self.inst = box()
        self.load = book(self.inst)
        self.count = 0
        self.injected = 0
        self.trials = 0
        self.same_fd = []
        self.error = None

    def send(self, kind):
        self.count += 1
        n = self.count * 40000 + kind
        if self.program != "pickup":
            send(self.inst, self.load, n)
            return
        status, _, err = self.inst.run(
            "sendmail", "-f", self.inst.addr(ledger.BACK),
            *[a for a, _ in ledger.recipients(self.inst, n)],
            stdin=ledger.make_mail(n, 500), check=False)
        self.load._note(self.load.accepted if status == 0 else
                        self.load.unknown, n, err)

    def trial(self, calls, error):
        pid = harness.wait_for(lambda: self.inst.pids(self.program))[0]
        t = ledger.Trace(pid, calls + ",close",
                         ["%s:error=%s%s" % (calls, error, ":when=1..3"
                                             if calls == "accept4" else "")])
        need(t.ok, "strace:", t.lines)
        self.trials += 1
        try:
            for kind in (2, 3, 23) if self.program == "qmgr" else (2, 3):
                self.send(kind)
            time.sleep(0.3)
        finally:
            lines = t.end()
        self.injected += any("INJECTED" in line for line in lines)
        if calls == "fsync":
            self.look_at_syncs(lines)

    def look_at_syncs(self, lines):
        """A descriptor whose fsync failed is never synced again."""
        bad = set()
        for line in lines:
            m = re.search(r"\b(fsync|close)\((\d+)", line)
            if m and m.group(1) == "close":
                bad.discard(m.group(2))
            elif m and m.group(2) in bad:
                self.same_fd.append(line)
            elif m and "INJECTED" in line:
                bad.add(m.group(2))

    def work(self):
        try:
            self.inst.start()
            self.send(2)			# so that there is an agent
            ledger.quiet(self.inst)
            for calls, errors in self.faults:
                for error in errors.split():
                    self.trial(calls, error)
            print("#   %s: %d trials, %d with an error injected" % (
                self.program, self.trials, self.injected), flush=True)
            all_arrived(self.inst, self.load, self.trials * 2)
            need(self.injected >= self.trials * 2 // 3, self.program,
                 "was hit too seldom:", self.injected, self.trials)
            log = self.inst.log()
            need("killed by signal" not in log, self.program, "died:",
                 re.findall(r".*killed by signal.*", log)[:3])
        except Exception as e:	# pylint: disable=broad-except
            self.error = e


def test_errors_of_system_calls():
    reason = ledger.can_trace()
    if reason:
        return reason
    wanted = os.environ.get("POSTERN_PROGRAMS", " ".join(FAULTS)).split()
    everyone, threads = [], []
    try:
        for program in wanted:
            f = Faulty(program)
            everyone.append(f)
            t = threading.Thread(target=f.work, daemon=True)
            threads.append(t)
            t.start()
            harness.wait_for(f.inst.answers)	# the next takes other ports
        for t in threads:
            t.join(300)
        for f in everyone:
            need(f.error is None, f.program + ":", str(f.error))
            if f.program == "cleanup":
                need(not f.same_fd, "synced again:", f.same_fd[:5])
    finally:
        for f in everyone:
            f.inst.close()


@contextlib.contextmanager
def ext4(path):
    """A small one with a journal, in place of that directory, which it has."""
    image, before = path + ".img", path + ".before"
    with open(image, "wb") as f:
        f.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    os.rename(path, before)
    os.mkdir(path)
    subprocess.run(["mount", "-o", "loop", image, path], check=True)
    try:
        subprocess.run(["cp", "-a", before + "/.", path], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=False)


def test_journaled_mailboxes():
    reason = ledger.can_trace() or powercut.usable("ext4")
    if reason:
        return reason
    f = Faulty("agent", ORDERED)
    try:
        with ext4(os.path.join(f.inst.dir, "mail")):
            f.work()
            need(f.error is None, str(f.error))
    finally:
        f.inst.close()


def test_no_memory():
    """A process that gets none dies; another takes its place."""
    reason = ledger.can_trace()
    if reason:
        return reason
    with box() as inst:
        load = book(inst)
        for i, program in enumerate(("cleanup", "qmgr", "virtual", "smtpd")):
            send(inst, load, 40000 * (4 * i + 1) + 2)
            ledger.quiet(inst)
            t = ledger.Trace(inst.pids(program)[0], "mmap,brk,mremap",
                             ["mmap,mremap:error=ENOMEM", "brk:retval=0"])
            need(t.ok, "strace:", t.lines)
            for k in (2, 3):
                send(inst, load, 40000 * (4 * i + k) + 17, 3000000)
            t.end()
            ledger.probe(inst, time.monotonic())
        all_arrived(inst, load, 8)


# --- postdrop ---

POSTDROP = """#!/bin/sh
exec strace -qq -o %s %s %s "$@"
"""
POSTDROP_CALLS = (("openat", "ENOSPC EMFILE EDQUOT"), ("write", "ENOSPC EIO"),
                  ("fchmod", "EIO EROFS"), ("fsync", "EIO ENOSPC EDQUOT"))


def postdrop_runs(inst, trace):
    """sendmail starts the postdrop beside it: here one under strace."""
    bin_dir = os.path.join(inst.dir, "bin")
    out = os.path.join(inst.dir, "postdrop.trace")
    os.makedirs(bin_dir, exist_ok=True)
    with open(os.path.join(bin_dir, "postdrop"), "w") as f:
        f.write(POSTDROP % (out, trace, harness.tool("postdrop")))
    os.chmod(os.path.join(bin_dir, "postdrop"), 0o755)
    sendmail = os.path.join(bin_dir, "sendmail")
    if not os.path.exists(sendmail):
        shutil.copy(harness.tool("sendmail"), sendmail)
    return sendmail, out


def position(out, call):
    """Which of its calls works on the new file."""
    n = 0
    fd = None
    with open(out) as f:
        for line in f:
            m = re.match(r"(\w+)\((\w+)", line)
            if not m:
                continue
            n += m.group(1) == call
            if m.group(1) == "openat" and "O_EXCL" in line:
                fd = line.rsplit("=", 1)[1].strip()
                if call == "openat":
                    return n
            elif m.group(1) == call and m.group(2) == fd:
                return n
    raise AssertionError("postdrop does no " + call)


def test_postdrop_faults():
    """sendmail says 75 (try again), or the mail is in the queue."""
    reason = ledger.can_trace()
    if reason:
        return reason
    with box() as inst:
        load, n = book(inst), 0

        def submit(trace):
            number = n * 40000 + 2
            sendmail, out = postdrop_runs(inst, trace)
            p = subprocess.run(
                [sendmail, "-f", inst.addr(ledger.BACK), inst.addr("ann")],
                input=ledger.make_mail(number, 500), capture_output=True,
                env=dict(os.environ, MAIL_CONFIG=inst.etc), timeout=60)
            status, err = p.returncode, p.stderr
            load._note(load.accepted if status == 0 else load.refused,
                       number, "4" if status == 75 else str(status))
            return status, out, err

        status, out, err = submit("-e trace=openat,write,fchmod,fsync")
        need(status == 0, "without a fault:", status, err)
        at = {c: position(out, c) for c, _ in POSTDROP_CALLS}
        for call, errors in POSTDROP_CALLS:
            for error in errors.split():
                n += 1
                status, _, err = submit(
                    "-e trace=%s -e inject=%s:error=%s:when=%d" % (
                        call, call, error, at[call]))
                need(status == 75, call, error, "exit status", status, err)
        a = all_arrived(inst, load, 0)
        need(not a.after_refusal, "refused, yet kept:", a.after_refusal)


# --- full file systems ---

@contextlib.contextmanager
def small(path, options):
    """A small tmpfs over a directory of the instance."""
    st = os.stat(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "%s,mode=%o,uid=%d,gid=%d" %
                    (options, st.st_mode & 0o7777, st.st_uid, st.st_gid),
                    "postern-test", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)


def can_mount():
    if not harness.is_root():
        return "not root: cannot mount a small file system"
    with subprocess.Popen(["unshare", "-m", "mount", "-t", "tmpfs", "x",
                           "/mnt"], stderr=subprocess.PIPE) as p:
        return "" if p.wait() == 0 else "mount does not work here"


@contextlib.contextmanager
def full(path):
    """All its space is used, by a file of ours."""
    ballast = os.path.join(path, "ballast")
    with open(ballast, "wb", 0) as f:
        size = 65536
        while size:
            try:
                while f.write(b"x" * size):
                    pass
            except OSError:
                size //= 2
    try:
        yield
    finally:
        os.unlink(ballast)


@contextlib.contextmanager
def no_inodes(path):
    """No file can be made there."""
    names = []
    try:
        while True:
            names.append(os.path.join(path, "ballast%d" % len(names)))
            os.close(os.open(names[-1], os.O_CREAT | os.O_WRONLY))
    except OSError:
        names.pop()
    try:
        yield
    finally:
        for name in names:
            os.unlink(name)


@contextlib.contextmanager
def small_box(what, options, *settings):
    """An instance whose directory `what` is a small file system."""
    inst = box(*settings)
    path = os.path.join(inst.dir, what)
    try:
        with small(path, options):
            inst._run([harness.tool("postern"), "setup", inst.dir])
            try:
                inst.start()
                yield inst, path
            finally:
                pids = ledger.everybody(inst)
                inst.stop()
                for pid in pids:
                    ledger.kill(pid)
    finally:
        inst.close()


def test_full_queue():
    reason = can_mount()
    if reason:
        return reason
    with small_box("spool", "size=4m,nr_inodes=300",
                   "message_size_limit = 300000") as (inst, spool):
        load = book(inst)
        for i in range(5):
            send(inst, load, 40000 * i + 23)	# stay in the queue
        need(len(load.accepted) == 5, "refused before:", load.refused)
        with full(spool):
            time.sleep(1.2)		# the look at free space is that old
            for i in range(10, 15):
                bad = send(inst, load, 40000 * i + 2)
                need(bad and bad.startswith("452 4.3.1"), "full, but:", bad)
            status, _, err = inst.run("sendmail", inst.addr("ann"),
                                      stdin=b"Subject: x\n\nx\n", check=False)
            need(status == 75, "sendmail:", status, err)
        time.sleep(1.2)
        need(send(inst, load, 40000 * 16 + 2) is None, "still refused")
        ledger.quiet(inst)
        with no_inodes(spool):
            for i in range(20, 25):
                bad = send(inst, load, 40000 * i + 2)
                need(bad and bad.startswith("4"), "no inodes, but:", bad)
        ledger.probe(inst, time.monotonic())
        for size in (200000,) * 3 + (3000,) * 5:
            send(inst, load, 40000 * (30 + len(load.accepted)) + 3, size)
        a = all_arrived(inst, load, 0)
        need(not a.after_refusal, "refused, yet kept:", a.after_refusal)


def full_mailboxes(mbox):
    with small_box("mail", "size=2m,nr_inodes=200") as (inst, mail):
        if mbox:
            ledger.use_mbox(inst)
            inst.run("postern", "-c", inst.etc, "reload")
            time.sleep(1)
        load = book(inst)
        for kind in (2, 3):
            send(inst, load, kind)
        ledger.quiet(inst)
        with full(mail):
            for i in range(1, 9):
                send(inst, load, 40000 * i + 2 + i % 2, 30000)
            need(inst.wait_log(r"status=deferred .*No space left"),
                 "no deferral in the log", inst.log()[-800:])
            time.sleep(2)
        if not mbox:
            with no_inodes(mail):
                for i in range(10, 14):
                    send(inst, load, 40000 * i + 2)
                time.sleep(1)
        need(len(load.accepted) >= 10, "refused:", load.refused)
        a = all_arrived(inst, load, 0)
        need(a.litter == 0, "files in tmp/:", a.litter)


def test_full_maildir():
    reason = can_mount()
    if reason:
        return reason
    return full_mailboxes(False)


def test_full_mbox():
    reason = can_mount()
    if reason:
        return reason
    return full_mailboxes(True)


def test_full_log():
    """No line can be written, and mail flows as ever."""
    reason = can_mount()
    if reason:
        return reason
    with small_box("log", "size=64k") as (inst, log):
        load = book(inst)
        with full(log):
            for i in range(200):
                send(inst, load, 40 * i + 2 + i % 2)
            ledger.quiet(inst)
        need(len(load.accepted) == 200, "refused:", load.refused)
        for pid, _ in inst.children():
            ledger.kill(pid)
            break
        ledger.probe(inst, time.monotonic())
        all_arrived(inst, load, 20)


# --- damaged files ---

def deferred_files(inst):
    d = os.path.join(inst.dir, "spool", "deferred")
    return [os.path.join(w, f) for w, _, fs in os.walk(d) for f in fs]


def damage_all(inst, rng):
    """Each file of deferred/ in its own way; {id: what was done}."""
    done = {}
    spool = os.path.join(inst.dir, "spool")
    for i, path in enumerate(sorted(deferred_files(inst))):
        name = os.path.basename(path)
        with open(path, "rb") as f:
            data = bytearray(f.read())
        to = os.path.join(spool, ("incoming", "active", "deferred")[i % 3],
                          name)
        if i % 4 == 0:
            cut = rng.randrange(len(data))
            what = "cut to %d of %d" % (cut, len(data))
            data = data[:cut]
        elif i % 4 == 3:
            at = rng.randrange(len(data))
            n = rng.randrange(1, 64)
            what = "%d zeros at %d of %d" % (n, at, len(data))
            data[at:at + n] = bytes(n)
        else:
            at = i * 7919 % len(data)
            what = "byte %d of %d" % (at, len(data))
            data[at] ^= 1 << rng.randrange(8)
        with open(path, "wb") as f:
            f.write(data)
        os.utime(path, (1, 1))
        os.rename(path, to)
        done[name] = what
    return done


def strange_things(inst, owner):
    """What is no file, or not ours, with names of queue files."""
    made = {}
    spool = os.path.join(inst.dir, "spool")
    for d in ("incoming", "active", "deferred", "maildrop"):
        def at(n, d=d):
            name = "5%X0%X" % (hash_of(d), n)
            made[d, name] = os.path.join(spool, d, name)
            return made[d, name]
        open(at(0x1111111), "wb").close()		# empty
        os.symlink("/etc/passwd", at(0x2222222))
        os.mkdir(at(0x3333333))
        os.mkfifo(at(0x4444444))
        with open(at(0x5555555), "wb") as f:		# not its owner's
            f.write(b"x" * 5000)
        os.chmod(made[d, "5%X0%X" % (hash_of(d), 0x5555555)], 0o600)
        with open(at(0x6666666), "wb") as f:		# noise
            f.write(random.Random(d).randbytes(3000))
        for n in (0x1111111, 0x6666666):
            path = made[d, "5%X0%X" % (hash_of(d), n)]
            os.chmod(path, 0o700)
            if owner:
                os.chown(path, *owner)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(at(0x7777777))
    return made


def hash_of(d):
    return 0x100 + sum(map(ord, d))


def test_damaged_queue():
    """Each damaged file goes to corrupt/, or is left alone with a line in
    the log; the others are delivered; nobody dies."""
    rng = random.Random(7)
    with box() as inst:
        load = book(inst)
        for i in range(120):
            send(inst, load, 40 * i + 23, 200 + 10 * i)
        ledger.quiet(inst)
        need(harness.wait_for(lambda: len(deferred_files(inst)) == 120),
             "not all deferred")
        ledger.kill_all(inst)
        st = os.stat(deferred_files(inst)[0])
        with open(deferred_files(inst)[0], "rb") as f:
            whole = f.read()
        damaged = damage_all(inst, rng)
        made = strange_things(inst, (st.st_uid, st.st_gid)
                              if harness.is_root() else None)
        twin = os.path.join(inst.dir, "spool", "active", "5FFFFFFFFFF1")
        with open(twin, "wb") as f:	# whole, but under another name
            f.write(whole)
        os.chmod(twin, 0o600)
        os.chown(twin, st.st_uid, st.st_gid)
        damaged["5FFFFFFFFFF1"] = "copied"
        inst.start()
        for i in range(20):
            send(inst, load, 40 * (1000 + i) + 2)
        ledger.probe(inst, time.monotonic())
        harness.wait_for(lambda: len(inst.mails("ann")) >= 21)
        inst.run("mailq")
        time.sleep(2)
        log = inst.log()
        need("killed by signal" not in log and "exit status" not in log,
             "somebody died:", re.findall(r".*(?:killed by|exit status).*",
                                          log)[:5])
        where = dict((f, d) for d, f in inst.queue())
        counts = {}
        for name, what in damaged.items():
            d = where.get(name, "gone")
            counts[d] = counts.get(d, 0) + 1
            if d == "gone":
                need(re.search(name + r": removed: its writer died", log),
                     name, what, "vanished without a word")
            if d == "corrupt":
                need(re.search('corrupt file "%s"' % name, log), name, what,
                     "not in the log")
        print("#   damaged files:", counts, flush=True)
        need(where.get("5FFFFFFFFFF1") == "corrupt", "a copy under another "
             "name is", where.get("5FFFFFFFFFF1"))
        need(counts.get("corrupt", 0) >= 20, "too few in corrupt/:", counts)
        torn = [m for m in inst.mails("ann") + inst.mails("bob")
                if not ledger.check_mail(m)[1]]
        need(not torn, "delivered torn:", torn[:1])
        for (d, name), path in made.items():
            gone = not os.path.lexists(path)
            need(gone or name in log or d == "maildrop", d, name,
                 "is not mentioned")
        inst.run("postsuper", "-s", check=False)
        load.accepted = {n: v for n, v in load.accepted.items() if n >= 40000}
        ledger.Account(load, 0).check_delivered()


if __name__ == "__main__":
    sys.exit(harness.main(globals()))
