#!/usr/bin/env python3
"""postconf, drop-ins, overrides of a service line, tables, reload."""
import os
import re
import sys
import time

from harness import Instance, Wire, main, need, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"


def conf(i, *args, check=True):
    return i.run("postconf", *args, check=check)[1]


def path(i, name):
    return os.path.join(i.etc, name)


def rcpt(port, to=ANN, sender="s@elsewhere.test", helo="h.test"):
    """What RCPT says."""
    w = Wire(port)
    try:
        w.reply()
        w.say("EHLO " + helo)
        w.say("MAIL FROM:<%s>" % sender)
        return w.say("RCPT TO:<%s>" % to)
    finally:
        w.close()


# --- postconf ---

def test_show():
    i = Instance()
    try:
        need(conf(i, "-h", "myhostname") == "mx.example.test\n")
        need(conf(i, "myhostname", "mydomain") == "myhostname = mx.example.test\nmydomain = example.test\n")
        need(conf(i, "-d", "queue_run_delay") == "queue_run_delay = 300s\n")
        n = conf(i, "-n").splitlines()
        need("myhostname = mx.example.test" in n and not [l for l in n if l.startswith("queue_run_delay")], n)
        full = conf(i).splitlines()
        need(len(full) > 700 and full == sorted(full, key=lambda l: l.split(" =")[0]), len(full))
        need(conf(i, "-h", "mydestination") == "$myhostname, localhost.$mydomain, localhost\n" and
             conf(i, "-xh", "mydestination") == "mx.example.test, localhost.example.test, localhost\n", "-x")
        need(set(conf(i, "-m").split()) >= {"hash", "lmdb", "texthash", "inline", "static"}, conf(i, "-m"))
        status, out, err = i.run("postconf", "nosuchname", check=False)
        need("nosuchname: unknown parameter" in err, err)
        need(conf(i, "-o", "myhostname=o.test", "-h", "myhostname") == "o.test\n", "-o")
    finally:
        i.close()


def test_what_postfix_warns_of():
    """Settings of databases, deprecated names, -PP, -T, -a, -A."""
    i = Instance()
    try:
        client = path(i, "client.cf")
        with open(client, "w") as f:
            f.write("hosts = a\njunk = b\nhosts = c\n")
        i.set("alias_maps = proxy:ldap:people, mysql:" + client)
        i.set("canonical_maps = pipemap:{memcache:mc}x pcre:{{/#a/ b} #c d}")
        for line in ("people_server_host = h", "people_nothing = h", "mc_backup = x", "smtp_use_tls = yes",
                     "deleted-test-only = 1"):
            i.set(line)
        status, out, err = i.run("postconf", "-n")
        need("people_server_host = h\n" in out and "mc_backup = x\n" in out, out)
        w = "postconf: warning: "
        for text in (client + ", line 3: overriding earlier entry: hosts=a", "mysql:%s: unused parameter: junk=b" % client,
                     i.etc + "/main.cf: syntax error after '}' in \"{memcache:mc}x\"",
                     i.etc + "/main.cf: #comment after other text is not allowed: #c d...",
                     i.etc + "/main.cf: unused parameter: people_nothing=h",
                     i.etc + "/main.cf: support for parameter \"smtp_use_tls\" will be removed; instead, "
                     "specify \"smtp_tls_security_level\"",
                     i.etc + "/main.cf: support for parameter deleted-test-only has been removed; "
                     "instead, do not specify"):
            need(err.count(w + text + "\n") == 1, text, err)
        need("server_host=h" not in err and err.endswith(
            w + "See https://www.postfix.org/DEPRECATION_README.html for details\n"), err)
        quiet = i.run("postconf", "-qn")[2]
        need("overriding" in quiet and "unused" not in quiet and "removed" not in quiet, quiet)
        conf(i, "-P", "smtp/unix/myhostname=other.test")
        need(conf(i, "-q", "-P", "smtp/unix/max_idle", check=False) == "")
        got = conf(i, "-q", "-PP", "smtp/unix/max_idle", "smtp/unix/myhostname")
        need(got ==
             "smtp/unix/max_idle = 100s\nsmtp/unix/myhostname = other.test\n", got)
        need(conf(i, "-q", "-PPx", "smtp/unix/smtpd_banner") ==
             "smtp/unix/smtpd_banner = other.test ESMTP %s\n" % conf(i, "-qh", "mail_name").strip())
        need(conf(i, "-T", "run-version").startswith("OpenSSL ") and
             conf(i, "-T", "compile-version").startswith("OpenSSL "))
        need("rsa\n" in conf(i, "-T", "public-key-algorithms"))
        need(i.run("postconf", "-T", "x", check=False)[::2] ==
             (1, "postconf: warning: unknown 'postconf -T' mode: x\n"))
        need(conf(i, "-a") == "cyrus\ndovecot\n" and conf(i, "-A") == "cyrus\n")
    finally:
        i.close()


