"""harness - an instance of Postern of a test's own, and hands to use it.

Standard library only. An instance lives in a temporary directory, listens on
loopback at a free port base, and is stopped by its master's pid. Tests are
functions named test_*; main() runs them and prints "ok NAME" or
"not ok NAME: why" for each.
"""
import contextlib
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("POSTERN_BUILD", os.path.join(TOP, "build"))
SBIN = os.path.join(BUILD, "sbin")


def tool(name):
    return os.path.join(SBIN, name)


@contextlib.contextmanager
def for_anybody():
    """Programs that every user may run: copies, where a directory is private."""
    global BUILD, SBIN
    before, at, private = (BUILD, SBIN), os.path.abspath(BUILD), False
    while at != "/":
        private |= os.stat(at).st_mode & 0o001 == 0
        at = os.path.dirname(at)
    if not private:
        yield
        return
    copy = tempfile.mkdtemp(prefix="postern-build-")
    os.chmod(copy, 0o755)
    for part in ("sbin", "libexec", "takeover", "reading"):
        if os.path.isdir(os.path.join(BUILD, part)):
            shutil.copytree(os.path.join(BUILD, part),
                            os.path.join(copy, part), symlinks=True)
    BUILD, SBIN = copy, os.path.join(copy, "sbin")
    try:
        yield
    finally:
        BUILD, SBIN = before
        shutil.rmtree(copy, ignore_errors=True)


def free_base():
    """A port base whose ports are free now; below those that clients get."""
    first = os.getpid() % 2000 * 10
    for i in range(0, 20000, 1100):
        base = 10000 + (first + i) % 20000
        try:
            for port in (25, 110, 143, 465, 587, 993, 995):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", base + port))
            return base
        except OSError:
            continue
    raise RuntimeError("no free ports")


