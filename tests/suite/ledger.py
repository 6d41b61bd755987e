"""ledger - numbered mail with hashed bodies: sent under faults, then counted.

A Load sends from many sessions while a test breaks things, and notes what
became of each number: accepted (250), refused (4xx, 5xx), or unknown (the
connection went after the last dot). account() then looks where each is:
in a mailbox, in the queue, or in a report to its sender. Standard library
and harness alone; tests/soak uses it too.
"""
import collections
import hashlib
import os
import random
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import harness

BACK = "back"			# its mailbox takes the reports
USERS = ("ann", "bob", BACK)
SETTINGS = (
    "relay_domains = bounce.test, later.test",
    "transport_maps = inline:{ bounce.test=error:5.1.1_gone, "
    "later.test=retry:4.4.1_later }",
    "smtpd_reject_unlisted_recipient = no",
)
NUMBER = re.compile(rb"^X-Number: (\d+)\r?$", re.M)
HASH = re.compile(rb"^X-Hash: ([0-9a-f]{64})\r?$", re.M)


def make_body(number, size):
    """Lines of LF that no mailbox format changes, of about that size."""
    rng = random.Random(number)
    out, n = [], 0
    while n < size:
        line = "%x" % rng.getrandbits(280)
        out.append(line)
        n += len(line) + 1
    return ("\n".join(out) + "\n").encode()


def make_mail(number, size):
    """The message, with LF."""
    body = make_body(number, size)
    digest = hashlib.sha256(body).hexdigest()
    return (b"Subject: number %d\nX-Number: %d\nX-Hash: %s\n\n" %
            (number, number, digest.encode())) + body


def recipients(inst, number):
    """[(address, kind)]: most to a mailbox, some to two, few elsewhere."""
    if number % 40 == 7:
        return [("nobody@bounce.test", "bounce")]
    if number % 40 == 23:
        return [("later@later.test", "queue")]
    if number % 10 == 3:
        return [(inst.addr("ann"), "ann"), (inst.addr("bob"), "bob")]
    user = ("ann", "bob")[number % 2]
    return [(inst.addr(user), user)]


def use_mbox(inst):
    """Mail goes to DOMAIN/USER.mbox from the next start or reload on."""
    with open(os.path.join(inst.etc, "vmailbox"), "w") as f:
        for user in USERS:
            f.write("%s %s/%s.mbox\n" % (inst.addr(user), inst.domain, user))


class Lost(Exception):
    """The connection went."""


class Session:
    def __init__(self, port):
        try:
            self.s = socket.create_connection(("127.0.0.1", port), 30)
            self.f = self.s.makefile("rb")
            self.expect("220")
            self.say("EHLO load.test\r\n", "250")
        except OSError as e:
            raise Lost(str(e)) from e

    def reply(self):
        while True:
            try:
                line = self.f.readline()
            except OSError as e:
                raise Lost(str(e)) from e
            if not line.endswith(b"\n"):
                raise Lost("end of file")
            if line[3:4] != b"-":
                return line.decode("utf-8", "replace").rstrip()

    def expect(self, code):
        line = self.reply()
        if line.startswith("421"):
            raise Lost(line)
        return line if not line.startswith(code) else None

    def say(self, text, code):
        try:
            self.s.sendall(text if isinstance(text, bytes) else text.encode())
        except OSError as e:
            raise Lost(str(e)) from e
        return self.expect(code)

    def mail(self, sender, to, content):
        """None: accepted; else the reply that refused it. Lost with .late
        set: the end of data was sent."""
        bad = self.say("MAIL FROM:<%s>\r\n" % sender, "250")
        for address in to:
            bad = bad or self.say("RCPT TO:<%s>\r\n" % address, "250")
        bad = bad or self.say("DATA\r\n", "354")
        if bad:
            self.say("RSET\r\n", "250")
            return bad
        try:
            return self.say(content.replace(b"\n", b"\r\n") + b".\r\n", "250")
        except Lost as e:
            e.late = True
            raise

    def close(self):
        self.f.close()
        self.s.close()


