"""auth_stores = pam: system users, by a process that may wait for its modules.

The service's file is in the instance's own directory. pam_exec runs a script
that decides by name and password, and keeps what it was told; pam_unix is
asked about a user that the test makes (root).
"""
import contextlib
import os
import subprocess
import sys
import time

from harness import Instance, is_root, main, need, wait_for
from test_auth import PASSWORD, SETTINGS, add_user, auth_words, hello, plain

SCRIPT = """#!/bin/sh
read -r password
echo "$PAM_USER/$password/$PAM_RHOST/$PAM_SERVICE/$PAM_TYPE" >>%(dir)s/asked
case $PAM_USER in
slow) echo $$ >>%(dir)s/slow; sleep 300; exit 0 ;;
crash) kill -9 $PPID ;;
esac
[ "$password" = "correct horse" ]
"""


def pam_instance(*more, stack="auth required pam_exec.so quiet expose_authtok %(dir)s/script\n"
                 "account required pam_permit.so\n", stores="pam", users=()):
    i = Instance(settings=SETTINGS + ("auth_stores = " + stores, "auth_pam_service = postern-test",
                                      "auth_pam_directory = $config_directory/pam.d", *more))
    where = {"dir": os.path.join(i.dir, "pam")}
    os.mkdir(where["dir"])
    os.chmod(where["dir"], 0o777)
    with open(os.path.join(where["dir"], "script"), "w") as f:
        f.write(SCRIPT % where)
    os.chmod(os.path.join(where["dir"], "script"), 0o755)
    os.mkdir(os.path.join(i.etc, "pam.d"))
    with open(os.path.join(i.etc, "pam.d", "postern-test"), "w") as f:
        f.write(stack % where)
    for u in users:
        add_user(i, u)
    return i


def asked(i):
    try:
        with open(os.path.join(i.dir, "pam", "asked")) as f:
            return f.read().split()
    except OSError:
        return []


def say(i, name, password=PASSWORD):
    w = hello(i)
    got = w.say("AUTH PLAIN " + plain(name, password))
    w.close()
    return got


OK = "235 2.7.0 Authentication successful"
NO = "535 5.7.8 Error: authentication failed: authentication failure"


def test_modules_decide():
    with pam_instance() as i:
        w = hello(i)
        need(auth_words(w) == ["PLAIN", "LOGIN"], "no keys, no SCRAM", w.ehlo)
        need(w.say("AUTH SCRAM-SHA-256 " + plain("n,", "")).startswith("535"))
        w.close()
        need(say(i, "carl") == OK, i.log()[-1500:])
        need(asked(i) == ["carl/correct", "horse/127.0.0.1/postern-test/auth"], asked(i))
        # The domain of this machine is left out; another is part of the name.
        need(say(i, "carl@MX.example.test") == OK and asked(i)[-2] == "carl/correct", asked(i))
        need(say(i, "carl@far.test") == OK and asked(i)[-2] == "carl@far.test/correct", asked(i))
        n = len(asked(i))
        need(say(i, "carl", "wrong") == NO and len(asked(i)) == n + 1)
        # Root never, though its password was right; nor what is no name.
        need(say(i, "root") == NO and asked(i)[-2] == "root/correct", asked(i))
        n = len(asked(i))
        for name in "-f", "../carl", "a:b", ".x":
            need(say(i, name) == NO, name)
        need(len(asked(i)) == n, asked(i)[n:])
        need(i.wait_log(r"SASL PLAIN authentication failed.*sasl_username=carl"))


def test_accounts_and_names():
    """A right password of an account that may not log in; a changed name."""
    exec_line = "auth required pam_exec.so quiet expose_authtok %(dir)s/script\n"
    for stack, want in ((exec_line + "account required pam_deny.so\n", NO),
                        ("auth required pam_permit.so\naccount required pam_permit.so\n", OK),
                        ("auth required pam_deny.so\naccount required pam_permit.so\n", NO),
                        ("auth required pam_warn.so\nauth required pam_no_such.so\n", NO + "|454")):
        with pam_instance(stack=stack) as i:
            got = say(i, "carl")
            need(any(got.startswith(w) for w in want.split("|")), stack, got, i.log()[-800:])


