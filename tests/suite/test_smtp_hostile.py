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
    # All replies at once, before there is anything to answer.
    whole = b"220 x ESMTP\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 Ok: taken\r\n221 bye\r\n"
    yield ("upfront", dict(plan={"connect": lambda c: c.raw(whole)}), None, None, None)
    yield ("upfront-ehlo", dict(plan={"EHLO": lambda c: c.raw(b"250-x\r\n250 PIPELINING\r\n" + whole[25:])}), None, None, None)
    yield ("data-250", dict(plan={"DATA": reply("250 2.0.0 Ok")}), "deferred", said("DATA", "250 2.0.0 Ok"), NEXT)
    yield ("data-354-421", dict(plan={"DATA": after(reply("354 go"), reply("421 4.3.2 bye"), b.CLOSE)}), "deferred",
           "said: 421 4.3.2 bye", NEXT)
    yield ("dot-354", dict(plan={"DOT": reply("354 go on")}), None, None, None)
    # Taken, says the packet that asked for it.
    yield ("data-354-250", dict(plan={"DATA": lambda c: c.raw(b"354 go\r\n250 2.0.0 Ok: taken\r\n")}), "deferred",
           "remote protocol error in reply from .* while", STAYS)
    for n, line in enumerate((b"25", b"2500 x", b"650 x", b"150 x", b"050 x", b"\xb2\xb5\xb0 x", b"-250 x", b"250_x", b"")):
        yield ("junk%d" % n, dict(plan={"MAIL": lambda c, line=line: c.raw(line + b"\r\n")}), "deferred",
               "while sending MAIL FROM|in reply to MAIL FROM", NEXT)
    # What is no text does not come into the log as it is.
    yield ("nul", dict(plan={"RCPT": lambda c: c.raw(b"550 5.1.1 who\0is\xff\x1b[31m that?\r\n")}), "bounced",
           r"said: 550 5.1.1 who.is.{1,4}\[31m that\? \(in reply", STAYS)
    yield ("two-lines", dict(plan={"RCPT": lambda c: c.raw(b"550-5.1.1 who\r\n550 5.1.1 is that?\r\n")}), "bounced",
           r"said: 550-5.1.1 who 550 5.1.1 is that\? \(in reply", STAYS)
    yield ("two-codes", dict(plan={"RCPT": lambda c: c.raw(b"250-2.1.5 ok\r\n550 5.1.1 no\r\n")}), None, None, None)
    yield ("many-keywords", dict(keywords=b.PLAIN + tuple("X%d" % n for n in range(900))), "sent", "250 2.0.0 Ok", STAYS)
    yield ("more-keywords", dict(keywords=b.PLAIN + tuple("X%d" % n for n in range(3000))), "deferred",
           "remote protocol error in reply from .* while performing the EHLO", NEXT)
    for n, size in enumerate(("9" * 30, "18446744073709551616", "-5", "0", "x", "10000000 20")):
        yield ("size%d" % n, dict(keywords=("SIZE " + size,)), "sent", "250 2.0.0 Ok", STAYS)
    yield ("size-small", dict(keywords=("SIZE 10",)), "bounced", "message size \\d+ exceeds size limit 10 of server", STAYS)
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