class Load:
    """Sends until stop(), or until so many were accepted."""
    def __init__(self, inst, sessions=6, most=None, pause=0.0, big=True,
                 sendmail=True, per_session=20, first=1, kinds=recipients):
        self.inst, self.most, self.pause = inst, most, pause
        self.big, self.per_session, self.kinds = big, per_session, kinds
        self.lock = threading.Lock()
        self.next = first
        self.accepted, self.refused, self.unknown = {}, {}, {}
        self.lost_sessions = 0
        self.limit = None		# no more for now
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._sessions, daemon=True)
                        for _ in range(sessions)]
        if sendmail:
            self.threads.append(threading.Thread(target=self._sendmail,
                                                 daemon=True))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join(60)
            harness.need(not t.is_alive(), "a client hangs")

    def done(self):
        return self.ending.is_set() or (
            self.most is not None and len(self.accepted) >= self.most)

    def _take(self):
        while (self.limit is not None and not self.done() and
               len(self.accepted) >= self.limit):
            self.ending.wait(0.02)
        with self.lock:
            n = self.next
            self.next += 1
        size = 300 + n * 7919 % 4000
        if self.big and n % 50 == 17:
            size = 150000
        return n, size

    def _note(self, where, n, text):
        with self.lock:
            where[n] = (time.monotonic(), text)

    def _sessions(self):
        session, sent = None, 0
        while not self.done():
            try:
                if session is None:
                    session, sent = Session(self.inst.port), 0
                self._one(session)
                sent += 1
                if sent >= self.per_session:
                    session.say("QUIT\r\n", "221")
                    session.close()
                    session = None
            except Lost:
                if session is not None:
                    self.lost_sessions += 1
                    session.close()
                session = None
                self.ending.wait(0.05)
            self.ending.wait(self.pause)
        if session is not None:
            session.close()

    def _one(self, session):
        n, size = self._take()
        to = [a for a, _ in self.kinds(self.inst, n)]
        try:
            bad = session.mail(self.inst.addr(BACK), to, make_mail(n, size))
            self._note(self.accepted if bad is None else self.refused, n, bad)
        except Lost as e:
            late = getattr(e, "late", False)
            self._note(self.unknown if late else self.refused, n, str(e))
            raise

    def _sendmail(self):
        while not self.done():
            n, size = self._take()
            to = [a for a, _ in self.kinds(self.inst, n)]
            status, _, err = self.inst.run(
                "sendmail", "-f", self.inst.addr(BACK), *to,
                stdin=make_mail(n, size), check=False)
            self._note(self.accepted if status == 0 else self.unknown, n, err)
            self.ending.wait(0.05)


# --- where things are ---

def split_mbox(data):
    """The messages of an mbox file."""
    starts = [m.start() for m in re.finditer(rb"(?:\A|(?<=\n\n))From ", data)]
    return [data[a:b] for a, b in zip(starts, starts[1:] + [len(data)])]


def check_mail(data):
    """(number, whole): number None if it has none."""
    number, digest = NUMBER.search(data), HASH.search(data)
    at = data.find(b"\n\n")
    if number is None or digest is None or at < 0:
        return (int(number.group(1)) if number else None), False
    body = data[at + 2:]
    want = digest.group(1).decode()
    return int(number.group(1)), want in (
        hashlib.sha256(body).hexdigest(),
        hashlib.sha256(body[:-1]).hexdigest())	# mbox adds an empty line


# What the system tells its postmaster of such trouble (notify_classes).
NOTICE = re.compile(rb"\A(?:From .*\n)?Return-Path: <double-bounce@[^\n]*\n"
                    rb"(?:[^\n]+\n)*From: Mail Delivery System <MAILER-DAEMON@")


def boxes(inst):
    """{kind: path of a Maildir, or of an mbox}; what recipients() calls kind."""
    if hasattr(inst, "boxes"):
        return inst.boxes
    found = {}
    for user in USERS:
        path = inst.maildir(user)
        found[user] = path + ".mbox" if os.path.isfile(path + ".mbox") else path
    return found


def mailbox(inst, kind):
    """Messages of a Maildir or an mbox."""
    path = boxes(inst)[kind]
    found = []
    if os.path.isfile(path):
        with open(path, "rb") as f:
            found = split_mbox(f.read())
    for sub in ("new", "cur"):
        d = os.path.join(path, sub)
        for name in sorted(os.listdir(d)) if os.path.isdir(d) else []:
            with open(os.path.join(d, name), "rb") as f:
                found.append(f.read())
    return found


