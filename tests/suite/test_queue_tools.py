#!/usr/bin/env python3
"""mailq, postqueue, postsuper, postcat on mail that waits."""
import json
import os
import re
import subprocess
import sys
import time

from harness import Instance, main, need, tool, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"
WAIT = "example.test mailbox is being moved to another machine, please come again later"


def waiting(n, settings=()):
    """An instance with n deferred messages; their ids, oldest first."""
    i = Instance(settings=["transport_maps = texthash:$config_directory/transport", *settings])
    with open(os.path.join(i.etc, "transport"), "w") as f:
        f.write("bob+later@example.test retry:4.2.0 not now\nbob+long@example.test retry:4.2.0 %s\n" % WAIT)
    i.start()
    ids = []
    for k in range(n):
        before = {q for _, q in i.queue()}
        i.run("sendmail", "-f", ANN, "bob+later@example.test", stdin=b"Subject: n%d\n\nbody %d\n" % (k, k))
        new = wait_for(lambda: [q for d, q in i.queue() if d == "deferred" and q not in before])
        need(new, "not deferred", i.log()[-1500:])
        ids += new
    # pickup removes its file a moment later.
    need(wait_for(lambda: {d for d, _ in i.queue()} <= {"deferred"}), i.queue())
    return i, ids


def places(i):
    return {q: d for d, q in i.queue()}


def test_mailq_form():
    i, ids = waiting(2)
    try:
        i.run("sendmail", "-f", ANN, "bob+long@example.test", BOB, stdin=b"Subject: long\n\nx\n")
        need(wait_for(lambda: len(i.queue()) == 3 and i.mails("bob")), i.queue())
        status, out, err = i.run("mailq")
        lines = out.split("\n")
        need(lines[0] == "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------", lines[0])
        need(re.match(r"^%s +\d+ [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d  ann@example\.test$" % ids[0], lines[1]) or
             ids[0] in out, lines[1])
        at = [n for n, l in enumerate(lines) if l.startswith(ids[0])][0]
        need(lines[at + 1] == "(not now)".rjust(78).rstrip() and len(lines[at + 1]) <= 78, repr(lines[at + 1]))
        need(lines[at + 2] == " " * 41 + "bob+later@example.test" and lines[at + 3] == "", lines[at + 2:at + 4])
        long = [l for l in lines if WAIT in l]
        need(long and long[0].strip() == "(%s)" % WAIT, long)
        need(re.match(r"^-- \d+ Kbytes in 3 Requests\.$", lines[-2]) and lines[-1] == "", lines[-2:])
        for name, args in (("postqueue", ["-p"]), ("sendmail", ["-bp"])):
            need(i.run(name, *args)[1] == out, name)
        need(re.search(r"(\d+)", lines[-2].split("Kbytes")[0]), "check_mailq")
    finally:
        i.close()


def test_json():
    i, ids = waiting(2)
    try:
        rows = [json.loads(l) for l in i.run("postqueue", "-j")[1].splitlines()]
        need(sorted(r["queue_id"] for r in rows) == sorted(ids), rows)
        for r in rows:
            need(r["queue_name"] == "deferred" and r["sender"] == ANN and r["message_size"] > 100 and
                 abs(r["arrival_time"] - time.time()) < 100 and r["forced_expire"] is False, r)
            need(r["recipients"] == [{"address": "bob+later@example.test", "delay_reason": "not now"}], r)
    finally:
        i.close()


def test_flush_forms():
    i, ids = waiting(3)
    try:
        open(os.path.join(i.etc, "transport"), "w").close()
        i.run("postern", "reload")
        time.sleep(1.1)                 # a table is looked at once a second
        i.run("postqueue", "-i", ids[1])
        need(wait_for(lambda: ids[1] not in places(i)), i.log()[-1500:])
        need(sorted(places(i)) == sorted([ids[0], ids[2]]), "one alone", places(i))
        i.run("postqueue", "-f")
        need(wait_for(lambda: not i.queue()), i.log()[-1500:])
        need(len(i.wait_mails("bob", 3)) == 3, "all")
        status, _, err = i.run("postqueue", "-i", "../../etc", check=False)
        need(status != 0, "a bad id", err)
        need(i.run("postqueue", "-s", "example.test", check=False)[0] in (0, 69), "-s")
    finally:
        i.close()