def test_edit_keeps_the_rest():
    i = Instance()
    try:
        with open(path(i, "main.cf"), "a") as f:
            f.write("# a comment\nrelay_domains = a.test,\n  b.test\n# the end\n")
        before = open(path(i, "main.cf")).read()
        conf(i, "-e", "relay_domains = c.test", "delay_warning_time=4h")
        after = open(path(i, "main.cf")).read()
        need("# a comment\nrelay_domains = c.test\n# the end\ndelay_warning_time = 4h\n" in after, after)
        need(after.split("# a comment")[0] == before.split("# a comment")[0], "the rest")
        conf(i, "-#", "relay_domains")
        need("#relay_domains = c.test\n" in open(path(i, "main.cf")).read(), "-#")
        conf(i, "-X", "delay_warning_time")
        need("delay_warning_time" not in open(path(i, "main.cf")).read(), "-X")
        need(not [n for n in os.listdir(i.etc) if "main.cf" in n and n != "main.cf"], "leaves no other file")
        status, _, err = i.run("postconf", "-e", "x = a\nb = c", check=False)
        need("b = c" not in open(path(i, "main.cf")).read().splitlines(), "an injected line", err)
    finally:
        i.close()


def test_master_cf():
    i = Instance()
    try:
        need(re.search(r"^virtual +unix +- +- +n +- +- +virtual$", conf(i, "-M"), re.M), conf(i, "-M"))
        conf(i, "-M", "submission/inet=127.0.0.1:%d inet n - n - - smtpd" % (i.base + 27), check=False)
        name = "127.0.0.1:%d" % i.port
        need(conf(i, "-F", name + "/inet/command").strip().endswith("= smtpd"), conf(i, "-F", name + "/inet/command"))
        conf(i, "-P", name + "/inet/smtpd_helo_required=yes")
        need("-o smtpd_helo_required=yes" in open(path(i, "master.cf")).read(), open(path(i, "master.cf")).read())
        need(conf(i, "-P", name + "/inet/smtpd_helo_required") == name + "/inet/smtpd_helo_required = yes\n",
             conf(i, "-P", name + "/inet/smtpd_helo_required"))
        conf(i, "-F", name + "/inet/process_limit=7")
        need(re.search(r"^%s +inet +n +- +n +- +7 +smtpd" % name, open(path(i, "master.cf")).read(), re.M), "-F edit")
        conf(i, "-MX", "discard/unix")
        need("discard" not in open(path(i, "master.cf")).read(), "-MX")
        need(i.run("postern", "check", check=False)[0] == 0, i.run("postern", "check", check=False))
    finally:
        i.close()


def test_drop_ins():
    i = Instance()
    try:
        os.mkdir(path(i, "main.cf.d"))
        for name, text in (("20-b.cf", "smtpd_banner = $myhostname ESMTP second\n"),
                           ("10-a.cf", "smtpd_banner = first\nsmtpd_helo_required = yes\n"), ("note.txt", "bogus\n")):
            with open(os.path.join(path(i, "main.cf.d"), name), "w") as f:
                f.write(text)
        need(conf(i, "-xh", "smtpd_banner") == "mx.example.test ESMTP second\n", "the later wins")
        i.start()
        w = Wire(i.port)
        need(w.reply() == "220 mx.example.test ESMTP second")
        need(w.say("MAIL FROM:<>").startswith("503 5.5.1"), "helo is required")
        w.close()
        with open(os.path.join(path(i, "main.cf.d"), "30-bad.cf"), "w") as f:
            f.write("\n\nsmtpd_helo_requird = yes\n")
        status, _, err = i.run("postern", "check", check=False)
        need(status == 1 and "main.cf.d/30-bad.cf, line 3" in err, err)
    finally:
        i.close()


def test_overrides_of_a_second_smtpd():
    i = Instance()
    other = i.base + 26
    try:
        with open(path(i, "master.cf"), "a") as f:
            f.write("127.0.0.1:%d inet n - n - - smtpd\n"
                    "  -o smtpd_recipient_restrictions=reject_unauth_destination,check_recipient_access,inline:{%s=REJECT}\n"
                    "  -o { smtpd_banner = $myhostname other port }\n  -o syslog_name=postfix/other\n"
                    "  -o message_size_limit=2000\n" % (other, ANN))
        i.start()
        w = Wire(other)
        need(w.reply() == "220 mx.example.test other port")
        need("250-SIZE 2000\n" in w.say("EHLO x.test"), "its size")
        w.close()
        need(rcpt(other).startswith("554 5.7.1 <ann@example.test>: Recipient address rejected: Access denied"), rcpt(other))
        need(rcpt(other, BOB).startswith("250") and rcpt(i.port).startswith("250"), "the others")
        need(i.wait_log(r"postfix/other/smtpd\[\d+\]: NOQUEUE: reject"), i.log()[-800:])
    finally:
        i.close()


