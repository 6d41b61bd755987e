"""What strangers send, and how little comes of it.

One instance takes everything: each attack gets one clear reply or a close,
no process dies or grows by more than GROWTH, and honest mail goes through
afterwards. Whatever may end a message is sent by itself, and exactly one
message must come of it.
"""
import contextlib
import os
import pwd
import random
import re
import resource
import select
import socket
import stat
import struct
import sys
import time

from harness import TOP, Instance, Wire, is_root, main, need, wait_for

GROWTH = 16 << 10       # KiB that a process may grow by
DEAD = r"(?i)\b(panic|died|killed|segmentation|assert|sanitizer|out of memory)\b"
LIMIT = 2 << 20         # message_size_limit of the test


def raw(port, seconds=30):
    s = socket.create_connection(("127.0.0.1", port), seconds)
    return s


def read_all(s, seconds=20):
    """All until the other side closes; what came by then."""
    s.settimeout(seconds)
    got = b""
    with contextlib.suppress(OSError):
        while True:
            more = s.recv(65536)
            if not more:
                break
            got += more
    return got


def pour(s, data, seconds=30):
    """Sends as much as the other side takes; replies are read meanwhile."""
    s.setblocking(False)
    got, at, end = b"", 0, time.monotonic() + seconds
    data = memoryview(data)
    while at < len(data) and time.monotonic() < end:
        r, w, _ = select.select([s], [s], [], 1)
        try:
            if r:
                more = s.recv(65536)
                if not more:
                    break
                got += more
            if w:
                at += s.send(data[at:at + 65536])
        except BlockingIOError:
            pass
        except OSError:
            break
    s.setblocking(True)
    return got


def codes(text):
    """The reply codes of a stream of replies; each line must be one."""
    found = []
    for line in text.split(b"\r\n")[:-1]:
        need(re.match(rb"[2345]\d\d[ -]", line), "no reply:", line[:100])
        need(b"\n" not in line and b"\r" not in line, "torn reply", line[:100])
        if line[3:4] == b" ":
            found.append(int(line[:3]))
    return found


class World:
    """The instance that all tests share, and what it was like at first."""
    i = None
    most = {}           # KiB that a program grew by

    @classmethod
    def get(cls):
        if cls.i is None:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            cls.i = Instance(settings=(
                "message_size_limit = %d" % LIMIT,
                "smtpd_error_sleep_time = 0",
                "default_process_limit = 2000",     # sessions, here
                "smtpd_client_event_limit_exceptions =",
                "smtpd_client_connection_count_limit = 0",
                "smtpd_timeout = 5s"))
            cls.i.start()
            cls.mark = 0
            cls.honest("first")
            cls.pids = dict(cls.i.children())
            cls.base = {p: cls.high(p) for p in cls.pids}
        return cls.i

    @staticmethod
    def high(pid):
        with open("/proc/%d/status" % pid) as f:
            return int(re.search(r"VmHWM:\s*(\d+)", f.read()).group(1))

    @classmethod
    def again(cls):
        """After a reload: the processes that there are now."""
        time.sleep(1)
        cls.pids = dict(cls.i.children())
        for p in cls.pids:
            cls.base.setdefault(p, cls.high(p))

    @classmethod
    def honest(cls, name):
        i = cls.i
        i.send("Subject: honest %s\n\nx\n" % name)
        need(wait_for(lambda: any(b"honest " + name.encode() in m
                                  for m in i.mails("ann")), 20),
             "honest mail is not delivered after", name)

    @classmethod
    def check(cls, name):
        """After an attack."""
        cls.honest(name)
        now = dict(cls.i.children())
        gone = {p: n for p, n in cls.pids.items() if p not in now}
        need(not gone, name, "ended", gone, cls.i.log()[-1500:])
        for pid, program in cls.pids.items():
            grown = cls.high(pid) - cls.base[pid]
            cls.most[program] = max(grown, cls.most.get(program, 0))
            need(grown < GROWTH, name, program, "grew by KiB", grown)
        log = cls.i.log()
        # No ".*" before it: on long lines that takes a machine under load minutes.
        bad = re.search(DEAD, log[cls.mark:])
        need(not bad, name, bad and log[cls.mark:][max(0, bad.start() - 200):bad.end() + 200])
        cls.mark = len(log)


