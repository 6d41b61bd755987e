#!/usr/bin/env python3
"""No local user gains anything: options, environment, links, limits, descriptors, signals.

Runs in a mount namespace of its own, where /etc/postern is an instance of
root's whose postdrop and postqueue are set-gid; the intruder is `nobody'.
What is told to be accepted (exit 0) must arrive, once; all else must not.
"""
import contextlib
import itertools
import os
import pwd
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import harness
from harness import Instance, is_root, main, need, wait_for

NOBODY = pwd.getpwnam("nobody")
ANN = "ann@example.test"
_shared = []
_count = itertools.count()


def own_namespace():
    """Again, with mounts of our own: /etc is a copy in memory."""
    if os.environ.get("POSTERN_OWN_MOUNTS"):
        return
    os.environ["POSTERN_OWN_MOUNTS"] = "1"
    script = ("mount -t tmpfs -o mode=755 none /mnt; mkdir /mnt/u /mnt/w; "
              "mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w none /etc; mkdir -p /etc/postern; exec \"$@\"")
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", sys.executable,
                          os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def shared():
    if _shared:
        return _shared[0]
    i = Instance()
    need(subprocess.run(["mount", "--bind", i.etc, "/etc/postern"]).returncode == 0)
    bin_dir = os.path.join(i.dir, "sbin")
    shutil.copytree(harness.SBIN, bin_dir, symlinks=True)
    for name in ("postdrop", "postqueue"):
        shutil.chown(os.path.join(bin_dir, name), "root", i.run("postconf", "-h", "setgid_group")[1].strip())
        os.chmod(os.path.join(bin_dir, name), 0o2755)
    i.bin = bin_dir
    i.start()
    _shared.append(i)
    return i


