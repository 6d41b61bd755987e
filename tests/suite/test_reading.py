"""Whose worker a front may have: login, ticket, worker.

No front that reads mail exists yet. tests/reading holds one (maild), which
does what its client tells it, as if it were taken over, and its worker (mail),
which tells who it is; `make reading` builds master and auth that know them.
newsd and news are the same programs as another service.
"""
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
from harness import TOP, Instance, for_anybody, is_root, main, need, wait_for
from test_auth import PASSWORD, add_user
from test_pam import SCRIPT
from test_privileges import Checker, rows
from test_takeover import as_user

NO = "NO authentication failure"
LIVES = 30                              # seconds: TICKET_MS


def build():
    p = subprocess.run(["make", "-C", TOP, "B=" + harness.BUILD, "reading"], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=900)
    # In another's build directory: what is there.
    need(p.returncode == 0 or not os.access(harness.BUILD, os.W_OK), "tests/reading does not build", p.stdout[-2000:])


class Reading(Instance):
    """Fronts: maild at ports .mail and .mail2, newsd at .news."""

    def __init__(self, *settings, users=("ann", "bob")):
        super().__init__(settings=settings)
        libexec = os.path.join(self.dir, "libexec")
        shutil.copytree(os.path.join(harness.BUILD, "libexec"), libexec)
        os.chmod(libexec, 0o755)
        made = os.path.join(harness.BUILD, "reading", "libexec")
        for name, source in (("master", "master"), ("auth", "auth"), ("maild", "maild"), ("newsd", "maild"),
                             ("mail", "mail"), ("news", "mail")):
            to = os.path.join(libexec, name)
            if os.path.exists(to):
                os.unlink(to)
            shutil.copy(os.path.join(made, source), to)
        self.set("daemon_directory = " + libexec)
        self.mail, self.mail2, self.news = self.base + 143, self.base + 993, self.base + 110
        with open(os.path.join(self.etc, "master.cf"), "a") as f:
            for port, command in ((self.mail, "maild"), (self.mail2, "maild"), (self.news, "newsd")):
                f.write("127.0.0.1:%d inet n - n - - %s\n" % (port, command))
        self.uid, self.gid = (12345, 12346) if is_root() else (os.getuid(), os.getgid())
        for n, user in enumerate(users):
            add_user(self, user)
            self.place(user, self.uid + (n if is_root() else 0))
            home = self.home(user)
            os.mkdir(home)
            with open(os.path.join(home, "secret"), "w") as f:
                f.write(user)
            os.chmod(os.path.join(home, "secret"), 0o600)
            if is_root():
                os.chown(os.path.join(home, "secret"), self.uid + n, self.gid)

    def home(self, user):
        return os.path.join(self.dir, "home-" + user)

    def place(self, user, uid, *more):
        self.run("postern", "-c", self.etc, "user", "place", user, "uid=%d" % uid, "gid=%d" % self.gid,
                 "home=" + self.home(user), *more)

    def front(self, port):
        return Front(port)

    def ready(self):
        need(wait_for(lambda: len(self.pids("maild")) == 2 and self.pids("newsd") and self.pids("auth")),
             "no fronts", self.log()[-2000:])


class Front:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), 30)
        self.s.settimeout(60)
        self.f = self.s.makefile("rwb")

    def say(self, *words):
        self.f.write((" ".join(map(str, words)) + "\n").encode())
        self.f.flush()
        return self.f.readline().decode("utf-8", "replace").strip()

    def ticket(self, user, password=PASSWORD):
        got = self.say("login", user, password)
        need(re.fullmatch(r"OK [0-9a-f]{64}", got), user, got)
        return got[3:]

    def worker(self, user, password=PASSWORD):
        got = self.say("show", self.ticket(user, password))
        need(got.startswith("OK "), user, got)
        return got[3:]

    def who(self, service, path="/"):
        got = self.say("who", service, path)
        need(got.startswith("OK pid="), got)
        return dict(w.split("=", 1) for w in got[3:].split(" file=")[0].split(" ")) | {
            "file": got.split(" file=")[1]}

    def close(self):
        self.f.close()
        self.s.close()


