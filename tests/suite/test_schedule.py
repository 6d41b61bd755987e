#!/usr/bin/env python3
"""What qmgr decides: flush by site, ETRN, rate delays, dead destinations."""
import os
import re
import socket
import sys
import time

from harness import Instance, main, need, wait_for

ANN = "ann@example.test"


def routed(routes, settings=()):
    """An instance whose transport table says so; started."""
    i = Instance(settings=["transport_maps = texthash:$config_directory/transport",
                           "relay_domains = relay.test, other.test, third.test",
                           "smtpd_recipient_restrictions = permit_mynetworks, reject", *settings])
    reroute(i, routes)
    i.start()
    return i


def reroute(i, routes):
    path = os.path.join(i.etc, "transport")
    with open(path + ".new", "w") as f:
        f.write("".join("%s %s\n" % r for r in routes.items()))
    os.rename(path + ".new", path)


def rerouted(i, routes):
    reroute(i, routes)
    time.sleep(1.1)                     # a table is looked at once a second


def inject(i, *rcpts):
    before = {q for _, q in i.queue()}
    i.run("sendmail", "-f", ANN, *rcpts, stdin=b"Subject: x\n\nx\n")
    new = wait_for(lambda: [q for d, q in i.queue() if d == "deferred" and q not in before])
    need(new and len(new) == 1, "not deferred", rcpts, i.queue(), i.log()[-1500:])
    return new[0]


def ids(i):
    return {q for _, q in i.queue()}


LATER = {"relay.test": "retry:4.2.0 not now", "other.test": "retry:4.2.0 not now",
         "third.test": "retry:4.2.0 not now"}
NOW = dict.fromkeys(LATER, "discard:")


def waiting():
    """Mail for two sites, for one of them, and for a third."""
    i = routed(LATER)
    both = inject(i, "a@relay.test", "b@other.test")
    upper = inject(i, "c@Relay.TEST")
    other = inject(i, "d@other.test")
    third = inject(i, "e@third.test")
    need(wait_for(lambda: {d for d, _ in i.queue()} == {"deferred"}), i.queue())
    return i, both, upper, other, third


def test_site():
    """postqueue -s delivers what is for that site, at once, and nothing else."""
    i, both, upper, other, third = waiting()
    try:
        rerouted(i, NOW)
        i.run("postqueue", "-s", "relay.test")
        need(wait_for(lambda: not ids(i) & {both, upper}), i.log()[-1500:])
        need(ids(i) == {other, third}, "one site alone", i.queue())
        i.run("postqueue", "-s", "OTHER.test")
        need(wait_for(lambda: ids(i) == {third}), i.queue())
        i.run("postqueue", "-s", "nobody.third.test")
        status, _, err = i.run("postqueue", "-s", "elsewhere.test", check=False)
        need(status == 69 and 'Flush service is not configured for destination "elsewhere.test"' in err, status, err)
        status, _, err = i.run("postqueue", "-s", "bad..name", check=False)
        need(status == 64, status, err)
        need(ids(i) == {third}, i.queue())
    finally:
        i.close()


def test_site_after_restart():
    """qmgr has read none of the files then; two sites are asked for at once."""
    i, both, upper, other, third = waiting()
    try:
        i.stop()
        reroute(i, NOW)
        i.start()
        i.run("postqueue", "-s", "other.test")
        i.run("postqueue", "-s", "relay.test")
        need(wait_for(lambda: ids(i) == {third}), i.queue(), i.log()[-1500:])
        i.run("postqueue", "-s", "third.test")
        need(wait_for(lambda: not ids(i)), i.queue())
    finally:
        i.close()


def test_partly_delivered():
    """Who has it already does not count: the site is only for the rest."""
    i = routed({**LATER, "relay.test": "discard:"})
    try:
        qid = inject(i, "a@relay.test", "b@other.test")
        tries = len(re.findall(r"%s: to=<b@other.test>" % qid, i.log()))
        i.run("postqueue", "-s", "relay.test")
        i.run("postqueue", "-s", "third.test")
        time.sleep(0.5)
        need(len(re.findall(r"%s: to=<b@other.test>" % qid, i.log())) == tries, i.log()[-1500:])
        i.run("postqueue", "-s", "other.test")
        need(wait_for(lambda: len(re.findall(r"%s: to=<b@other.test>" % qid, i.log())) > tries), i.log()[-1500:])
        need(len(re.findall(r"%s: to=<a@relay.test>" % qid, i.log())) == 1, i.log()[-1500:])
    finally:
        i.close()


def test_huge_queue():
    """While very many are looked at, new mail passes; whoever is asked for is found."""
    n = 3000
    i = routed(LATER)
    try:
        i.stop()
        i.fill(n, "a@relay.test")
        i.fill(n, "b@other.test")
        i.start()
        i.run("postqueue", "-s", "relay.test")
        i.send("Subject: new\n\nnew\n")
        need(i.wait_mails("ann", 1), i.log()[-1500:])
        need(wait_for(lambda: i.log().count("to=<a@relay.test>") >= n, 60), "asked for, and not tried")
        need("to=<b@other.test>" not in i.log(), "others were tried")
        i.stop()
        i.start()
        reroute(i, NOW)
        i.run("postqueue", "-f")
        need(wait_for(lambda: not ids(i), 60), "not flushed", len(ids(i)))
    finally:
        i.close()


def test_etrn():
    i, both, upper, other, third = waiting()
    try:
        rerouted(i, NOW)
        with i.smtp() as s:
            s.ehlo("relay.test")
            need(s.docmd("ETRN", "elsewhere.test") == (459, b"<elsewhere.test>: service unavailable"))
            need(i.wait_log(r"warning: reject: ETRN elsewhere\.test\.\.\. from "), i.log()[-800:])
            need(s.docmd("ETRN", "third.test") == (250, b"Queuing started"))
            need(wait_for(lambda: third not in ids(i)), i.queue())
            need(ids(i) == {both, upper, other}, i.queue())
            need(s.docmd("ETRN", "relay.test")[0] == 250)
            need(wait_for(lambda: ids(i) == {other}), i.queue())
    finally:
        i.close()