# --- tables ---

def make(i, kind, name, text, tool_name="postmap"):
    with open(path(i, name), "w") as f:
        f.write(text)
    i.run(tool_name, "%s:%s" % (kind, path(i, name)))


def test_access_tables():
    # A table without a restriction before it is that of its list.
    i = Instance(settings=[
        "smtpd_error_sleep_time = 0",
        "smtpd_client_restrictions = hash:$config_directory/client",
        "smtpd_helo_restrictions = check_helo_access hash:$config_directory/helo",
        "smtpd_sender_restrictions = check_sender_access hash:$config_directory/sender",
        "smtpd_recipient_restrictions = check_recipient_access hash:$config_directory/rcpt"])
    try:
        make(i, "hash", "client", "192.0.2.1 REJECT\n")
        make(i, "hash", "helo", "bad.test REJECT go away\n.deep.test 450 4.7.9 later\n")
        make(i, "hash", "sender", "spam@elsewhere.test 550 5.7.2 No spam\nevil.test REJECT\nok.evil.test OK\n<> DUNNO\n"
             "user@ DEFER_IF_PERMIT come again\n")
        make(i, "hash", "rcpt", "bob@example.test HOLD for a look\n")
        i.start()
        need(rcpt(i.port).startswith("250"), "nothing said")
        need(rcpt(i.port, helo="bad.test") == "554 5.7.1 <bad.test>: Helo command rejected: go away", rcpt(i.port, helo="bad.test"))
        need(rcpt(i.port, sender="spam@elsewhere.test") == "550 5.7.2 <spam@elsewhere.test>: Sender address rejected: No spam",
             rcpt(i.port, sender="spam@elsewhere.test"))
        need(rcpt(i.port, sender="x@evil.test").startswith("554 5.7.1 <x@evil.test>: Sender address rejected: Access denied"))
        need(rcpt(i.port, sender="x@sub.evil.test").startswith("554"), "parents", rcpt(i.port, sender="x@sub.evil.test"))
        need(rcpt(i.port, sender="x@ok.evil.test").startswith("250"))
        need(rcpt(i.port, sender="user@any.test").startswith("450 4.7.1"), rcpt(i.port, sender="user@any.test"))
        i.send(to=[BOB])
        need(wait_for(lambda: [d for d, _ in i.queue()] == ["hold"]), i.queue())
        need(i.wait_log(r"[0-9A-F]+: hold: RCPT from .*<bob@example.test>: Recipient address triggers hold action? ?for a look|"
                        r"hold: RCPT from .*for a look"), i.log()[-800:])
        # A changed table is seen without a reload.
        make(i, "hash", "client", "127.0.0.1 REJECT not from here\n")
        need(wait_for(lambda: rcpt(i.port).startswith("554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: not from here"), 5),
             rcpt(i.port))
    finally:
        i.close()


def test_tables_by_hand():
    i = Instance()
    text = "# comment\nKey one\nlong two\n  words\n\nann@example.test three\n"
    try:
        for kind in ("hash", "lmdb", "btree"):
            make(i, kind, "t", text)
            spec = "%s:%s" % (kind, path(i, "t"))
            need(i.run("postmap", "-q", "key", spec)[1] == "one\n", kind)
            need(i.run("postmap", "-q", "long", spec)[1] == "two  words\n", kind, i.run("postmap", "-q", "long", spec)[1])
            status, out, _ = i.run("postmap", "-q", "none", spec, check=False)
            need((status, out) == (1, ""), kind, status)
            need(sorted(i.run("postmap", "-s", spec)[1].splitlines()) ==
                 ["ann@example.test\tthree", "key\tone", "long\ttwo  words"], kind, i.run("postmap", "-s", spec)[1])
            need(i.run("postmap", "-q", "-", spec, stdin=b"key\nnone\nlong\n")[1] == "key\tone\nlong\ttwo  words\n", kind)
            i.run("postmap", "-d", "key", spec)
            need(i.run("postmap", "-q", "key", spec, check=False)[0] == 1, kind, "-d")
            i.run("postmap", "-i", spec, stdin=b"new four\n")
            need(i.run("postmap", "-q", "new", spec)[1] == "four\n", kind, "-i")
        for spec, key, want in (("texthash:" + path(i, "t"), "key", "one\n"), ("inline:{a=b, {c = d e}}", "c", "d e\n"),
                                ("static:x y", "any", "x y\n"), ("unix:passwd.byname", "root", None),
                                ("unix:group.byname", "root", None), ("environ:", "home", "/h\n")):
            status, out, err = i.run("postmap", "-q", key, spec, check=False, env={"home": "/h"})
            need(status == 0 and (want is None or out == want), spec, status, out, err)
        for args, key, value, want in ((("-q",), b"\xffx", b"ok", (1, "non-UTF-8 key \"?x\": malformed UTF-8")),
                                       (("-q",), b"x", b"o\xffk", (1, 'key "x": non-UTF-8 value "o?k": malformed')),
                                       (("-uq",), b"\xffx", b"o\xffk", (0, "")), (("-q",), b"\xc3\xa4", b"ok", (0, ""))):
            status, _, err = i.run("postmap", *args, key, b"static:" + value, check=False)
            need(status == want[0] and want[1] in err and bool(err) == bool(want[1]), args, key, status, err)
        for args, want in (("-bq", 0), ("-bUq", 1)):
            need(i.run("postmap", args, "-", "static:ok", stdin=b"\xff\n", check=False)[0] == want, args)
        status, _, err = i.run("postmap", "-q", "x", "bogus:x", check=False)
        need(status == 1 and "bogus" in err, status, err)
        make(i, "hash", "al", "Joe: ann, bob,\n  \"|/bin/cat x\"\nempty:\n", "postalias")
        need(i.run("postalias", "-q", "joe", "hash:" + path(i, "al"))[1] == 'ann, bob, "|/bin/cat x"\n',
             i.run("postalias", "-q", "joe", "hash:" + path(i, "al")))
    finally:
        i.close()