def test_delete_hold_release_requeue():
    i, ids = waiting(5)
    try:
        status, _, err = i.run("postsuper", "-d", ids[0])
        need(err == "postsuper: %s: removed\npostsuper: Deleted: 1 message\n" % ids[0], err)
        need(ids[0] not in places(i))
        status, _, err = i.run("postsuper", "-h", ids[1])
        need("postsuper: Placed on hold: 1 message\n" in err and places(i)[ids[1]] == "hold", err, places(i))
        need("%s!" % ids[1] in i.run("mailq")[1], "its mark", i.run("mailq")[1])
        row = [json.loads(l) for l in i.run("postqueue", "-j")[1].splitlines() if ids[1] in l]
        need(row and row[0]["queue_name"] == "hold", row)
        status, _, err = i.run("postsuper", "-H", ids[1])
        need("postsuper: Released from hold: 1 message\n" in err, err)
        need(wait_for(lambda: places(i).get(ids[1]) == "deferred"), places(i))
        # From standard input.
        status, _, err = i.run("postsuper", "-h", "-", stdin=("%s\n%s\n" % (ids[2], ids[3])).encode())
        need("Placed on hold: 2 messages" in err, err)
        need(sorted(q for q, d in places(i).items() if d == "hold") == sorted(ids[2:4]), places(i))
        # ALL, of one directory and of all.
        status, _, err = i.run("postsuper", "-d", "ALL", "hold")
        need("postsuper: Deleted: 2 messages\n" in err and sorted(places(i)) == sorted([ids[1], ids[4]]), err, places(i))
        open(os.path.join(i.etc, "transport"), "w").close()
        i.run("postern", "reload")
        time.sleep(1.1)
        status, _, err = i.run("postsuper", "-r", ids[4])
        need("Requeued: 1 message" in err, err)
        need(wait_for(lambda: ids[4] not in places(i)) and i.wait_mails("bob", 1), "requeued mail goes", i.log()[-1500:])
        need(wait_for(lambda: list(places(i)) == [ids[1]]), places(i))
        status, _, err = i.run("postsuper", "-d", "ALL")
        need("Deleted: 1 message" in err and not i.queue(), err, i.queue())
        need(i.run("mailq")[1] == "Mail queue is empty\n")
    finally:
        i.close()


def test_hold_and_release_all():
    i, ids = waiting(3)
    try:
        i.run("postsuper", "-h", "ALL")
        need(set(places(i).values()) == {"hold"}, places(i))
        open(os.path.join(i.etc, "transport"), "w").close()
        i.run("postern", "reload")
        i.run("postqueue", "-f")
        time.sleep(1.2)
        need(set(places(i).values()) == {"hold"}, "flush leaves it", places(i))
        i.run("postsuper", "-H", "ALL")
        i.run("postqueue", "-f")
        need(wait_for(lambda: not i.queue()), places(i))
        need(len(i.wait_mails("bob", 3)) == 3)
    finally:
        i.close()


def test_nothing_found():
    i, ids = waiting(1)
    try:
        status, _, err = i.run("postsuper", "-d", "ABCDEF0123", check=False)
        need(not re.search("Deleted: [1-9]", err), err)
        status, _, err = i.run("postsuper", "-d", "../hold/x", check=False)
        need(not re.search("Deleted: [1-9]", err), err)
        need(sorted(places(i)) == ids)
        need(i.run("postsuper", "-p")[0] == 0 and i.run("postsuper", "-s")[0] == 0)
        need(i.run("postsuper", "-Z", check=False)[0] != 0, "usage")
    finally:
        i.close()


def test_postcat():
    i, ids = waiting(1)
    try:
        out = i.run("postcat", "-q", ids[0])[1]
        for text in ("*** ENVELOPE RECORDS deferred/%s ***\n" % ids[0], "sender: ann@example.test\n",
                     "recipient: bob+later@example.test\n", "*** MESSAGE CONTENTS deferred/%s ***\n" % ids[0],
                     "Subject: n0\n", "\nbody 0\n", "*** MESSAGE FILE END deferred/%s ***\n" % ids[0]):
            need(text in out, text, out)
        need(i.run("postcat", "-bq", ids[0])[1] == "\nbody 0\n", "-b", i.run("postcat", "-bq", ids[0])[1])
        head = i.run("postcat", "-hq", ids[0])[1]
        need("Subject: n0\n" in head and "body 0" not in head, "-h", head)
        need(not head.endswith("\n\n"), "-h ends before the empty line", head)
        need(i.run("postcat", "-bhq", ids[0])[1] == head + "\nbody 0\n", "-bh")
        for line in i.run("postcat", "-foq", ids[0])[1].splitlines():
            need(re.match(r"deferred/%s: +\d+ |\*\*\* " % ids[0], line), "-f -o", line)
        for line in i.run("postcat", "-dq", ids[0])[1].splitlines():
            need(re.match(r" *\d+ |\*\*\* ", line), "-d", line)
        env = i.run("postcat", "-eq", ids[0])[1]
        need("sender: ann@example.test" in env and "Subject" not in env, "-e", env)
        path = os.path.join(i.dir, "spool", places(i)[ids[0]], ids[0])
        if os.path.exists(path):
            need("Subject: n0\n" in i.run("postcat", path)[1], "by path")
        need(i.run("postcat", "-q", "ABCDEF0123", check=False)[0] != 0, "none such")
    finally:
        i.close()