def test_worker():
    """From the password to a process that is the owner, in its row's sandbox."""
    build()
    with Reading() as i:
        i.ready()
        m = i.front(i.mail)
        ann = m.worker("ann")
        need(ann == "%d:%d:ann" % (i.uid, i.gid), ann)
        path = os.path.join(i.home("ann"), "secret")
        add_user(i, "ann")              # another password leaves it all
        w = m.who(ann, path)
        need((w["uid"], w["gid"], w["user"]) == (str(i.uid), str(i.gid), "ann"), w)
        need(w["home"] == i.home("ann") and w["mail"] == "", w)
        need(w["file"] == "read; no net", w)
        if is_root():
            need(w["groups"] == str(i.gid), w)
        # One worker for all of an owner's sessions, of other fronts as well.
        other = i.front(i.mail2)
        need(m.worker("ANN") == ann and m.who(ann)["pid"] == w["pid"] and other.worker("ann") == ann)
        need({m.who(ann)["pid"], other.who(ann)["pid"]} == {w["pid"]})
        bob = m.worker("bob")
        b = m.who(bob, path)
        need(b["pid"] != w["pid"] and b["user"] == "bob", b)
        if is_root():
            need(b["uid"] == str(i.uid + 1) and b["file"].startswith("Permission denied"), b)
        need(m.say("peers").split()[1:] == [ann, bob] and other.say("peers") == "OK " + ann, other.say("peers"))
        # Each is what its row says.
        table = rows() | rows("tests/reading/priv/process.def")
        checker = Checker(i, table)
        for pid, program in i.children():
            if program in ("mail", "maild", "newsd", "auth"):
                checker.child(pid, program)
        need(not checker.bad, "\n".join(checker.bad))
        need(sorted(checker.seen) == ["auth", "mail", "mail", "maild", "maild", "newsd"], checker.seen)
        # The mail is elsewhere now: another worker.
        i.place("ann", i.uid, "mail=maildir:~/Maildir")
        need(wait_for(lambda: m.who(m.worker("ann"))["mail"] == "maildir:~/Maildir", 5), "the old place")
        need(m.who(ann)["pid"] != w["pid"])
        # A worker that dies takes its own sessions alone.
        os.kill(int(m.who(ann)["pid"]), signal.SIGKILL)
        need(wait_for(lambda: m.say("who", ann, "/") in ("NO no such worker", "GONE") or
                      m.say("who", ann, "/").startswith("GONE")), "still there")
        need(m.who(bob)["pid"] == b["pid"] and m.who(m.worker("ann"))["user"] == "ann")


def test_refusals():
    """A ticket opens one worker, once, soon, for the front that carried the login."""
    build()
    with Reading() as i:
        i.ready()
        m, m2, n = i.front(i.mail), i.front(i.mail2), i.front(i.news)
        started = time.monotonic()
        late = m.ticket("ann")
        need(m.say("login ann wrong") == NO and m.say("login nobody.here " + PASSWORD) == NO)
        unknown = "NO unknown ticket, or one that was used"
        used = m.ticket("ann")
        need(m.say("show", used).startswith("OK") and m.say("show", used) == unknown)
        for forged in ("00" * 32, "ab" * 32, "", "00", used[:-2], used + "00", used[:-1] + "%x" % (int(used[-1], 16) ^ 1)):
            need(m.say("show", forged) == unknown, forged)
        # Another's ticket is void for all when it was seen there.
        for thief in (n, m2):
            stolen = m.ticket("bob")
            need(thief.say("show", stolen) == "NO the ticket is another process's", thief)
            need(m.say("show", stolen) == unknown)
            need(thief.say("peers") == "OK", thief.say("peers"))
        need(m2.who(m2.worker("bob"))["user"] == "bob" and n.who(n.worker("bob"))["user"] == "bob")
        # A master that is replaced knows none: log in again.
        kept, pid = m.ticket("ann"), i.master_pid()
        at = len(i.log())
        os.kill(pid, signal.SIGUSR2)
        need(wait_for(lambda: "daemon started" in i.log()[at:]), "no new master")
        need(m.say("show", kept) == unknown, "a ticket outlived its master")
        need(m.who(m.worker("ann"))["user"] == "ann", "no login after a hand-over")
        late2 = m.ticket("ann")
        need(m.say("show", late) == unknown)
        # A front that died has no heir.
        dies = m2.ticket("ann")
        for p in i.pids("maild"):
            os.kill(p, signal.SIGKILL)
        i.ready()
        m, m2 = i.front(i.mail), i.front(i.mail2)
        need(m.say("show", dies) == unknown and m2.say("show", late2) == unknown)
        late = m.ticket("ann")
        time.sleep(LIVES + 0.5)
        need(m.say("show", late) == "NO the ticket has expired", "after %d s" % (time.monotonic() - started))
        need(m.say("show", late) == unknown)
        need(re.search(r"warning: no worker for maild\[\d+\]: the ticket has expired", i.log()), i.log()[-1000:])
        need(m.who(m.worker("ann"))["user"] == "ann")


