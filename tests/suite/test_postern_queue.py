#!/usr/bin/env python3
"""postern queue: messages by what they are; what is done to them and no others."""
import json
import os
import pty
import re
import subprocess
import sys

from harness import Instance, main, need, tool, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"
_shared = []


def shared():
    """Three from ann to a@x.test, two from bob to b@y.test and c@y.test, one large from <>."""
    if not _shared:
        i = Instance(settings=["defer_transports = smtp", "default_transport = retry:4.4.1 refused by y"])
        i.start()
        for n in range(3):
            i.run("sendmail", "-f", ANN, "a@x.test", stdin=b"Subject: a%d\n\nx\n" % n)
        for n in range(2):
            i.run("sendmail", "-f", BOB, "b@y.test", "c@y.test", stdin=b"Subject: b%d\n\nx\n" % n)
        i.run("sendmail", "-f", "", "a@x.test", stdin=b"Subject: large\n\n" + b"x" * 70 * 100 + b"\n")
        need(wait_for(lambda: len(i.queue()) == 6 and {d for d, _ in i.queue()} == {"deferred"}), i.queue(), i.log()[-1500:])
        _shared.append(i)
    return _shared[0]


def queue(i, *args, check=True, stdin=b""):
    return i.run("postern", "-c", i.etc, "queue", *args, check=check, stdin=stdin)


def rows(i, *args):
    return [json.loads(l) for l in queue(i, "list", "--json", *args)[1].splitlines()]


def test_list():
    i = shared()
    out = queue(i, "list")[1].splitlines()
    need(len(out) == 8 and out[0].startswith("id ") and re.match(r"6 messages, \d+ bytes$", out[-1]), out)
    need([l for l in out if re.match(r"[0-9A-F]+ +deferred +\d+[sm] +\d+  bob@example\.test > b@y\.test and 1 more: refused by y$", l)], out)
    need([l for l in out if " <> > a@x.test" in l], out)
    got = rows(i)
    need(len(got) == 6 and all(r["queue_name"] == "deferred" and r["age"] < 1000 and r["next_try"] for r in got), got)
    plain = [json.loads(l) for l in i.run("postqueue", "-j")[1].splitlines()]
    for r in plain:         # the same names, and more
        same = [g for g in got if g["queue_id"] == r["queue_id"]][0]
        need(all(same[k] == r[k] for k in r if k not in ("recipients", "sender")), r, same)


def test_filters():
    i = shared()
    for args, n in ((("--sender", ANN), 3), (("--sender", "@example.test"), 5), (("--sender", "<>"), 1),
                    (("--recipient", "c@y.test"), 2), (("--domain", "x.test"), 4), (("--reason", "REFUSED"), 6),
                    (("--reason", "nothing"), 0), (("--older", "1d"), 0), (("--younger", "1d"), 6), (("--size", "5k"), 1),
                    (("--size", "-5k"), 5), (("--queue", "hold"), 0), (("--domain", "x.test", "--sender", ANN), 3)):
        need(len(rows(i, *args)) == n, args, n, rows(i, *args))
    for args in (("--older", "soon"), ("--size", "x"), ("--queue", "corrupt"), ("--colour", "red"), ("--sender",), ("ABC",)):
        need(queue(i, "list", *args, check=False)[0] == 64, args)


def test_show():
    i = shared()
    qid = rows(i, "--sender", BOB)[0]["queue_id"]
    out = queue(i, "show", qid)[1]
    for text in (qid + "  in deferred, ", "  from    bob@example.test\n", "  to      b@y.test\n", "  to      c@y.test\n",
                 "deferred, 1 try, the last at "):
        need(text in out, text, out)
    got = json.loads(queue(i, "show", "--json", qid)[1])
    need([(r["address"], r["status"], r["tries"], r["dsn"]) for r in got["recipients"]] ==
         [("b@y.test", "deferred", 1, "4.4.1"), ("c@y.test", "deferred", 1, "4.4.1")], got)
    for bad in ("ABCDEF012", "../../etc/passwd"):
        s, _, err = queue(i, "show", bad, check=False)
        need(s != 0 and "no such message" in err, bad, err)


def test_shape():
    i = shared()
    out = queue(i, "shape")[1].splitlines()
    need(out[0].split() == ["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+"], out)
    table = {l.split()[0]: list(map(int, l.split()[1:])) for l in out[1:]}
    need(table["TOTAL"][0] == 8 and table["x.test"][:2] == [4, 4] and table["y.test"][:2] == [4, 4], table)
    got = [json.loads(l) for l in queue(i, "shape", "--json", "--sender", ANN)[1].splitlines()]
    need({r["domain"]: r["total"] for r in got} == {"TOTAL": 3, "x.test": 3}, got)


def test_bar_on_a_terminal():
    """Numbers go to the terminal alone; it is quiet where all is quick."""
    i = shared()
    a, b = pty.openpty()
    p = subprocess.run([tool("postern"), "-c", i.etc, "queue", "list"], stdout=subprocess.PIPE, stderr=b, timeout=60)
    os.close(b)
    need(p.returncode == 0 and p.stdout.count(b"\n") == 8, p)
    os.close(a)


def test_actions():
    """Last, since it empties the queue."""
    i = shared()
    before = {q for _, q in i.queue()}
    out, err = queue(i, "delete", "--dry-run", "--sender", ANN)[1:]
    need(out.count("would delete ") == 3 and "would delete 3 messages" in err and {q for _, q in i.queue()} == before, out, err)
    for args in (("delete",), ("hold", "--dry-run"), ("delete", "--all", "ABC"), ("delete", "ABC", "--sender", ANN)):
        need(queue(i, *args, check=False)[0] == 64, "nothing by mistake", args)
    need({q for _, q in i.queue()} == before)
    err = queue(i, "hold", "--domain", "y.test")[2]
    need("Placed on hold: 2 messages" in err and len(rows(i, "--queue", "hold")) == 2, err)
    one = rows(i, "--queue", "hold")[0]["queue_id"]
    err = queue(i, "release", one)[2]
    need("Released from hold: 1 message" in err and i.wait_log(one + ": released from hold"), err)
    err = queue(i, "release", one)[2]
    need("nothing to release" in err and "Released from hold: 0 messages" in err, err)
    err = queue(i, "delete", "--sender", ANN)[2]
    need("Deleted: 3 messages" in err and len(i.queue()) == 3, err, i.queue())
    err = queue(i, "delete", "NOSUCH1")[2]
    need("no such message" in err and "Deleted: 0 messages" in err, err)
    i.set("default_transport = virtual")
    i.set("virtual_mailbox_domains = example.test, x.test, y.test")
    with open(os.path.join(i.etc, "vmailbox"), "a") if os.path.exists(os.path.join(i.etc, "vmailbox")) else open(os.devnull, "w") as f:
        f.write("")
    err = queue(i, "requeue", "--sender", "<>")[2]
    need("Requeued: 1 message" in err, err)
    need(wait_for(lambda: not [d for d, _ in i.queue() if d == "maildrop"]), i.queue())
    err = queue(i, "expire", "--queue", "hold")[2]
    need("Force-expired: 1 message" in err, err)
    err = queue(i, "delete", "--all")[2]
    need(re.search("Deleted: [123] messages?", err) and not i.queue(), err, i.queue())
    need(queue(i, "list")[1].endswith("0 messages, 0 bytes\n"))


def test_end():
    if _shared:
        _shared[0].close()


if __name__ == "__main__":
    sys.exit(main(globals()))