def attack(fn):
    """A test of the shared world, checked afterwards."""
    def run():
        i = World.get()
        started = time.monotonic()
        fn(i)
        World.check(fn.__name__)
        print("# %.1f s" % (time.monotonic() - started))
    run.__name__ = fn.__name__
    return run


def session(i, *lines):
    """A Wire after these lines, all accepted."""
    w = Wire(i.port)
    need(w.reply().startswith("220"), "no greeting")
    for line in lines:
        text = w.say(line)
        need(text[:1] in "23", line, text)
    return w


def mail_to(i, *users):
    return ["EHLO x", "MAIL FROM:<a@b.example>"] + [
        "RCPT TO:<%s>" % i.addr(u) for u in users or ("bob",)]


# --- lines ---

@attack
def test_long_lines(i):
    for line in (b"A" * (1 << 20), b"EHLO " + b"x" * (1 << 20),
                 b"MAIL FROM:<" + b"a" * (1 << 20), b"\0" * (1 << 20),
                 b" " * (1 << 20), b"\r" * (1 << 20), b"\xff" * (1 << 20)):
        for tail in (b"\r\n", b"\n", b""):
            with raw(i.port) as s:
                got = pour(s, line + tail, 5)
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_WR)
                found = codes(got + read_all(s))
                need(found[:1] == [220] and len(found) <= 2, line[:12], found)
                need(found[1:] in ([500], [550], [221]) or not found[1:],
                     line[:12], found)


@attack
def test_bytes_in_commands(i):
    for line, want in ((b"NO\0OP", b"500"), (b"NOOP \0", b"250"),
                       (b"EHLO \xff\xfe", b"250"), (b"\x80\x81", b"221"),
                       (b"EHLO a\rb", b"250"), (b"EHLO \x1b[2J", b"250"),
                       (b"MAIL FROM:<\0@x>", b"501"),
                       (b"MAIL FROM:<a\xff@x>", b"501"),
                       (b"MAIL FROM:<a\r@x>", b"501"),
                       (b"VRFY \r\r\r", b"501"), (b"GET / HTTP/1.0", b"221"),
                       (b"", b"500"), (b"   ", b"500")):
        w = session(i)
        w.send(line + b"\r\n")
        text = w.reply()
        need(text.encode()[:3] == want or text[:3] in ("553", "502", "500", "501"),
             line, text)
        w.close()
    need("\x1b" not in i.log() and "\0" not in i.log(), "raw bytes in the log")


@attack
def test_long_arguments(i):
    long = "x" * 2000
    for verb in ("HELO", "EHLO", "LHLO", "STARTTLS", "AUTH", "MAIL", "RCPT",
                 "DATA", "BDAT", "RSET", "NOOP", "VRFY", "EXPN", "ETRN",
                 "HELP", "QUIT", "XCLIENT", "XFORWARD", "TURN", "nonsense"):
        for before in ((), mail_to(i)):
            w = session(i, *before)
            for arg in (long, " " * 1990, "<" + long + ">", "\t" * 1990):
                text = w.say(verb + " " + arg)
                if text[:3] in ("", "221", "354"):
                    break
                codes(text.replace("\n", "\r\n").encode() + b"\r\n")
            w.close()
    for prefix in ("MAIL FROM:", "RCPT TO:"):
        for path in ("<" + "a" * 1900 + ">", "<" + "@a," * 600 + ":b@c>",
                     '<"' + "\\" * 1900 + '"@x>', "<a@" + "b." * 900 + "c>",
                     "<" * 1900, "a" * 1990, "<a@[" + "1" * 1900 + "]>"):
            w = session(i, *mail_to(i)[:2 if prefix[0] == "R" else 1])
            text = w.say(prefix + path)
            need(text[:1] in "245" and len(text.splitlines()) == 1, path[:20],
                 text[:200])
            w.close()


