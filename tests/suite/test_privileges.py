"""Every process is what its row of lib/priv/process.def says.

The rows are read from the file itself and held against /proc while mail is
under way: Uid, Gid, Groups, root, NoNewPrivs, Seccomp, capabilities, limits
and each open descriptor. As root all of a row must hold; in an instance of
an ordinary user, all that needs no root.
"""
import contextlib
import json
import os
import pwd
import re
import stat
import sys

from harness import TOP, Instance, Wire, for_anybody, is_root, main, need, wait_for

OWNERS = {"OWNER_QUEUE": ("mail_owner", "postern"),
          "OWNER_NET": ("postern_net_user", "postern-net"),
          "OWNER_AUTH": ("postern_auth_user", "postern-auth"),
          "OWNER_PAM": ("postern_pam_user", "postern-pam")}
# These hold no file and no directory.
NO_FILES = ("FILTER_SOCKETS", "FILTER_CHANNELS", "FILTER_DNS")
LOG_FD = 4


def rows(name="lib/priv/process.def"):
    """process.def: program -> its columns."""
    with open(os.path.join(TOP, name)) as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    found = {}
    for m in re.finditer(r"PROCESS\((\w+),\s*(\w+),\s*(\w+),\s*(\w+),"
                         r"\s*(\w+),\s*(\d+),", text):
        role, program, owner, root, filt, files = m.groups()
        found[program] = dict(role=role, owner=owner, root=root, filter=filt,
                              files=int(files))
    need(len(found) == len(re.findall(r"\bPROCESS\(", text)),
         "process.def has rows that this test cannot read")
    return found


def status(pid):
    with open("/proc/%d/status" % pid) as f:
        return {k: v.split() for k, v in
                (line.split(":", 1) for line in f if ":" in line)}


def limit(pid, name):
    """(soft, hard) of /proc/PID/limits, as text."""
    with open("/proc/%s/limits" % pid) as f:
        for line in f:
            if line.startswith(name):
                return tuple(line[len(name):].split()[:2])
    return None


def descriptors(pid):
    """[(number, kind, name, flags)]"""
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            name = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            mode = os.stat("/proc/%d/fd/%s" % (pid, fd)).st_mode
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
                flags = int(re.search(r"flags:\s*(\d+)", f.read()).group(1), 8)
        except FileNotFoundError:
            continue                    # closed meanwhile
        kind = ("socket" if stat.S_ISSOCK(mode) else
                "dir" if stat.S_ISDIR(mode) else
                "file" if stat.S_ISREG(mode) else
                "null" if name == "/dev/null" else
                name.split(":")[0])
        found.append((int(fd), kind, name, flags))
    return found


