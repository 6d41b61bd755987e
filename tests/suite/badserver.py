"""badserver - an SMTP or LMTP server that does as it is told, at each step.

A server listens on loopback, each client has a thread. plan says what happens
at a step instead of the usual reply: {"MAIL": RESET, "RCPT": reply("450 no")}.
Steps: connect EHLO HELO LHLO MAIL RCPT DATA DOT BDAT RSET QUIT. A plan may be
a function of the connection's number that returns such a table. What was
accepted (a 2xx after the end of content) is in mails.
"""
import contextlib
import socket
import struct
import threading
import time

PLAIN = ("PIPELINING", "SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8")
USUAL = {"connect": "220 bad.test ESMTP", "HELO": "250 bad.test", "MAIL": "250 2.1.0 Ok",
         "RCPT": "250 2.1.5 Ok", "DATA": "354 go on", "DOT": "250 2.0.0 Ok: taken",
         "BDAT": "250 2.0.0 Ok: taken", "RSET": "250 2.0.0 Ok", "QUIT": "221 2.0.0 Bye",
         "XFORWARD": "250 2.0.0 Ok"}


class Gone(Exception):
    """This connection is over."""


def reply(text):
    return lambda c: c.put(text)


def after(*actions):
    def all_of(c):
        for action in actions:
            action(c)
    return all_of


def STALL(c):
    c.stop.wait(60)
    raise Gone


def CLOSE(c):
    raise Gone


def RESET(c):
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Gone


def GARBAGE(c):
    c.raw(b"\x00\xff what is this?\r\n")


def TRICKLE(c):
    """A reply that never comes to its end, byte by byte."""
    for _ in range(600):
        c.raw(b"2")
        if c.stop.wait(0.2):
            break
    raise Gone


def ENDLESS(c):
    """Lines of a reply, without end."""
    with contextlib.suppress(OSError):
        while not c.stop.is_set():
            c.raw(b"250-more\r\n" * 100)
    raise Gone


def LONG_LINE(c):
    with contextlib.suppress(OSError):
        c.raw(b"250 ")
        for _ in range(300):
            c.raw(b"x" * 1000)
    c.stop.wait(60)
    raise Gone


def SPLIT(c):
    """The usual reply, in pieces with pauses."""
    for b in (c.usual() + "\r\n").encode():
        c.raw(bytes([b]))
        time.sleep(0.005)


def BARE_LF(c):
    c.raw((c.usual() + "\n").encode())


def TWICE(c):
    """A reply too many: it must not be taken for that to the next command."""
    c.put(c.usual())
    c.put(c.usual())


class Client(threading.Thread):
    def __init__(self, server, s, number):
        super().__init__(daemon=True)
        self.server, self.s, self.stop = server, s, server.stop
        self.plan = server.plan(number) if callable(server.plan) else server.plan
        self.f = s.makefile("rb")
        self.step, self.sender, self.rcpts = "connect", None, []
        self.body = b""

    def raw(self, data):
        self.s.sendall(data)

    def put(self, text):
        self.raw(text.encode() + b"\r\n")
        self.last = text

    def usual(self):
        if self.step in ("EHLO", "LHLO"):
            words = ("bad.test",) + tuple(self.server.keywords)
            return "\r\n".join("250%s%s" % ("-" if i < len(words) - 1 else " ", w)
                               for i, w in enumerate(words))
        return USUAL.get(self.step, "502 5.5.2 what?")

    def act(self, step):
        """True: the step was answered with 2xx or 3xx."""
        self.step, self.last = step, ""
        action = self.plan.get(step)
        if action is not None:
            action(self)
        else:
            self.put(self.usual())
        return self.last[:1] in ("2", "3") or action in (SPLIT, BARE_LF)

    def end(self, step):
        """The verdict: of LMTP one for each recipient."""
        n = len(self.rcpts) if self.server.lmtp else 1
        for i in range(n):
            if self.act(step if i == 0 or step + "2" not in self.plan else step + "2"):
                to = [self.rcpts[i]] if self.server.lmtp else self.rcpts
                with self.server.lock:
                    self.server.mails.append((self.sender, list(to), self.body))
        self.sender, self.rcpts, self.body = None, [], b""

    def data(self):
        if not self.act("DATA"):
            return
        lines = []
        while True:
            line = self.f.readline()
            if not line:
                raise Gone
            if self.server.early and len(lines) == 2:
                self.put(self.server.early)
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
            with self.server.lock:
                self.server.longest = max(self.server.longest, len(line) - 2)
        self.body = b"".join(lines)
        self.end("DOT")

    def command(self, line):
        verb = line.split(b" ")[0].strip().upper().decode("latin-1")
        with self.server.lock:
            self.server.said.append(line.strip().decode("utf-8", "replace"))
        if verb == "MAIL":
            if self.act("MAIL"):
                self.sender = line.strip().decode("utf-8", "replace")[10:]
        elif verb == "RCPT":
            if self.sender is None:
                self.put("503 5.5.1 need MAIL")
            elif self.act("RCPT"):
                self.rcpts.append(line.strip().decode("utf-8", "replace")[8:])
        elif verb == "DATA":
            if not self.rcpts and "DATA" not in self.plan:
                self.put("554 5.5.1 no valid recipients")
            else:
                self.data()
        elif verb == "BDAT":
            _, size, *last = line.split()
            self.body += self.f.read(int(size))
            if last and self.rcpts:
                self.end("BDAT")
            else:
                self.put("250 2.0.0 Ok" if self.rcpts else "554 5.5.1 no valid recipients")
        elif verb == "QUIT":
            self.act("QUIT")
            raise Gone
        else:
            if verb == "RSET":
                self.sender, self.rcpts = None, []
            self.act(verb if verb in ("EHLO", "HELO", "LHLO", "RSET", "XFORWARD") else "unknown")

    def run(self):
        with contextlib.suppress(Gone, OSError, ValueError):
            self.act("connect")
            while True:
                line = self.f.readline()
                if not line:
                    break
                self.command(line)
        with contextlib.suppress(OSError):
            self.f.close()
            self.s.close()


class Server:
    def __init__(self, plan=None, keywords=PLAIN, lmtp=False, host="127.0.0.1", port=0,
                 path=None, early=None):
        self.plan, self.keywords, self.lmtp = plan or {}, keywords, lmtp
        self.early, self.lock, self.stop = early, threading.Lock(), threading.Event()
        self.mails, self.said, self.clients, self.longest = [], [], 0, 0
        family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(path or (host, port))
        self.listener.listen(100)
        self.port = None if path else self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                self.clients += 1
                Client(self, s, self.clients).start()

    def close(self):
        self.stop.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