def newest(inst, kind, most=300):
    """Of a large mailbox, what came last."""
    path = boxes(inst)[kind]
    if os.path.isfile(path):
        with open(path, "rb") as f:
            f.seek(max(0, os.stat(path).st_size - (4 << 20)))
            return [f.read()]
    found = []
    d = os.path.join(path, "new")
    entries = list(os.scandir(d)) if os.path.isdir(d) else []
    # By time: names of one second are in no order.
    entries.sort(key=lambda e: e.stat().st_mtime_ns)
    for e in entries[-most:]:
        with open(e.path, "rb") as f:
            found.append(f.read(4096))
    return found


def in_queue(inst, dirs=("maildrop", "incoming", "active", "deferred",
                         "hold", "corrupt")):
    """{number: set of directories}"""
    found = collections.defaultdict(set)
    for d in dirs:
        for where, _, files in os.walk(os.path.join(inst.dir, "spool", d)):
            for name in files:
                path = os.path.join(where, name)
                try:
                    if not stat.S_ISREG(os.lstat(path).st_mode):
                        continue
                    with open(path, "rb") as f:
                        data = f.read()
                except OSError:
                    continue
                for m in re.finditer(rb"X-Number: (\d+)", data):
                    found[int(m.group(1))].add(d)
    return found


def litter(inst):
    """Files left in the tmp/ of Maildirs."""
    n = 0
    for path in boxes(inst).values():
        d = os.path.join(path, "tmp")
        n += len(os.listdir(d)) if os.path.isdir(d) else 0
    return n


class Account:
    """What became of it all; see the table in __str__."""
    def __init__(self, load, dups_most):
        inst = load.inst
        self.load = load
        self.dups_most = dups_most
        self.delivered = collections.defaultdict(collections.Counter)
        self.torn, self.lost = [], []
        for user in sorted(set(boxes(inst)) - {BACK}):
            for data in mailbox(inst, user):
                n, whole = check_mail(data)
                if n is None and NOTICE.match(data):
                    continue
                if not whole:
                    self.torn.append((user, n, data[:300]))
                else:
                    self.delivered[n][user] += 1
        self.reports = collections.Counter()
        for data in mailbox(inst, BACK):
            for m in re.finditer(rb"^X-Number: (\d+)\r?$", data, re.M):
                self.reports[int(m.group(1))] += 1
        self.queued = in_queue(inst)
        self.litter = litter(inst)
        self._judge()

    def _judge(self):
        inst, load = self.load.inst, self.load
        self.dups = 0
        self.dup_numbers = []
        self.wrong_bounces = []
        for n in load.accepted:
            for _, kind in load.kinds(inst, n):
                if kind == "bounce":
                    here = self.reports[n] > 0
                elif kind == "queue":
                    here = False
                else:
                    here = self.delivered[n][kind] > 0
                    if self.reports[n]:
                        self.wrong_bounces.append(n)
                if not here and not self.queued.get(n, set()) - {"corrupt"}:
                    self.lost.append((n, kind))
        for n, users in self.delivered.items():
            extra = sum(c - 1 for c in users.values())
            if extra:
                self.dups += extra
                self.dup_numbers.append(n)
        for n, c in self.reports.items():
            self.dups += c - 1
            if c > 1:
                self.dup_numbers.append(n)
        self.after_refusal = [n for n in load.refused
                              if self.delivered.get(n) or self.queued.get(n)]
        self.corrupt = [n for n, d in self.queued.items() if "corrupt" in d]

    def __str__(self):
        return ("accepted %d, delivered %d, bounced %d, queued %d, lost %d, "
                "torn %d, duplicates %d (at most %d); refused %d, of these "
                "delivered %d; unknown %d; files in tmp/ %d" % (
                    len(self.load.accepted), sum(map(bool, (
                        sum(c.values()) for c in self.delivered.values()))),
                    len(self.reports), len(self.queued), len(self.lost),
                    len(self.torn), self.dups, self.dups_most,
                    len(self.load.refused), len(self.after_refusal),
                    len(self.load.unknown), self.litter))

    def check(self):
        self.check_delivered()
        harness.need(not self.corrupt, "in corrupt/:", self.corrupt[:20])

    def check_delivered(self):
        harness.need(not self.lost, "lost:", self.lost[:20])
        harness.need(not self.torn, "torn:", self.torn[:5])
        harness.need(not self.wrong_bounces, "bounced:",
                     self.wrong_bounces[:20])
        harness.need(self.dups <= self.dups_most, "duplicates:", self.dups,
                     self.dup_numbers[:20])