class Checker:
    """Breaches of the rows, one line each."""

    def __init__(self, instance, table):
        self.i, self.table = instance, table
        self.bad, self.seen = [], []
        st = os.stat(instance.dir)
        self.uid, self.gid = st.st_uid, st.st_gid
        self.root = self.uid == 0

    def expect(self, who, what, have, want):
        if have != want:
            self.bad.append("%s: %s is %s, must be %s" % (who, what, have, want))

    def owner(self, owner):
        parameter, default = OWNERS[owner]
        _, out, _ = self.i.run("postconf", "-h", parameter)
        return pwd.getpwnam(out.strip() or default)

    def identity(self, who, row, st, pid):
        empty = os.path.realpath(os.path.join(self.i.dir, "spool", "empty"))
        if is_root():                   # not dumpable: hidden from others
            self.expect(who, "root", os.readlink("/proc/%d/root" % pid),
                        empty if self.root and row["root"] == "ROOT_EMPTY"
                        else "/")
        if not self.root:
            self.expect(who, "Uid", st["Uid"], [str(self.uid)] * 4)
            self.expect(who, "Gid", st["Gid"], [str(self.gid)] * 4)
            return
        own = [self.owner(o) for o in OWNERS]
        if row["owner"] == "OWNER_TARGET":
            for what in ("Uid", "Gid"):
                if len(set(st[what])) != 1:
                    self.bad.append("%s: %s %s" % (who, what, st[what]))
            if st["Uid"][0] in ["0"] + [str(p.pw_uid) for p in own]:
                self.bad.append("%s: serves uid %s" % (who, st["Uid"][0]))
            if set(st["Groups"]) & ({"0"} | {str(p.pw_gid) for p in own}):
                self.bad.append("%s: Groups %s" % (who, st["Groups"]))
            return
        pw = self.owner(row["owner"])
        self.expect(who, "Uid", st["Uid"], [str(pw.pw_uid)] * 4)
        self.expect(who, "Gid", st["Gid"], [str(pw.pw_gid)] * 4)
        groups = {pw.pw_gid}
        if row["owner"] in ("OWNER_AUTH", "OWNER_PAM"):     # and what it was put in
            groups |= set(os.getgrouplist(pw.pw_name, pw.pw_gid))
        self.expect(who, "Groups", set(st["Groups"]), {str(g) for g in groups})

    def limits(self, who, row, pid):
        self.expect(who, "core limit", limit(pid, "Max core file size"),
                    ("0", "0"))
        if row["filter"] in NO_FILES:
            self.expect(who, "process limit", limit(pid, "Max processes"),
                        ("0", "0"))
        # Without root (or its CAP_SYS_RESOURCE) the hard limit is the most.
        most = limit("self", "Max open files")[1]
        want = row["files"] if self.root and can_raise() else \
            min(row["files"], int(most))
        self.expect(who, "file limit", int(limit(pid, "Max open files")[0]),
                    want)

    def files(self, who, row, pid):
        log = os.path.realpath(self.i.log_file)
        spool = os.path.realpath(os.path.join(self.i.dir, "spool"))
        data = os.path.realpath(os.path.join(self.i.dir, "data"))
        for fd, kind, name, flags in descriptors(pid):
            what = "descriptor %d (%s)" % (fd, name)
            mode = flags & os.O_ACCMODE
            if kind in ("socket", "pipe", "anon_inode"):
                continue
            if kind == "null":
                if fd > 2:
                    self.bad.append("%s: %s" % (who, what))
            elif kind == "file" and name == log:
                if fd != LOG_FD or mode != os.O_WRONLY or \
                        not flags & os.O_APPEND:
                    self.bad.append("%s: %s, flags %o" % (who, what, flags))
            elif row["filter"] in NO_FILES:
                self.bad.append("%s: %s: holds no file" % (who, what))
            elif kind == "dir":
                if row["filter"] == "FILTER_MAILBOX" and \
                        (name + "/").startswith(spool + "/"):
                    self.bad.append("%s: %s: no agent holds the queue" % (who, what))
            elif row["role"] == "VERIFY" and \
                    name == os.path.join(data, "verify_cache.lmdb"):
                continue                # its cache
            elif kind == "file" and mode != os.O_RDONLY and \
                    not name.startswith(spool + "/"):
                self.bad.append("%s: %s is open for writing" % (who, what))

    def child(self, pid, program):
        who = "%s[%d]" % (program, pid)
        row = self.table.get(program)
        if row is None:
            self.bad.append("%s: no row in process.def" % who)
            return
        self.seen.append(program)
        st = status(pid)
        self.identity(who, row, st, pid)
        # What runs users' commands denies them nothing of a session's.
        free = row["filter"] == "FILTER_COMMAND"
        self.expect(who, "NoNewPrivs", st["NoNewPrivs"], ["0" if free else "1"])
        if row["filter"] != "FILTER_NONE" and not free:
            self.expect(who, "Seccomp", st["Seccomp"], ["2"])
        caps = ["CapInh", "CapPrm", "CapEff", "CapAmb"]
        for cap in caps + (["CapBnd"] if self.root else []):
            self.expect(who, cap, int(st[cap][0], 16), 0)
        self.limits(who, row, pid)
        if is_root():
            self.files(who, row, pid)

    def run(self):
        guard = self.i.master_pid()
        for pid, program in self.i.children():
            if program == "master":     # the guard: waits, reads nothing
                guard = pid
                continue
            self.child(pid, program)
        for pid in {guard, self.i.master_pid()}:
            self.expect("master[%d]" % pid, "Uid", status(pid)["Uid"],
                        [str(self.uid)] * 4)
        absent = [p for p, r in self.table.items() if r["role"] != "MASTER" and
                  p not in self.seen]
        for program in absent:
            self.bad.append("%s: does not run" % program)
        return self.bad


