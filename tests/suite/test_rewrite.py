#!/usr/bin/env python3
"""Rewriting, copies, relocation and the table types behind them, whole system."""
import os
import re
import smtplib
import subprocess
import sys

from harness import Instance, main, need, tool, wait_for

ANN, BOB = "ann@example.test", "bob@example.test"


def instance(settings=(), **files):
    i = Instance(settings=settings)
    for name, text in files.items():
        with open(os.path.join(i.etc, name), "w") as f:
            f.write(text)
    return i


def got(i, user, subject):
    found = wait_for(lambda: [m for m in i.mails(user) if b"Subject: " + subject.encode() in m])
    need(found, user, subject, i.log()[-1500:])
    return found[0].decode("utf-8", "replace").replace("\r\n", "\n")


def test_canonical_and_masquerade():
    i = instance(["canonical_maps = cdb:$config_directory/canonical", "masquerade_domains = example.test",
                  "sender_canonical_maps = regexp:$config_directory/senders", "recipient_delimiter = +"],
                 canonical="annie\tann\n@old.test\t@example.test\n", senders="/^legacy-(.*)@example\\.test$/ $1@example.test\n")
    try:
        i.run("postmap", "cdb:" + os.path.join(i.etc, "canonical"))
        i.start()
        i.run("sendmail", "-f", "legacy-bob", "annie+tag", stdin=b"Subject: one\nTo: Annie <annie+tag>, x@host.example.test\nFrom: legacy-bob\n\nx\n")
        text = got(i, "ann", "one")
        need("Return-Path: <bob@example.test>\n" in text, text)
        need("\nTo: Annie <ann+tag@example.test>, x@example.test\nFrom: bob@example.test\n" in text, text)
        need("\nDelivered-To: ann+tag@example.test\n" in text or "\nX-Original-To: annie+tag" in text, text)
        # A client that is not of this machine: the envelope alone. Until all
        # have read the new settings, mail is taken by the old ones.
        i.set("local_header_rewrite_clients =")
        i.set("virtual_alias_domains = old.test")
        i.run("postern", "-c", i.etc, "reload")
        sent = []

        def left_alone():
            sent.append("two%d" % len(sent))
            try:
                i.send("Subject: %s\nFrom: x@host.example.test\nTo: annie@old.test\n\nx\n" % sent[-1],
                       to=["annie@old.test", "bob@old.test"], sender="y@host.example.test")
            except (OSError, smtplib.SMTPException):
                return None
            text = got(i, "bob", sent[-1])
            return text if "\nFrom: x@host.example.test\nTo: annie@old.test\n" in text else None
        text = wait_for(left_alone, 20)
        need(text and "Return-Path: <y@example.test>" in text, text, i.log()[-1500:])
    finally:
        i.close()


def test_remote_header_domain():
    i = instance(["local_header_rewrite_clients =", "remote_header_rewrite_domain = domain.invalid",
                  "append_dot_mydomain = yes"])
    i.start()
    try:
        i.send("Subject: remote\nFrom: joe\nTo: a!b, c%d, e@f, \"g h\"\n\nx\n")
        text = got(i, "ann", "remote")
        need("\nFrom: joe@domain.invalid\nTo: b@a.domain.invalid, c@d.domain.invalid, e@f.domain.invalid, \"g h\"@domain.invalid\n" in text, text)
        need(re.search(r"\nMessage-Id: <.*>\nDate: ", text), text)
    finally:
        i.close()


def test_copies():
    i = instance(["sender_bcc_maps = texthash:$config_directory/bcc", "recipient_bcc_maps = pcre:{ {/^ann@/ bob@example.test} }"],
                 bcc="boss@example.test bob@example.test\n")
    i.start()
    try:
        i.send("Subject: by recipient\n\nx\n")
        need("X-Original-To: bob@example.test" in got(i, "bob", "by recipient"))
        i.send("Subject: by sender\n\nx\n", to=["bob+x@example.test"], sender="boss@example.test")
        got(i, "bob", "by sender")
        i.set("always_bcc = ann")
        i.set("myorigin = example.test")
        i.run("postern", "-c", i.etc, "reload")

        def copied():
            i.send("Subject: always\n\nx\n", to=[BOB])
            return wait_for(lambda: [m for m in i.mails("ann") if b"Subject: always" in m], 3)
        need(wait_for(copied, 15), i.log()[-1500:])
    finally:
        i.close()


def test_relocated_and_transport():
    i = instance(["relocated_maps = inline:{ {gone@example.test = +1-234} }",
                  "transport_maps = unionmap:{pcre:{ {/^late@/ retry:4.1.9 not yet} }}",
                  "virtual_alias_maps = pipemap:{inline:{team@example.test=key}, inline:{ {key = ann, bob} }}"])
    i.start()
    try:
        try:
            i.send("Subject: x\n\nx\n", to=["gone@example.test"])
            raise AssertionError("taken")
        except smtplib.SMTPRecipientsRefused as e:
            code, text = e.recipients["gone@example.test"]
            need((code, text) == (550, b"5.1.6 <gone@example.test>: Recipient address rejected: User has moved to +1-234"), code, text)
        i.send("Subject: team\n\nx\n", to=["team@example.test"])
        for user in ("ann", "bob"):
            got(i, user, "team")
        i.run("sendmail", "-f", ANN, "late@example.test", stdin=b"Subject: late\n\nx\n")
        need(i.wait_log(r"to=<late@example\.test>.* dsn=4\.1\.9, status=deferred \(not yet\)"), i.log()[-1500:])
    finally:
        i.close()


