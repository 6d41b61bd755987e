#!/usr/bin/env python3
"""postern: setup, check, start, stop, and what they say when something is wrong."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness import Instance, free_base, is_root, main, need, tool, wait_for


def tree(top):
    """What setup made: path -> (mode, content)."""
    found = {}
    for d, _, files in os.walk(top):
        found[d] = os.stat(d).st_mode
        for f in files:
            p = os.path.join(d, f)
            with open(p, "rb") as x:
                found[p] = (os.stat(p).st_mode, x.read())
    return found


def postern(*args, **kw):
    p = subprocess.run([tool("postern"), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **kw)
    return p.returncode, p.stdout.decode()


# --- setup ---

def test_setup_twice_changes_nothing():
    i = Instance()
    try:
        before = tree(i.dir)
        status, out = postern("setup", i.dir)
        need(status == 0 and tree(i.dir) == before, out)
        status, out = postern("setup", i.dir, "--user", "ann", "--domain", i.domain)
        need(status == 0 and tree(i.dir) == before, out)
    finally:
        i.close()


def test_setup_adds_users_and_domains():
    i = Instance()
    try:
        i.start()
        with open(os.path.join(i.etc, "main.cf"), "a") as f:
            f.write("# mine\n")
        cf = open(os.path.join(i.etc, "main.cf")).read()
        status, out = postern("setup", i.dir, "--domain", "second.test", "--user", "carol")
        need(status == 0 and "added to" in out, out)
        need(open(os.path.join(i.etc, "main.cf")).read() == cf, "main.cf is the administrator's")
        status, out = postern("setup", i.dir, "--user", "dave@example.test")
        need(status == 0, out)
        i.run("postern", "reload")
        time.sleep(1.1)         # a table is looked at once a second
        for rcpt in ("carol@second.test", "dave@example.test"):
            need(wait_for(lambda: accepts(i, rcpt)), "after reload", rcpt)
        i.send(to=["carol@second.test", "dave@example.test"])
        for user, domain in (("carol", "second.test"), ("dave", "example.test")):
            new = os.path.join(i.dir, "mail", domain, user, "new")
            need(wait_for(lambda: os.listdir(new)), user, i.log()[-3000:])
    finally:
        i.close()


def accepts(i, rcpt):
    with i.smtp() as s:
        s.ehlo()
        s.mail("")
        return s.rcpt(rcpt)[0] == 250


def test_setup_says_what_it_made_and_what_is_next():
    i = Instance()
    try:
        for text in ("made %s/main.cf" % i.etc, "made %s/master.cf" % i.etc, "next:",
                     "postern -c %s start" % i.etc, "mail.log"):
            need(text in i.setup_output, text, i.setup_output)
        command = re.search(r"echo hello \| (.*)", i.setup_output).group(1)
        i.start()
        subprocess.run("echo hello | " + command, shell=True, check=True)
        need(i.wait_mails("ann", 1), "the command that it prints works")
    finally:
        i.close()


def test_failing_setup_leaves_no_half_state():
    top = tempfile.mkdtemp(prefix="postern-test-")
    try:
        for args in (["--user", "a b"], ["--user", "x@other.test"], ["--domain", "a/b"], ["--hostname", "x;y"],
                     ["--port-base", "70000"], ["--port-base", "x"], ["--bogus"], ["extra"]):
            where = os.path.join(top, "i")
            status, out = postern("setup", where, "--domain", "d.test", *args)
            need(status == 64 and out, args, status, out)
            need(not os.path.exists(os.path.join(where, "etc", "main.cf")), args, "left a main.cf")
            status, out = postern("-c", os.path.join(where, "etc"), "start")
            need(status != 0, "what failed is no instance", out)
        # The same directory, right this time.
        status, out = postern("setup", where, "--domain", "d.test", "--user", "ann")
        need(status == 0 and postern("-c", where + "/etc", "check") == (0, ""), out)
        # A file where a directory must be.
        other = os.path.join(top, "j")
        os.mkdir(other)
        open(os.path.join(other, "mail"), "w").close()
        status, out = postern("setup", other, "--domain", "d.test")
        need(status != 0 and "mail" in out and not os.path.exists(os.path.join(other, "etc", "main.cf")), status, out)
        os.remove(os.path.join(other, "mail"))
        need(postern("setup", other, "--domain", "d.test")[0] == 0, "a second run completes it")
    finally:
        shutil.rmtree(top)


# --- check ---

PROBLEMS = [
    # what is added to main.cf, what check says with its line, does it stop the start
    ("myhostnme = x.test", r"error: MAIN, line N: .*myhostnme.*did you mean .myhostname", True),
    ("smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destinaton",
     r"error: MAIN, line N: smtpd_recipient_restrictions: unknown restriction: reject_unauth_destinaton: "
     r"did you mean .reject_unauth_destination", True),
    ("smtpd_client_restrictions = check_client_access hash:/nonexistent/access",
     r"error: MAIN, line N: smtpd_client_restrictions: open database /nonexistent/access\.lmdb: No such file", True),
    ("virtual_alias_maps = texthash:/nonexistent/virtual", r"error: MAIN, line N: virtual_alias_maps: .*No such file", True),
    ("virtual_alias_maps = nosuchtype:/x", r"error: MAIN, line N: virtual_alias_maps: .*nosuchtype", True),
    ("smtpd_timeout = 5 minutes", r"error: MAIN, line N: bad time configuration: smtpd_timeout = 5 minutes", True),
    ("message_size_limit = big", r"error: MAIN, line N: .*message_size_limit", True),
    ("smtpd_helo_required = maybe", r"error: MAIN, line N: bad boolean configuration: smtpd_helo_required = maybe", True),
    ("smtpd_data_restrictions = check_policy_service inet:127.0.0.1:1",
     r"error: MAIN, line N: .*check_policy_service is not supported yet", True),
    ("smtpd_data_restrictions = inline:{a=b}", r"error: MAIN, line N: smtpd_data_restrictions: say check_client_access", True),
    ("smtpd_relay_restrictions =\nsmtpd_recipient_restrictions =", r"error: .*at least one working instance of", True),
    ("mynetworks = 127.0.0.0/8 10.0.0.0/99", r"error: MAIN, line N: mynetworks: .*10\.0\.0\.0/99", True),
    ("smtpd_tls_security_level = perhaps", r"error: .*smtpd_tls_security_level", True),
    ("smtpd_milters = inet:127.0.0.1:1", r"error: MAIN, line N: .*smtpd_milters", True),
    ("postscreen_dnsbl_threshold = 2", r"warning: MAIN, line N: .*postscreen_dnsbl_threshold", False),
    ("default_verp_delimiters = -x", r"error: MAIN, line N: default_verp_delimiters", True),
    ("readme_directory = no", None, False),
    ("this is no setting", r"error: MAIN, line N: missing '=' after attribute name", True),
    ("maillog_file = /tmp/x", r"error: MAIN, line N: maillog_file /tmp/x is outside maillog_file_prefixes", True),
]
MASTER_PROBLEMS = [
    ("bogus", r"error: MASTER, line N: ", True),
    ("foo unix - - n - - nosuchd", r"error: MASTER, line N: service foo: no such command: nosuchd", True),
    ("127.0.0.1:PORT inet n - n - - smtpd\n  -o smtpd_sender_restrictions=reject_nonsense",
     r"error: MASTER, service 127\.0\.0\.1:PORT: smtpd_sender_restrictions: unknown restriction: reject_nonsense", True),
    ("screen unix - - n - - postscreen", r"warning: MASTER, line N: service screen: command postscreen is not supported yet", False),
    ("rewrite unix - - n - - trivial-rewrite", None, False),
]


def test_check_names_each_problem_with_its_line():
    i = Instance()
    main_cf, master_cf = os.path.join(i.etc, "main.cf"), os.path.join(i.etc, "master.cf")
    try:
        need(postern("-c", i.etc, "check") == (0, ""), "a new instance has none")
        for path, rows in ((main_cf, PROBLEMS), (master_cf, MASTER_PROBLEMS)):
            good = open(path).read()
            for text, said, fatal in rows:
                text = text.replace("PORT", str(i.base + 26))
                n = good.count("\n") + 1
                with open(path, "w") as f:
                    f.write(good + text + "\n")
                status, out = postern("-c", i.etc, "check")
                if said is None:
                    need((status, out) == (0, ""), text, status, out)
                else:
                    want = said.replace("MAIN", re.escape(main_cf)).replace("MASTER", re.escape(master_cf))
                    want = want.replace("PORT", str(i.base + 26)).replace("line N", "line %d" % n)
                    need(re.search("^" + want, out, re.M), text, "not said:", want, out)
                    need(len(set(out.splitlines())) == len(out.splitlines()), "said twice", out)
                if fatal is not None:
                    need(status == (1 if fatal else 0), text, "exit", status, out)
                if fatal:
                    status, out = postern("-c", i.etc, "start")
                    need(status == 1 and "not started" in out and i.master_pid() is None, text, status, out)
            with open(path, "w") as f:
                f.write(good)
        need(postern("-c", i.etc, "check") == (0, ""), "good again")
    finally:
        i.close()


def test_all_problems_at_once():
    i = Instance(settings=[])
    try:
        with open(os.path.join(i.etc, "main.cf"), "a") as f:
            f.write("smtpd_timeout = x\nsmtpd_helo_restrictions = foo, bar\nqueue_run_delay = y\nmisspelt_name = 1\n")
        status, out = postern("-c", i.etc, "check")
        for text in ("smtpd_timeout", "unknown restriction: foo", "unknown restriction: bar", "queue_run_delay",
                     "misspelt_name"):
            need(text in out, text, out)
        need(status == 1, status)
    finally:
        i.close()


# --- start and stop ---

def runs(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_life():
    i = Instance()
    try:
        status, out = postern("-c", i.etc, "status")
        need(status == 1 and "not running" in out, status, out)
        for command in ("stop", "reload", "abort"):
            status, out = postern("-c", i.etc, command)
            need(status == 69 and "it is not running" in out, command, status, out)
        i.start()
        pid = i.master_pid()
        status, out = postern("-c", i.etc, "status")
        need(status == 0 and "master has pid %d" % pid in out and re.search(r"^smtpd .* running$", out, re.M), out)
        status, out = postern("-c", i.etc, "start")
        need(status == 69 and "it runs already: master has pid %d" % pid in out, status, out)
        need(i.answers() and i.master_pid() == pid, "the first one runs on")
        status, out = postern("-c", i.etc, "check")
        need((status, out) == (0, ""), "check of a running system", out)
        need(postern("-c", i.etc, "flush")[0] == 0)
        need(postern("-c", i.etc, "reload")[0] == 0 and wait_for(i.answers) and i.master_pid() == pid, "reload")
        need(postern("-c", i.etc, "stop")[0] == 0 and not runs(pid), "stop waits")
        i.start()
        pid = i.master_pid()
        need(postern("-c", i.etc, "abort")[0] == 0 and not runs(pid), "abort")
    finally:
        i.close()


def test_start_fg():
    i = Instance()
    try:
        p = subprocess.Popen([tool("postern"), "-c", i.etc, "start-fg"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        need(wait_for(i.answers) and i.master_pid() == p.pid, "master is that process")
        i.send()
        need(i.wait_mails("ann", 1))
        p.send_signal(signal.SIGTERM)
        need(p.wait(20) == 0 and not i.answers(), "SIGTERM", p.returncode)
    finally:
        i.close()


def test_port_in_use_is_named():
    i = Instance()
    try:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", i.port))
            s.listen()
            for command in ("check", "start"):
                status, out = postern("-c", i.etc, command)
                need(status == 1 and "127.0.0.1" in out and str(i.port) in out and "in use" in out, command, status, out)
        i.start()
    finally:
        i.close()


def test_mail_config_on_every_command():
    i = Instance()
    try:
        i.start()
        aliases = "lmdb:" + os.path.join(i.etc, "aliases")
        commands = [("postern", ["status"]), ("postconf", ["-h", "myhostname"]), ("postqueue", ["-p"]),
                    ("postsuper", ["-p"]), ("mailq", []), ("newaliases", []), ("postmap", ["-s", aliases]),
                    ("postalias", ["-s", aliases]), ("postlog", ["-t", "test", "hello"]), ("sendmail", ["-bp"])]
        for name, args in commands:
            need(i.run(name, *args)[0] == 0, name)
            with_c = ["-C" if name in ("sendmail",) else "-c", i.etc] + args
            if name not in ("mailq", "newaliases"):
                p = subprocess.run([tool(name), *with_c], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={"PATH": os.environ["PATH"]})
                need(p.returncode == 0, name, with_c, p.stderr)
        need(i.run("postconf", "-h", "myhostname")[1] == "mx.example.test\n")
        status, out = postern("-c", "/nonexistent", "check")
        need(status == 78 and "/nonexistent" in out and "postern setup" in out, status, out)
    finally:
        i.close()


def test_started_without_root_says_so():
    if is_root():
        return
    i = Instance()
    try:
        status, out = postern("-c", i.etc, "start")
        need(status == 0 and "started without root" in out, status, out)
    finally:
        i.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
