"""Servers that stall, trickle, reset, refuse, babble: at each step of the
dialogue, what becomes of the mail, and whether the next server is tried.

A row: where, what happens there, the status and text of the log line, and
NEXT where a second server of the destination must get the mail (else it must
not). Each row is sent twice, with and without that second server. No mail may
be lost, and none may be delivered by both.
"""
import os
import re
import sys

import badserver as b
from badserver import Server, after, reply
from harness import Instance, main, need, wait_for

NEXT, STAYS = True, False
SOFT = {"connect": "421 4.3.2 busy", "EHLO": "450 4.3.2 later", "MAIL": "450 4.1.8 later",
        "RCPT": "451 4.2.1 full", "DATA": "451 4.3.0 no", "DOT": "452 4.3.1 no room"}
HARD = {"connect": "554 5.7.1 go away", "MAIL": "550 5.7.1 no", "RCPT": "550 5.1.1 who?",
        "DATA": "554 5.3.0 no", "DOT": "554 5.7.1 spam"}
WHILE = {"connect": "receiving the initial server greeting", "EHLO": "performing the EHLO handshake",
         "MAIL": "sending MAIL FROM", "RCPT": "sending RCPT TO", "DATA": "sending DATA command",
         "DOT": "sending end of data -- message may be sent more than once"}
TO = {"connect": None, "EHLO": None, "MAIL": "MAIL FROM command", "RCPT": "RCPT TO command",
      "DATA": "DATA command", "DOT": "end of DATA command"}


def said(step, text):
    if TO[step] is None:
        return r"host 127.0.0.1\[127.0.0.1\] refused to talk to me: " + re.escape(text)
    return r"host 127.0.0.1\[127.0.0.1\] said: %s \(in reply to %s\)" % (re.escape(text), TO[step])


def rows():
    """(name, Server arguments, status regex, text regex, next server?)"""
    for step in ("connect", "EHLO", "MAIL", "RCPT", "DATA", "DOT"):
        lost = NEXT if step != "DOT" else STAYS
        yield (step + "-stall", dict(plan={step: b.STALL}), "deferred",
               r"conversation with 127.0.0.1\[127.0.0.1\] timed out while " + WHILE[step], lost)
        yield (step + "-trickle", dict(plan={step: b.TRICKLE}), "deferred",
               r"conversation with 127.0.0.1\[127.0.0.1\] timed out while " + WHILE[step], lost)
        yield (step + "-close", dict(plan={step: b.CLOSE}), "deferred",
               r"lost connection with 127.0.0.1\[127.0.0.1\] while " + WHILE[step], lost)
        # A reset throws away replies that were on their way.
        yield (step + "-reset", dict(plan={step: b.RESET}), "deferred",
               r"lost connection with 127.0.0.1\[127.0.0.1\] while |Connection reset by peer", lost)
        for name, action in (("garbage", b.GARBAGE), ("endless", b.ENDLESS), ("longline", b.LONG_LINE)):
            yield (step + "-" + name, dict(plan={step: action}), "deferred",
                   r"remote protocol error in reply from 127.0.0.1\[127.0.0.1\] while " + WHILE[step], lost)
        yield (step + "-soft", dict(plan={step: reply(SOFT[step])}), "deferred",
               said(step, SOFT[step]), NEXT)
        yield (step + "-421", dict(plan={step: after(reply("421 4.3.2 bye"), b.CLOSE)}), "deferred",
               said(step, "421 4.3.2 bye"), NEXT)
        for name, action in (("split", b.SPLIT), ("barelf", b.BARE_LF)):
            yield (step + "-" + name, dict(plan={step: action}), "sent", r"250 2.0.0 Ok: taken", STAYS)
    for step, text in HARD.items():
        # A greeting of 5xx: smtp_skip_5xx_greeting makes it temporary.
        yield (step + "-hard", dict(plan={step: reply(text)}),
               "deferred" if step == "connect" else "bounced", said(step, text),
               NEXT if step == "connect" else STAYS)
    yield ("ehlo-unknown", dict(plan={"EHLO": reply("502 5.5.1 what?")}), "sent", r"250 2.0.0 Ok", STAYS)
    yield ("helo-refused", dict(plan={"EHLO": reply("502 no"), "HELO": reply("550 5.7.1 no")}),
           "bounced", r"refused to talk to me: 550 5.7.1 no", STAYS)
    # A reply too many is no reply to what comes next.
    for step in ("connect", "EHLO", "MAIL", "RCPT"):
        yield (step + "-twice", dict(plan={step: b.TWICE}), None, None, None)
    # Replies while content is still on its way.
    yield ("early-ok", dict(early="250 2.0.0 Ok: taken"), None, None, None)
    yield ("early-no", dict(early="552 5.3.4 too much"), None, None, None)
    yield ("no-pipelining", dict(keywords=("8BITMIME",)), "sent", r"250 2.0.0 Ok: taken", STAYS)
    yield ("bdat", dict(keywords=b.PLAIN + ("CHUNKING",)), "sent", r"250 2.0.0 Ok: taken", STAYS)
    for name, action, status, text, nxt in (
            ("soft", reply("451 4.3.0 no"), "deferred", "said: 451 4.3.0 no", NEXT),
            ("hard", reply("554 5.6.0 no"), "bounced", "said: 554 5.6.0 no", STAYS),
            ("close", b.CLOSE, "deferred", "lost connection with .* -- message may be sent more", STAYS),
            ("stall", b.STALL, "deferred", "timed out while sending end of data", STAYS)):
        yield ("bdat-" + name, dict(keywords=b.PLAIN + ("CHUNKING",), plan={"BDAT": action}),
               status, text, nxt)
    yield ("bdat-rcpt-hard", dict(keywords=b.PLAIN + ("CHUNKING",), plan={"RCPT": reply("550 5.1.1 who?")}),
           "bounced", r"550 5.1.1 who\? \(in reply to RCPT TO command\)", STAYS)
    # Nobody was accepted, and still it wants content: it gets none.
    yield ("data-for-nobody", dict(plan={"RCPT": reply("550 5.1.1 who?"), "DATA": reply("354 go on")}),
           "bounced", r"550 5.1.1 who\?", STAYS)


