"""A relay whose parts are killed while mail goes through it: every message
that was accepted is at the next host, and whole. And a backup MX: the primary
is down, the mail waits, the primary comes back and has all of it, once.

POSTERN_CRASH=N multiplies the messages.
"""
import collections
import os
import random
import re
import signal
import sys
import threading
import time

from badserver import Server
from harness import Instance, Wire, free_base, main, need, wait_for

TIMES = int(os.environ.get("POSTERN_CRASH", "1"))
MESSAGES = 3000 * TIMES
SETTINGS = ["minimal_backoff_time = 2s", "maximal_backoff_time = 4s", "queue_run_delay = 2s",
            "transport_retry_time = 1s", "smtpd_client_connection_count_limit = 0"]


def content(n):
    """Of different sizes; dots at starts of lines in some."""
    lines = [b"%d line %d" % (n, k) for k in range(n % 60)]
    if n % 7 == 0:
        lines += [b".dot", b".."]
    if n % 50 == 0:
        lines += [b"x" * 70] * 2000             # above what one read takes
    return b"Subject: m%d\r\nX-Number: %d\r\n\r\n" % (n, n) + b"".join(x + b"\r\n" for x in lines)


class Load:
    """Numbers from several sessions; accepted: those that got their 250."""

    def __init__(self, i, domain="far.test"):
        self.i, self.domain, self.next, self.lock = i, domain, 0, threading.Lock()
        self.accepted, self.threads = set(), []
        for _ in range(8):
            t = threading.Thread(target=self.run, daemon=True)
            t.start()
            self.threads.append(t)

    def number(self):
        with self.lock:
            self.next += 1
            return self.next

    def run(self):
        w, n = None, self.number()
        while n <= MESSAGES:
            try:
                if w is None:
                    w = Wire(self.i.port)
                    w.reply()
                    w.say("EHLO load.test")
                w.send("MAIL FROM:<ann@example.test>\r\nRCPT TO:<m%d@%s>\r\nDATA\r\n" % (n, self.domain))
                if not (w.reply()[:1] == "2" and w.reply()[:1] == "2" and w.reply()[:1] == "3"):
                    raise OSError("refused")
                w.send(re.sub(rb"(?m)^\.", b"..", content(n)) + b".\r\n")
                if w.reply()[:3] == "250":
                    with self.lock:
                        self.accepted.add(n)
                n = self.number()
            except OSError:
                w = None
                time.sleep(0.05)
                n = self.number()               # unknown: not counted

    def join(self):
        for t in self.threads:
            t.join(300)


def arrived(s):
    """number -> how often; what came is held against what was sent."""
    count, bad = collections.Counter(), []
    with s.lock:
        mails = list(s.mails)
    for _, to, got in mails:
        m = re.search(rb"^X-Number: (\d+)\r$", got, re.M)
        n = int(m.group(1)) if m else -1
        count[n] += 1
        want = content(n) if n > 0 else b""
        if not got.endswith(want[want.index(b"\r\n\r\n"):]) or [x.split(" ")[0] for x in to] != ["<m%d@far.test>" % n]:
            bad.append((n, to))
    need(not bad, "damaged or misled:", bad[:5])
    return count


def drained(i, s, load):
    def done():
        i.run("postqueue", "-f", check=False)
        return load.accepted <= set(arrived(s)) and not i.queue()
    need(wait_for(done, 90, 1), "left:", sorted(load.accepted - set(arrived(s)))[:10], len(i.queue()), i.log()[-1500:])


def killed(names, chunking):
    rng, kills = random.Random(7), 0
    words = ("PIPELINING", "8BITMIME", "SIZE") + (("CHUNKING",) if chunking else ())
    with Server(keywords=words) as s, Instance(settings=SETTINGS + ["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        load = Load(i)
        while any(t.is_alive() for t in load.threads) or kills < 10:
            time.sleep(0.3)
            pids = [p for n in names for p in i.pids(n)]
            if pids and kills < 40:
                os.kill(rng.choice(pids), signal.SIGKILL)
                kills += 1
        load.join()
        drained(i, s, load)
        count = arrived(s)
        again = sum(v - 1 for v in count.values())
        print("#   %d accepted, %d kills of %s, %d came again" % (len(load.accepted), kills, names, again), flush=True)
        need(len(load.accepted) > MESSAGES / 2, len(load.accepted))
        # A window of deliveries may be unknown to qmgr at each kill.
        need(again <= kills * 20, again)


def test_kill_smtp():
    killed(("smtp",), False)


def test_kill_smtp_and_qmgr():
    killed(("smtp", "qmgr"), True)


def test_backup_mx():
    """The primary is down: all is held; it comes up: all is there, once."""
    port = free_base() + 7
    with Instance(settings=SETTINGS + ["relayhost = [127.0.0.1]:%d" % port, "relay_domains = far.test"]) as i:
        for n in range(1, 31):
            with i.smtp() as c:
                c.sendmail("ann@example.test", ["m%d@far.test" % n], content(n))
        need(wait_for(lambda: len([q for q in i.queue() if q[0] == "deferred"]) == 30), i.queue())
        need(i.wait_log(r"status=deferred \(connect to 127.0.0.1\[127.0.0.1\]:%d: Connection refused\)" % port), i.log())
        # What came while it was known to be down was not tried.
        need(re.search(r"delivery temporarily suspended: connect to 127.0.0.1\[127.0.0.1\]:%d: Connection refused" % port,
                       i.log()), i.log()[-3000:])
        with Server(port=port) as s:
            need(wait_for(lambda: len(s.mails) == 30 and not i.queue(), 60), len(s.mails), i.queue())
            need(set(arrived(s).values()) == {1}, arrived(s))


if __name__ == "__main__":
    sys.exit(main(globals()))