def as_nobody(i, name, *args, stdin=b"", env=None, before=None, groups=(), timeout=60):
    """A command of the installed ones, by nobody; (status, output)."""
    p = subprocess.run([os.path.join(i.bin, name), *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=list(groups), cwd="/", timeout=timeout,
                       env={"PATH": "/usr/bin:/bin"} if env is None else env, preexec_fn=before)
    return p.returncode, p.stdout.decode("utf-8", "replace")


def subject():
    return "test.%d.%d" % (os.getpid(), next(_count))


def text(s, size=0):
    return ("Subject: %s\n\n" % s).encode() + b"x" * 60 * (size // 61) + b"\n"


def times(i, s):
    return sum(("Subject: %s\n" % s).encode() in m for m in i.mails("ann"))


def arrives(i, s, *why):
    need(wait_for(lambda: times(i, s)), "lost", s, *why, i.log()[-1000:])


def settle(i):
    """pickup has seen all that is complete."""
    s = subject()
    need(as_nobody(i, "sendmail", ANN, stdin=text(s))[0] == 0)
    arrives(i, s)


def test_the_way_it_should_be():
    i = shared()
    s = subject()
    status, out = as_nobody(i, "sendmail", "-f", "claimed@elsewhere.test", ANN, stdin=text(s))
    need(status == 0 and out == "", status, out)
    arrives(i, s)
    need(i.wait_log(r"pickup\[\d+\]: \w+: uid=%d from=<claimed@elsewhere.test>" % NOBODY.pw_uid), "who it really was")
    need(as_nobody(i, "mailq") == (0, "Mail queue is empty\n") and as_nobody(i, "postqueue", "-f")[0] == 0)


def test_another_configuration():
    """Set-gid programs read no main.cf of a user's own, however it is named."""
    i = shared()
    evil = os.path.join(i.dir, "evil")
    os.makedirs(evil + "/spool/maildrop", exist_ok=True)
    os.makedirs(evil + "/spool/public", exist_ok=True)
    with open(evil + "/main.cf", "w") as f:
        f.write("queue_directory = %s/spool\nauthorized_submit_users = static:anyone\nsetgid_group = root\n"
                "alternate_config_directories = %s\n" % (evil, evil))
    os.system("chown -R nobody %s" % evil)
    s = subject()
    for name, args, env in (("sendmail", ("-C", evil, ANN), {}), ("postqueue", ("-c", evil, "-p"), {}),
                            ("postdrop", ("-c", evil), {}), ("postqueue", ("-c", evil + "/../evil", "-p"), {})):
        status, out = as_nobody(i, name, *args, stdin=text(s), env=env)
        need(status != 0 and ("unauthorized configuration directory name" in out), name, args, status, out)
    for name, args in (("postqueue", ("-p",)), ("postqueue", ("-j",))):
        status, out = as_nobody(i, name, *args, env={"MAIL_CONFIG": evil})
        need(status == 0 and out in ("", "Mail queue is empty\n"), "it reads root's", name, out)
    status, out = as_nobody(i, "sendmail", ANN, stdin=text(s), env={"MAIL_CONFIG": evil})
    need(not os.listdir(evil + "/spool/maildrop"), "written with the group's rights", out)
    settle(i)
    need((status == 0) == (times(i, s) == 1), "MAIL_CONFIG of sendmail", status, out)


def test_environment():
    i = shared()
    junk = "A" * 100000
    for env in ({}, {"PATH": ""}, {"IFS": "x", "ENV": "/tmp/x", "BASH_ENV": "/tmp/x"}, {"TZ": "/etc/shadow"},
                {"TZ": "../../../../etc/shadow"}, {"LANG": junk[:1000], "LC_ALL": "\x01"}, {"NAME": junk},
                {"NAME": "a\nBcc: root"}, {"HOME": "/root", "LOGNAME": "root", "USER": "root"},
                {"LD_PRELOAD": "/tmp/none.so", "LD_LIBRARY_PATH": "/tmp", "LD_DEBUG": "all", "GCONV_PATH": "/tmp"},
                {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "255"}, {"POSTERN_LOG_FD": "0", "POSTERN_SECCOMP": "off"},
                {"POSTERN_FAKE_CLOCK": "+100000000"}, {"MAIL_DEBUG": "1", "MAIL_VERBOSE": "1", "MAIL_LOGTAG": "x"}):
        s = subject()
        status, out = as_nobody(i, "sendmail", ANN, stdin=text(s), env=env)
        need(status == 0, env, status, out[:300])
        arrives(i, s, env)
        need(as_nobody(i, "postqueue", "-p", env=env)[0] == 0, env)
    last = [m for m in i.mails("ann") if b"Bcc: root" in m]
    need(not last, "a header from NAME", last)


def test_options():
    """Those of old sendmails that named files are without effect, or refused."""
    i = shared()
    victim = os.path.join(i.dir, "victim")
    with open(victim, "w") as f:
        f.write("mine\n")
    os.chmod(victim, 0o600)
    for args in (("-X", victim), ("-D", victim), ("-oQ" + victim,), ("-OQueueDirectory=" + victim,), ("-oX" + victim,),
                 ("-d99.1000000", "-O", "LogFile=" + victim), ("-oA" + victim,), ("-OAliasFile=" + victim,),
                 ("-p", "SMTP:root"), ("-Tx",), ("-oS" + victim,), ("-oM", "Dj/etc/shadow"), ("-MDj",)):
        s = subject()
        status, out = as_nobody(i, "sendmail", *args, ANN, stdin=text(s))
        settle(i)
        need((status == 0) == (times(i, s) == 1), args, status, out)
        need(open(victim).read() == "mine\n" and os.stat(victim).st_uid == 0 and "mine" not in out, args, out)
    for args in (("-bi", "-oA" + victim), ("-I", "-oAhash:/etc/postern/aliases"), ("-bi",)):
        status, out = as_nobody(i, "sendmail", *args)
        need(status != 0 and "mine" not in out, args, status, out)
    for name, args in (("sendmail", ("-bd",)), ("postern", ("stop",)), ("postern", ("start",)), ("postern", ("queue", "delete", "--all")),
                       ("postern", ("queue", "list")), ("postsuper", ("-d", "ALL")), ("postsuper", ("-s",)),
                       ("postcat", ("-q", "ABCDEF0")), ("postconf", ("-e", "myhostname=evil")),
                       ("postalias", ("/etc/postern/aliases",)), ("postkick", ("public", "qmgr", "A")),
                       ("postqueue", ("-i", "../../etc/passwd")), ("postqueue", ("-s", "a;b")), ("postqueue", ("-c", "/tmp", "-f"))):
        status, out = as_nobody(i, name, *args)
        need(status != 0, name, args, status, out)
    need(i.answers() and i.run("postconf", "-h", "myhostname")[1] != "evil\n", "it still runs")


def test_the_queue_is_closed():
    """Nothing of it opens, lists or can be written, but through postdrop."""
    i = shared()
    spool = os.path.join(i.dir, "spool")
    tries = ["ls %s/maildrop", "ls %s/active", "ls %s/public", "echo x >%s/maildrop/ABC", "ln -s /etc/shadow %s/maildrop/A",
             "ln %s/../etc/main.cf %s/maildrop/A", "mkfifo %s/maildrop/A", "mkdir %s/maildrop/A", "cat %s/pid/master.pid >%s/pid/x",
             "rm -rf %s/public", "mv %s/maildrop %s/m", "cat %s/private/*"]
    for t in tries:
        p = subprocess.run(["sh", "-c", t.replace("%s", spool)], user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        need(p.returncode != 0, t, p.stdout)


def test_a_taken_over_postdrop():
    """Whoever has its group may write to maildrop/: nothing of that is believed."""
    i = shared()
    import grp
    gid = grp.getgrnam(i.run("postconf", "-h", "setgid_group")[1].strip()).gr_gid
    drop = os.path.join(i.dir, "spool", "maildrop")
    secret = os.path.join(i.dir, "secret")
    with open(secret, "w") as f:
        f.write("PSTRNMD1 the secret\n")
    os.chmod(secret, 0o600)
    mine = os.path.join(i.dir, "mine")
    os.makedirs(mine, exist_ok=True)
    os.chown(mine, NOBODY.pw_uid, NOBODY.pw_gid)
    script = """cd %s; umask 0
        ln -s %s AAAAAA1; ln -s /dev/zero AAAAAA2; mkfifo -m 777 AAAAAA3; mkdir -m 777 AAAAAA4
        : >AAAAAA5; chmod 777 AAAAAA5; echo garbage >AAAAAA6; chmod 777 AAAAAA6
        head -c 300000 /dev/zero >AAAAAA7; chmod 777 AAAAAA7
        echo x >%s/file; ln %s/file AAAAAA8; chmod 777 AAAAAA8
        printf 'PSTRNQ01' >AAAAAA9; chmod 777 AAAAAA9
        printf 'PSTRNMD1' >AAAAAAA; chmod 777 AAAAAAA; echo y >-; echo y >'a b'; echo y >..x""" % (drop, secret, mine, mine)
    subprocess.run(["sh", "-c", script], user=NOBODY.pw_uid, group=gid, extra_groups=[], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=20)
    i.run("postkick", "public", "pickup", "W")
    for _ in range(3):
        settle(i)
    need(not any(b"the secret" in m for m in i.mails("ann")) and "the secret" not in i.log(), "a link was followed")
    need(open(secret).read() == "PSTRNMD1 the secret\n", "the link's end is as it was")
    need(len(i.pids("pickup")) == 1, "pickup lives")
    for name in os.listdir(drop):
        p = os.path.join(drop, name)
        with contextlib.suppress(OSError):
            os.rmdir(p) if os.path.isdir(p) and not os.path.islink(p) else os.unlink(p)


def test_what_a_killed_postdrop_left():
    """Not complete: it stays a day for its writer, then pickup removes it."""
    i = shared()
    drop = os.path.join(i.dir, "spool", "maildrop")
    fresh, old, whole = (os.path.join(drop, n) for n in ("ABCDE01", "ABCDE02", "ABCDE03"))
    for path, mode, age in ((fresh, 0o600, 80000), (old, 0o600, 90000), (whole, 0o744, 90000)):
        with open(path, "w") as f:
            f.write("PSTRNMD1")
        os.chmod(path, mode)
        os.chown(path, NOBODY.pw_uid, -1)
        os.utime(path, (time.time() - age,) * 2)
    i.run("postkick", "public", "pickup", "W")
    need(i.wait_log("removed maildrop/ABCDE02: its writer died"), i.log()[-1000:])
    settle(i)
    need(os.path.exists(fresh) and not os.path.exists(old), os.listdir(drop))
    need(not os.path.exists(whole) and os.path.exists(os.path.join(i.dir, "spool", "corrupt", "ABCDE03")),
         "a complete one that makes no sense is kept", os.listdir(drop))
    os.unlink(fresh)


def limited(**limits):
    def before():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
    return before


def test_limits():
    """As a caller may set them: accepted and delivered whole, or refused."""
    i = shared()
    refused = accepted = 0
    cases = [dict(FSIZE=n) for n in (0, 1, 100, 2000, 20000, 10 ** 6)] + [dict(NOFILE=n) for n in (0, 3, 4, 5, 6, 8, 12, 64)] + \
            [dict(AS=n << 20) for n in (1, 8, 16, 24, 32, 64, 256)] + [dict(CPU=n) for n in (0, 1)] + [dict(NPROC=n) for n in (0, 1)] + \
            [dict(STACK=n << 10) for n in (16, 64, 256)] + [dict(CORE=0, DATA=4 << 20), dict(DATA=1 << 16), dict(MEMLOCK=0),
                                                            dict(FSIZE=100, NOFILE=8), dict(SIGPENDING=0), dict(NICE=0)]
    sent = []
    for c in cases:
        for size in (0, 50000):
            s = subject()
            status, out = None, ""
            try:
                status, out = as_nobody(i, "sendmail", ANN, stdin=text(s, size), before=limited(**c))
            except (subprocess.SubprocessError, OSError):
                status = -1                     # not even the program could start
            sent.append((c, size, s, status, out))
    settle(i)
    for c, size, s, status, out in sent:
        if status == 0:
            accepted += 1
            arrives(i, s, c, size)
            got = [m for m in i.mails("ann") if s.encode() in m][0]
            need(len(got) >= size * 9 // 10, "cut short", c, size, len(got))
            need(times(i, s) == 1, "twice", c)
        else:
            refused += 1
            need(times(i, s) == 0, "refused, and delivered", c, size, status, out)
    need(refused > 5 and accepted > 10, refused, accepted)
    for c in cases:
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            as_nobody(i, "postqueue", "-p", before=limited(**c))
    need(i.answers() and as_nobody(i, "postqueue", "-p")[0] == 0)


def test_what_is_inherited():
    """umask, signals that are ignored or blocked, timers, a stop of the group: as the caller left them."""
    i = shared()
    everything = set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}

    def ignore(*which):
        return lambda: [signal.signal(s, signal.SIG_IGN) for s in which]

    def full(size, *which):
        return lambda: (ignore(*which)(), resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    cases = [(lambda m=m: os.umask(m)) for m in (0, 0o777, 0o700, 0o077)] + [
        ignore(signal.SIGCHLD), ignore(signal.SIGPIPE), ignore(*everything), full(2000, signal.SIGXFSZ), full(20000, *everything),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, everything), lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 60),
        lambda: (signal.signal(signal.SIGCHLD, signal.SIG_IGN), os.umask(0o777), os.nice(19))]
    sent = []
    for n, c in enumerate(cases):
        for size in (0, 50000):
            s = subject()
            sent.append((n, size, s, *as_nobody(i, "sendmail", ANN, stdin=text(s, size), before=c)))
    settle(i)
    for n, size, s, status, out in sent:
        if status == 0:
            arrives(i, s, n, size)
            got = [m for m in i.mails("ann") if s.encode() in m][0]
            need(len(got) >= size * 9 // 10 and times(i, s) == 1, "cut, or twice", n, size, len(got))
        else:
            need(n in (7, 8) and 64 <= status <= 78 and times(i, s) == 0, "case", n, size, status, out)
    need(not [f for d, f in i.queue() if d == "maildrop"], "left behind", i.queue())


def test_closed_descriptors():
    i = shared()
    for closed in ((1,), (2,), (1, 2), (0,), (0, 1), (0, 1, 2)):
        s = subject()

        def close():
            for fd in closed:
                os.close(fd)
        status, out = as_nobody(i, "sendmail", ANN, stdin=text(s), before=close)
        settle(i)
        if 0 in closed:
            need(times(i, s) == 0, closed)      # there was nothing to read
        else:
            need(status == 0 and times(i, s) == 1, closed, status, out)
        as_nobody(i, "postqueue", "-p", before=close)
    log = open(i.log_file, "rb").read()
    need(b"test." not in log.replace(b"postern-test", b""), "a message in the log", log[-500:])


def test_signals():
    """Killed at any moment: what it called accepted arrives, nothing twice."""
    i = shared()
    rnd = random.Random(5)
    sent = []
    for n in range(60):
        s = subject()
        p = subprocess.Popen([os.path.join(i.bin, "sendmail"), ANN], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[],
                             start_new_session=True)
        with contextlib.suppress(BrokenPipeError):
            p.stdin.write(text(s, 20000))
            p.stdin.close()
        time.sleep(rnd.random() * 0.03)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, rnd.choice([signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP]))
            time.sleep(0.005)
            os.killpg(p.pid, signal.SIGCONT)
        sent.append((s, p.wait(30)))
    settle(i)
    for s, status in sent:
        if status == 0:
            arrives(i, s)
        need(times(i, s) <= 1, "twice", s)


def test_users_lists():
    i = shared()
    i.set("authorized_submit_users = !nobody, static:anyone")
    i.set("authorized_mailq_users = root")
    i.set("authorized_flush_users = root")
    try:
        s = subject()
        for name, args in (("sendmail", (ANN,)), ("postdrop", ()), ("postqueue", ("-p",)), ("postqueue", ("-f",)),
                           ("postqueue", ("-s", "example.test")), ("mailq", ()), ("sendmail", ("-bs",)), ("sendmail", ("-q",))):
            status, out = as_nobody(i, name, *args, stdin=text(s))
            need(status not in (0,) and "not allowed to" in out, name, args, status, out)
        need(i.run("mailq")[0] == 0 and i.run("sendmail", ANN, stdin=text(s))[0] == 0, "root may")
    finally:
        for name in ("submit", "mailq", "flush"):
            i.set("authorized_%s_users = static:anyone" % name)


def test_login_senders():
    """local_login_sender_maps: who may send as whom."""
    i = shared()
    i.set("local_login_sender_maps = inline:{{root = *}, {nobody = nobody nobody@example.test @lists.test}}")
    i.set("recipient_delimiter = +")
    try:
        for sender, may in (("nobody", True), ("nobody+x@example.test", True), ("any@lists.test", True),
                            ("", False), (ANN, False), ("any@x.lists.test", False)):
            s = subject()
            status, out = as_nobody(i, "sendmail", "-f", sender, ANN, stdin=text(s))
            need((status == 0) == may and ("not authorized to use sender='%s'" % sender in out) != may,
                 sender, status, out)
        need(as_nobody(i, "sendmail", ANN, stdin=text(subject()))[0] == 0, "as himself")
        need(i.run("sendmail", "-f", "", ANN, stdin=text(subject()))[0] == 0, "root may send as anybody")
        # Whom no table names may not send; a table that fails puts it off.
        i.set("local_login_sender_maps = inline:{{root = *}}")
        status, out = as_nobody(i, "sendmail", ANN, stdin=text(subject()))
        need(status != 0 and "not authorized" in out, status, out)
        i.set("local_login_sender_maps = hash:/nonexistent/senders")
        status, out = as_nobody(i, "sendmail", ANN, stdin=text(subject()))
        need(status == 75 and "local_login_sender_maps table lookup error" in out, status, out)
    finally:
        i.set("local_login_sender_maps = static:*")
        i.set("recipient_delimiter =")


def test_end():
    if _shared:
        subprocess.run(["umount", "/etc/postern"])
        _shared[0].close()


if __name__ == "__main__":
    if not is_root():
        print("ok test_local_users skipped: needs root, to become another user")
        sys.exit(0)
    own_namespace()
    sys.exit(main(globals()))
