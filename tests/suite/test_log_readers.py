#!/usr/bin/env python3
"""Programs that read a Postfix's log and queue read ours: logwatch, fail2ban, check_mailq.

A test whose program is not installed says so. (pflogsumm: test_logs.py.)
"""
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

from harness import Instance, Wire, main, need, tool, wait_for

ANN, BOB, GONE, LATER = ("%s@example.test" % u for u in ("ann", "bob", "gone", "later"))
LOGWATCH = "/usr/share/logwatch/scripts/services/postfix"
PLUGINS = "/usr/lib/nagios/plugins"
F2B = "/etc/fail2ban/filter.d/postfix.conf"
_shared = []


def say(port, *commands):
    w = Wire(port)
    replies = [w.reply()] + [w.say(c) for c in commands]
    w.close()
    return replies


def shared():
    """A day's work: sent, deferred, bounced, rejected for several reasons, misbehaviour."""
    if _shared:
        return _shared[0]
    i = Instance(users=("ann", "bob", "gone", "later"), settings=[
        "transport_maps = inline:{{%s=error:5.1.6 moved}, {%s=retry:4.2.0 not now}}" % (GONE, LATER),
        "mynetworks = 10.1.1.1", "smtpd_error_sleep_time = 0", "smtpd_hard_error_limit = 3",
        "smtpd_client_restrictions = check_client_access inline:{10.9.8.7=REJECT}",
        "smtpd_sender_restrictions = check_sender_access inline:{bad@elsewhere.test=REJECT}"])
    with open(os.path.join(i.etc, "virtual"), "a") as f:
        f.write("a.gone@example.test %s\na.later@example.test %s\n" % (GONE, LATER))
    i.start()
    for _ in range(4):
        i.send("Subject: s\n\nx\n", [ANN, BOB])
    i.send("Subject: s\n\nx\n", ["a.later@example.test"])
    i.send("Subject: s\n\nx\n", ["a.gone@example.test"], sender=BOB)
    i.run("sendmail", "-f", ANN, BOB, stdin=b"Subject: local\n\nx\n")
    hello = ("EHLO h.test", "MAIL FROM:<s@elsewhere.test>")
    for _ in range(3):
        say(i.port, *hello, "RCPT TO:<nobody.here@example.test>", "QUIT")
    say(i.port, *hello, "RCPT TO:<relay@other.test>", "QUIT")
    say(i.port, "EHLO h.test", "MAIL FROM:<bad@elsewhere.test>", "RCPT TO:<%s>" % ANN, "QUIT")
    say(i.port, "EHLO h.test", "FOO", "BAR", "BAZ", "QUX")      # too many errors
    w = Wire(i.port)
    w.reply()
    w.say("EHLO h.test")
    w.close()                                                   # lost connection
    need(wait_for(lambda: [d for d, _ in i.queue()] == ["deferred"]), i.queue())
    need(i.wait_log("too many errors after") and i.wait_log("lost connection after EHLO") and
         i.wait_log("non-delivery"), i.log()[-3000:])
    _shared.append(i)
    return i


def test_logwatch():
    """Its script for Postfix, which logwatch runs over the lines of a day."""
    if not os.path.exists(LOGWATCH):
        return "no logwatch"
    i = shared()
    with open(i.log_file, "rb") as f:
        p = subprocess.run(["perl", LOGWATCH], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                           env=dict(os.environ, LOGWATCH_DETAIL_LEVEL="10"))
    out = p.stdout.decode("utf-8", "replace")
    got = {name: int(n) for n, name in re.findall(r"^ +(\d+)   (\S.*?)  ", out.split("Detail (10)")[0], re.M)}
    want = {"Accepted": 7, "Rejected": 4, "5xx Reject unknown user": 3, "5xx Reject sender address": 1,
            "4xx Reject relay denied": 1, "Removed from queue": 7, "Delivered": 10, "Deferred": 1, "Bounced (local)": 1,
            "Notifications sent": 1, "SMTP protocol violations": 1}
    need({k: got.get(k) for k in want} == want, got, out[:3000])
    need(got["Connections"] == got["Disconnections"] and got["Connections lost (inbound)"] >= 1, got)
    unmatched = re.search(r"\*\*Unmatched Entries\*\*(.*)", out, re.S)
    need(not unmatched, "lines that it does not know:", unmatched and unmatched.group(1)[:1500])