def test_bdat_for_some():
    """Content that went ahead by BDAT, and RCPTs of which some, or all, were refused."""
    answers = {"a": "250 2.1.5 ok", "b": "550 5.1.1 no b", "c": "450 4.2.0 c later", "d": "250 2.1.5 ok"}

    def rcpt(c):
        c.put(answers[c.server.said[-1].split("<")[1][0]])
    words = b.PLAIN + ("CHUNKING",)
    for size in (100, 300000):
        text = b"Subject: x\n\n" + b"0123456789012345678901234567890123456789012345678\n" * (size // 50)
        with Server(plan={"RCPT": rcpt}, keywords=words) as s, Instance(settings=[
                "relayhost = [127.0.0.1]:%d" % s.port, "minimal_backoff_time = 1000s"]) as i:
            i.run("sendmail", "-f", "ann@example.test", *["%s@far.test" % x for x in answers], stdin=text)
            need(wait_for(lambda: len(re.findall(r"to=<.@far.test>.*status=", i.log())) == 4), i.log())
            for x, said_ in answers.items():
                word = {"2": "sent", "4": "deferred", "5": "bounced"}[said_[0]]
                line = re.search(r"to=<%s@far.test>.*" % x, i.log()).group(0)
                need("status=" + word in line and (word == "sent" or said_ in line), size, x, line)
            need([[r.split(" ")[0] for r in m[1]] for m in s.mails] == [["<a@far.test>", "<d@far.test>"]], s.mails)
            need(s.mails[0][2].replace(b"\r\n", b"\n").endswith(text[-90:]), s.mails[0][2][-300:])
            # All refused: the content is nobody's, and the connection still good.
            i.run("sendmail", "-f", "ann@example.test", "b1@far.test", "b2@far.test", stdin=text)
            i.run("sendmail", "-f", "ann@example.test", "a1@far.test", stdin=text)
            need(i.wait_log(r"to=<a1@far.test>.*status=sent") and i.wait_log(r"to=<b2@far.test>.*status=bounced"),
                 i.log()[-2000:])
            need(len(s.mails) == 2, [m[1] for m in s.mails])


def test_bdat_refused_before_its_end():
    """The server has heard enough in the middle of a chunk: what it says counts, for all who were accepted."""
    def over(close, words):
        def talk(c):
            c.put("220 bad.test ESMTP")
            while True:
                line = c.f.readline()
                if not line:
                    return
                if line.startswith(b"EHLO"):
                    c.put("250-bad.test\r\n250-PIPELINING\r\n250-SIZE 99999999\r\n250 CHUNKING")
                elif line.startswith(b"BDAT"):
                    left = int(line.split()[1])
                    left -= len(c.f.read(min(left, 5000)))
                    c.put(words)
                    if close:
                        raise b.Gone
                    c.f.read(left)
                else:
                    c.put("250 2.0.0 Ok")
        return talk
    text = b"Subject: x\n\n" + b"0123456789012345678901234567890123456789012345678\n" * 400000
    for close in (True, False):
        for words, status in (("552 5.3.4 too much", "bounced"), ("452 4.3.1 no room", "deferred"),
                              ("250 2.0.0 Ok", "deferred")):
            with Server({"connect": over(close, words)}) as s, Server(keywords=b.PLAIN) as spare, Instance(settings=[
                    "relayhost = [127.0.0.1]:%d" % s.port, "minimal_backoff_time = 1000s",
                    "smtp_data_xfer_timeout = 5s", "message_size_limit = 0"]) as i:
                i.run("sendmail", "-f", "ann@example.test", "x@far.test", "y@far.test", stdin=text)
                for x in "xy":
                    m = i.wait_log(r"to=<%s@far.test>.*status=.*" % x)
                    # A server that closes on unread content may take its reply back: RST.
                    lost = close and m and "status=deferred (lost connection with" in m.group(0)
                    need(lost or (m and "status=" + status in m.group(0)), close, words, m and m.group(0))
                    need(lost or words[0] == "2" or words in m.group(0), m.group(0))
                need(not spare.mails)


def lmtp(plan, n=3):
    """One message to n recipients over LMTP, then another: their log lines."""
    with Server(plan=plan, lmtp=True) as s, Instance(settings=[
            "lmtp_connection_cache_destinations = 127.0.0.1", "connection_cache_ttl_limit = 100s",
            "lmtp_connection_cache_time_limit = 100s",
            "default_transport = lmtp:inet:127.0.0.1:%d" % s.port, "minimal_backoff_time = 1000s"]) as i:
        to = ["r%d@far.test" % k for k in range(n)]
        i.run("sendmail", "-f", "ann@example.test", *to, stdin=b"Subject: x\n\nx\n")
        need(wait_for(lambda: len(re.findall(r"to=<r\d@far.test>.* status=", i.log())) == n), i.log()[-2000:])
        i.run("sendmail", "-f", "ann@example.test", "next@far.test", stdin=b"Subject: y\n\ny\n")
        need(wait_for(lambda: re.search(r"to=<next@far.test>.* status=", i.log())), i.log()[-2000:])
        lines = [re.search(r"to=<%s>.*" % re.escape(x), i.log()).group(0) for x in to + ["next@far.test"]]
        got = [r.split(" ")[0].strip("<>") for _, rcpts, _ in s.mails for r in rcpts]
        return lines, got


def test_lmtp_replies():
    """A status for each recipient: too few, too many, of different kinds."""
    usual = reply("250 2.0.0 Ok: taken")
    lines, got = lmtp({})
    need(all("status=sent" in x for x in lines) and len(got) == 4, lines, got)
    lines, got = lmtp({"DOT2": b.CLOSE})
    need("status=sent" in lines[0] and all("status=deferred (lost connection" in x for x in lines[1:3]), lines)
    lines, got = lmtp({"DOT": reply("452 4.2.2 full"), "DOT2": reply("550 5.2.1 off")}, 2)
    need("status=deferred" in lines[0] and "452 4.2.2 full" in lines[0] and "status=bounced" in lines[1], lines)
    # One too many must count for nobody: not for the next message either.
    lines, got = lmtp({"DOT": after(usual, usual)}, 1)
    need("status=sent" in lines[0] and ("status=sent" not in lines[1] or len(got) == 2), lines, got)


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
