#!/usr/bin/env python3
"""Log lines that programs read, word for word; JSON; escapes; where they go.

pflogsumm counts them; fail2ban's own tool too, where it is installed (it is
no package of ours to install: it starts a daemon).
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from harness import Instance, Wire, main, need, tool, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"
NOBODY = "nobody.here@example.test"
PREFIX = r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d mx postfix/%s\[\d+\]: "
HERE = r"localhost\[127\.0\.0\.1\]"
ID = "[0-9A-F]{6,20}"
_shared = []


def shared():
    if not _shared:
        i = Instance(settings=[
            "transport_maps = inline:{{gone@example.test=error:5.1.6 moved}, {bob+later@example.test=retry:4.2.0 wait}}",
            "smtpd_error_sleep_time = 0", "smtpd_hard_error_limit = 3",
            "smtpd_sender_restrictions = check_sender_access inline:{bad@elsewhere.test=REJECT}"])
        with open(os.path.join(i.etc, "virtual"), "a") as f:
            f.write("moved@example.test gone@example.test\nlater@example.test bob+later@example.test\n")
        i.start()
        _shared.append(i)
    return _shared[0]


def line(i, prog, pattern, seconds=15):
    """The first line of that program whose text is the pattern, whole."""
    found = i.wait_log(PREFIX % prog + pattern + "$", seconds)
    need(found, "no line:", prog, pattern, [l for l in i.log().splitlines() if "/%s[" % prog in l][-12:])
    return found


def queue_id(reply):
    return re.search("queued as (%s)$" % ID, reply).group(1)


def say(i, *commands, text=None, close=True):
    w = Wire(i.port)
    replies = [w.reply()] + [w.say(c) for c in commands]
    if text is not None:
        replies.append(w.say(text + "\r\n."))
    if close:
        w.close()
        return replies
    return w, replies


# --- the lines ---

def test_a_message_by_smtp():
    i = shared()
    mark = len(i.log())
    got = say(i, "EHLO h.test", "MAIL FROM:<s@elsewhere.test> SIZE=10", "RCPT TO:<%s>" % ANN, "RCPT TO:<%s>" % NOBODY,
              "DATA", close=False)
    w = got[0]
    w.send("Message-ID: <1@x>\r\n\r\nb\r\n.\r\nQUIT\r\n")
    qid = queue_id(w.reply())
    w.reply()
    line(i, "smtpd", "connect from " + HERE)
    line(i, "smtpd", "%s: client=%s" % (qid, HERE))
    line(i, "cleanup", "%s: message-id=<1@x>" % qid)
    line(i, "qmgr", r"%s: from=<s@elsewhere\.test>, size=\d+, nrcpt=1 \(queue active\)" % qid)
    line(i, "virtual", r"%s: to=<ann@example\.test>, relay=virtual, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, "
         r"dsn=2\.0\.0, status=sent \(delivered to maildir\)" % qid)
    line(i, "qmgr", qid + ": removed")
    line(i, "smtpd", r"disconnect from %s ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6" % HERE)
    order = [i.log().index(qid + t, mark) for t in (": from=", ": to=", ": removed")]
    need(order == sorted(order), "order", order)


def test_a_message_by_sendmail():
    i = shared()
    i.run("sendmail", "-f", "s@elsewhere.test", ANN, stdin=b"Message-ID: <2@x>\n\nb\n")
    m = line(i, "cleanup", "(%s): message-id=<2@x>" % ID)
    line(i, "pickup", r"%s: uid=%d from=<s@elsewhere\.test>" % (m.group(1), os.getuid()))


def test_rejections():
    i = shared()
    tail = r"; from=<s@elsewhere\.test> to=<%s> proto=ESMTP helo=<h\.test>"
    say(i, "EHLO h.test", "MAIL FROM:<s@elsewhere.test>", "RCPT TO:<%s>" % NOBODY, "QUIT")
    line(i, "smtpd", r"NOQUEUE: reject: RCPT from %s: 550 5\.1\.1 <nobody\.here@example\.test>: Recipient address rejected: "
         r"User unknown in virtual mailbox table" % HERE + tail % r"nobody\.here@example\.test")
    say(i, "HELO h.test", "MAIL FROM:<s@elsewhere.test>", "RCPT TO:<local.nobody@localhost>", "QUIT")
    line(i, "smtpd", r"NOQUEUE: reject: RCPT from %s: 550 5\.1\.1 <local\.nobody@localhost>: Recipient address rejected: "
         r"User unknown in local recipient table; from=<s@elsewhere\.test> to=<local\.nobody@localhost> proto=SMTP "
         r"helo=<h\.test>" % HERE)
    say(i, "EHLO h.test", "MAIL FROM:<bad@elsewhere.test>", "RCPT TO:<%s>" % ANN, "QUIT")
    line(i, "smtpd", r"NOQUEUE: reject: RCPT from %s: 554 5\.7\.1 <bad@elsewhere\.test>: Sender address rejected: "
         r"Access denied; from=<bad@elsewhere\.test> to=<ann@example\.test> proto=ESMTP helo=<h\.test>" % HERE)


def test_deferred_bounced_and_reports():
    i = shared()
    i.send("Subject: d\n\nx\n", ["later@example.test"], sender=BOB)
    i.send("Subject: b\n\nx\n", ["moved@example.test"], sender=BOB)
    # Parsers take error, qmgr and retry alike; the rest must stand.
    d = line(i, "(?:error|qmgr)", r"(%s): to=<bob\+later@example\.test>, orig_to=<later@example\.test>, relay=none, "
             r"delay=[\d.]+, delays=[\d./]+, dsn=4\.2\.0, status=deferred \(wait\)" % ID)
    b = line(i, "(?:error|qmgr)", r"(%s): to=<gone@example\.test>, orig_to=<moved@example\.test>, relay=none, "
             r"delay=[\d.]+, delays=[\d./]+, dsn=5\.1\.6, status=bounced \(moved\)" % ID)
    r = line(i, "bounce", r"%s: sender non-delivery notification: (%s)" % (b.group(1), ID))
    line(i, "qmgr", r"%s: from=<>, size=\d+, nrcpt=1 \(queue active\)" % r.group(1))
    i.run("postsuper", "-d", d.group(1))
    line(i, "postsuper", r"%s: removed" % d.group(1))
    line(i, "postsuper", r"Deleted: 1 message")


def test_sessions_that_end_badly():
    i = shared()
    w, _ = say(i, "EHLO h.test", close=False)
    w.close()
    line(i, "smtpd", "lost connection after EHLO from " + HERE)
    w, _ = say(i, "EHLO h.test", "MAIL FROM:<s@elsewhere.test>", "RCPT TO:<%s>" % ANN, "DATA", close=False)
    w.send("half a message\r\n")
    w.close()
    line(i, "smtpd", r"lost connection after DATA \(\d+ bytes\) from " + HERE)
    w, _ = say(i, close=False)
    w.close()
    line(i, "smtpd", "lost connection after CONNECT from " + HERE)
    line(i, "smtpd", "disconnect from %s commands=0" % HERE)
    say(i, "EHLO h.test", "BOGUS one", "BOGUS two", "BOGUS three", "BOGUS four")
    line(i, "smtpd", r"too many errors after \S+ from " + HERE)
    w = Wire(i.port)
    w.send("EHLO h.test\r\nMAIL FROM:<a@b.test>\r\n")
    w.closed()
    w.close()
    line(i, "smtpd", r"improper command pipelining after \S+ from %s: .*" % HERE)
    w, _ = say(i, close=False)
    w.say("GET / HTTP/1.0")
    w.close()
    line(i, "smtpd", r"warning: non-SMTP command from %s: GET / HTTP/1\.0" % HERE)


def test_queue_ids_are_short_upper_case_hex():
    i = shared()
    for found in re.findall(r": ([0-9A-Za-z]+): (?:client|uid|from|to|message-id)=", i.log()):
        need(re.match("^[0-9A-F]{6,16}$", found), found)


def test_long_queue_ids():
    i = Instance(settings=["enable_long_queue_ids = yes"])
    try:
        i.start()
        i.send()
        need(i.wait_mails("ann", 1), i.log())
        m = i.wait_log(r"smtpd\[\d+\]: (\S+): client=")
        need(m and re.match(r"^[0-9BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz]{10,}z[0-9B-Zb-y]+$", m.group(1)),
             m and m.group(1))
    finally:
        i.close()


# --- what is not printed as it came ---

EVIL = [
    ("EHLO a\x01\x1b[31mb\x7f", "escape sequences"),
    ("EHLO \u202eevil\u2066x", "bidi controls"),
    ("EHLO caf\udcc3(", "bad UTF-8"),
    ("EHLO a\x85b\u0085c\u2028d", "C1 and line separators"),
    ("EHLO x\rNov 22 00:00:00 mx postfix/smtpd[1]: forged", "a bare CR"),
]


def test_control_characters_are_escaped():
    i = shared()
    for text, what in EVIL:
        w = Wire(i.port)
        w.reply()
        w.send(text.encode("utf-8", "surrogateescape") + b"\r\n")
        w.reply()
        w.send(b"MAIL FROM:<s\x02\xe2\x80\xae@elsewhere.test>\r\n")
        w.reply()
        w.say("RCPT TO:<%s>" % NOBODY)
        w.close()
    say(i, "HELO h", "MAIL FROM:<s@elsewhere.test>", "RCPT TO:<%s>" % ANN, "DATA",
        text="Message-ID: <\x1b]0;x\x07\u202e@x>\r\n\r\nb")
    need(i.wait_log("message-id=<.*@x>$"), "message-id")
    time.sleep(0.3)
    with open(i.log_file, "rb") as f:
        raw = f.read()
    text = raw.decode("utf-8")               # must be good UTF-8 throughout
    for n, one in enumerate(text.split("\n")[:-1]):
        need(re.match(PREFIX % r"\w+", one), "not one event a line:", one)
        for c in one:
            o = ord(c)
            need(o >= 32 and not 0x7f <= o <= 0x9f and o not in (0x2028, 0x2029, 0xfeff) and
                 not 0x202a <= o <= 0x202e and not 0x2066 <= o <= 0x2069 and o not in (0x200e, 0x200f, 0x61c),
                 "U+%04X in" % o, one)
    need("forged" not in re.sub(r"(?m)^.*(helo=<|from |EHLO|ehlo).*$", "", text), "a forged line")


# --- forms and places ---

def test_json():
    i = Instance(settings=["maillog_format = json",
                           "transport_maps = inline:{{bob+later@example.test=retry:4.2.0 wait}}"])
    try:
        with open(os.path.join(i.etc, "virtual"), "a") as f:
            f.write("later@example.test bob+later@example.test\n")
        i.start()
        with i.smtp() as s:
            s.sendmail("s@elsewhere.test", [ANN, "later@example.test"], 'Message-ID: <"q\\"\u00fc"@x>\n\nx\n'.encode())
            s.mail("s@elsewhere.test")
            s.rcpt(NOBODY)
        need(i.wait_log("deferred") and i.wait_log('"sent"|status=sent'), i.log())
        lines = [json.loads(l) for l in i.log().splitlines()]
        need(all({"time", "host", "process", "pid", "level", "message"} <= set(l) for l in lines), lines)
        need(not [l for l in lines if re.match("[0-9A-F]{6,}: ", l["message"]) and "queue_id" not in l], lines)
        ids = {l["queue_id"] for l in lines if "queue_id" in l} - {"NOQUEUE"}
        need(len(ids) == 1, ids)
        events = [l for l in lines if l.get("queue_id")]
        need(len(events) >= 5, "client, message-id, from, to, to", events)
    finally:
        i.close()


def test_rotation():
    i = Instance()
    try:
        i.start()
        i.send("Subject: before\n\n")
        need(i.wait_mails("ann", 1) and i.wait_log(": removed"), i.log())
        os.rename(i.log_file, i.log_file + ".1")
        i.run("postern", "reload")
        need(wait_for(lambda: os.path.exists(i.log_file)), "made anew")
        i.send("Subject: after\n\n")
        need(i.wait_mails("ann", 2) and i.wait_log(": removed"), i.log())
        need("client=" in i.log(), i.log())
        need(wait_for(lambda: not held(i, ".1")), "somebody holds the old file", held(i, ".1"))
    finally:
        i.close()


def held(i, suffix):
    """Processes with the old log open; master's own children are looked at."""
    found = []
    for pid in [i.master_pid()] + [p for p, _ in i.children()]:
        for fd in glob.glob("/proc/%d/fd/*" % pid):
            try:
                if os.readlink(fd) == i.log_file + suffix:
                    found.append((pid, fd))
            except OSError:
                pass
    return found