def test_sendmail_t_with_rewriting():
    """Recipients from headers are those of the rewritten message; Bcc goes."""
    i = instance(["canonical_maps = inline:{annie=ann}"])
    i.start()
    try:
        i.run("sendmail", "-t", "-f", "bob", stdin=b"To: Annie <annie>\nBcc: bob\nSubject: t\n\nx\n")
        text = got(i, "ann", "t")
        need("\nTo: Annie <ann@example.test>\n" in text and "Bcc" not in text, text)
        got(i, "bob", "t")
    finally:
        i.close()


def run(args, stdin=b""):
    p = subprocess.run([tool(args[0]), *args[1:]], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")


def test_postmap():
    """postmap's questions, builds and changes for lmdb and cdb; messages as keys."""
    i = instance()
    try:
        os.environ["MAIL_CONFIG"] = i.etc
        for kind in ("lmdb", "cdb"):
            name = os.path.join(i.dir, "t-" + kind)
            spec = "%s:%s" % (kind, name)
            with open(name, "w") as f:
                f.write("Alice  a b\n# no\nbob\tb\nbob\tagain\n\"c d\"  quoted\n")
            status, out, err = run(["postmap", spec])
            need(status == 0 and 'line 4: duplicate entry: "bob"' in err, err)
            need(run(["postmap", "-q", "ALICE", spec]) == (0, "a b\n", ""))
            need(run(["postmap", "-q", "-", spec], b"alice\nnobody\nbob\n")[:2] == (0, "alice\ta b\nbob\tb\n"))
            need(run(["postmap", "-q", "nobody", spec])[0] == 1)
            need(sorted(run(["postmap", "-s", spec])[1].split("\n")) == ["", '"c d"\tquoted', "alice\ta b", "bob\tb"],
                 run(["postmap", "-s", spec]))
            need(run(["postmap", "-i", spec], b"dave d\n")[0] == 0 and run(["postmap", "-q", "dave", spec])[1] == "d\n")
            need(run(["postmap", "-r", "-i", spec], b"dave e\n")[0] == 0 and run(["postmap", "-q", "dave", spec])[1] == "e\n")
            need(run(["postmap", "-d", "bob", spec])[0] == 0 and run(["postmap", "-q", "bob", spec])[0] == 1)
            need(run(["postmap", "-d", "bob", spec])[0] == 1)
            for flag in ("-n", "-N"):
                need(run(["postmap", flag, spec])[0] == 0 and run(["postmap", "-q", "alice", spec])[1] == "a b\n", flag)
            need(run(["postmap", "-f", spec])[0] == 0 and run(["postmap", "-fq", "Alice", spec])[1] == "a b\n")
        mail = (b"Subject: a\n b\nContent-Type: multipart/x; boundary=Y\n\nbody\n--Y\nX-In: part\n\ntext\n--Y--\n")
        rules = "pcre:{{/^Subject: a\\n b/ s} {/^X-In/ in} {/^body/ b} {/^text/ t}}"
        need(run(["postmap", "-hq", "-", rules], mail)[1] == "Subject: a\n b\ts\n", run(["postmap", "-hq", "-", rules], mail))
        need(run(["postmap", "-hmq", "-", rules], mail)[1] == "Subject: a\n b\ts\nX-In: part\tin\n")
        need(run(["postmap", "-bq", "-", rules], mail)[1] == "body\tb\nX-In: part\tin\ntext\tt\n")
        need(run(["postmap", "-bmq", "-", rules], mail)[1] == "body\tb\ntext\tt\n")
        need(run(["postmap", "-bhmq", "-", rules], mail)[1] == "Subject: a\n b\ts\nbody\tb\nX-In: part\tin\ntext\tt\n")
        status, out, err = run(["postmap", "-q", "x", "mysql:/etc/x"])
        need(status == 1 and "tables of type mysql are not supported yet" in err, err)
        types = run(["postconf", "-m"])[1].split()
        need(set("btree cdb cidr environ fail hash inline lmdb pcre pipemap randmap regexp static texthash unionmap unix".split()) <= set(types), types)
        name = os.path.join(i.dir, "aliases")
        with open(name, "w") as f:
            f.write("root: ann, \"|cmd x\"\n")
        need(run(["postalias", "cdb:" + name])[0] == 0 and run(["postalias", "-q", "root", "cdb:" + name])[1] == "ann, \"|cmd x\"\n",
             run(["postalias", "-q", "root", "cdb:" + name]))
    finally:
        os.environ.pop("MAIL_CONFIG", None)
        i.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