# --- reload ---

def test_networks_of_a_table():
    """smtpd can open no file: a table among its networks stays as it was."""
    with Instance() as i:
        nets = os.path.join(i.etc, "nets")
        for text, code in (("127.0.0.0/8 OK\n", "250"), ("192.0.2.0/24 OK\n", "454")):
            with open(nets, "w") as f:
                f.write(text)
            i.set("mynetworks = cidr:" + nets)
            i.run("postern", "-c", i.etc, "reload")
            time.sleep(2)	# older than what a process believes unseen

            def answer(code=code):
                w = Wire(i.port)
                w.reply()
                w.say("EHLO client.test")
                w.say("MAIL FROM:<a@b.test>")
                said = w.say("RCPT TO:<x@elsewhere.test>")
                w.close()
                return said.startswith(code)
            need(wait_for(answer), code, i.log()[-800:])
        need("Operation not permitted" not in i.log(), i.log()[-800:])


def test_reload_keeps_sessions():
    i = Instance()
    try:
        i.start()
        w = Wire(i.port)
        w.reply()
        w.say("EHLO old.test")
        need(w.say("MAIL FROM:<s@elsewhere.test>").startswith("250"))
        i.set("smtpd_banner = changed")
        i.set("virtual_alias_maps = inline:{new@example.test=ann@example.test}")
        i.run("postern", "reload")
        need(wait_for(lambda: greeting(i) == "220 changed"), "the new banner", greeting(i))
        need(wait_for(lambda: rcpt(i.port, "new@example.test").startswith("250")), "the new alias")
        need(w.say("RCPT TO:<%s>" % ANN).startswith("250") and w.say("DATA").startswith("354"), "the old session")
        need(w.say("Subject: old\r\n\r\nx\r\n.").startswith("250"), "the old session")
        need(i.wait_mails("ann", 1))
        need(w.say("QUIT").startswith("221") and w.closed())
        w.close()
        i.send(to=["new@example.test"])
        need(len(i.wait_mails("ann", 2)) == 2)
    finally:
        i.close()


def greeting(i):
    w = Wire(i.port)
    try:
        return w.reply()
    finally:
        w.close()


def test_bad_reload_changes_nothing():
    i = Instance()
    try:
        i.start()
        pids = dict(i.children())
        i.set("smtpd_recipient_restrictions = nonsense")
        status, _, err = i.run("postern", "reload", check=False)
        need(status == 78 and "unknown restriction: nonsense" in err and "not reloaded" in err, status, err)
        time.sleep(0.3)
        need(dict(i.children()) == pids and rcpt(i.port).startswith("250"), "all as before")
    finally:
        i.close()


def test_listener_added_and_removed_by_reload():
    i = Instance()
    try:
        i.start()
        good = open(path(i, "master.cf")).read()
        with open(path(i, "master.cf"), "a") as f:
            f.write("127.0.0.1:%d inet n - n - - smtpd\n" % (i.base + 26))
        i.run("postern", "reload")
        need(wait_for(lambda: answers(i.base + 26)), "added")
        with open(path(i, "master.cf"), "w") as f:
            f.write(good)
        i.run("postern", "reload")
        need(wait_for(lambda: not answers(i.base + 26)) and answers(i.port), "removed")
    finally:
        i.close()


def answers(port):
    try:
        w = Wire(port)
    except OSError:
        return False
    try:
        return w.reply().startswith("220")
    finally:
        w.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