def test_taken_over():
    """A front that tries all there is gets nobody's worker but its logins'."""
    build()
    with Reading() as i:
        i.ready()
        m, m2 = i.front(i.mail), i.front(i.mail2)
        ann, bob = m.worker("ann"), m2.worker("bob")
        need(m.who(ann)["user"] == "ann" and m2.who(bob)["user"] == "bob")
        for instance in range(1, 80):
            m.say("lost mail", instance)
        time.sleep(0.5)
        need(m.say("peers") == "OK " + ann, m.say("peers"))
        need(m.say("who", bob, "/") == "NO no such worker")
        workers = sorted(i.pids("mail"))
        for message in ("agent_want", "ticket", "owner", "worker_comes", "ticket_taken", "peer", "renew"):
            at = len(i.log())
            need(m.say("forge", message) in ("OK sent", ""), message)
            need(wait_for(lambda: "malformed message from maild process" in i.log()[at:], 5), message, i.log()[at:])
            i.ready()
            need(wait_for(lambda: reconnect(i)), "no new front")
            m = i.front(i.mail)
        need(m.say("peers") == "OK" and m2.who(bob)["user"] == "bob", "the other front's")
        need(sorted(i.pids("mail")) == workers, "a worker was started")


def reconnect(i):
    try:
        m = i.front(i.mail)
        got = m.say("peers")
        m.close()
        return got.startswith("OK")
    except OSError:
        return False


def test_rules():
    """Who has no mail here, or may not be anybody's worker, reads as a wrong password."""
    build()
    with Reading(users=("ann", "root", "low", "own", "noplace", "group0", "off")) as i:
        i.ready()
        m = i.front(i.mail)
        own = pwd.getpwnam("postern").pw_uid if is_root() else 0
        i.place("root", 0)
        i.place("low", 99)
        i.place("own", own)
        i.run("postern", "-c", i.etc, "user", "place", "noplace")
        i.run("postern", "-c", i.etc, "user", "place", "group0", "uid=%d" % i.uid, "gid=0", "home=/")
        i.run("postern", "-c", i.etc, "user", "disable", "off")
        need(wait_for(lambda: m.say("login root " + PASSWORD) == NO, 5), "root may log in")
        for user in ("root", "low", "own", "noplace", "group0", "off"):
            at = len(i.log())
            need(m.say("login", user, PASSWORD) == NO, user)
            need(user == "off" or "%s: the password was right, but no mail can be read: " % user in i.log()[at:], user)
        # Right passwords of these are late as wrong ones are.
        took = []
        for word in (PASSWORD, "wrong"):
            started = time.monotonic()
            need(m.say("login noplace " + word) == NO)
            took.append(time.monotonic() - started)
        need(took[0] > 1.9 and took[1] > 1.9, took)
        need(m.who(m.worker("ann"))["user"] == "ann")
        need(not any(p for p in i.pids("mail") if os.stat("/proc/%d" % p).st_uid == 99))