@attack
def test_parameters(i):
    for bad in ("SIZE", "SIZE=", "SIZE=-1", "SIZE=x", "SIZE=" + "9" * 400,
                "SIZE=1 SIZE=1", "BODY", "BODY=", "BODY=9BITMIME",
                "BODY=7BIT BODY=8BITMIME", "SMTPUTF8=1", "SMTPUTF8 SMTPUTF8",
                "RET=", "RET=HALF", "RET=FULL RET=HDRS", "ENVID=", "ENVID=+",
                "ENVID=+ZZ", "ENVID=" + "x" * 400, "ENVID=a ENVID=b", "=",
                "=x", "==", "NOTIFY=NEVER", "AUTH", "AUTH=", "X" * 1800,
                "x=" + "y" * 1800, "SIZE =1", "\xff=1", "\0", "SIZE=1\0",
                "BY=120;R", "HOLDFOR=1", "MT-PRIORITY=9"):
        w = session(i, "EHLO x")
        text = w.say("MAIL FROM:<a@b.example> " + bad)
        need(text[:1] in ("5", "4"), bad[:30], text[:100])
        need(w.say("MAIL FROM:<a@b.example>")[:3] == "250", "after", bad[:30])
        w.close()
    for bad in ("NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=x", "NOTIFY=,,",
                "NOTIFY=DELAY NOTIFY=DELAY", "ORCPT=", "ORCPT=a", "ORCPT=;",
                "ORCPT=rfc822;", "ORCPT=rfc822;+Z", "ORCPT=;a@b",
                "ORCPT=r+c;a@b", "ORCPT=rfc822;" + "x" * 1800, "SIZE=1",
                "ORCPT=rfc822;a ORCPT=rfc822;b", "ORCPT=rfc822;+00", "="):
        w = session(i, *mail_to(i)[:2])
        text = w.say("RCPT TO:<%s> %s" % (i.addr("bob"), bad))
        need(text[:1] in ("5", "4"), bad[:30], text[:100])
        need(w.say("RCPT TO:<%s>" % i.addr("bob"))[:3] == "250", "after", bad[:30])
        w.close()


@attack
def test_garbage(i):
    rnd = random.Random(7)
    verbs = [b"EHLO x", b"MAIL FROM:<a@b>", b"RCPT TO:<bob@example.test>",
             b"DATA", b"BDAT 5", b"BDAT 0 LAST", b"RSET", b".", b"QUIT"]
    for n in range(150):
        data = b"".join(
            rnd.choice(verbs) + rnd.choice([b"\r\n", b"\n", b"\r", b" \r\n"])
            if rnd.random() < 0.7 else
            bytes(rnd.randrange(256) for _ in range(rnd.randrange(80)))
            for _ in range(rnd.randrange(30)))
        with raw(i.port) as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
                if n % 3:
                    s.shutdown(socket.SHUT_WR)
                    codes(read_all(s, 20))
    for name in ("random bytes", "a TLS hello"):
        with raw(i.port) as s:
            data = os.urandom(200000) if name[0] == "r" else \
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)
            pour(s, data, 5)


# --- floods of commands and recipients ---

@attack
def test_helo_flood(i):
    with raw(i.port) as s:
        got = b""
        for k in range(20):
            data = b"".join(b"EHLO host-%d-%d.example\r\n" % (k, n)
                            for n in range(1000))
            got += pour(s, data, 5)
        found = codes(got + read_all(s, 3))
        need(set(found) <= {220, 250, 421, 554}, set(found))
    w = session(i)
    for n in range(3000):                   # one at a time: allowed
        w.send("HELO " + "h%d" % n * 100 + "\r\n")
        text = w.reply()
        if text[:3] != "250":
            need(text[:3] == "421", text)
            break
    w.close()


@attack
def test_rcpt_flood(i):
    """100,000 recipients: 1000 taken, then 452 each, then the end."""
    s = raw(i.port)
    data = b"EHLO x\r\n"
    s.sendall(data)
    time.sleep(0.2)
    batch = b"MAIL FROM:<a@b.example>\r\n" + b"".join(
        b"RCPT TO:<u%d@elsewhere.example>\r\n" % n if n % 100 == 99 else
        b"RCPT TO:<bob@example.test> NOTIFY=NEVER ORCPT=rfc822;%s%d@x\r\n" %
        (b"o" * 60, n) for n in range(100000))
    got = pour(s, batch, 30)
    found = codes(got + read_all(s, 5))
    s.close()
    need(found.count(250) <= 1002, "took", found.count(250))
    need(found[-1] == 421, "must end with 421", found[-3:])


@attack
def test_slow_reader(i):
    """Thousands of commands, and no reply is ever read."""
    socks = []
    for _ in range(20):
        s = raw(i.port)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"EHLO x\r\n")
        s.settimeout(0.5)
        with contextlib.suppress(OSError):
            for _ in range(50):
                s.sendall(b"MAIL FROM:<a@b.example>\r\nRSET\r\n" * 2000)
        socks.append(s)
    World.honest("slow reader")
    for s in socks:
        s.close()