def test_one_waits_and_others_do_not():
    with pam_instance("auth_pam_timeout = 4s", "auth_failure_delay = 0s", "auth_pam_process_limit = 3",
                      "auth_penalty_exceptions = 127.0.0.0/8") as i:
        slow = [hello(i) for _ in range(2)]
        for w in slow:
            w.send("AUTH PLAIN " + plain("slow", PASSWORD) + "\r\n")
        pids = os.path.join(i.dir, "pam", "slow")
        need(wait_for(lambda: os.path.exists(pids) and len(open(pids).read().split()) == 2), i.log()[-900:])
        start = time.monotonic()
        need(say(i, "carl") == OK and say(i, "carl", "no") == NO)
        need(time.monotonic() - start < 3, "they wait for each other")
        # One whose client leaves is ended; the other when its time is up.
        one, two = (int(p) for p in open(pids).read().split())
        slow[0].close()
        got = slow[1].reply()
        need(got.startswith("454 4.7.0"), got)
        need(wait_for(lambda: not os.path.exists("/proc/%d" % one) and not os.path.exists("/proc/%d" % two)),
             "what a module began is still there")
        slow[1].close()
        need("does not answer in time" in i.log(), i.log()[-900:])
        # More than may run wait for their turn.
        crowd = [hello(i) for _ in range(8)]
        for w in crowd:
            w.send("AUTH PLAIN " + plain("carl", PASSWORD) + "\r\n")
        need([w.reply() for w in crowd] == [OK] * 8)
        for w in crowd:
            w.close()


def test_a_crash_is_temporary():
    with pam_instance() as i:
        need(say(i, "crash").startswith("454 4.7.0"), i.log()[-900:])
        need(say(i, "carl") == OK)
        before = i.pids("pam")
        os.kill(before[0], 9)
        need(say(i, "carl") == OK, "pam is started anew", i.log()[-900:])
        need(wait_for(lambda: i.pids("pam") and i.pids("pam") != before))
        need(not [p for p in i.children() if p[1] == "pam"][1:], "one pam")


def test_order_of_stores():
    """Names that the database knows are its own; PAM is asked for others."""
    with pam_instance(stores="users, pam", users=["ann@example.test"]) as i:
        need(say(i, "ann@example.test") == OK and not asked(i), asked(i))
        need(say(i, "ann@example.test", "no") == NO and not asked(i), asked(i))
        need(say(i, "carl") == OK and say(i, "carl", "no") == NO)
    with Instance(settings=SETTINGS) as i:
        need(not i.pids("pam"), "runs though nobody asks it")
        i.set("auth_stores = users, pam")
        _, out, err = i.run("postern", "-c", i.etc, "check", check=False)
        need("auth_pam_service: there is no /etc/pam.d/smtp" in out + err or os.path.exists("/etc/pam.d/smtp"),
             out, err)
        i.run("postern", "-c", i.etc, "reload")
        need(wait_for(lambda: i.pids("pam")), "starts with a reload")
        i.set("auth_stores = users")
        i.run("postern", "-c", i.etc, "reload")
        need(wait_for(lambda: not i.pids("pam")), "ends with a reload")


def test_penalties_count():
    """Guesses at system users cost time, as all do."""
    with pam_instance("auth_failure_delay = 0s", "auth_penalty_free = 1", "auth_penalty_max = 2s",
                      "auth_penalty_exceptions =") as i:
        for k in range(5):
            need(say(i, "carl", "wrong%d" % k) == NO)
        start = time.monotonic()
        need(say(i, "carl") == OK and time.monotonic() - start > 1.5, time.monotonic() - start)


def test_system_user():
    """pam_unix, of a user that is in shadow(5)."""
    if not is_root():
        return "needs root, to make a user"
    name = "ptpam%d" % os.getpid()
    hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], stdout=subprocess.PIPE, check=True)
    subprocess.run(["useradd", "-M", "-d", "/nonexistent", "-s", "/usr/sbin/nologin", "-p",
                    hashed.stdout.decode().strip(), name], check=True)
    try:
        with pam_instance(stack="auth required pam_unix.so\naccount required pam_unix.so\n") as i:
            need(say(i, name) == OK, i.log()[-1500:])
            need(say(i, name, "wrong") == NO and say(i, "no" + name) == NO)
            subprocess.run(["usermod", "-e", "1", name], check=True)
            need(say(i, name) == NO, "an account that has expired")
            subprocess.run(["usermod", "-e", "", "-L", name], check=True)
            need(say(i, name) == NO, "a locked password")
    finally:
        with contextlib.suppress(Exception):
            subprocess.run(["userdel", name], check=True)


if __name__ == "__main__":
    sys.exit(main(globals()))