def test_where_it_comes_from():
    """Dovecot's fields of a table, virtual mailboxes, system users."""
    if not is_root():
        return "it takes root to be another user"
    build()
    nobody = pwd.getpwnam("nobody")
    name = "posternreader"
    subprocess.run(["useradd", "-M", "-d", "/srv/reader", "-G", "users", name], check=True)
    try:
        reader = pwd.getpwnam(name)
        at = Reading("auth_stores = texthash:$config_directory/passwd, users, pam",
                     "virtual_mailbox_domains = virtual.example",
                     "virtual_mailbox_maps = inline:{dan@virtual.example=v/dan/, eve@virtual.example=v/eve, "
                     "@virtual.example=all/}",
                     "virtual_mailbox_base = /srv/mail", "virtual_uid_maps = static:12399",
                     "virtual_gid_maps = static:12398", "auth_pam_service = postern-test",
                     "auth_pam_directory = $config_directory/pam.d", users=("dan@virtual.example", name))
        pam(at)
        for user in ("dan@virtual.example", name):
            at.run("postern", "-c", at.etc, "user", "place", user)
        for user in ("eve@virtual.example", "else@virtual.example"):
            add_user(at, user)
        with open(os.path.join(at.etc, "passwd"), "w") as f:
            f.write("carl {PLAIN}pw:12390:12391:Carl:/srv/carl:/bin/sh:userdb_mail=maildir:~/M userdb_x=y\n")
        out = at.run("postern", "-c", at.etc, "user", "import", "-", check=False, stdin=b"""
fay:{PLAIN}pw:12380:12381::/srv/fay::userdb_mail=mbox:~/mbox
gus:{PLAIN}pw:12382:12381::/srv/gus::userdb_mail=sdbox:~/sdbox
""")
        need(out[0] == 0 and "line 3: gus: may log in, but" in out[2], out)
        with at as i:
            i.ready()
            m = i.front(i.mail)
            w = m.who(m.worker("carl", "pw"))
            need((w["uid"], w["gid"], w["home"], w["mail"]) == ("12390", "12391", "/srv/carl", "maildir:~/M"), w)
            w = m.who(m.worker("Dan@virtual.example"))
            need((w["uid"], w["gid"], w["user"], w["mail"]) ==
                 ("12399", "12398", "dan@virtual.example", "maildir:/srv/mail/v/dan/"), w)
            need(m.who(m.worker("eve@virtual.example"))["mail"] == "mbox:/srv/mail/v/eve")
            w = m.who(m.worker("fay", "pw"))
            need((w["uid"], w["home"], w["mail"]) == ("12380", "/srv/fay", "mbox:~/mbox"), w)
            need(m.who(m.worker("gus", "pw"))["mail"] == "")
            # Nobody reads what falls under @domain.
            need(m.say("login else@virtual.example " + PASSWORD) == NO)
            for login in (name, name + "@mx.example.test"):
                w = m.who(m.worker(login))
                need((w["uid"], w["gid"], w["user"], w["home"]) ==
                     (str(reader.pw_uid), str(reader.pw_gid), name, "/srv/reader"), w)
                need(set(w["groups"].split(",")) == set(map(str, os.getgrouplist(name, reader.pw_gid))), w)
            # By PAM: the system's users; root and daemons never.
            need(m.who(m.worker("nobody"))["uid"] == str(nobody.pw_uid))
            for login in ("root", "daemon", "no.such.user"):
                need(m.say("login", login, PASSWORD) == NO, login)
            need("root: the password was right" not in i.log(), "pam(8) itself refuses root")
            need("daemon: the password was right, but no mail can be read: that user's number is below" in i.log(),
                 i.log()[-2000:])
    finally:
        subprocess.run(["userdel", name], check=False, stderr=subprocess.DEVNULL)


def test_without_root():
    """All runs as one user; the rest is as ever."""
    if not is_root():
        return "the tests before were it"
    build()
    with for_anybody():
        words = as_user(pwd.getpwnam("nobody"), lambda: (test_taken_over(), test_rules()))
    need(words == "", words)


def pam(i):
    where = {"dir": os.path.join(i.dir, "pam")}
    os.mkdir(where["dir"])
    os.chmod(where["dir"], 0o777)
    os.mkdir(os.path.join(i.etc, "pam.d"))
    script = os.path.join(where["dir"], "script")
    with open(script, "w") as f:
        f.write(SCRIPT % where)
    os.chmod(script, 0o755)
    with open(os.path.join(i.etc, "pam.d", "postern-test"), "w") as f:
        f.write("auth required pam_exec.so quiet expose_authtok %s\naccount required pam_permit.so\n" % script)


if __name__ == "__main__":
    sys.exit(main(globals()))