def can_raise():
    """Has this root CAP_SYS_RESOURCE?"""
    return int(status(os.getpid())["CapEff"][0], 16) >> 24 & 1 == 1


def prepare(i):
    """A pipe service, an alias that is a command, logins by PAM."""
    i.set("auth_stores = users, pam")
    with open(os.path.join(i.etc, "master.cf"), "a") as f:
        f.write("piped unix - n n - - pipe user=nobody argv=/bin/true\n")
    with open(os.path.join(i.etc, "aliases"), "a") as f:
        f.write("runs: |/bin/true\n")
    i.run("newaliases")
    return i


def with_mail(i):
    """Agents have started, and a client is in the middle of its mail."""
    i.send(to=["runs@localhost"])
    need(wait_for(lambda: i.pids("command")), "no command agent runs", i.log()[-1500:])
    i.send(to=[i.addr("ann")])
    need(i.wait_mails("ann", 1), "no mail came")
    need(i.pids("agent"), "no agent runs")
    w = Wire(i.port)
    w.reply()
    for line in ("EHLO x", "MAIL FROM:<a@b.example>",
                 "RCPT TO:<%s>" % i.addr("ann"), "DATA"):
        need(w.say(line)[0] in "23", line)
    w.send("Subject: half\r\n\r\nand no more")
    return w


def check(i):
    checker = Checker(i, rows())
    bad = checker.run()
    need(not bad, "\n".join([""] + bad))
    print("# %d processes hold their rows" % len(checker.seen))
    # What finds nothing proves nothing: each changed column must show.
    for column, value in (("filter", "FILTER_SOCKETS"), ("files", 77),
                          ("owner", "OWNER_AUTH"), ("root", "ROOT_EMPTY")):
        if not is_root() or (not checker.root and column in ("owner", "root")):
            continue
        table = rows()
        table["qmgr"][column] = value
        need(any(line.startswith("qmgr") for line in Checker(i, table).run()),
             "not noticed", column)
    table = rows()
    del table["anvil"]
    need(any("no row" in line for line in Checker(i, table).run()),
         "a process without a row was not noticed")


def test_rows():
    """As whoever runs this test."""
    with prepare(Instance()) as i:
        w = with_mail(i)
        check(i)
        w.close()


def test_rows_of_an_ordinary_user():
    """Looked at by root, who sees more than that user may."""
    if not is_root():
        return                          # test_rows was it
    with for_anybody():
        watch(pwd.getpwnam("nobody"))


def watch(user):
    there, here = os.pipe()
    wait, over = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(over)
        as_user(user, here, wait)
    os.close(here)
    os.close(wait)
    try:
        with os.fdopen(there, "rb") as f:
            words = json.loads(f.read())
        need("dir" in words, words)
        i = Instance.__new__(Instance)
        i.__dict__.update(words)
        check(i)
    finally:
        os.close(over)
        os.waitpid(pid, 0)


def as_user(user, here, wait):
    """An instance of that user's own, until the parent has seen enough."""
    try:
        os.setgroups([])
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        os.chdir("/")
        with prepare(Instance()) as i:
            w = with_mail(i)
            os.write(here, json.dumps({k: v for k, v in i.__dict__.items() if
                                       isinstance(v, (str, int))}).encode())
            os.close(here)
            os.read(wait, 1)
            w.close()
    except BaseException as e:          # the parent tells it
        with contextlib.suppress(OSError):
            os.write(here, json.dumps(str(e)).encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main(globals()))
