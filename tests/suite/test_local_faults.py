"""test_local_faults - forwards, commands and mbox files while things break.

The dispatcher and both kinds of agent are killed at one system call after
the other, and get errors from them. Nothing is lost, nothing comes back as
undeliverable, and all goes on by itself; twice is what a kill may cost.
"""
import glob
import os
import re
import sys

import ledger
from harness import is_root, main, need, wait_for
from localbox import Box

TAKE = """#!/bin/sh
f=$(mktemp $HOME/tmp.XXXXXX) || exit 75
cat >$f || exit 75
mv $f $HOME/in.${f##*.}
"""


class Trials:
    def __init__(self):
        self.b = Box(names=("al", "bea", "cy"), settings=(
            "service_throttle_time = 1s", "maximal_backoff_time = 1s"))
        b = self.b
        b.forward("al", "\"|exec $HOME/take\"\n")
        b.write(b.home("al") + "/take", TAKE.replace("{", "{{").replace("}", "}}"), "al", 0o755)
        b.forward("cy", "{bea}\n")
        b.aliases("both: {al}, {bea}")
        self.n = 0
        self.hit = 0

    def send(self):
        """One message to each way; how often each user must have it."""
        self.n += 1
        self.b.mail(*[self.b.at(x) for x in ("al", "bea", "cy", "both")],
                    text="Subject: n%d.\n\n%sEND\n" % (self.n, "line\n" * 300))

    def counts(self, n):
        at_al = 0
        for path in glob.glob(self.b.home("al") + "/in.*"):
            with open(path, "rb") as f:
                data = f.read()
            at_al += b"Subject: n%d.\n" % n in data and data.endswith(b"END\n")
        at_bea = sum(b"Subject: n%d.\n" % n in m and m.rstrip().endswith(b"END")
                     for m in self.b.mbox("bea"))
        return at_al, at_bea

    def all_there(self, n):
        al, bea = self.counts(n)
        return al >= 2 and bea >= 3

    def trial(self, program, calls, inject):
        pid = wait_for(lambda: self.b.pids(program))
        if not pid:                     # an agent leaves when it is idle
            self.send()
            pid = wait_for(lambda: self.b.pids(program))
        t = ledger.Trace(pid[-1], calls, [inject])
        try:
            self.send()
            wait_for(lambda: self.all_there(self.n), 2)
        finally:
            lines = t.end()
        # Killed by the injection: the trace ends with it.
        self.hit += any("INJECTED" in x or "killed by" in x for x in lines) or \
            not os.path.exists("/proc/%d" % pid[-1])

    def finish(self, trials, dups):
        b = self.b
        need(b.empty(60), "still queued", b.mails_queued(), b.log()[-2000:])
        twice = 0
        for n in range(1, self.n + 1):
            need(self.all_there(n), "lost:", n, self.counts(n), b.log()[-3000:])
            al, bea = self.counts(n)
            twice += al - 2 + bea - 3
        print("#   %d trials, %d hit, %d came twice" % (trials, self.hit, twice), flush=True)
        need("status=bounced" not in b.log(), re.findall(".*status=bounced.*", b.log())[:3])
        need(self.hit >= trials // 2, "hit too seldom:", self.hit, trials)
        need(twice <= dups, "too many came twice:", twice)


def run(kinds, dups_each):
    reason = ledger.can_trace()
    if reason or not is_root():
        return reason or "needs root"
    t = Trials()
    trials = 0
    with t.b:
        t.send()                        # so that there are agents
        need(wait_for(lambda: t.all_there(1)), t.b.log()[-2000:])
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


def test_errors():
    """Each call fails for a while: mail is put off, never returned."""
    kinds = [(program, call, "%s:error=%s" % (call, error))
             for program, call, errors in (
                 ("local", "pread64", "EIO"), ("local", "sendmsg", "ENOBUFS"),
                 ("agent", "openat", "EMFILE EIO ENOMEM ENFILE"), ("agent", "fsync", "EIO ENOSPC EDQUOT"),
                 ("agent", "pread64", "EIO"), ("agent", "write", "ENOSPC EDQUOT EIO"),
                 ("agent", "lstat,newfstatat", "EIO ESTALE"),
                 ("command", "pipe2", "EMFILE ENFILE"), ("command", "clone,clone3,fork,vfork", "EAGAIN ENOMEM"),
                 ("command", "pread64", "EIO"))
             for error in errors.split()]
    return run(kinds, 5)


if __name__ == "__main__":
    sys.exit(main(globals()))
