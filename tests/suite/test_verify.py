"""Address probes: verify(8), its cache, and the two restrictions."""
import glob
import os
import re
import signal
import sys

from badserver import Server, reply
from dns import DNS
from harness import Instance, Wire, main, need, wait_for

OK = "250 2.1.5 Ok"


def instance(*more):
    return Instance(settings=(
        "smtpd_client_event_limit_exceptions = 127.0.0.0/8",
        "relay_domains = relay.test",
        "transport_maps = inline:{{relay.test = discard:}, {down.test = retry:4.4.1 it is down},"
        " {bad@relay.test = error:5.1.1 nobody here}}",
        "smtpd_relay_restrictions = permit_mynetworks reject_unauth_destination",
        "smtpd_recipient_restrictions = reject_unverified_recipient",
        "smtpd_reject_unlisted_recipient = no",
        "unverified_recipient_reject_code = 550",
        "unverified_sender_reject_code = 553", *more))


def rcpt(i, to, sender="ann@example.test"):
    w = Wire(i.port)
    try:
        w.reply()
        w.say("EHLO x.test")
        w.say("MAIL FROM:<%s>" % sender)
        return w.say("RCPT TO:<%s>" % to)
    finally:
        w.close()


def probes(i, address):
    """How often it was probed: each probe's recipient has a line."""
    return len(re.findall(r": to=<%s>,.* status=(?:un)?deliverable" % re.escape(address), i.log()))


def cache(i, address):
    """The entry of an address, as postmap sees it."""
    path = os.path.join(i.dir, "data", "verify_cache")
    for f in glob.glob(os.path.join(i.dir, "*", "verify_cache.lmdb")) + [path + ".lmdb"]:
        if os.path.exists(f):
            _, out, _ = i.run("postmap", "-q", address, "lmdb:" + f[:-5], check=False)
            return out.strip()
    return ""


def test_recipients():
    with instance("unverified_recipient_reject_reason =") as i:
        need(rcpt(i, i.addr("ann")) == OK, i.log()[-2000:])
        need(re.search(r"cleanup.*: message-id=|qmgr.*: from=<double-bounce@[^>]*>, size=\d+, nrcpt=1 \(queue active\)", i.log()), i.log())
        need(re.search(r"to=<ann@example\.test>, relay=virtual, .*dsn=2\.0\.0, status=deliverable \(delivers to maildir\)", i.log()), i.log())
        got = rcpt(i, "bad@relay.test")
        need(got == "550 5.1.1 <bad@relay.test>: Recipient address rejected: undeliverable address: nobody here", got)
        need(re.search(r"to=<bad@relay\.test>, relay=none, .*dsn=5\.1\.1, status=undeliverable \(nobody here\)", i.log()), i.log())
        got = rcpt(i, "x@down.test")
        need(got == "450 4.1.1 <x@down.test>: Recipient address rejected: unverified address: it is down", got)
        need(rcpt(i, "good@relay.test") == OK)
        # Nothing was delivered, nothing waits, nothing bounced.
        need(wait_for(lambda: not i.queue()), i.queue())
        need(i.mails("ann") == [], "a probe was delivered")
        need("non-delivery" not in i.log(), i.log())
        # Answers come from the cache now.
        for address, code in ((i.addr("ann"), "250"), ("bad@relay.test", "550"), ("x@down.test", "450")):
            need(rcpt(i, address).startswith(code), address)
            need(probes(i, address) == 1, address)
        need(wait_for(lambda: cache(i, i.addr("ann")).startswith("0:0:")), cache(i, i.addr("ann")))
        need(cache(i, "bad@relay.test").startswith("2:0:"), cache(i, "bad@relay.test"))
        need(cache(i, "bad@relay.test").endswith(":nobody here"))


def test_senders():
    with instance("smtpd_recipient_restrictions =",
                  "smtpd_sender_restrictions = reject_unverified_sender",
                  "unverified_sender_reject_reason = I could not reach you") as i:
        need(rcpt(i, i.addr("bob"), i.addr("ann")) == OK)
        need(rcpt(i, i.addr("bob"), "") == OK)
        got = rcpt(i, i.addr("bob"), "bad@relay.test")
        need(got == "553 5.1.7 <bad@relay.test>: Sender address rejected: undeliverable address: I could not reach you", got)
        got = rcpt(i, i.addr("bob"), "x@down.test")
        need(got == "450 4.1.7 <x@down.test>: Sender address rejected: unverified address: I could not reach you", got)


def test_codes_and_actions():
    """2xx lets pass; defer_if_permit loses against a refusal."""
    with instance("unverified_recipient_defer_code = 250") as i:
        need(rcpt(i, "x@down.test") == OK)
    with instance("smtpd_recipient_restrictions = reject_unverified_recipient, reject") as i:
        got = rcpt(i, "x@down.test")
        need(got == "554 5.7.1 <x@down.test>: Recipient address rejected: Access denied", got)
        i.set("unverified_recipient_tempfail_action = defer")
        i.run("postern", "-c", i.etc, "reload")
        need(wait_for(lambda: rcpt(i, "x@down.test").startswith("450 4.1.1")), rcpt(i, "x@down.test"))