def settled(inst):
    """Nothing on its way: maildrop, incoming and active are empty. What a
    postdrop left that was killed is not complete, and no mail."""
    return not any(d != "maildrop" or is_complete(inst, f) for d, f in
                   in_dirs(inst, ("maildrop", "incoming", "active")))


def is_complete(inst, name):
    try:
        return os.stat(os.path.join(inst.dir, "spool", "maildrop",
                                    name)).st_mode & 0o100
    except OSError:
        return False


def in_dirs(inst, dirs):
    return [(d, f) for d, f in inst.queue() if d in dirs]


def quiet(inst, seconds=60):
    """Waits until all that can be delivered is."""
    def still():
        if not settled(inst):
            return False
        time.sleep(0.3)
        return settled(inst)
    if not harness.wait_for(still, seconds, 0.2):
        raise AssertionError("does not come to rest: %r\n%s" % (
            in_dirs(inst, ("maildrop", "incoming", "active"))[:10],
            inst.log()[-3000:]))


def probe(inst, since, most=10.0):
    """Seconds from `since` until a message goes the whole way."""
    number = 10**9 + random.randrange(10**6)
    mail = make_mail(number, 100)
    end = since + most + 20
    while time.monotonic() < end:
        try:
            s = Session(inst.port)
            bad = s.mail(inst.addr(BACK), [inst.addr("ann")], mail)
            s.close()
            if bad is None:
                break
        except Lost:
            pass
        time.sleep(0.05)
    needle = b"X-Number: %d\n" % number

    def arrived():
        return any(needle in m for m in newest(inst, "ann"))
    ok = harness.wait_for(arrived, max(0.1, end - time.monotonic()), 0.1)
    took = time.monotonic() - since
    harness.need(ok, "not healed after", round(took, 1))
    harness.need(took < most, "healed late, seconds:", round(took, 1))
    return took


# --- processes ---

def everybody(inst):
    """Pids of all that belong to the instance: master, guard, children."""
    found = []
    needle = inst.etc.encode()
    for p in os.listdir("/proc"):
        if p.isdigit() and int(p) != os.getpid():
            try:
                with open("/proc/%s/cmdline" % p, "rb") as f:
                    args = f.read().split(b"\0")
            except OSError:
                continue
            if needle in args and b"python" not in args[0]:
                found.append(int(p))
    return found


def kill(pid, signo=signal.SIGKILL):
    try:
        os.kill(pid, signo)
        return True
    except ProcessLookupError:
        return False


def kill_all(inst):
    """Everything at once; waits until all are gone."""
    def stopped():
        pids = everybody(inst)
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        return pids

    def gone():
        pids = stopped()
        while set(stopped()) - set(pids):	# born meanwhile
            pids = stopped()
        for pid in pids:
            kill(pid)
        return not pids
    harness.need(harness.wait_for(gone, 10, 0.02), "still there:",
                 everybody(inst))


class Trace:
    """strace on one process: inject a fault into a system call."""
    def __init__(self, pid, calls, inject=None):
        args = ["strace", "-f", "-qq", "-s", "64", "-e", "trace=" + calls,
                "-e", "signal=none", "-p", str(pid)]
        for one in inject or ():
            args += ["-e", "inject=" + one]
        self.p = subprocess.Popen(args, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ok = harness.wait_for(lambda: self._traced(pid), 5, 0.01)

    def _read(self):
        for line in self.p.stderr:
            self.lines.append(line.decode("utf-8", "replace").rstrip())

    def _traced(self, pid):
        """All of its threads."""
        if self.p.poll() is not None:
            return False
        try:
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/status" % (pid, task)) as f:
                    if "TracerPid:\t%d\n" % self.p.pid not in f.read():
                        return False
        except OSError:
            return False
        return True

    def end(self):
        if self.p.poll() is None:
            self.p.terminate()
        self.p.wait(10)
        self.reader.join(5)
        return self.lines


def can_trace():
    """A reason why not, or ""."""
    if not harness.is_root():
        return "not root: a process without dumps cannot be traced"
    try:
        p = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"],
                           capture_output=True, timeout=20)
    except OSError:
        return "no strace"
    return "" if p.returncode == 0 else "strace: " + p.stderr.decode()[:80]