TIMES = ["smtp_%s_timeout = 3s" % t for t in ("helo", "mail", "rcpt", "data_init", "data_done", "data_xfer", "rset")]


def test_each_step():
    table, servers, lines = list(rows()), [], []
    for name, args, *_ in table:
        alone, first, second = Server(**args), Server(**args), Server()
        servers.append((alone, first, second))
        lines.append("%s.alone.test smtp:[127.0.0.1]:%d" % (name.lower(), alone.port))
        lines.append("%s.two.test smtp:[127.0.0.1]:%d, [127.0.0.1]:%d" % (name.lower(), first.port, second.port))
    i = Instance(settings=["minimal_backoff_time = 1000s", "soft_bounce = no"] + TIMES)
    path = os.path.join(i.etc, "transport")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    i.set("transport_maps = texthash:" + path)
    with i:
        body = "Subject: x\n\n" + "line\n" * 20
        for name, *_ in table:
            for kind in ("alone", "two"):
                i.run("sendmail", "-f", "ann@example.test", "%s@%s.%s.test" % (name.lower(), name.lower(), kind),
                      stdin=body.encode())
        def done():
            log = i.log()
            return all(re.search(r"to=<%s@%s\.%s\.test>.* status=" % ((re.escape(n.lower()),) * 2 + (k,)), log)
                       for n, *_ in table for k in ("alone", "two"))
        need(wait_for(done, 60), "results are missing", i.log()[-1500:])
        log, bad = i.log(), []
        for (name, args, status, text, nxt), (alone, first, second) in zip(table, servers):
            bad += judge(log, name, status, text, nxt, alone, first, second)
        need(not bad, "\n" + "\n".join(bad))
        need(i.run("postern", "-c", i.etc, "status")[0] == 0)
    for group in servers:
        for s in group:
            s.close()


def last_line(log, name, kind):
    found = re.findall(r"to=<%s@%s\.%s\.test>.*" % (re.escape(name.lower()), re.escape(name.lower()), kind), log)
    return found[0] if len(found) == 1 else "%d lines: %s" % (len(found), found)