def fail2ban(i, mode):
    """Lines that the shipped filter matches in that mode."""
    p = subprocess.run(["fail2ban-regex", "--print-all-matched", i.log_file, "%s[mode=%s]" % (F2B[:-5].rsplit("/", 1)[1], mode)],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    out = p.stdout.decode("utf-8", "replace")
    m = re.search(r"Lines: (\d+) lines, (\d+) ignored, (\d+) matched, (\d+) missed", out)
    need(m, "no result", out[-2000:])
    matched = out.split("Matched line(s):", 1)
    return int(m.group(3)), matched[1] if len(matched) > 1 else ""


def test_fail2ban():
    if not shutil.which("fail2ban-regex") or not os.path.exists(F2B):
        return "no fail2ban"
    i = shared()
    n, lines = fail2ban(i, "normal")
    for text in ("User unknown", "Relay access denied"):
        need(text in lines, "normal", text, lines)
    need(n >= 4 and "Accepted" not in lines and "status=sent" not in lines, n, lines)
    n, lines = fail2ban(i, "ddos")
    need("lost connection after EHLO from localhost[127.0.0.1]" in lines, "ddos", n, lines)
    n, lines = fail2ban(i, "errors")
    need("too many errors after" in lines, "errors", n, lines)
    n, lines = fail2ban(i, "aggressive")
    need(n >= 6, "aggressive", n, lines)


def check_mailq(i, *args):
    """The plugin as it is shipped, with our mailq."""
    with tempfile.TemporaryDirectory() as d:
        mailq = os.path.join(d, "mailq")
        with open(mailq, "w") as f:
            f.write("#!/bin/sh\nMAIL_CONFIG=%s exec %s \"$@\"\n" % (i.etc, tool("mailq")))
        os.chmod(mailq, os.stat(mailq).st_mode | stat.S_IXUSR)
        for name in ("check_mailq", "utils.pm"):
            with open(os.path.join(PLUGINS, name)) as f:
                text = f.read()
            with open(os.path.join(d, name), "w") as f:
                f.write(text.replace("/usr/bin/mailq", mailq).replace(PLUGINS, d))
        p = subprocess.run(["perl", "-I", d, os.path.join(d, "check_mailq"), "-M", "postfix", *args], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=60)
    return p.returncode, p.stdout.decode()


def test_check_mailq():
    if not os.path.exists(PLUGINS + "/check_mailq") or not shutil.which("perl"):
        return "no check_mailq (monitoring-plugins-standard)"
    i = shared()
    status, out = check_mailq(i, "-w", "5", "-c", "10")
    need(status == 0 and re.search(r"OK: .*\(1\)|unsent=1", out), status, out)
    need(check_mailq(i, "-w", "1", "-c", "10")[0] == 1, "warning", check_mailq(i, "-w", "1", "-c", "10"))
    e = Instance()
    e.start()
    try:
        status, out = check_mailq(e, "-w", "1", "-c", "2")
        need(status == 0 and "unsent=0" in out, "an empty queue", status, out)
    finally:
        e.close()


def test_counters_of_files():
    """munin, collectd and telegraf count files below queue_directory."""
    i = shared()
    top = i.run("postconf", "-h", "queue_directory")[1].strip()
    counts = {d: sum(len(f) for _, _, f in os.walk(os.path.join(top, d)))
              for d in ("deferred", "active", "maildrop", "incoming", "corrupt", "hold")}
    need(counts["deferred"] == 1 and counts["active"] == counts["hold"] == counts["corrupt"] == 0, counts)


def test_end():
    if _shared:
        _shared[0].close()


if __name__ == "__main__":
    sys.exit(main(globals()))