def test_expire():
    """-e: back to its sender at the next attempt, with the reason it has; -f out of hold as well."""
    i, ids = waiting(3)
    try:
        err = i.run("postsuper", "-e", ids[0], "-f", ids[1])[2]
        need("postsuper: Force-expired: 2 messages\n" in err and "postsuper: Released from hold: 0 messages\n" in err, err)
        need("%s#" % ids[0] in i.run("mailq")[1], i.run("mailq")[1])
        need([json.loads(l)["forced_expire"] for l in i.run("postqueue", "-j")[1].splitlines() if ids[0] in l] == [True])
        before = len(re.findall("%s: to=" % ids[0], i.log()))
        i.run("postqueue", "-i", ids[0])
        need(i.wait_log("%s: from=<ann@example.test>, status=force-expired, returned to sender" % ids[0]), i.log()[-1500:])
        got = i.wait_mails("ann", 1)
        need(b"<bob+later@example.test>: not now" in got[0] and b"Status: 4.2.0" in got[0], got)
        need(len(re.findall("%s: to=" % ids[0], i.log())) == before, "tried again")
        # Held: -e waits for the release, -f does both.
        i.run("postsuper", "-h", ids[2])
        i.run("postsuper", "-e", ids[2])
        i.run("postqueue", "-f")
        need(wait_for(lambda: sorted(places(i)) == [ids[2]]) and places(i)[ids[2]] == "hold", places(i))
        err = i.run("postsuper", "-f", ids[2])[2]
        need("Force-expired: 0 messages" in err and "Released from hold: 1 message\n" in err, err)
        need(wait_for(lambda: not places(i)) and len(i.wait_mails("ann", 3)) == 3, places(i), i.log()[-1500:])
    finally:
        i.close()


def test_expire_untried():
    """What was never tried goes back with words of its own."""
    i, ids = waiting(0)
    try:
        i.stop()
        i.run("sendmail", "-f", ANN, BOB, stdin=b"Subject: x\n\ny\n")
        i.set("defer_transports = virtual")
        i.start()
        need(wait_for(lambda: {d for d, _ in i.queue()} == {"deferred"}), i.queue())
        i.run("postsuper", "-h", "ALL")
        i.run("postsuper", "-f", "ALL")
        got = i.wait_mails("ann", 1, 1)
        i.set("defer_transports =")
        i.run("postern", "reload")
        i.run("postqueue", "-f")
        need(wait_for(lambda: not i.queue()), i.queue())
        got = i.wait_mails("ann", 1)
        need(b"deferred transport" in got[0] or b"message is administratively expired" in got[0], got)
        need(not i.mails("bob"), "delivered")
    finally:
        i.close()


def test_structure():
    """-s: files go where hash_queue_names wants them; empty folders go."""
    i, ids = waiting(2)
    try:
        i.stop()
        top = os.path.join(i.dir, "spool", "deferred")
        need(all(not os.path.exists(os.path.join(top, q)) for q in ids), "is hashed")
        i.set("hash_queue_names =")
        err = i.run("postsuper", "-s")[2]
        need(err.count("to its place") == 2 and sorted(os.listdir(top)) == sorted(ids), err, os.listdir(top))
        i.set("hash_queue_names = deferred")
        i.set("hash_queue_depth = 2")
        i.run("postsuper", "-s")
        need(all(os.path.exists(os.path.join(top, q[0], q[1], q)) or not os.path.exists(os.path.join(top, q))
                 for q in ids), os.listdir(top))
        need(i.run("postsuper", "-s")[2] == "", "twice")
        need(sorted(places(i)) == sorted(ids))
        i.set("hash_queue_names =")
        i.start()
        i.run("postqueue", "-p")
        need(sorted(re.findall(r"^([0-9A-F]{6,})", i.run("mailq")[1], re.M)) == sorted(ids), "all are found")
        # A file under a name that is not its own (a restored queue).
        i.stop()
        i.run("postsuper", "-s")
        os.rename(os.path.join(top, ids[0]), os.path.join(top, "ABCDEF0"))
        err = i.run("postsuper", "-s", "deferred")[2]
        need("damaged queue file: deferred/ABCDEF0; moved to corrupt" in err, err)
    finally:
        i.close()