def test_persistent_and_damaged():
    """The cache outlives a restart, SIGKILL, and damage."""
    with instance() as i:
        need(rcpt(i, i.addr("ann")) == OK)
        need(wait_for(lambda: cache(i, i.addr("ann"))))
        i.stop()
        i.start()
        need(rcpt(i, i.addr("ann")) == OK)
        need(probes(i, i.addr("ann")) == 1, "probed again after a restart")
        old = i.pids("verify")
        os.kill(old[0], signal.SIGKILL)
        need(wait_for(lambda: i.pids("verify") not in ([], old)))
        need(wait_for(lambda: rcpt(i, i.addr("ann")) == OK))
        need(probes(i, i.addr("ann")) == 1, "probed again after SIGKILL")
        i.stop()
        files = glob.glob(os.path.join(i.dir, "**", "verify_cache.lmdb"), recursive=True)
        need(len(files) == 1, files)
        with open(files[0], "r+b") as f:
            size = f.seek(0, 2)
            f.seek(0)
            f.write(b"\xff" * min(size, 30000))
        i.start()
        need(rcpt(i, i.addr("ann")) == OK)
        need(probes(i, i.addr("ann")) == 2, "not probed anew")
        need("verify_cache.lmdb: a new one is begun" in i.log(), i.log()[-3000:])
        need([p for p in glob.glob(os.path.join(os.path.dirname(files[0]), "*"))] == files,
             "files are left over")


def test_refresh_and_expiry():
    with instance("address_verify_negative_refresh_time = 1s",
                  "address_verify_positive_refresh_time = 1s",
                  "address_verify_cache_cleanup_interval = 2s",
                  "address_verify_negative_expire_time = 3s") as i:
        need(rcpt(i, "bad@relay.test").startswith("550"))
        need(rcpt(i, i.addr("ann")) == OK)

        def again():
            # The old verdict is said, and a new probe goes meanwhile.
            need(rcpt(i, "bad@relay.test").startswith("550"))
            need(rcpt(i, i.addr("ann")) == OK)
            return probes(i, "bad@relay.test") > 1 and probes(i, i.addr("ann")) > 1
        need(wait_for(again, 30, 0.5), i.log()[-3000:])
        need(i.wait_log(r"cache .*verify_cache full cleanup: retained=\d+ dropped=[1-9]\d* entries", 30), i.log()[-3000:])


def test_no_negative_cache():
    with instance("address_verify_negative_cache = no") as i:
        for n in (1, 2):
            need(rcpt(i, "bad@relay.test").startswith("550"))
            need(probes(i, "bad@relay.test") == n)
        need(rcpt(i, i.addr("ann")) == OK and rcpt(i, i.addr("ann")) == OK)
        need(probes(i, i.addr("ann")) == 1)


def test_transport_override():
    """Probes of relay domains may go another way than their mail."""
    with instance("address_verify_transport_maps = inline:{{relay.test = error:5.1.2 no way}}") as i:
        need(rcpt(i, "good@relay.test").startswith("550 5.1.1 <good@relay.test>: Recipient address rejected: undeliverable address: no way"))
        need(i.run("postconf", "-h", "transport_maps")[1])


def test_probe_sender():
    """Our own probes' sender changes, and is never refused as a recipient."""
    with instance("address_verify_sender = prober", "address_verify_sender_ttl = 1h",
                  "smtpd_recipient_restrictions = check_recipient_access "
                  "inline:{ann@example.test=reject_unverified_recipient}, reject") as i:
        need(rcpt(i, i.addr("bob")).startswith("554"))
        rcpt(i, i.addr("ann"))
        m = i.wait_log(r"from=<(prober[0-9B-Z]+@[^>]+)>, size=")
        need(m, i.log())
        m = re.search(r"from=<(prober[0-9B-Z]+@[^>]+)>, size=", i.log())
        need(rcpt(i, m.group(1)) == OK, rcpt(i, m.group(1)))
        need(rcpt(i, m.group(1).replace("prober", "prober9")).startswith("554"))


def test_virtual_alias():
    """An alias is probed where it leads; both names are then known."""
    with instance("virtual_alias_maps = inline:{list@example.test=ann@example.test}") as i:
        need(rcpt(i, "list@example.test") == OK, i.log()[-2000:])
        need(re.search(r"to=<ann@example\.test>, orig_to=<list@example\.test>,.*status=deliverable", i.log()), i.log())
        need(rcpt(i, "list@example.test") == OK and rcpt(i, "ann@example.test") == OK)
        need(len(re.findall("status=deliverable", i.log())) == 1, i.log())


def remote(plan, *more, keywords=None):
    """(server, instance): far.test is served by the server, as plan says."""
    args = dict(plan=plan) if keywords is None else dict(plan=plan, keywords=keywords)
    return Server(host="127.0.0.2", **args), more