@attack
def test_slow_writers(i):
    """500 that send a byte now and then; smtpd_timeout ends the silent."""
    socks = [raw(i.port) for _ in range(500)]
    for k in range(3):
        for s in socks:
            s.send(b"EHLO x\r\n"[k:k + 1])
    World.honest("slow writers")
    end = time.monotonic() + 12
    left = set(socks)
    while left and time.monotonic() < end:
        r, _, _ = select.select(list(left), [], [], 1)
        for s in r:
            if not s.recv(4096):
                left.discard(s)
    need(not left, "are never ended", len(left))
    for s in socks:
        s.close()
    need("421 4.4.2" in i.log() or "timeout after" in i.log(), "no timeout")


@attack
def test_connections(i):
    """10,000 connections of one client, of whom 50 may be open at once."""
    i.set("smtpd_client_connection_count_limit = 50")
    i.run("postern", "-c", i.etc, "reload")
    need(wait_for(i.answers, 20), "no greeting after reload")
    World.again()
    taken = refused = other = 0
    open_ones = []
    for n in range(10000):
        try:
            s = raw(i.port, 10)
            if len(open_ones) < 1000:
                open_ones.append(s)
                continue
            linger = struct.pack("ii", 1, 0)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            s.close()
        except OSError:
            other += 1
    for s in open_ones:
        s.settimeout(10)
        with contextlib.suppress(OSError):
            text = s.recv(200)
            taken += text.startswith(b"220")
            refused += text.startswith(b"421")
        s.close()
    need(taken == 50 and refused == 950, "taken, refused, failed:", taken,
         refused, other)
    need(wait_for(i.answers, 20), "no greeting afterwards")
    i.set("smtpd_client_connection_count_limit = 0")
    i.run("postern", "-c", i.etc, "reload")
    need(wait_for(i.answers, 20), "no greeting after reload")
    World.again()


# --- content ---

@attack
def test_headers(i):
    for name, head in (
            ("one of 50 MB", b"X: " + b"x" * (50 << 20)),
            ("one of 1 MB", b"X: " + b"x" * (1 << 20)),
            ("folded", b"X: a\r\n" + b" b\r\n" * 200000),
            ("100,000", b"".join(b"X%d: y\r\n" % n for n in range(100000))),
            ("colons", b":" * (1 << 20)),
            ("addresses", b"To: " + b"<a@b>," * 170000),
            ("comments", b"To: " + b"(" * (1 << 20)),
            ("quotes", b"From: " + b'"' * (1 << 20)),
            ("groups", b"Cc: " + b"g:" * (1 << 19)),
            ("parts", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
             b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 20000),
            ("received", b"Received: x\r\n" * 60000)):
        w = session(i, *mail_to(i), "DATA")
        started = time.monotonic()
        got = pour(w.s, head + b"\r\n\r\nbody\r\n.\r\n", 30)
        w.s.settimeout(20)
        while not got.endswith(b"\r\n"):
            more = w.s.recv(4096)
            if not more:
                break
            got += more
        found = codes(got)
        need(len(found) == 1 and found[0] in (250, 552, 554, 550), name, found)
        need(time.monotonic() - started < 20, name, "takes too long")
        need(w.say("NOOP")[:3] == "250", "no NOOP after", name)
        w.close()


@attack
def test_bdat_chunks(i):
    """60,000 chunks of a byte are one message."""
    w = session(i, *mail_to(i))
    data = b"".join(b"BDAT 1\r\n%c" % (10 if n % 64 == 63 else 13 if
                                       n % 64 == 62 else 97)
                    for n in range(60000)) + b"BDAT 0 LAST\r\n"
    before = len(i.mails("bob"))
    got = pour(w.s, data, 40)
    w.s.settimeout(20)
    while b"queued as" not in got:
        more = w.s.recv(65536)
        need(more, "closed", got[-200:])
        got += more
    need(set(codes(got)) == {250} and len(codes(got)) == 60001, "replies")
    w.close()
    need(len(i.wait_mails("bob", before + 1)) == before + 1, "not one mail")


