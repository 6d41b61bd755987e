#!/usr/bin/env python3
"""test_delivery - qmgr and the delivery programs as one: what is delivered
once, put off, expired, reported, and what happens while something is slow
or out of order."""
import collections
import email
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Instance, is_root, main, need, wait_for  # noqa: E402


def ctl(i, line):
    """One line to qmgr's control socket, and its answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(os.path.join(i.dir, "spool", "public", "qmgr"))
        s.sendall(line.encode() + b"\n")
        got = b""
        while part := s.recv(65536):
            got += part
    return got.decode()


def status(i, name):
    return int(re.search(r"^%s (\d+)$" % name, ctl(i, "status"), re.M).group(1))


def is_spare(path):
    """A file that cleanup keeps for the next message: its head is blank."""
    try:
        with open(path, "rb") as f:
            return f.read(8) in (b"", b"\0" * 8)
    except FileNotFoundError:
        return True


def queue(i):
    """Messages of all directories: (directory, id). One that moves while we
    look may be missed: look for what it leads to first."""
    return [(d, f) for d, f in i.queue() if d != "incoming" or
            not is_spare(os.path.join(i.dir, "spool", d, f))]


def queue_id(i, pattern):
    m = i.wait_log(r"([0-9A-F]{6,}): " + pattern)
    need(m, "no log line", pattern)
    return m.group(1)


def many(i, n):
    return ["u%05d@%s" % (k, i.domain) for k in range(n)]


def everybody(user="ann"):
    """All addresses of the domain have the one mailbox."""
    return ["virtual_mailbox_maps = static:example.test/%s/" % user,
            "smtpd_recipient_limit = 20001"]


def reports(i, user, n=1, seconds=20):
    """The reports in a mailbox, parsed: (whole, notification, status)."""
    got = i.wait_mails(user, n, seconds)
    need(len(got) == n, "reports for", user, len(got), i.log()[-2000:])
    found = []
    for raw in got:
        m = email.message_from_bytes(raw)
        need(m.get_content_type() == "multipart/report", m.as_string())
        need(m.get_param("report-type") == "delivery-status")
        need(not m.defects, m.defects)
        note, state, original = m.get_payload()
        need(state.get_content_type() == "message/delivery-status")
        need(original.get_content_type() in ("message/rfc822", "text/rfc822-headers"))
        found.append((m, note.get_payload(), state.get_payload()))
    return found


def inject(i, *args, text="Subject: x\nMessage-Id: <orig@x.test>\n\nbody\n"):
    """A message by sendmail from bob."""
    i.run("sendmail", "-f", i.addr("bob"), *args, stdin=text.encode())


def lock_box(i, user, locked=True):
    """A mailbox that its owner cannot write, and back."""
    d = i.maildir(user)
    st = os.stat(os.path.dirname(d))
    os.makedirs(d, exist_ok=True)
    os.chown(d, *((0, 0) if locked else (st.st_uid, st.st_gid)))
    os.chmod(d, 0o700)


def delivered_to(mails):
    return collections.Counter(re.search(rb"^X-Original-To: (\S+)", m, re.M)
                               .group(1) for m in mails)


def test_results_outlive_the_process():
    """Delivery programs are replaced while qmgr does not read: what was
    delivered is not delivered again."""
    i = Instance(settings=everybody() + [
        "daemon_stopped_time = 60s",
        "virtual_initial_destination_concurrency = 20"])
    with i:
        virtual, qmgr = i.pids("virtual")[0], i.pids("qmgr")[0]
        os.kill(virtual, signal.SIGSTOP)
        rounds, n = 20, 100
        for k in range(rounds):
            i.send("Subject: round %d\n\nx\n" % k, to=many(i, n))
        need(wait_for(lambda: i.log().count("queue active") == rounds))
        os.kill(qmgr, signal.SIGSTOP)
        os.kill(virtual, signal.SIGCONT)
        try:
            i.run("postern", "-c", i.etc, "reload")
            time.sleep(2)
        finally:
            os.kill(qmgr, signal.SIGCONT)
        need(wait_for(lambda: not queue(i), 60), "queue", queue(i))
        twice = len(i.mails("ann")) - rounds * n
        need(twice == 0, "delivered more than once", twice)


def test_soft_bounce():
    """What would bounce waits; the log says so as Postfix does."""
    with Instance(settings=["soft_bounce = yes"]) as i:
        inject(i, i.addr("nosuch"))
        need(i.wait_log(r"virtual.*: to=<nosuch@example.test>, relay=virtual, .*"
                        r"dsn=4.1.1, status=SOFTBOUNCE \(unknown user: "), "log",
             i.log())
        need(wait_for(lambda: [d for d, _ in queue(i)] == ["deferred"]), queue(i))
        out = i.run("mailq")[1]
        need("unknown user" in out and i.addr("nosuch") in out, out)
        need(not i.mails("bob"), "a report all the same")


def test_defer_transports():
    """Mail of such a transport waits for a flush, and goes with it."""
    with Instance(settings=["defer_transports = virtual"]) as i:
        inject(i, i.addr("ann"))
        need(i.wait_log(r"status=deferred \(deferred transport\)"), i.log())
        need(wait_for(lambda: [d for d, _ in queue(i)] == ["deferred"]), queue(i))
        i.run("postqueue", "-f")
        need(len(i.wait_mails("ann", 1)) == 1, i.log()[-800:])
        inject(i, i.addr("ann"))
        need(wait_for(lambda: i.log().count("(deferred transport)") == 2))
        need(wait_for(lambda: [d for d, _ in queue(i)] == ["deferred"]), queue(i))
        i.run("postqueue", "-i", queue(i)[0][1])
        need(len(i.wait_mails("ann", 2)) == 2, i.log()[-800:])


def test_failure_report():
    """Undelivered mail returned to its sender, whole, or its headers."""
    with Instance(settings=["enable_threaded_bounces = yes"]) as i:
        inject(i, "-V", "env+1", i.addr("nosuch"))
        inject(i, "-R", "hdrs", i.addr("nosuch"))
        inject(i, "-N", "never", i.addr("nosuch"))
        inject(i, "-N", "delay", i.addr("nosuch"))
        need(wait_for(lambda: i.log().count(": removed") == 6), i.log())
        got = reports(i, "bob", 2)
        for m, note, state in got:
            need(m["Subject"] == "Undelivered Mail Returned to Sender")
            need(m["From"] == "Mail Delivery System <MAILER-DAEMON@example.test>", m["From"])
            need(m["To"] == i.addr("bob") and m["Return-Path"] == "<>", m["To"])
            need(m["Auto-Submitted"] == "auto-replied")
            need(m["References"] == m["In-Reply-To"] == "<orig@x.test>", m["References"])
            need("<nosuch@example.test>: unknown user" in note, note)
            need(state[0]["Reporting-MTA"] == "dns; mx.example.test")
            need(state[1]["Action"] == "failed" and state[1]["Status"] == "5.1.1")
            need(state[1]["Final-Recipient"] == "rfc822; nosuch@example.test")
        whole = [m for m, _, _ in got if m.get_payload()[2].get_content_type() == "message/rfc822"]
        need(len(whole) == 1, "one whole, one headers")
        need("body" in whole[0].get_payload()[2].as_string())
        need([st[0]["Original-Envelope-Id"] for _, _, st in got].count("env+1") == 1)
        need(wait_for(lambda: not queue(i)), queue(i))


def test_postmaster_copies():
    """notify_classes: copies of bounces, and mail that cannot be returned."""
    with Instance(users=("ann", "bob", "pm"), settings=[
            "notify_classes = bounce, 2bounce",
            "bounce_notice_recipient = pm@example.test",
            "2bounce_notice_recipient = pm@example.test"]) as i:
        inject(i, i.addr("nosuch"))
        reports(i, "bob", 1)
        m, note, _ = reports(i, "pm", 1)[0]
        need(m["Subject"] == "Postmaster Copy: Undelivered Mail", m["Subject"])
        need(m.get_payload()[2].get_content_type() == "text/rfc822-headers")
        i.run("sendmail", "-f", "<>", i.addr("gone"), stdin=b"Subject: y\n\nz\n")
        need(len(i.wait_mails("pm", 2)) == 2, i.log()[-1500:])
        subjects = {email.message_from_bytes(r)["Subject"] for r in i.mails("pm")}
        need(subjects == {m["Subject"], "Postmaster Copy: Undelivered Mail"} and
             len(i.mails("bob")) == 1, subjects)
        need(wait_for(lambda: not queue(i)), queue(i))


def test_double_bounce():
    """What cannot be returned nor reported ends, once, with a line."""
    with Instance(settings=["notify_classes = 2bounce",
                            "2bounce_notice_recipient = gone2@example.test"]) as i:
        i.run("sendmail", "-f", "<>", i.addr("gone"), stdin=b"Subject: y\n\nz\n")
        need(i.wait_log(r"postmaster non-delivery notification: "), i.log())
        need(i.wait_log(r"warning: .*undeliverable postmaster notification discarded"), i.log())
        need(wait_for(lambda: not queue(i)), queue(i))
        need(i.log().count(": removed") == 2, i.log())


def test_verify_reports():
    """sendmail -bv delivers nothing, -v delivers; both report."""
    with Instance() as i:
        inject(i, "-bv", i.addr("ann"), i.addr("nosuch"))
        m, note, state = reports(i, "bob", 1)[0]
        need(m["Subject"] == "Mail Delivery Status Report", m["Subject"])
        by = {st["Final-Recipient"].split("; ")[1]: st for st in state[1:]}
        need(by[i.addr("ann")]["Action"] == "deliverable", state)
        need(by[i.addr("ann")]["Status"] == "2.0.0", state)
        need(by[i.addr("nosuch")]["Action"] == "undeliverable", state)
        need(by[i.addr("nosuch")]["Status"] == "5.1.1", state)
        need(not i.mails("ann"), "-bv delivered")
        need(i.wait_log(r"to=<ann@example.test>, .*status=deliverable \(delivers to maildir\)"))
        inject(i, "-v", i.addr("ann"))
        need(len(i.wait_mails("ann", 1)) == 1)
        m, note, state = reports(i, "bob", 2)[-1]
        got = [st for _, _, s in reports(i, "bob", 2) for st in s[1:] if st["Action"] == "delivered"]
        need(len(got) == 1 and got[0]["Status"] == "2.0.0", i.log()[-1500:])
        need(wait_for(lambda: not queue(i)), queue(i))


def test_success_reports():
    """NOTIFY=SUCCESS: delivered, and expanded by an alias."""
    with Instance() as i:
        inject(i, "-N", "success", i.addr("ann"))
        m, note, state = reports(i, "bob", 1)[0]
        need(m["Subject"] == "Successful Mail Delivery Report", m["Subject"])
        need(state[1]["Action"] == "delivered" and state[1]["Status"] == "2.0.0", state)
        inject(i, "-N", "success,failure", i.addr("ann"), i.addr("nosuch"))
        need(len(i.wait_mails("bob", 3)) == 3, i.log()[-1500:])
        by = collections.Counter(email.message_from_bytes(r)["Subject"] for r in i.mails("bob"))
        need(by["Undelivered Mail Returned to Sender"] == 1 and
             by["Successful Mail Delivery Report"] == 2, by)
        need(wait_for(lambda: not queue(i)), queue(i))


def test_expanded():
    """An alias of several: success is told as expanded, once; the list's
    owner gets what cannot be delivered."""
    i = Instance(settings=["myorigin = $myhostname"])
    with open(os.path.join(i.etc, "aliases"), "a") as f:
        f.write("team: ann@example.test, bob@example.test\n"
                "list: nosuch@example.test\nowner-list: ann@example.test\n"
                '"two words": ann@example.test\n')
    i.run("newaliases")
    with i:
        inject(i, "-N", "success", "team@localhost")
        need(len(i.wait_mails("ann", 1)) == 1, i.log()[-1500:])
        need(len(i.wait_mails("bob", 2)) == 2, i.log()[-1500:])
        report = [m for m in map(email.message_from_bytes, i.mails("bob"))
                  if m.get_content_type() == "multipart/report"]
        need(len(report) == 1 and report[0].get_payload()[1].get_payload()[1]["Action"] == "expanded")
        inject(i, "list@localhost")
        need(len(i.wait_mails("ann", 2)) == 2, i.log()[-1500:])
        need(any(b"owner-list" in m and b"Undelivered Mail" in m for m in i.mails("ann")))
        inject(i, '"two words"@localhost')
        need(len(i.wait_mails("ann", 3)) == 3, i.log()[-1500:])
        need(wait_for(lambda: not queue(i)), queue(i))
        need(len(i.mails("bob")) == 2, "bob heard of the list")


QUICK = ["minimal_backoff_time = 1s", "maximal_backoff_time = 1s", "queue_run_delay = 1s"]


def test_delay_warning():
    """One warning to the sender and postmaster's copy, and no second."""
    with Instance(users=("ann", "bob", "pm"), settings=QUICK + [
            "delay_warning_time = 2s", "notify_classes = delay",
            "delay_notice_recipient = pm@example.test"]) as i:
        lock_box(i, "ann")
        inject(i, i.addr("ann"))
        m, note, state = reports(i, "bob", 1)[0]
        need(m["Subject"] == "Delayed Mail (still being retried)", m["Subject"])
        need(state[1]["Action"] == "delayed" and state[1]["Status"][0] == "4", state)
        need(state[1]["Will-Retry-Until"], state)
        need(reports(i, "pm", 1)[0][0]["Subject"] == "Postmaster Warning: Delayed Mail")
        time.sleep(2.5)
        need(len(i.mails("bob")) == 1 and len(i.mails("pm")) == 1, "a second")
        lock_box(i, "ann", False)
        need(len(i.wait_mails("ann", 1)) == 1, i.log()[-1500:])
        need(wait_for(lambda: not queue(i)), queue(i))