def test_etrn_refused_by_rule():
    i = routed(LATER, ["smtpd_etrn_restrictions = reject"])
    try:
        with i.smtp() as s:
            s.ehlo("relay.test")
            need(s.docmd("ETRN", "relay.test")[0] == 554, "reject")
    finally:
        i.close()


def test_flush_past_defer_transports():
    """A site that is asked for goes, though its transport is deferred."""
    i = routed(NOW, ["defer_transports = discard"])
    try:
        mine, rest = inject(i, "a@relay.test"), inject(i, "b@other.test")
        i.run("postqueue", "-s", "relay.test")
        need(wait_for(lambda: mine not in ids(i)), i.queue())
        need(ids(i) == {rest}, i.queue())
    finally:
        i.close()


def deliveries(i, domain):
    """Times of its log lines; the log's seconds are enough for sums."""
    return len(re.findall(r"to=<\w+@%s>.*status=sent" % re.escape(domain), i.log()))


def test_destination_rate_delay():
    """One at a time with the pause between; another site goes on meanwhile."""
    i = routed(NOW, ["discard_destination_rate_delay = 700ms"])
    try:
        start = time.monotonic()
        for k in range(4):
            i.run("sendmail", "-f", ANN, "u%d@relay.test" % k, stdin=b"Subject: x\n\nx\n")
        i.run("sendmail", "-f", ANN, "u@other.test", stdin=b"Subject: x\n\nx\n")
        need(wait_for(lambda: deliveries(i, "other.test") == 1), i.log()[-1500:])
        need(wait_for(lambda: deliveries(i, "relay.test") == 4), i.log()[-1500:])
        need(time.monotonic() - start >= 3 * 0.7, "too fast", time.monotonic() - start)
        need(wait_for(lambda: not ids(i)), i.queue())
    finally:
        i.close()


def test_transport_rate_delay():
    """All sites of the transport share the pause."""
    i = routed(NOW, ["default_transport_rate_delay = 0.6s"])
    try:
        start = time.monotonic()
        i.run("sendmail", "-f", ANN, "a@relay.test", "b@other.test", "c@third.test", stdin=b"Subject: x\n\nx\n")
        need(wait_for(lambda: "removed" in i.log()), i.log()[-1500:])
        need(time.monotonic() - start >= 2 * 0.6, "too fast", time.monotonic() - start)
    finally:
        i.close()


def test_recipient_limits():
    """A list goes through a transport that holds fewer; small mail passes it."""
    i = routed(NOW, ["default_recipient_limit = 20", "default_recipient_refill_limit = 5",
                     "default_extra_recipient_limit = 3", "qmgr_message_recipient_minimum = 2",
                     "discard_destination_recipient_limit = 4", "discard_destination_rate_delay = 10ms"])
    try:
        n = 150
        i.run("sendmail", "-f", ANN, *["u%d@relay.test" % k for k in range(n)], stdin=b"Subject: x\n\nx\n")
        i.run("sendmail", "-f", ANN, "one@other.test", stdin=b"Subject: x\n\nx\n")
        need(wait_for(lambda: deliveries(i, "relay.test") == n, 40), deliveries(i, "relay.test"), i.log()[-1500:])
        need(deliveries(i, "other.test") == 1, i.log()[-1500:])
        got = re.findall(r"to=<u(\d+)@relay\.test>.*status=sent", i.log())
        need(len(set(got)) == n, "each once", len(set(got)))
        need(wait_for(lambda: not ids(i)), i.queue())
    finally:
        i.close()


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_dead_destination():
    """It is put off without a try while it rests; the living get theirs."""
    dead = "smtp:[127.0.0.1]:%d" % closed_port()
    i = routed({**NOW, "relay.test": dead}, ["minimal_backoff_time = 5s", "maximal_backoff_time = 10s", "destination_concurrency_feedback_debug = yes"])
    try:
        first = inject(i, "a@relay.test")
        if not wait_for(lambda: re.search(r"%s: to=<a@relay\.test>.*Connection refused" % first, i.log()), 5):
            return "no smtp client yet"
        for k in range(5):                      # until the first window has failed
            inject(i, "b%d@relay.test" % k)
        need(i.wait_log(r"to=<b\d@relay\.test>, relay=none, .*status=deferred \(delivery temporarily suspended: "),
             i.log()[-2500:])
        i.run("sendmail", "-f", ANN, "c@other.test", "d@relay.test", stdin=b"Subject: x\n\nx\n")
        need(i.wait_log(r"to=<c@other\.test>.*status=sent"), i.log()[-1500:])
        need(re.search(r"^dead 1$", status(i), re.M), status(i))
        out = i.run("postern", "status")[1]
        need(re.search(r"^smtp +0/100 +0 +\d+ +\d+ +[3-9] *$", out, re.M), out)
        need(re.search(r"^\[127\.0\.0\.1\]:\d+ +0 +0 +\d+ +\d+ +\d  rests \ds: delivery temporarily suspended: "
                       r".*by smtp$", out, re.M), out)
        rerouted(i, NOW)
        i.run("postqueue", "-f")
        need(wait_for(lambda: not ids(i)), i.queue(), i.log()[-1500:])
    finally:
        i.close()


def status(i):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(i.dir, "spool", "public", "qmgr"))
        s.sendall(b"status\n")
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


if __name__ == "__main__":
    sys.exit(main(globals()))
