#!/usr/bin/env python3
"""postern trace: a message's story from logs and queue, in order, with what came of it."""
import gzip
import json
import os
import re
import shutil
import sys

from harness import Instance, main, need, wait_for

ANN, BOB, GONE = "ann@example.test", "bob@example.test", "gone@example.test"
_shared = []


def shared():
    if not _shared:
        i = Instance(settings=["transport_maps = inline:{{%s=error:5.1.6 moved away}, {later@example.test=retry:4.2.0 not now}}" % GONE])
        with open(os.path.join(i.etc, "virtual"), "a") as f:
            f.write("alias@example.test bob@example.test\ndead@example.test gone@example.test\nlist@example.test bob@example.test, later@example.test\n")
        i.start()
        _shared.append(i)
    return _shared[0]


def trace(i, *args, check=True):
    return i.run("postern", "-c", i.etc, "trace", *args, check=check)


def send(i, *to, mid):
    i.run("sendmail", "-f", ANN, *to, stdin=("Message-ID: <%s>\nSubject: t\n\nx\n" % mid).encode())
    return i.wait_log(r"(\w+): message-id=<%s>" % re.escape(mid)).group(1)


def done(i, qid):
    need(i.wait_log("%s: removed" % qid), i.log()[-1500:])


def events(i, *args):
    return [(l["queue_id"], l["event"]) for l in map(json.loads, trace(i, "--json", *args)[1].splitlines())]


def test_a_delivery():
    i = shared()
    qid = send(i, "alias@example.test", mid="one@trace.test")
    done(i, qid)
    want = [(qid, e) for e in ("submitted", "message-id", "queued", "sent", "removed")]
    for what in (qid, "<one@trace.test>", "one@trace.test"):
        need(events(i, what) == want, what, events(i, what))
    out = trace(i, qid)[1].splitlines()
    need(len(out) == 5 and re.match(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d  %s  submitted  pickup: uid=" % qid, out[0]), out)
    need("sent       virtual: to=<bob@example.test>, orig_to=<alias@example.test>" in out[3], out)
    need(set(want) <= set(events(i, "alias@example.test")), "by address")


def test_a_bounce_is_followed():
    i = shared()
    qid = send(i, "dead@example.test", mid="two@trace.test")
    report = i.wait_log("%s: sender non-delivery notification: (\\w+)" % qid).group(1)
    done(i, qid)
    done(i, report)
    got = events(i, qid)
    for e in ((qid, "bounced"), (qid, "report"), (report, "message-id"), (report, "queued"), (report, "sent"), (report, "removed")):
        need(e in got, e, got)


def test_what_waits():
    i = shared()
    qid = send(i, "list@example.test", mid="three@trace.test")
    need(i.wait_log("%s: to=<later@.*status=deferred" % qid) and
         wait_for(lambda: ("deferred", qid) in i.queue()), i.log()[-1500:])
    got = events(i, "three@trace.test")
    need((qid, "deferred") in got and (qid, "sent") in got and got[-1] == (qid, "in queue"), got)
    need("now  %s  is in deferred\n" % qid in trace(i, qid)[1])
    # Under a new name: the story goes on.
    i.run("postsuper", "-r", qid)
    new = i.wait_log(r"pickup\[\d+\]: (\w+): uid=\d+ from=<ann@example.test> orig_id=%s" % qid)
    need(new, i.log()[-1500:])
    need(i.wait_log("%s: to=<later" % new.group(1)))
    got = events(i, qid)
    need((new.group(1), "deferred") in got and (qid, "sent") in got, got)
    i.run("postsuper", "-d", "ALL")


def test_rotated():
    i = shared()
    qid = send(i, "alias@example.test", mid="four@trace.test")
    done(i, qid)
    before = events(i, qid)
    copy = os.path.join(i.dir, "copy")
    os.makedirs(copy)
    lines = open(i.log_file, "rb").read().splitlines(True)
    at = [n for n, l in enumerate(lines) if qid.encode() in l]
    third = len(at) // 3
    parts = (lines[:at[third]], lines[at[third]:at[-1]], lines[at[-1]:])
    with gzip.open(copy + "/mail.log.2.gz", "wb") as f:
        f.writelines(parts[0])
    open(copy + "/mail.log.1", "wb").writelines(parts[1])
    open(copy + "/mail.log", "wb").writelines(parts[2])
    open(copy + "/mail.log.3.gz", "wb").write(b"this is not gzip")
    for n, name in enumerate(("mail.log", "mail.log.1", "mail.log.2.gz", "mail.log.3.gz")):
        os.utime(os.path.join(copy, name), (1e9 - n, 1e9 - n))
    args = []
    for name in ("mail.log.2.gz", "mail.log.1", "mail.log"):
        args += ["--log", os.path.join(copy, name)]
    need(events(i, *args, qid) == before, "by name", events(i, *args, qid))
    i.set("maillog_file = " + copy + "/mail.log")
    try:
        need(events(i, qid) == before, "found", events(i, qid))
        need("mail.log.3.gz" in trace(i, qid)[2], "what cannot be read is told")
    finally:
        i.set("maillog_file = " + i.log_file)


def test_json_log():
    i = Instance(settings=["maillog_format = json"])
    i.start()
    try:
        i.run("sendmail", "-f", ANN, BOB, stdin=b"Message-ID: <five@trace.test>\n\nx\n")
        need(wait_for(lambda: len(i.mails("bob")) == 1 and not i.queue()))
        need(wait_for(lambda: [e for _, e in events(i, "five@trace.test")] ==
                      ["submitted", "message-id", "queued", "sent", "removed"]), i.log()[-2000:])
    finally:
        i.close()


def test_nothing():
    i = shared()
    for args in (("ABCDEF0",), ("<no@such>",), ("no.one@nowhere.test",)):
        s, out, err = trace(i, *args, check=False)
        need(s == 1 and out == "" and "nothing is known of" in err, args, out, err)
    for args in ((), ("a", "b"), ("--colour", "a")):
        need(trace(i, *args, check=False)[0] == 64, args)


def test_end():
    if _shared:
        _shared[0].close()


if __name__ == "__main__":
    sys.exit(main(globals()))