def judge(log, name, status, text, nxt, alone, first, second):
    bad = []
    one, two = last_line(log, name, "alone"), last_line(log, name, "two")
    if status is None:
        # Whatever is said: nothing false is believed.
        sent = "status=sent" in one
        if sent and len(alone.mails) != 1:
            bad.append("%s: said sent, server has %d: %s" % (name, len(alone.mails), one))
        return bad
    if "status=" + status not in one or not re.search(text, one):
        bad.append("%s: want %s (%s): %s" % (name, status, text, one))
    if nxt:
        if "status=sent" not in two or len(second.mails) != 1 or first.mails:
            bad.append("%s: the next server must have it: %s" % (name, two))
    elif second.mails or "status=" + status not in two:
        bad.append("%s: the next server must not have it: %s" % (name, two))
    return bad


def test_many_recipients():
    """Pipelined RCPTs with different answers: each has its own."""
    answers = {"a": "250 2.1.5 ok", "b": "550 5.1.1 no b", "c": "450 4.2.0 c later", "d": "250 2.1.5 ok"}

    def rcpt(c):
        local = c.server.said[-1].split("<")[1][0]
        c.put(answers[local])
    with Server(plan={"RCPT": rcpt}) as s, Instance(settings=["relayhost = [127.0.0.1]:%d" % s.port]) as i:
        i.run("sendmail", "-f", "ann@example.test", *["%s@far.test" % x for x in answers], stdin=b"Subject: x\n\nx\n")
        need(wait_for(lambda: len(re.findall(r"to=<.@far.test>.*status=", i.log())) == 4), i.log())
        for x, text in answers.items():
            word = {"2": "sent", "4": "deferred", "5": "bounced"}[text[0]]
            line = re.search(r"to=<%s@far.test>.*" % x, i.log()).group(0)
            need("status=" + word in line and (word == "sent" or text in line), x, line)
        need([[r.split(" ")[0] for r in m[1]] for m in s.mails] == [["<a@far.test>", "<d@far.test>"]], s.mails)


def test_connection_that_died_while_it_rested():
    """A kept connection that the server closed costs nothing but a new one."""
    def plan(n):
        return {"MAIL": b.RESET} if n == -1 else {}
    with Server(plan=plan) as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_connection_cache_destinations = [127.0.0.1]:%d" % s.port,
            "smtp_connection_cache_time_limit = 600s", "connection_cache_ttl_limit = 600s"]) as i:
        for n in range(3):
            i.run("sendmail", "-f", "ann@example.test", "m%d@far.test" % n, stdin=b"Subject: x\n\nx\n")
            need(i.wait_log(r"to=<m%d@far.test>.*status=sent" % n), i.log())
        need(s.clients == 1 and re.search(r"to=<m2@far.test>.*conn_use=3", i.log()), s.clients, i.log())
        for p in i.pids("smtp"):
            need(p, "smtp runs")


def test_timed_out_rest():
    """The server says 421 to a connection that rests: the next is a new one."""
    def mail(c):
        c.put("250 2.1.0 Ok")
    rested = []

    def dot(c):
        c.put("250 2.0.0 Ok: taken")
        rested.append(c)
    with Server(plan={"DOT": dot}) as s, Instance(settings=[
            "relayhost = [127.0.0.1]:%d" % s.port, "smtp_connection_cache_destinations = [127.0.0.1]:%d" % s.port,
            "smtp_connection_cache_time_limit = 600s", "connection_cache_ttl_limit = 600s"]) as i:
        i.run("sendmail", "-f", "ann@example.test", "m1@far.test", stdin=b"Subject: x\n\nx\n")
        need(i.wait_log(r"to=<m1@far.test>.*status=sent"), i.log())
        rested[0].raw(b"421 4.4.2 idle\r\n")
        need(wait_for(lambda: rested[0].s.fileno() == -1 or not rested[0].is_alive()), "it is closed")
        i.run("sendmail", "-f", "ann@example.test", "m2@far.test", stdin=b"Subject: x\n\nx\n")
        need(i.wait_log(r"to=<m2@far.test>.*status=sent"), i.log())
        need(s.clients == 2, s.clients)


if __name__ == "__main__":
    sys.exit(main(globals()))
