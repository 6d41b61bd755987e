"""An smtpd that was taken over gets nowhere.

tests/takeover/smtpd.c is the real smtpd whose HELP does what an intruder
would. It runs in an instance of its own, with root's full fences and, as an
ordinary user, with those that need no root.
"""
import contextlib
import encodings.idna  # noqa: F401 - as root: connecting needs it
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import harness
from harness import TOP, Instance, Wire, for_anybody, is_root, main, need, \
    wait_for

SECRET = "s3cret"


def build():
    p = subprocess.run(["make", "-s", "-C", TOP, "B=" + harness.BUILD,
                        "takeover"], stdout=subprocess.DEVNULL, timeout=300)
    # In another's build directory: the one that is there.
    need(p.returncode == 0 or not os.access(harness.BUILD, os.W_OK),
         "tests/takeover does not build")


class Taken(Instance):
    """An instance whose smtpd is the intruder's."""

    def __init__(self):
        super().__init__()
        libexec = os.path.join(self.dir, "libexec")
        shutil.copytree(os.path.join(harness.BUILD, "libexec"), libexec)
        shutil.copy(os.path.join(harness.BUILD, "takeover", "smtpd"), libexec)
        os.chmod(libexec, 0o755)
        self.set("daemon_directory = " + libexec)
        secret = os.path.join(self.etc, "secrets")
        with open(secret, "w") as f:
            f.write("relay.example %s:here\n" % SECRET)
        os.chmod(secret, 0o600)
        self.secret = "texthash:" + secret
        # lookup has it open, but no restriction of smtpd's names it.
        self.set("transport_maps = " + self.secret)
        access = os.path.join(self.etc, "access")
        with open(access, "w") as f:
            f.write("good.example OK\n")
        self.access = "texthash:" + access
        self.set("smtpd_helo_restrictions = check_helo_access " + self.access)

    def intruder(self):
        w = Wire(self.port)
        need(w.reply().startswith("220"), "no greeting")
        return w

    def ask(self, *words):
        w = self.intruder()
        answer = w.say("HELP " + " ".join(map(str, words)))
        w.close()
        return answer

    def pid(self, name):
        return (self.pids(name) or [0])[0]

    def new_smtpd(self):
        """Ends the one there is; master starts another."""
        old = self.pid("smtpd")
        if old:
            with contextlib.suppress(ProcessLookupError):
                os.kill(old, signal.SIGKILL)
        need(wait_for(lambda: self.pid("smtpd") not in (0, old), 15),
             "no new smtpd")

    def others(self):
        return {(p, n) for p, n in self.children() if n != "smtpd"}

    def goes_on(self, subject):
        """Mail still comes in and through, however smtpd fares."""
        def sent():
            with contextlib.suppress(Exception):
                self.send("Subject: %s\n\nx\n" % subject)
                return True
        need(wait_for(sent, 15), "no mail is taken after", subject)
        need(wait_for(lambda: any(subject.encode() in m
                                  for m in self.mails("ann")), 15),
             "no mail comes through after", subject)


def tries(i):
    text = i.ask("TRY", i.pid("cleanup"))
    last = text.splitlines()[-1]
    m = re.match(r"214 (\d+) tries, (\d+) breaches$", last)
    need(m, text)
    breaches = [line for line in text.splitlines() if "BREACH" in line]
    need(int(m.group(2)) == 0, "\n".join(breaches))
    need(int(m.group(1)) > 100, last)
    print("# " + last[4:])
    need(not os.path.exists("/tmp/owned"), "/tmp/owned was made")


def fast_open(i):
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen(10)
        trap.settimeout(0.5)
        text = i.ask("FASTOPEN", trap.getsockname()[1])
        need(text == "214 0 breaches", text)
        with contextlib.suppress(socket.timeout):
            trap.accept()
            need(False, "smtpd connected to a port")
    # The door that it shut is open again when master has a new smtpd.
    i.new_smtpd()
    i.goes_on("door")


def tables(i):
    need(i.ask("TABLE", "good.example", i.access) == "214 found=0 value=OK",
         "its own table is not answered")
    for spec in (i.secret, "texthash:/etc/shadow", "texthash:/etc/passwd",
                 "unix:passwd.byname", "static:x", "environ:PATH",
                 "inline:{relay.example=x}", i.access + "," + i.secret,
                 "proxy:" + i.secret, "unionmap:{%s}" % i.secret):
        for key in ("relay.example", "root"):
            text = i.ask("TABLE", key, spec)
            need(text == "214 found=2 value=" or text.startswith("554 gone"),
                 spec, text)
            need(SECRET not in text, text)


FORGED = {
    "cleanup": ("offer", "mail_done", "peer", "descriptor", "bytes"),
    "qmgr": ("offer", "deliver_done", "rcpt_result", "report_done",
             "descriptor", "bytes"),
    "lookup": ("address_answer", "bytes", "descriptor"),
    "anvil": ("drain", "client_counts", "bytes"),
    "master": ("agent_want", "ticket", "worker_want", "peer", "agent_refused", "descriptor", "bytes"),
}


def forgeries(i):
    """A frame that is not smtpd's to send costs it that channel."""
    left = dict(FORGED)
    while any(left.values()):
        others = i.others()
        for role in [r for r in left if left[r]]:
            what, left[role] = left[role][0], left[role][1:]
            at = len(i.log())
            text = i.ask("FORGE", role, what)
            # Who loses master is over; perhaps before its reply.
            need(text == "214 sent" or role == "master", text, role, what)
            need(wait_for(lambda: "malformed message from smtpd process" in
                          i.log()[at:], 5), role, "took", what)
        need(i.others() == others, "a process died")
        i.new_smtpd()
    i.goes_on("forged")


def floods(i):
    others = i.others()
    for role in ("lookup", "cleanup"):
        with contextlib.suppress(OSError):
            i.ask("FLOOD", role, 20000)
        i.new_smtpd()
        i.goes_on("flood-" + role)
    need(i.others() >= others, "a process died")
    left = wait_for(lambda: not [q for q in i.queue() if q[0] == "incoming"], 10)
    need(left, "files are left in incoming/", len(i.queue()))


def other_calls(i):
    """Another table of system calls: the process ends, master has a new one."""
    with contextlib.suppress(OSError):
        need(i.ask("CALLS", "x32") in ("", "214 failed"), "x32 calls work")
    i.goes_on("calls")


PARTS = (tries, tables, forgeries, floods, other_calls, fast_open)


def all_parts():
    with Taken() as i:
        i.goes_on("before")
        for part in PARTS:
            started = time.monotonic()
            part(i)
            print("# %s: %.1f s" % (part.__name__, time.monotonic() - started))
        bad = re.findall(r".*(?:panic|assert|Segmentation|AddressSan).*", i.log())
        need(not bad, bad[:3])


def test_taken_over():
    build()
    all_parts()


def test_taken_over_without_root():
    if not is_root():
        return                          # the test before was it
    build()
    with for_anybody():
        words = as_user(pwd.getpwnam("nobody"))
    need(words == "", words)


def as_user(user, run=all_parts):
    """What that user's run says; "" is well."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        words = b""
        try:
            os.setgroups([])
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            os.chdir("/")
            run()
        except BaseException as e:      # the parent tells it
            words = ("%s: %s" % (type(e).__name__, e)).encode()[:60000]
        finally:
            sys.stdout.flush()
            os.write(here, words)
            os._exit(0)
    os.close(here)
    with os.fdopen(there, "rb") as f:
        words = f.read().decode("utf-8", "replace")
    os.waitpid(pid, 0)
    return words


if __name__ == "__main__":
    sys.exit(main(globals()))