def test_logrotate_command():
    """postern logrotate: the old file has its date and is compressed, nothing is lost, trace reads both."""
    with Instance(settings=["maillog_file_rotate_suffix = %Y%m%d"]) as i:
        i.send(to=[ANN])
        need(i.wait_log(r"to=<ann@example\.test>.*status=sent"), i.log())
        i.send(to=[BOB], sender="before@elsewhere.test")
        need(i.wait_log(r"to=<bob@example\.test>.*status=sent"), i.log())
        i.run("postern", "-c", i.etc, "logrotate")
        old = i.log_file + time.strftime(".%Y%m%d") + ".gz"
        p = subprocess.run(["gzip", "-dc", old], stdout=subprocess.PIPE, check=True)
        need(b"from=<before@elsewhere.test>" in p.stdout and not os.path.exists(old[:-3]), os.listdir(i.dir + "/log"))
        need("before@elsewhere.test" not in i.log())
        i.send(to=[ANN], sender="after@elsewhere.test")
        need(wait_for(lambda: "from=<after@elsewhere.test>" in i.log()), i.log())
        out = i.run("postern", "-c", i.etc, "trace", "before@elsewhere.test")[1]
        need("bob@example.test" in out, out)
        # A second on the same day would be the same name: the file stays.
        shutil.copy(old, old[:-3])
        status, out, err = i.run("postern", "-c", i.etc, "logrotate", check=False)
        need(status != 0 and "there is such a file" in err and "after@elsewhere.test" in i.log(), status, out, err)
        # What stops a reload stops this, before anything is moved; a compressor that fails, after.
        i.set("maillog_file_rotate_suffix = x%H")
        i.set("smtp_tls_loglevel = many")
        status, out, err = i.run("postern", "-c", i.etc, "logrotate", check=False)
        need(status != 0 and "not rotated" in err and "after@elsewhere.test" in i.log(), status, out, err)
        i.set("smtp_tls_loglevel = 0")
        i.set("maillog_file_compressor = /bin/false")
        status, out, err = i.run("postern", "-c", i.etc, "logrotate", check=False)
        need(status != 0 and "the file stays as it is" in err, status, out, err)
        need(len(glob.glob(i.log_file + ".x*")) == 1, os.listdir(i.dir + "/log"))
        i.set("maillog_file =")
        status, out, err = i.run("postern", "-c", i.etc, "logrotate", check=False)
        need(status != 0 and "maillog_file is empty" in err, status, out, err)


