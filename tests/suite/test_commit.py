"""test_commit - SIGKILL before each system call of custody, one by one.

For every process that a message passes: which calls does it make for one
message (a first run tells), then one message for each of these calls, where
strace kills the process on entering it. Between two calls nothing can
happen, so this is every moment there is. Each program has an instance of
its own; they run side by side, since most of the time is back-off.
"""
import collections
import os
import re
import sys
import threading
import time

import harness
import ledger
from harness import need

CALLS = ("openat", "flock", "pwritev", "pwrite64", "write", "writev", "fsync",
         "renameat2", "linkat", "unlinkat", "utimensat", "ftruncate",
         "sendmsg", "sendmmsg", "sendto", "recvmsg", "splice", "fchmod")
KINDS = {			# what recipients() makes of a number
    "plain": 2, "two": 3, "bounce": 7, "later": 23,
    "sendmail": 2, "large": 17 * 1000 + 17,
}
PROGRAMS = {
    "cleanup": ("plain", "large", "sendmail", "bounce"),
    "qmgr": ("plain", "two", "bounce", "later"),
    "agent": ("plain", "two"),
    "virtual": ("plain", "two"),
    "pickup": ("sendmail",),
    "bounce": ("bounce",),
    "smtpd": ("plain",),
}
POINTS = int(os.environ.get("POSTERN_STEPS", "8"))	# of each program


class Steps:
    """An instance whose `program` is killed at each step."""
    def __init__(self, program):
        self.program = program
        self.inst = harness.Instance(users=ledger.USERS,
                                     settings=ledger.SETTINGS)
        self.load = ledger.Load(self.inst, sessions=0, sendmail=False)
        self.count = 0
        self.deaths = 0
        self.error = None

    def send(self, kind):
        """One message of that kind, noted."""
        self.count += 1
        n = self.count * 40000 + KINDS[kind]
        mail = ledger.make_mail(n, 200000 if kind == "large" else 800)
        to = [a for a, _ in ledger.recipients(self.inst, n)]
        if kind == "sendmail":
            status, _, err = self.inst.run(
                "sendmail", "-f", self.inst.addr(ledger.BACK), *to,
                stdin=mail, check=False)
            self.load._note(self.load.accepted if status == 0 else
                            self.load.unknown, n, err)
            return
        late = False
        try:
            s = ledger.Session(self.inst.port)
            bad = s.mail(self.inst.addr(ledger.BACK), to, mail)
            s.close()
            where = self.load.accepted if bad is None else self.load.refused
            self.load._note(where, n, bad)
        except ledger.Lost as e:
            late = getattr(e, "late", False)
            self.load._note(self.load.unknown if late else self.load.refused,
                            n, str(e))

    def pid(self):
        """Of the program, when it is there and begins no work."""
        found = harness.wait_for(lambda: self.inst.pids(self.program), 10,
                                 0.02)
        need(found, self.program, "is not there")
        return found[0]

    def learn(self, kind):
        """[(call, nth)]"""
        t = ledger.Trace(self.pid(), ",".join(CALLS))
        need(t.ok, "strace:", t.lines)
        self.send(kind)
        ledger.quiet(self.inst)
        most = collections.Counter()
        per = collections.Counter()
        for line in t.end():
            m = re.match(r"(?:\[pid +(\d+)\] )?(\w+)\(", line)
            if m:
                per[m.group(1), m.group(2)] += 1
                most[m.group(2)] = max(most[m.group(2)],
                                       per[m.group(1), m.group(2)])
        return [(call, i + 1) for call, n in most.items() for i in range(n)]

    def kill_at(self, kind, call, nth):
        pid = self.pid()
        t = ledger.Trace(pid, call, ["%s:signal=KILL:when=%d" % (call, nth)])
        if not t.ok:			# it went by itself: again
            t.end()
            return
        self.send(kind)
        # strace ends with whom it traces; master may take its time to notice.
        dead = harness.wait_for(lambda: t.p.poll() is not None, 1.0, 0.02)
        t.end()
        self.deaths += bool(dead) or pid not in self.inst.pids(self.program)

    def work(self):
        try:
            self.inst.start()
            self.send("plain")		# so that there is an agent
            ledger.quiet(self.inst)
            points = []
            for kind in PROGRAMS[self.program]:
                points += [(kind, *p) for p in self.learn(kind)]
            step = max(1.0, len(points) / POINTS)
            # The calls that change something first, then the rest.
            points.sort(key=lambda p: p[1] in ("recvmsg", "sendmsg"))
            chosen = [points[int(i * step)]
                      for i in range(int(len(points) / step))]
            for kind, call, nth in chosen:
                self.kill_at(kind, call, nth)
            since = time.monotonic()
            took = ledger.probe(self.inst, since)
            ledger.quiet(self.inst)
            a = ledger.Account(self.load, self.deaths)
            print("#   %s: %d of %d points, %d deaths: %s; healed in %.1f s"
                  % (self.program, len(chosen), len(points), self.deaths, a,
                     took), flush=True)
            a.check()
            need(self.deaths >= min(3, len(chosen)), self.program,
                 "was killed only", self.deaths)
        except Exception as e:	# pylint: disable=broad-except
            self.error = e

    def close(self):
        self.inst.close()


def test_kill_at_each_call():
    reason = ledger.can_trace()
    if reason:
        return reason
    wanted = os.environ.get("POSTERN_PROGRAMS", " ".join(PROGRAMS)).split()
    everyone, threads = [], []
    try:
        for program in wanted:
            s = Steps(program)
            everyone.append(s)
            t = threading.Thread(target=s.work, daemon=True)
            threads.append(t)
            t.start()
            harness.wait_for(s.inst.answers)	# the next takes other ports
        for t in threads:
            t.join(600)
        for s in everyone:
            need(s.error is None, s.program + ":", str(s.error))
    finally:
        for s in everyone:
            s.close()


if __name__ == "__main__":
    sys.exit(harness.main(globals()))