def ask_remote(plan, *more, **args):
    """(reply to RCPT, what the server heard, the log): a probe over SMTP."""
    server, more = remote(plan, *more, **args)
    with server, DNS("far.test A 127.0.0.2") as dns:
        i = Instance(dns=dns, settings=(
            "smtp_tcp_port = %d" % server.port, "inet_interfaces = 127.0.0.1",
            "smtpd_client_event_limit_exceptions = 127.0.0.0/8",
            "smtpd_recipient_restrictions = reject_unverified_recipient",
            "unverified_recipient_reject_code = 550", *more))
        with i:
            got = rcpt(i, "bob@far.test")
            need(wait_for(lambda: not i.queue()), i.queue())
            need(server.mails == [], "a probe was delivered", server.mails)
            return got, list(server.said), i.log()


def test_remote():
    """A probe over SMTP ends behind RCPT, whatever the server can do."""
    for keywords in (None, (), ("PIPELINING", "CHUNKING", "8BITMIME")):
        got, said, log = ask_remote({}, keywords=keywords)
        need(got == OK, got, log[-1500:])
        need(re.search(r"to=<bob@far\.test>, relay=far\.test\[127\.0\.0\.2\]:\d+, .*dsn=2\.1\.5, status=deliverable \(250 2\.1\.5 Ok\)", log), log)
        need([s for s in said if s.startswith("MAIL FROM:<double-bounce@")], said)
        need(not [s for s in said if s.startswith(("DATA", "BDAT"))], said)
    got, _, log = ask_remote({"RCPT": reply("550 5.1.1 no bob here")})
    need(got == "550 5.1.1 <bob@far.test>: Recipient address rejected: undeliverable address: "
         "host far.test[127.0.0.2] said: 550 5.1.1 no bob here (in reply to RCPT TO command)", got)
    need("status=undeliverable (host far.test" in log, log)
    got, _, log = ask_remote({"RCPT": reply("451 4.3.0 later")})
    need(got.startswith("450 4.1.1 <bob@far.test>: Recipient address rejected: unverified address: "
                        "host far.test[127.0.0.2] said: 451 4.3.0 later"), got)
    got, _, log = ask_remote({"MAIL": reply("550 5.7.1 no mail of yours")})
    need(got.startswith("550 5.1.1 <bob@far.test>: Recipient address rejected: undeliverable address:"), got)


def test_each_transport():
    """A probe by any transport: deliverable, or not, and nothing arrives."""
    def to(c):
        c.put("550 5.1.1 no such" if "bad" in c.server.said[-1] else "250 2.1.5 ok")
    with Server(plan={"RCPT": to}, lmtp=True) as lmtp, Server(plan={"RCPT": to}) as smtp:
        with instance("transport_maps = inline:{{lmtp.test = lmtp:inet:127.0.0.1:%d}, {relay.test = :[127.0.0.1]:%d}}" %
                      (lmtp.port, smtp.port), "relay_domains = relay.test lmtp.test",
                      "relay_recipient_maps = inline:{good@relay.test=1 bad@relay.test=1}",
                      "mydestination = here.test", "alias_maps =") as i:
            for address, code in (("good@lmtp.test", "250"), ("bad@lmtp.test", "550"), ("good@relay.test", "250"),
                                  ("bad@relay.test", "550"), ("root@here.test", "250"), ("nosuch@here.test", "550"),
                                  ("ann@example.test", "250"), ("nosuch@example.test", "550")):
                got = rcpt(i, address)
                need(got.startswith(code), address, got, i.log()[-1500:])
                need(wait_for(lambda: probes(i, address) == 1), address, i.log()[-1500:])
                need(rcpt(i, address).startswith(code) and probes(i, address) == 1, "not from the cache", address)
            need(lmtp.mails == [] and smtp.mails == [] and i.mails("ann") == [], "a probe was delivered")
            need(wait_for(lambda: not i.queue()), i.queue())


def test_remote_data():
    """smtp_address_verify_target = data goes as far as DATA, not further."""
    got, said, log = ask_remote({}, "smtp_address_verify_target = data")
    need(got == OK, got, log[-1500:])
    need("DATA" in said and not [s for s in said if "Received" in s], said)
    need("status=deliverable (354 go on)" in log, log)
    got, said, log = ask_remote({"DATA": reply("554 5.7.0 not so")}, "smtp_address_verify_target = data")
    need(got.startswith("550 5.1.1 <bob@far.test>: Recipient address rejected: undeliverable address: host "
                        "far.test[127.0.0.2] said: 554 5.7.0 not so"), got)


def test_slow_remote():
    """The client does not wait longer than poll_count and poll_delay say."""
    got, _, log = ask_remote({"RCPT": lambda c: (c.stop.wait(8), c.put("250 2.1.5 Ok"))},
                             "address_verify_poll_count = 2", "address_verify_poll_delay = 1s")
    need(got == "450 4.1.1 <bob@far.test>: Recipient address rejected: unverified address: "
         "Address verification in progress", got)


if __name__ == "__main__":
    sys.exit(main(globals()))