@attack
def test_bdat_forms(i):
    for line, want in (("BDAT", "521"), ("BDAT x", "521"), ("BDAT -1", "521"),
                       ("BDAT 1 2", "521"), ("BDAT 1 LAST x", "521"),
                       ("BDAT 0x10", "521"), ("BDAT " + "9" * 50, "552"),
                       ("BDAT 18446744073709551615", "552"),
                       ("BDAT 18446744073709551616 LAST", "552"),
                       ("BDAT %d" % (LIMIT * 4), "552")):
        w = session(i, *mail_to(i))
        w.send(line + "\r\n" + "MAIL FROM:<evil@b>\r\n" * 1000)
        need(w.reply()[:3] == want, line)
        need(w.reply() == "" and w.closed(), "goes on after", line)
        w.close()
    # Larger in sum than allowed: refused, and the rest is no command.
    w = session(i, *mail_to(i))
    chunk = b"RSET\r\n" * (LIMIT // 12)
    found = []
    for _ in range(4):
        w.send(b"BDAT %d\r\n" % len(chunk) + chunk)
        found.append(w.reply()[:3])
    w.send("BDAT 0 LAST\r\n")
    found.append(w.reply()[:3])
    need(found[0] == "250" and found[-1] == "552", found)
    w.close()
    # Nothing, for ever: no state grows.
    w = session(i, *mail_to(i))
    got = pour(w.s, b"BDAT 0\r\n" * 50000, 10)
    w.close()
    need(set(codes(got[:got.rfind(b"\r\n") + 2])) <= {250, 421}, got[-100:])


@attack
def test_data_never_ended(i):
    before = len(i.queue())
    socks = []
    for n in range(50):
        w = session(i, *mail_to(i), "DATA")
        w.send(b"Subject: half\r\n\r\n" + b"x" * 70 + b"\r\n" * n)
        socks.append(w)
    for n, w in enumerate(socks):
        if n % 2:
            w.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
        w.f.close()
        w.s.close()
    need(wait_for(lambda: len(i.queue()) <= before, 10), "files are left",
         i.queue())
    # Endless: thrown away, refused at its end.
    w = session(i, *mail_to(i), "DATA")
    got = pour(w.s, b"y" * 998 + b"\r\n" + (b"z" * 70 + b"\r\n") * 600000, 20)
    need(got == b"", got)
    w.send(".\r\n")
    need(w.reply()[:3] == "552", "too big")
    w.close()


@attack
def test_resets(i):
    """A reset, and a half-closed connection, in each state."""
    steps = [b"", b"EH", b"EHLO x\r\n", b"MAIL FROM:<a@b.example>\r\n",
             b"RCPT TO:<bob@example.test>\r\n", b"DATA\r\n",
             b"Subject: x\r\n\r\n", b"body\r\n", b".", b"\r\n", b"QUIT\r\n"]
    for n in range(len(steps) + 1):
        for how in ("reset", "half", "now"):
            s = raw(i.port)
            s.settimeout(20)
            for step in steps[:n]:
                if step and how != "now":
                    time.sleep(0.003)
                with contextlib.suppress(OSError):
                    s.sendall(step)
            if how == "half":
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_WR)
                need(n <= 0 or read_all(s, 15)[:3] in (b"220", b""), "half", n)
            else:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
            s.close()
    for chunk in (b"BDAT 10\r\n123", b"BDAT 10\r\n1234567890", b"BDAT 3 LAST\r\n12"):
        s = raw(i.port)
        s.sendall("\r\n".join(mail_to(i)).encode() + b"\r\n" + chunk)
        time.sleep(0.01)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    need(wait_for(lambda: not [q for q in i.queue() if q[0] == "incoming"], 10),
         "files are left", i.queue())


# --- smuggling ---

LOOKALIKES = [a + b"." + b for a in
              (b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r", b"\n\n", b"\r\n\0",
               b"\0\r\n", b"\r\n ", b"\r\n\t", b"\r\n\xa0", b"\r\0\n", b"\x85",
               b"\x0b", b"\x0c", b"\r\n\r", b"\xe2\x80\xa8", b"\r\r\n")
              for b in
              (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\0\r\n", b"\r\0\n",
               b" \r\n", b"\r\n\0", b"\x85", b"\r\r", b"\n\n", b".\r\n")]
ENDS = (b"\r\n.\r\n",)