def test_expiry():
    """Mail that is too old goes back; a report that is too old ends."""
    with Instance(settings=QUICK + ["maximal_queue_lifetime = 3s",
                                    "bounce_queue_lifetime = 2s"]) as i:
        lock_box(i, "ann")
        inject(i, i.addr("ann"))
        i.run("sendmail", "-f", "<>", i.addr("ann"), stdin=b"Subject: r\n\nz\n")
        m, note, state = reports(i, "bob", 1)[0]
        need(m["Subject"] == "Undelivered Mail Returned to Sender", m["Subject"])
        need(state[1]["Action"] == "failed" and state[1]["Status"][0] == "4", state)
        need(len(re.findall(r"status=expired, returned to sender", i.log())) == 2, i.log())
        need(wait_for(lambda: not queue(i)), queue(i))


def test_corrupt_files():
    """A damaged file goes to corrupt/ with a line; a torn one is removed."""
    with Instance(settings=["defer_transports = virtual"]) as i:
        inject(i, i.addr("ann"))
        need(wait_for(lambda: [d for d, _ in queue(i)] == ["deferred"]), queue(i))
        qid = queue(i)[0][1]
        for root, _, files in os.walk(os.path.join(i.dir, "spool", "deferred")):
            if qid in files:
                path = os.path.join(root, qid)
        with open(path, "r+b") as f:
            f.seek(300)
            size = os.path.getsize(path)
            f.seek(size // 2)
            f.write(b"\x55" * (size - size // 2))
        torn = os.path.join(i.dir, "spool", "incoming", "ABCDEF123")
        with open(torn, "wb") as f:
            f.write(b"\0" * 4096)
        junk = os.path.join(i.dir, "spool", "incoming", "ABCDEF456")
        with open(junk, "wb") as f:
            f.write(os.urandom(4096))
        for p in (torn, junk):
            st = os.stat(os.path.dirname(p))
            os.chown(p, st.st_uid, st.st_gid)
            os.chmod(p, 0o600)
        i.run("postqueue", "-f")
        need(wait_for(lambda: sorted(queue(i)) == sorted([("corrupt", "ABCDEF456"), ("corrupt", qid)])),
             queue(i), i.log()[-1500:])
        need(i.wait_log(r'saving corrupt file "%s" from queue "deferred" to queue "corrupt"' % qid), i.log())
        need(i.wait_log(r"ABCDEF123: removed"), i.log())
        inject(i, i.addr("ann"))
        need(i.wait_log(r"status=deferred \(deferred transport\)"))


CATCH_ALL = ["virtual_mailbox_maps = inline:{ {bob@example.test = example.test/bob/}, "
             "{@example.test = example.test/ann/} }", "smtpd_recipient_limit = 20001"]


def small_mail_passes(i, n=10, seconds=10):
    """Each of n mails for bob is there in that time; the longest."""
    worst = 0
    for k in range(n):
        have, start = len(i.mails("bob")), time.monotonic()
        i.send("Subject: small\n\nx\n", to=[i.addr("bob")])
        need(wait_for(lambda: len(i.mails("bob")) > have, 20, 0.01), "small mail", k,
             i.log()[-1500:])
        worst = max(worst, time.monotonic() - start)
    need(worst < seconds, "small mail took", worst)
    return worst


def test_big_message_and_small_mail():
    """10,000 recipients: all once, while small mail passes."""
    with Instance(settings=CATCH_ALL) as i:
        n = 10000
        i.send(to=many(i, n))
        small_mail_passes(i)
        need(status(i, "active") > 0, "was over too early to say")
        need(wait_for(lambda: not queue(i), 60), i.log()[-1500:])
        got = delivered_to(i.mails("ann"))
        need(len(got) == n and max(got.values()) == 1, len(got))


def test_many_deliveries_of_one_owner():
    """More at once than an agent takes: they wait, none is put off."""
    with Instance(settings=CATCH_ALL + [
            "virtual_destination_recipient_limit = 5000"]) as i:
        n = 5000
        i.send(to=many(i, n))
        need(wait_for(lambda: not queue(i), 60), i.log()[-1500:])
        got = delivered_to(i.mails("ann"))
        need(len(got) == n and max(got.values()) == 1, len(got))
        need("status=deferred" not in i.log(), "put off")


def test_more_owners_than_agents():
    """An idle agent leaves for the owner whose mail waits; none is put off."""
    owners = ["u%d" % n for n in range(8)]
    with Instance(users=owners, settings=["agent_process_limit = 2"]) as i:
        if not is_root():
            return "needs root, for owners of several numbers"
        i.stop()
        with open(i.etc + "/owners", "w") as f:
            f.write("".join("%s %d\n" % (i.addr(name), 61000 + n) for n, name in enumerate(owners)))
        i.set("virtual_uid_maps = texthash:%s/owners" % i.etc)
        for path in (os.path.join(i.dir, "mail"), os.path.dirname(i.maildir("u0"))):
            os.chmod(path, 0o755)
        for n, name in enumerate(owners):
            subprocess.run(["chown", "-R", "%d" % (61000 + n), os.path.dirname(i.maildir(name) + "/x")], check=True)
        i.start()
        for _ in range(3):
            i.send(to=[i.addr(name) for name in owners])
        for name in owners:
            need(len(i.wait_mails(name, 3)) == 3, name, i.log()[-1500:])
        need("status=deferred" not in i.log(), "put off", i.log()[-1500:])
        need(len(i.pids("agent")) <= 2, i.pids("agent"))


def test_one_bad_mailbox():
    """Mail for a mailbox that cannot be written waits; others' goes on."""
    with Instance(settings=["initial_destination_concurrency = 5"]) as i:
        lock_box(i, "ann")
        with i.smtp() as s:
            for k in range(200):
                s.sendmail("a@else.test", [i.addr("ann")], "Subject: %d\n\nx\n" % k)
        small_mail_passes(i)
        need(wait_for(lambda: status(i, "deferred") == 200), ctl(i, "status"))
        need(ctl(i, "status").count("rests") == 0, ctl(i, "status"))
        lock_box(i, "ann", False)
        i.run("postqueue", "-f")
        need(len(i.wait_mails("ann", 200)) == 200, i.log()[-1500:])
        need(wait_for(lambda: not queue(i)), queue(i))


def cpu_ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_no_such_transport():
    """Mail for a transport that master.cf does not have waits and costs
    nothing; the mail of this machine does not wait for it."""
    with Instance(settings=["smtpd_recipient_limit = 20001",
                            "default_transport = nowhere"]) as i:
        n, messages = 20000, 200
        i.send(to=["u%05d@d%05d.test" % (k, k) for k in range(n)])
        with i.smtp() as s:
            for k in range(messages):
                s.sendmail("a@b.test", ["x@d%d.test" % k], "Subject: x\n\ny\n")
        small_mail_passes(i)
        need(wait_for(lambda: status(i, "deferred") == messages + 1), ctl(i, "status"))
        need(i.wait_log(r"qmgr.*to=<x@d7.test>, relay=none, .*dsn=4.3.0, "
                        r"status=deferred \(mail transport unavailable\)"))
        out = i.run("mailq")[1]
        need("(mail transport unavailable)" in out and "u19999@d19999.test" in out)
        need(re.search(r"-- \d+ Kbytes in %d Requests\." % (messages + 1), out), out[-200:])
        need("qmgr" in i.run("postern", "-c", i.etc, "status")[1])
        qmgr = i.pids("qmgr")[0]
        before = cpu_ticks(qmgr)
        time.sleep(1)
        need(cpu_ticks(qmgr) - before <= 5, "qmgr spins")
        i.run("postqueue", "-f")
        small_mail_passes(i)
        need(wait_for(lambda: status(i, "put_off") == 2 * (n + messages)), ctl(i, "status"))
        need(wait_for(lambda: status(i, "active") == 0))


def test_filter():
    """FILTER of access(5): the whole message to that transport."""
    with Instance(settings=["smtpd_data_restrictions = check_client_access "
                            "static:{FILTER discard:filtered}"]) as i:
        i.send(to=[i.addr("ann"), i.addr("bob"), "x@elsewhere.test"])
        for to in (i.addr("ann"), i.addr("bob"), "x@elsewhere.test"):
            need(i.wait_log(r"discard.*: to=<%s>, relay=none, .*status=sent \(filtered\)" % re.escape(to)),
                 i.log())
        i.set("smtpd_data_restrictions = check_client_access static:{FILTER scan:127.0.0.1:10025}")
        i.run("postern", "-c", i.etc, "reload")
        time.sleep(0.5)
        i.send(to=[i.addr("ann")])
        need(i.wait_log(r"to=<ann@example.test>, .*status=deferred \(mail transport unavailable\)"), i.log())
        need(i.wait_log(r"warning: connect to transport private/scan: No such file or directory"), i.log())
        need(not i.mails("ann"), "delivered past the filter")


def test_original_recipient():
    """X-Original-To and orig_to, unless enable_original_recipient = no;
    times with the decimals of delay_logging_resolution_limit."""
    for on in ("yes", "no"):
        i = Instance(settings=["enable_original_recipient = " + on,
                               "delay_logging_resolution_limit = " + ("6" if on == "yes" else "0")])
        with open(os.path.join(i.etc, "virtual"), "a") as f:
            f.write("alias@example.test ann@example.test\n")
        with i:
            i.send(to=[i.addr("alias")])
            mail = i.wait_mails("ann", 1)[0]
            need((b"X-Original-To: alias@example.test" in mail) == (on == "yes"), mail)
            need(("orig_to=<alias@example.test>" in i.log()) == (on == "yes"), i.log())
            delays = re.search(r"relay=virtual, delay=(\S+), delays=(\S+),", i.log())
            digits = [len(x.partition(".")[2]) for x in delays.group(2).split("/")]
            need(max(digits) > 2 if on == "yes" else max(digits) == 0, delays.group(0))


def test_scan_before_removal():
    """A message that is in its mailbox, its file not removed yet, since
    cleanup sleeps or died: a scan does not deliver it again."""
    for end in (signal.SIGCONT, signal.SIGKILL):
        with Instance(settings=["daemon_stopped_time = 60s"]) as i:
            virtual, cleanup = i.pids("virtual")[0], i.pids("cleanup")[0]
            os.kill(virtual, signal.SIGSTOP)
            i.send()
            time.sleep(0.2)
            os.kill(cleanup, signal.SIGSTOP)
            os.kill(virtual, signal.SIGCONT)
            need(len(i.wait_mails("ann", 1)) == 1)
            need(i.wait_log("qmgr.*: removed"))
            for _ in range(3):
                ctl(i, "flush")
                time.sleep(0.2)
            os.kill(cleanup, end)
            if end == signal.SIGKILL:       # its last client would hear 451
                need(wait_for(lambda: i.pids("cleanup") not in ([], [cleanup])))
            need(wait_for(lambda: not queue(i)), queue(i))
            i.send()
            i.wait_mails("ann", 2)
            time.sleep(0.3)
            need(len(i.mails("ann")) == 2, "delivered again", len(i.mails("ann")), i.log())


def test_reloads_and_flushes():
    """Mail from several clients, each once and without long waits, while
    the system is reloaded, flushed and takes a large message."""
    with Instance(settings=CATCH_ALL) as i:
        senders, each, late = 4, 250, []

        def send(k):
            for n in range(each):
                start = time.monotonic()
                for _ in range(5):
                    try:
                        s = i.smtp()
                        s.sendmail("a@b.test", [i.addr("bob")],
                                   "Subject: m-%d-%d\n\nx\n" % (k, n))
                        s.close()       # QUIT may hear 421
                        break
                    except (OSError, smtplib.SMTPException):
                        time.sleep(0.1)     # not acknowledged: again
                late.append(time.monotonic() - start)

        threads = [threading.Thread(target=send, args=(k,)) for k in range(senders)]
        for t in threads:
            t.start()
        i.send(to=many(i, 3000))
        while any(t.is_alive() for t in threads):
            i.run("postern", "-c", i.etc, "reload")
            for _ in range(3):
                ctl(i, "flush")
                time.sleep(0.25)
        need(len(i.wait_mails("bob", senders * each, 15)) >= senders * each,
             len(i.mails("bob")), queue(i), i.log()[-2000:])
        need(wait_for(lambda: not queue(i), 30), queue(i), i.log()[-2000:])
        got = collections.Counter(re.search(rb"^Subject: (m-\S+)", m, re.M).group(1)
                                  for m in i.mails("bob"))
        twice = {a: n for a, n in got.items() if n > 1}
        need(len(got) == senders * each and not twice, len(got), twice)
        need(max(late) < 5, "a client waited", max(late))
        need(len(i.mails("ann")) == 3000, "large message", len(i.mails("ann")))
        delays = [float(d) for d in re.findall(r"to=<bob@.*, delay=([0-9.]+),", i.log())]
        need(max(delays) < 9, "a mail waited", max(delays))


class Fault:
    """System calls of a process fail while this lasts."""

    def __init__(self, pid, calls, error):
        self.p = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls,
             "-e", "inject=%s:error=%s" % (calls, error), "-p", str(pid)],
            stdin=subprocess.DEVNULL)
        self.pid = pid

    def traced(self):
        with open("/proc/%d/status" % self.pid) as f:
            return not re.search(r"^TracerPid:\s+0$", f.read(), re.M)

    def __enter__(self):
        need(wait_for(self.traced, 5), "strace does not attach")

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait(10)


FAULTS = [("renameat2", "ENOSPC"), ("renameat2", "EIO"), ("unlinkat", "EIO"),
          ("pwrite64", "ENOSPC"), ("utimensat", "EIO"), ("openat", "EMFILE"),
          ("pread64", "EIO"), ("renameat2,unlinkat,pwrite64,utimensat", "EROFS")]


def test_local_faults_of_qmgr():
    """The queue's files cannot be moved, removed, written: nothing is lost
    or spins, and what waited goes when that is over."""
    with Instance(users=("ann", "bob", "cat"), settings=QUICK) as i:
        qmgr, told = i.pids("qmgr")[0], 0
        for n, (calls, error) in enumerate(FAULTS, 1):
            lock_box(i, "cat")
            with Fault(qmgr, calls, error):
                before = cpu_ticks(qmgr)
                start = time.monotonic()
                text = "Subject: %s %s\n\nx\n" % (calls, error)
                inject(i, i.addr("ann"), text=text)
                inject(i, i.addr("ann"), i.addr("nosuch"), text=text)
                inject(i, i.addr("cat"), text=text)
                time.sleep(1.3)
                took = time.monotonic() - start
                need(cpu_ticks(qmgr) - before < 30 * took, calls, error, "qmgr spins")
            need(i.pids("qmgr") == [qmgr], calls, "qmgr ended")
            lock_box(i, "cat", False)
            i.wait_mails("cat", n)
            need(wait_for(lambda: not queue(i), 20), calls, error, queue(i), i.log()[-3000:])
            what = (calls, error, len(i.mails("ann")), len(i.mails("cat")), len(i.mails("bob")))
            need(what[2:] == (2 * n, n, n), what, i.log()[-3000:])
            lines = len(re.findall(r"qmgr.*warning: ", i.log())) - told
            need(lines < 40, "lines of warning", lines)
            told += lines


if __name__ == "__main__":
    sys.exit(main(globals()))