def wait_for(what, seconds=20, step=0.05):
    """The first true value of what(), or None when the time is up."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got or None
        time.sleep(step)


class Instance:
    """postern setup DIR, start, stop; mailboxes, logs, settings."""

    def __init__(self, users=("ann", "bob"), domain="example.test",
                 settings=(), where=None, dns=None):
        # Not below a private directory: other users must get in.
        self.dir = tempfile.mkdtemp(prefix="postern-test-", dir=where)
        os.chmod(self.dir, 0o755)
        self.base = free_base()
        self.domain = domain
        self.port = self.base + 25
        self.etc = os.path.join(self.dir, "etc")
        self.log_file = os.path.join(self.dir, "log", "mail.log")
        args = [tool("postern"), "setup", self.dir, "--hostname",
                "mx." + domain, "--domain", domain, "--port-base",
                str(self.base)]
        for user in users:
            args += ["--user", user]
        self.setup_output = self._run(args)
        # Faults that a test makes are told to nobody by mail, unless it asks.
        self.set("notify_classes =")
        # No test asks the world: dns.py, or a server that is not there.
        servers = dns.settings() if dns else ("resolve_servers = 127.0.0.1:1",)
        for line in (*servers, *settings):
            self.set(line)

    def _run(self, args, **kw):
        p = subprocess.run(args, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=120, **kw)
        text = p.stdout.decode("utf-8", "replace")
        if p.returncode != 0:
            raise RuntimeError("%s: exit %d: %s" % (args, p.returncode, text))
        return text

    def set(self, line):
        """postconf -e line."""
        self._run([tool("postconf"), "-c", self.etc, "-e", line])

    def run(self, name, *args, stdin=b"", check=True, env=None):
        """A command of ours against this instance: (status, out, err)."""
        full = dict(os.environ, MAIL_CONFIG=self.etc)
        full.update(env or {})
        p = subprocess.run([tool(name), *args], input=stdin,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=full, timeout=300)
        out, err = p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")
        if check and p.returncode != 0:
            raise RuntimeError("%s %s: exit %d: %s%s" % (name, args, p.returncode, out, err))
        return p.returncode, out, err

    def start(self):
        self.run("postern", "-c", self.etc, "start")
        if not wait_for(self.answers):
            raise RuntimeError("no greeting: " + self.log()[-2000:])

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                return s.recv(100).startswith(b"220")
        except OSError:
            return False

    def reload(self):
        """Returns when one who is replaced by a reload has been."""
        before = set(self.pids("lookup"))
        self.run("postern", "-c", self.etc, "reload")
        need(wait_for(lambda: not before & {p for p, _ in self.children()} and
                      self.pids("lookup")), "no reload:", self.log()[-1000:])

    def stop(self):
        self.run("postern", "-c", self.etc, "stop", check=False)

    def close(self):
        pid = self.master_pid()
        with contextlib.suppress(Exception):
            self.stop()
        if pid and os.path.exists("/proc/%d" % pid):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def master_pid(self):
        try:
            with open(os.path.join(self.dir, "spool", "pid", "master.pid")) as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def children(self):
        """[(pid, program name)] of master."""
        master, found = self.master_pid(), []
        for p in os.listdir("/proc"):
            if not p.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % p) as f:
                    stat = f.read()
            except OSError:
                continue
            name = stat[stat.index("(") + 1:stat.rindex(")")]
            fields = stat[stat.rindex(")") + 2:].split()
            if int(fields[1]) == master and fields[0] != "Z":
                found.append((int(p), name))
        return found

    def pids(self, name):
        """Its processes; of several smtpd the one of self.port is first."""
        found = [p for p, n in self.children() if n == name]
        return sorted(found, key=lambda p: not self.serves_port(p))

    def serves_port(self, pid):
        with contextlib.suppress(OSError), open("/proc/%d/cmdline" % pid) as f:
            return "127.0.0.1:%d" % self.port in f.read().split("\0")
        return False

    def log(self):
        try:
            with open(self.log_file, "rb") as f:
                return f.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def wait_log(self, pattern, seconds=20):
        return wait_for(lambda: re.search(pattern, self.log(), re.M), seconds)

    def maildir(self, user):
        return os.path.join(self.dir, "mail", self.domain, user)

    def mails(self, user):
        """Content of each mail in new/ and cur/."""
        found = []
        for sub in ("new", "cur"):
            d = os.path.join(self.maildir(user), sub)
            for name in sorted(os.listdir(d)) if os.path.isdir(d) else []:
                with open(os.path.join(d, name), "rb") as f:
                    found.append(f.read())
        return found

    def wait_mails(self, user, n, seconds=20):
        return wait_for(lambda: len(self.mails(user)) >= n and self.mails(user), seconds) or self.mails(user)

    def addr(self, user):
        return user + "@" + self.domain

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.test", timeout=60)

    def send(self, text="Subject: test\n\nbody\n", to=None, sender="sender@elsewhere.test"):
        with self.smtp() as s:
            return s.sendmail(sender, to or [self.addr("ann")], text)

    def fill(self, n, to, wait_s=3600):
        """n deferred messages, while it is stopped."""
        p = subprocess.run(["make", "-s", "-C", TOP, "B=" + BUILD, "fill"], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=300)
        need(p.returncode == 0, "bench/fill does not build", p.stdout)
        spool = os.path.join(self.dir, "spool")
        owner = os.stat(os.path.join(spool, "deferred"))
        subprocess.run([os.path.join(BUILD, "bench", "fill"), "-q", spool, "-n", str(n), "-t", to, "-w", str(wait_s)],
                       check=True, timeout=900, **(dict(user=owner.st_uid, group=owner.st_gid) if is_root() else {}))

    def queue(self):
        """Queue ids in all directories."""
        found = []
        for d in ("incoming", "active", "deferred", "hold", "corrupt", "maildrop"):
            for _, _, files in os.walk(os.path.join(self.dir, "spool", d)):
                found += [(d, f) for f in files]
        return found


class Wire:
    """Raw bytes to a port and back."""

    def __init__(self, port, host="127.0.0.1"):
        self.s = socket.create_connection((host, port), 30)
        self.f = self.s.makefile("rb")

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """One whole reply, without its last CRLF; "" at the end."""
        lines = []
        while True:
            line = self.f.readline()
            lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            if len(line) < 4 or line[3:4] != b"-":
                return "\n".join(lines)

    def say(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def closed(self, seconds=10):
        self.s.settimeout(seconds)
        try:
            while self.s.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except OSError:
            return False

    def close(self):
        self.f.close()
        self.s.close()


def need(condition, text="", *more):
    """A test's claim."""
    if not condition:
        raise AssertionError(" ".join([str(text), *map(repr, more)]))


def is_root():
    return os.geteuid() == 0


def main(names):
    """Runs the test_* functions of a module's globals(); picks by argv."""
    wanted = sys.argv[1:]
    bad = 0
    for name, fn in list(names.items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        try:
            skipped = fn()		# a test that cannot run says why
            print("ok", name, *(("skipped:", skipped) if skipped else ()),
                  flush=True)
        except Exception as e:
            bad += 1
            print("not ok %s: %s" % (name, e), flush=True)
            traceback.print_exc(file=sys.stdout)
    return 1 if bad else 0