@attack
def test_smuggling(i):
    """After each look-alike stands a second mail: it must be content."""
    forms = [f for f in LOOKALIKES if not any(e in b"x" + f + b"x" for e in ENDS)]
    need(len(forms) > 150, len(forms))
    before = len(i.mails("bob"))
    second = (b"MAIL FROM:<smuggler@b.example>\r\nRCPT TO:<%s>\r\nDATA\r\n"
              b"Subject: smuggled\r\n\r\nsmuggled\r\n" % i.addr("ann").encode())
    took = 0
    w = session(i, "EHLO x")
    for form in forms:
        for line in mail_to(i)[1:] + ["DATA"]:
            text = w.say(line)
            need(text[:1] in "23", form, line, text)
        w.send(b"Subject: one\r\n\r\nfirst" + form + second + b".\r\n")
        text = w.reply()
        need(text[:3] in ("250", "550", "554"), form, text)
        took += text[:3] == "250"
        # Nothing more came of it: the next reply is to this very command.
        need(w.say("VRFY <probe@x.example>").endswith("probe@x.example"),
             "more than one reply to", form)
    w.close()
    mails = i.wait_mails("bob", before + took, 40)
    need(len(mails) == before + took, "mails, expected", len(mails) - before, took)
    need(not any(m.startswith(b"Return-Path: <smuggler") for m in
                 mails + i.mails("ann")), "smuggled")
    need(not any(b"\nSubject: smuggled" in m.split(b"\n\n")[0]
                 for m in i.mails("ann")), "smuggled")
    # What was delivered has no bare CR that another could take for an end.
    for m in mails[before:]:
        need(b"\r" not in m.replace(b"\r\n", b""), "bare CR is delivered")


@attack
def test_smuggling_through_bdat(i):
    """Content of BDAT has no end but its count; later it is stuffed again."""
    before = len(i.mails("bob"))
    w = session(i, *mail_to(i))
    body = b"Subject: b\r\n\r\n.\r\n..\r\n.\r\nMAIL FROM:<evil@x>\r\n.\r\n"
    w.send(b"BDAT %d LAST\r\n" % len(body) + body)
    need("queued as" in w.reply(), "not taken")
    need(w.say("NOOP")[:3] == "250", "no NOOP")
    w.close()
    mails = i.wait_mails("bob", before + 1)
    need(len(mails) == before + 1, "mails", len(mails) - before)
    need(sum(m.endswith(b"\n\n.\n..\n.\nMAIL FROM:<evil@x>\n.\n")
             for m in mails) == 1, "is not as it came")


# --- what users of this machine can reach ---