def test_postlock():
    i, _ = waiting(0)
    box = os.path.join(i.dir, "box")
    lock = ["-c", i.etc, "-l", "dotlock"]
    try:
        i.set("deliver_lock_attempts = 1")
        need(i.run("postlock", *lock, box, "sh", "-c", "test -e %s.lock && exit 7" % box, check=False)[0] == 7)
        need(os.path.exists(box) and not os.path.exists(box + ".lock"), "unlocked")
        for style in ("dotlock", "fcntl", "flock", "fcntl, dotlock"):
            s, _, err = i.run("postlock", "-l", style, box, tool("postlock"), "-l", style, box, "echo", "both", check=False)
            need(s == 75 and "unable to lock" in err, style, s, err)
        need(i.run("postlock", box, "echo", "a b", "$x")[1] == "a b $x\n", "no shell")
        for args in ((box,), ("-l", "magic", box, "true"), ("/nonexistent/x", "true"), (box, "/nonexistent/program")):
            need(i.run("postlock", *args, check=False)[0] == 75, args)
        # A lock file that nobody holds any more goes; a foreign, fresh one stays.
        open(box + ".lock", "w").close()
        need(i.run("postlock", *lock, box, "true", check=False)[0] == 75)
        os.unlink(box + ".lock")
        i.run("postlock", *lock, box, "sh", "-c", "kill -9 $PPID", check=False)
        need(i.run("postlock", *lock, box, "true")[0] == 0, "of a dead one")
    finally:
        i.close()


def test_postkick():
    i, ids = waiting(1)
    try:
        before = len(re.findall("status=deferred", i.log()))
        i.run("postkick", "public", "qmgr", "A")
        need(wait_for(lambda: len(re.findall("status=deferred", i.log())) > before), i.log()[-1000:])
        i.run("postkick", "public", "qmgr", "IDFA")
        i.run("postkick", "public", "pickup", "W")
        for args in (("public", "nosuch", "x"), ("private", "qmgr", "A"), ("public", "../maildrop", "x"), ("public",)):
            status, _, err = i.run("postkick", *args, check=False)
            need(status == 1 and (len(args) < 3 or err == "postkick: warning: Cannot contact class %s service %s - "
                                  "perhaps the mail system is down\n" % args[:2]), args, status, err)
        # Postfix's queues of logs may be named, and nothing else is touched.
        need(i.run("postsuper", "-d", "ALL", "bounce", "defer", "trace", "flush")[0] == 0)
        for args in (("postsuper", "-d", "ALL", "nosuch"), ("postcat", "-q", "!"), ("postcat", "/nonexistent"),
                     ("postlog", "-p", "x", "y")):
            need(i.run(*args, check=False)[0] == 1, args)
        need(i.answers() and ids[0] in i.run("mailq")[1])
    finally:
        i.close()


def test_postlog():
    i, _ = waiting(0)
    try:
        for args, stdin, want in ((("hello", "there"), b"", r"mx postfix/postlog\[\d+\]: hello there$"),
                                  (("-p", "warn", "-t", "my/tag", "w"), b"", r"mx my/tag\[\d+\]: warning: w$"),
                                  (("-p", "error", "-i", "e"), b"", r"postlog\[\d+\]: error: e$"),
                                  (("-p", "fatal", "f"), b"", r"postlog\[\d+\]: fatal: f$"),
                                  ((), b"one\ntwo \x07\n", r"postlog\[\d+\]: two \?$")):
            err = i.run("postlog", *args, stdin=stdin)[2]
            need(i.wait_log(want), args, i.log()[-500:])
            need(err, "standard error too", args)
        need(i.run("postlog", "-p", "loud", "x", check=False)[0] != 0)
    finally:
        i.close()


def test_system_down():
    i, ids = waiting(2)
    try:
        i.stop()
        status, out, err = i.run("postqueue", "-p", check=False)
        need(status in (0, 69), status, err)
        if status == 0:
            need(ids[0] in out, out)
        status, _, err = i.run("postsuper", "-d", ids[0])
        need("Deleted: 1 message" in err and list(places(i)) == [ids[1]], err, places(i))
        status, _, err = i.run("postqueue", "-f", check=False)
        need(status == 69 and "mail system is down" in err, status, err)
        i.start()
        need(wait_for(lambda: ids[1] in i.run("mailq")[1]), "back")
    finally:
        i.close()


def test_few_descriptors():
    """Files are opened some at a time: as many as there are descriptors for, and none is left out."""
    i = Instance()
    try:
        i.start()
        i.stop()
        i.fill(200, "x@deferred.test")
        for few in (24, 1000):
            p = subprocess.run(["prlimit", "--nofile=%d" % few, tool("postqueue"), "-c", i.etc, "-j"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            need(p.returncode == 0 and p.stdout.count(b"\n") == 200, few, p.stdout.count(b"\n"), p.stderr)
    finally:
        i.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