def test_dev_stdout():
    i = Instance(settings=["maillog_file = /dev/stdout"])
    try:
        out = os.path.join(i.dir, "stdout")
        with open(out, "wb") as f:
            p = subprocess.Popen([tool("postern"), "-c", i.etc, "start-fg"], stdout=f, stderr=subprocess.DEVNULL)
        need(wait_for(i.answers), "no greeting")
        i.send()
        need(i.wait_mails("ann", 1))
        need(wait_for(lambda: b"removed" in open(out, "rb").read()), open(out, "rb").read())
        i.stop()
        p.wait(20)
        need(re.search(PREFIX % "virtual" + ID + ": to=<ann", open(out).read(), re.M), "lines")
    finally:
        i.close()


def test_rfc3339_stamps():
    i = Instance(settings=["maillog_timestamp = rfc3339", "syslog_name = mta"])
    try:
        i.start()
        need(i.wait_log(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d mx mta/master\[\d+\]: daemon started"), i.log())
    finally:
        i.close()


def test_log_outside_its_prefixes_is_refused():
    i = Instance(settings=["maillog_file = /tmp/postern-elsewhere.log"])
    try:
        status, _, err = i.run("postern", "start", check=False)
        need(status == 1 and "maillog_file_prefixes" in err, status, err)
    finally:
        i.close()


# --- readers ---

def test_pflogsumm():
    need(shutil.which("pflogsumm"), "pflogsumm is not installed: conf/install-packages")
    i = Instance(settings=["transport_maps = inline:{{gone@example.test=error:5.1.6 moved}, "
                           "{bob+later@example.test=retry:4.2.0 wait}}"])
    try:
        with open(os.path.join(i.etc, "virtual"), "a") as f:
            f.write("moved@example.test gone@example.test\nlater@example.test bob+later@example.test\n")
        i.start()
        for _ in range(3):
            i.send("Subject: s\n\nx\n", [ANN, BOB])
        i.send("Subject: s\n\nx\n", ["later@example.test"])
        i.send("Subject: s\n\nx\n", ["moved@example.test"], sender=BOB)
        say(i, "EHLO h.test", "MAIL FROM:<s@elsewhere.test>", "RCPT TO:<%s>" % NOBODY, "QUIT")
        need(wait_for(lambda: [d for d, _ in i.queue()] == ["deferred"]), i.queue())
        need(i.wait_log("reject: RCPT") and i.wait_log("non-delivery"), i.log())
        out = subprocess.run(["pflogsumm", i.log_file], stdout=subprocess.PIPE, timeout=60).stdout.decode()
        totals = dict((b, int(a)) for a, b in re.findall(r"^\s+(\d+)k?\s+(\w[\w ]+?)(?:\s+\(.*)?$", out.split("Per-Hour")[0],
                                                         re.M))
        for name, want in (("received", 5), ("delivered", 7), ("deferred", 1), ("bounced", 1), ("rejected", 1)):
            need(totals.get(name) == want, name, totals.get(name), "not", want, out[:1500])
    finally:
        i.close()


# What fail2ban's filter asks of a reject line (notes of its postfix.conf).
F2B = re.compile(r"postfix(?:-\w+)?/\w+(?:/smtp[ds])?\[\d+\]: (?:NOQUEUE|\w+): (?:milter-)?reject: "
                 r"(?:RCPT|EHLO|VRFY|HELO|MAIL|CONNECT|DATA) from [^[]*\[\d+\.\d+\.\d+\.\d+\]: [45][50][04] [45]\.\d\.\d+ ")


def test_fail2ban():
    i = shared()
    rejects = [l for l in i.log().splitlines() if " reject: " in l]
    need(len(rejects) > 2, rejects)
    for l in rejects:
        need(F2B.search(l), l)
    regex, config = shutil.which("fail2ban-regex"), "/etc/fail2ban/filter.d/postfix.conf"
    if not regex or not os.path.exists(config):
        return
    with tempfile.NamedTemporaryFile("w", suffix=".log") as f:
        f.write("".join(l + "\n" for l in rejects if "local recipient table" in l or "Access denied" in l))
        f.flush()
        out = subprocess.run([regex, f.name, config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60).stdout
    need(re.search(rb"Failregex: [1-9]\d* total", out), out)


if __name__ == "__main__":
    bad = main(globals())
    for one in _shared:
        one.close()
    sys.exit(bad)