@attack
def test_maildrop(i):
    """Files of strangers in maildrop/: refused, reported, never followed."""
    drop = os.path.join(i.dir, "spool", "maildrop")
    secret = os.path.join(i.dir, "secret")
    with open(secret, "wb") as f:
        f.write(b"secret\n")
    os.chmod(secret, 0o600)

    def put(name, data=b"", mode=0o744):
        path = os.path.join(drop, name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)
        if is_root():
            os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    id_of = "A0000000%04X".__mod__
    bad = [b"", b"x", os.urandom(5000), b"\0" * 100000, b"A" * (LIMIT * 2),
           b"T10 12345\n", b"PSTRNMD1", b"PSTRNQ01" + b"\0" * 4096,
           b"PSTRNMD1\0\1\xff\xff\xff\xffAAAA" + b"x" * 70000]
    with open(os.path.join(TOP, "tests/fuzz/corpus/maildrop/seed-1"), "rb") as f:
        whole = f.read()
    bad += [whole[:n] for n in range(9, len(whole), 9)]     # cut
    bad += [whole + b"more", whole * 2]                     # and too long
    bad += [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1:]
            for n in range(8, len(whole), 11)]              # and changed
    for n, data in enumerate(bad):
        put(id_of(n), data)
    n = len(bad)
    put("not-an-id!", b"x")
    put(id_of(n), b"x", 0o600)          # its writer seems at work
    os.symlink(secret, os.path.join(drop, id_of(n + 1)))
    os.symlink("/dev/zero", os.path.join(drop, id_of(n + 2)))
    os.mkfifo(os.path.join(drop, id_of(n + 3)), 0o744)
    os.mkdir(os.path.join(drop, id_of(n + 4)))
    os.link(secret, os.path.join(drop, id_of(n + 5)))
    s = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(OSError):
        s.bind(os.path.join(drop, id_of(n + 6)))
    s.close()
    i.run("sendmail", "-C", i.etc, "-f", "a@b.example", i.addr("ann"),
          stdin=b"Subject: honest drop\n\nx\n")
    need(wait_for(lambda: any(b"honest drop" in m for m in i.mails("ann")), 20),
         "an honest file is not taken among hostile ones")
    with contextlib.suppress(OSError):
        with socket.socket(socket.AF_UNIX) as p:
            p.connect(os.path.join(i.dir, "spool", "public", "pickup"))
            p.sendall(b"F")
    told = [id_of(k) for k in range(n) if k] + [
        id_of(n + k) for k in ((1, 2, 3, 5) if is_root() else (1, 2, 3))]
    need(wait_for(lambda: all(name in i.log() for name in told), 10),
         "not in the log", [name for name in told if name not in i.log()][:10])
    with open(secret, "rb") as f:
        need(f.read() == b"secret\n", "the secret was written")
    need(os.path.exists(secret), "the secret was removed")
    for user in ("ann", "bob"):
        need(not any(b"secret\n" in m for m in i.mails(user)), "told")
    for name in os.listdir(drop):
        path = os.path.join(drop, name)
        if os.path.isdir(path) and not os.path.islink(path):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        else:
            os.unlink(path)


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@attack
def test_public_sockets(i):
    qmgr = i.pids("qmgr")[0]
    before = cpu_s(qmgr)
    public = os.path.join(i.dir, "spool", "public")
    names = [n for n in os.listdir(public)
             if stat.S_ISSOCK(os.stat(os.path.join(public, n)).st_mode)]
    need({"showq", "qmgr", "pickup"} <= set(names), names)
    for name in names:
        held = []
        for data in (b"", b"\0", b"A" * 100000, os.urandom(100000),
                     b"\n" * 100000, b"flush\0" * 20000, b"F" * 70000 + b"\n"):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(10)
            s.connect(os.path.join(public, name))
            s.settimeout(0.5)
            with contextlib.suppress(OSError):
                s.sendall(data)
            held.append(s)
        for _ in range(200):            # they never speak, never read
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            try:
                s.connect(os.path.join(public, name))
            except OSError:
                break
            held.append(s)
        time.sleep(0.2)
        status, out, err = i.run("postqueue", "-c", i.etc, "-p", check=False)
        need(status == 0, "mailq during", name, out, err)
        for s in held:
            s.close()
    # A kick of 65,536 letters is one kick.
    need(cpu_s(qmgr) - before < 0.3, "qmgr worked for", cpu_s(qmgr) - before)


@attack
def test_stalled_listing(i):
    """Readers of a long listing who never read: showq waits, holding little."""
    i.set("defer_transports = virtual")
    i.run("postern", "-c", i.etc, "reload")
    for k in range(5):
        with i.smtp() as s:
            s.sendmail("a@b.example", [i.addr("ann"), i.addr("bob")] +
                       ["%s%d@elsewhere.example" % ("u" * 60, n)
                        for n in range(900)], "Subject: many %d\n\nx\n" % k)
    need(wait_for(lambda: len([q for q in i.queue() if q[0] == "deferred"]) >= 5,
                  20), i.queue())
    held = []
    for _ in range(100):
        s = socket.socket(socket.AF_UNIX)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        s.connect(os.path.join(i.dir, "spool", "public", "showq"))
        held.append(s)
    time.sleep(0.5)
    _, out, _ = i.run("postqueue", "-c", i.etc, "-p")
    need(out.count("@elsewhere.example") == 4500, out[-300:])
    for s in held:
        s.close()
    i.set("defer_transports =")
    i.run("postsuper", "-c", i.etc, "-d", "ALL")
    i.run("postern", "-c", i.etc, "reload")
    need(wait_for(i.answers, 10), "no greeting")
    World.again()


def test_over():
    """The instance stops when told, with nothing left in its queue."""
    i = World.get()
    def left():
        return [q for q in i.queue() if q[0] != "corrupt"]
    wait_for(lambda: not left(), 10)
    queue = left()
    print("# KiB grown:", World.most)
    i.close()
    World.i = None
    need(not queue, "is left in the queue", queue[:10])


if __name__ == "__main__":
    try:
        sys.exit(main(globals()))
    finally:
        if World.i is not None:
            World.i.close()
