"""test_local - local(8): aliases, .forward, commands, mailboxes of users.

Users of the system are made for the test, so it needs root.
"""
import glob
import grp
import os
import re
import shutil
import sys

from harness import is_root, main, need, wait_for
from localbox import HOST, Box, mbox_of

WHY = "needs root"


def logged(b, pattern, seconds=20):
    need(b.wait_log(pattern, seconds), "not in the log:", pattern, b.log()[-3000:])


def settled(b):
    need(b.empty(), "still queued:", b.mails_queued(), b.log()[-3000:])


def text_of(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def test_aliases():
    """Names, lists, commands, files, :include:, nesting, duplicates, loops."""
    if not is_root():
        return WHY
    b = Box()
    out = os.path.join(b.dir, "out")
    os.makedirs(out)
    os.chmod(out, 0o1777)
    b.write(os.path.join(b.etc, "list"), "# members\n{al}\n{bea}, {al}\n:include:%s/more\n" % b.etc)
    b.write(os.path.join(b.etc, "more"), "nosuch\n:include:%s/list\n" % b.etc)
    b.write(os.path.join(b.etc, "none"), "# nobody\n")
    b.write(os.path.join(b.etc, "open"), "{al}\n", mode=0o666)
    b.aliases("one: {al}", "{bea}: {bea}, {al}", "self: \\{al}",
              'cmd: "|/bin/cat >%s/cmd; id -un >%s/who"' % (out, out),
              "file: %s/file" % out, "dir: %s/dir/" % out, "mh: %s/mh/." % out,
              "null: /dev/null", "list: :include:%s/list" % b.etc,
              "none: :include:%s/none" % b.etc, "open: :include:%s/open" % b.etc,
              "both: {al}, \"|/bin/cat >%s/both\"" % out,
              "loop1: loop2", "loop2: loop3", "loop3: loop1",
              "nosuchfile: :include:%s/absent" % b.etc,
              "hard: \"|exit 67\"", "soft: \"|echo 4.2.2 later; exit 1\"")
    with b:
        b.mail(b.at("one"), b.at("self"))
        need(len(b.wait_mbox("al", 2)) == 2)
        b.mail(b.at("bea"))             # bea: bea, al
        need(len(b.wait_mbox("bea", 1)) == 1 and len(b.wait_mbox("al", 3)) == 3, b.log()[-2000:])
        b.mail(b.at("cmd"))
        need(wait_for(lambda: text_of(out + "/who")), b.log()[-2000:])
        need(text_of(out + "/who") == "nobody\n", text_of(out + "/who"))
        need("\nbody\n" in text_of(out + "/cmd") and text_of(out + "/cmd").startswith("From ann@"))
        b.mail(b.at("file"), b.at("dir"), b.at("mh"), b.at("null"))
        logged(b, r"to=<null@.*status=sent \(delivered to file: /dev/null\)")
        need(wait_for(lambda: len(mbox_of(out + "/file")) == 1), b.log()[-2000:])
        need(wait_for(lambda: len(glob.glob(out + "/dir/new/*")) == 1), b.log()[-2000:])
        need(wait_for(lambda: text_of(out + "/mh/1").endswith("body\n")), b.log()[-2000:])
        b.mail(b.at("mh"))
        need(wait_for(lambda: text_of(out + "/mh/2")), os.listdir(out + "/mh"))
        b.mail(b.at("list"))
        need(len(b.wait_mbox("bea", 2)) == 2 and len(b.wait_mbox("al", 5)) == 5, b.log()[-2000:])
        logged(b, r'to=<nosuch@.*status=bounced \(unknown user: "nosuch"\)')
        b.mail(b.at("both"))
        need(len(b.wait_mbox("al", 6)) == 6 and wait_for(lambda: text_of(out + "/both")))
        b.mail(b.at("none"))
        logged(b, r"to=<none@.*status=sent")
        b.mail(b.at("loop1"))
        logged(b, r"status=bounced \((alias database loop|recipient nesting limit|mail forwarding loop)")
        b.mail(b.at("hard"))
        logged(b, r"to=<hard@.*dsn=5.1.1, status=bounced \(user unknown\)")
        b.mail(b.at("soft"))
        logged(b, r"to=<soft@.*dsn=4.2.2, status=deferred \(later\)")
        b.mail(b.at("open"))
        logged(b, r"unable to use :include: file \S+/open: world writable")
        b.mail(b.at("nosuchfile"))
        logged(b, r"to=<nosuchfile@.*dsn=4.3.5, status=deferred")
        need(len(b.mbox("al")) == 6 and len(b.mbox("bea")) == 2, "too much came")


# What is written to, and how many copies each gets: as Postfix's local(8).
DUPLICATES = (
    ("twice", dict(al=1)), ("nest1", dict(al=1, bea=1)), ("diamond", dict(al=1)), ("mixed", dict(al=1, bea=1)),
    ("self", dict(al=1, bea=1)), ("lists", dict(al=1, bea=1)), ("inlist", dict(al=1)), ("cmds", dict(al=1)),
    ("sublists", dict(al=1, bea=1)),     # Two addresses of the envelope are two recipients, what a user's .forward
    # names is a new message, and extensions are places of their own.
    ("twice one", dict(al=2)), ("dotfwd", dict(al=2, cyd=1)), ("folders", dict(al=2)),
)


def test_duplicates():
    """Nested aliases, lists and .forward files: one copy where Postfix makes one."""
    if not is_root():
        return WHY
    b = Box(names=("al", "bea", "cyd"), settings=("recipient_delimiter = +",))
    b.write(os.path.join(b.etc, "l1"), "{al}\none\n:include:%s/l2\n" % b.etc)
    b.write(os.path.join(b.etc, "l2"), "{bea}, {al}\nsub\n:include:%s/l1\n" % b.etc)
    out = b.write(os.path.join(b.dir, "out"), "", mode=0o666)
    b.aliases("one: {al}", "uno: One", "twice: {al}, {al}, one", "nest1: nest2, {al}, {bea}", "nest2: nest3, {bea}, uno", "nest3: {al}, one",
              "diamond: left, right", "left: bottom", "right: bottom", "bottom: {al}@%s" % HOST,
              "mixed: :include:%s/l1, {al}, {bea}" % b.etc, "self: me, {bea}", "me: \\{al}, {bea}",
              "lists: list1, list2", "list1: :include:%s/l1" % b.etc, "list2: :include:%s/l2" % b.etc,
              "inlist: sub, one, :include:%s/l3" % b.etc, "sub: uno", "cmds: c1, c2", 'c1: {al}, "|echo x >>%s"' % out,
              'c2: uno, "|echo x >>%s"' % out, "sublists: s1, s2", "s1: {al}, {bea}", "s2: {bea}, one",
              "dotfwd: {cyd}, one", "folders: {al}+a, {al}+b, {al}+a")
    b.write(os.path.join(b.etc, "l3"), "one, uno, {al}\n")
    b.forward("cyd", "\\{cyd}, one, {al}, {cyd}\n")
    with b:
        for to, want in DUPLICATES:
            before = {n: len(b.mbox(n)) for n in b.names}
            b.mail(*[b.at(t) for t in to.split()], text="Subject: %s\n\nx\n" % to)
            settled(b)
            got = {n: len(b.mbox(n)) - before[n] for n in b.names}
            got = {n: k for n, k in got.items() if k}
            need(got == want, to, got, want, b.log()[-3000:])
        need(text_of(out) == "x\nx\n", "once for each name", text_of(out))


def test_owner():
    """owner-LIST is the sender of the list's mail, and hears of failures."""
    if not is_root():
        return WHY
    b = Box()
    out = os.path.join(b.dir, "out")
    b.aliases("list: nosuch, {al}, \"|echo $SENDER >>%s; exit 69\"" % out,
              "owner-list: {bea}", "nested: list, {al}")
    b.write(out, "", mode=0o666)
    with b:
        b.mail(b.at("list"))
        need(len(b.wait_mbox("al", 1)) == 1, b.log()[-2000:])
        need(b"Return-Path: <owner-list@" in b.mbox("al")[0], b.mbox("al"))
        need(len(b.wait_mbox("bea", 2)) == 2, b.log()[-3000:])
        need(all(b"Undelivered Mail" in m for m in b.mbox("bea")))
        need(text_of(out) == "owner-list@%s\n" % HOST, text_of(out))
        settled(b)
        need("to=<ann@" not in b.log(), "the sender heard of it")


def test_forward():
    """~/.forward: all forms, the user's own rights, extensions, loops."""
    if not is_root():
        return WHY
    b = Box(names=("al", "bea", "cy"))
    b.forward("al", "# mine\n\\{al}, {bea}\n\"|id -un >$HOME/who; cat >$HOME/$EXTENSION.x\"\n~/Mail/\n")
    b.forward("al", "{cy}\n", name=".forward+work")
    b.forward("bea", "{bea}, :include:%s/l\n" % b.home("bea"))
    b.write(b.home("bea") + "/l", "{cy}\n", "bea")
    b.forward("cy", "")                 # empty: as if there were none
    with b:
        b.mail(b.at("al", "+tag"))
        need(len(b.wait_mbox("al", 1)) == 1, b.log()[-3000:])
        need(len(b.wait_mbox("bea", 1)) == 1 and len(b.wait_mbox("cy", 1)) == 1, b.log()[-3000:])
        need(text_of(b.home("al") + "/who") == b.names["al"] + "\n")
        need("body" in text_of(b.home("al") + "/tag.x"), os.listdir(b.home("al")))
        need(os.stat(b.home("al") + "/tag.x").st_uid == b.user("al").pw_uid)
        need(wait_for(lambda: len(glob.glob(b.home("al") + "/Mail/new/*")) == 1))
        b.mail(b.at("al", "+work"))
        need(len(b.wait_mbox("cy", 2)) == 2, b.log()[-3000:])
        settled(b)
        need(len(b.mbox("al")) == 1 and len(b.mbox("bea")) == 1 and len(b.mbox("cy")) == 2)
        # An alias of oneself in one's own .forward is the mailbox.
        b.aliases("al.smith: {al}", "team: {bea}, {al}")
        b.forward("al", "al.smith, team\n")
        b.mail(b.at("al"))
        need(len(b.wait_mbox("al", 2)) == 2 and len(b.wait_mbox("bea", 2)) == 2, b.log()[-3000:])
        settled(b)
        need(len(b.mbox("al")) == 2 and len(b.mbox("bea")) == 2, b.log()[-3000:])
        # al to bea and back: the circle is found.
        b.forward("al", "{bea}\n")
        b.forward("bea", "{al}\n")
        b.mail(b.at("al"))
        logged(b, r"status=bounced \(mail forwarding loop for")


def test_commands():
    """What a command sees, and how its end is read."""
    if not is_root():
        return WHY
    b = Box(settings=("command_time_limit = 2s",))
    h = b.home("al")
    b.forward("al", "\"|exec $HOME/run\"\n")
    b.write(h + "/run", """#!/bin/sh
exec >$HOME/saw 2>&1
env | sort
ls -l /proc/$$/fd
cat /proc/$$/status
cat >/dev/null
""", "al", 0o755)
    hostile = "\"a;b$(x)`y`|z\"@elsewhere.test"
    with b:
        b.mail(b.at("al", "+e$x"), sender=hostile)
        need(wait_for(lambda: "Seccomp" in text_of(h + "/saw") and not b.mails_queued()), b.log()[-2000:])
        saw = text_of(h + "/saw")
        env = dict(line.split("=", 1) for line in saw.split("\n") if re.match(r"[A-Z_]+=", line))
        need(env["USER"] == env["LOGNAME"] == b.names["al"] and env["HOME"] == h, env)
        need(env["SHELL"] == "/bin/sh" and env["DOMAIN"] == HOST, env)
        need(env["EXTENSION"] == "e_x" and env["LOCAL"] == b.names["al"] + "+e_x", env)
        need(env["SENDER"] == "a_b__x__y__z@elsewhere.test", env["SENDER"])
        need(env["RECIPIENT"] == b.at("al", "+e_x"), env)
        need(env["CLIENT_ADDRESS"] == "127.0.0.1" and env["CLIENT_PROTOCOL"] == "ESMTP", env)
        need(env["PATH"] == "/usr/bin:/bin", env)
        fds = re.findall(r"^\S+ .* (\d+) -> (\S+)", saw, re.M)
        need({f for f, _ in fds} <= {"0", "1", "2", "10", "255", "3"} and
             not any("socket" in t or "spool" in t for _, t in fds), fds)
        uid = str(b.user("al").pw_uid)
        need(re.search(r"^Uid:\s+%s\s+%s\s+%s\s+%s$" % (uid, uid, uid, uid), saw, re.M), saw)
        need(re.search(r"^CapBnd:\s+0+$", saw, re.M) and re.search(r"^Groups:\s*\d*\s*$", saw, re.M), saw)
        ends = (("exit 0", r"status=sent \(delivered to command: "),
                ("exit 77", r"dsn=5.7.0, status=bounced \(permission denied\)"),
                ("echo no; exit 75", r"dsn=4.3.0, status=deferred \(temporary failure. Command output: no\)"),
                ("exit 3", r'dsn=5.3.0, status=bounced \(Command died with status 3: "'),
                ("kill -9 $$", r'dsn=4.3.0, status=deferred \(Command died with signal 9: "'),
                ("echo 5.6.1 bad; exit 1", r"dsn=5.6.1, status=bounced \(bad\)"),
                ("sleep 30 & wait", r'dsn=5.3.0, status=bounced \(Command time limit exceeded: "'),
                ("yes | head -c 3000000; exit 1", r"status=(bounced|deferred)"),
                ("exec /no/such", r"status=bounced \(Command died with status 127: "))
        for script, pattern in ends:
            at = len(b.log())
            b.write(h + "/run", "#!/bin/sh\n%s\n" % script.replace("{", "{{"), "al", 0o755)
            b.mail(b.at("al"), text="Subject: x\n\n" + "line\n" * 20000)
            need(wait_for(lambda: re.search(pattern, b.log()[at:]), 20), script, b.log()[at:])
            b.run("postsuper", "-d", "ALL", check=False)
        need(not [p for p in os.listdir("/proc") if p.isdigit() and
                  text_of("/proc/%s/cmdline" % p).startswith("sleep\x0030")
                  and os.stat("/proc/" + p).st_uid == b.user("al").pw_uid], "a command outlived its time")
        b.forward("al", "|/no/such/program\n")
        b.mail(b.at("al"))
        logged(b, r"status=deferred \(temporary failure. Command output: local: fatal: execvp /no/such/program: No such file")


def test_mailbox_forms():
    """home_mailbox as mbox, Maildir, MH; MMDF."""
    if not is_root():
        return WHY
    for setting, path, want in (("home_mailbox = Mail/box", "Mail/box", b"From ann@"),
                                ("home_mailbox = Maildir/", "Maildir/new/*", b"Return-Path"),
                                ("home_mailbox = MH/inbox/.", "MH/inbox/1", b"Return-Path"),
                                ("mailbox_file_format = mmdf", "../../box/{al}", b"\1\1\1\1\nReturn-Path")):
        b = Box(settings=(setting,))
        if "Mail/box" in path:
            os.makedirs(b.home("al") + "/Mail")
            os.chown(b.home("al") + "/Mail", b.user("al").pw_uid, b.user("al").pw_gid)
        with b:
            b.mail(b.at("al"), text="Subject: x\n\n\1\1\1\1\nFrom here\n")
            found = wait_for(lambda: glob.glob(os.path.join(b.home("al"), path.format(**b.names))))
            need(found, setting, b.log()[-2000:])
            need(wait_for(lambda: open(found[0], "rb").read().startswith(want)), open(found[0], "rb").read())
            data = open(found[0], "rb").read()
            need(b"\n>From here" in data if setting.endswith("box") else
                 b"\n>\1\1\1\1\nFrom here\n\1\1\1\1\n" in data if "mmdf" in setting else
                 b"\nFrom here\n" in data, setting, data)


def test_mailbox_command():
    """procmail and maildrop deliver; tables of commands; transports."""
    if not is_root():
        return WHY
    b = Box(names=("al", "bea", "cy", "dan"), settings=(
        'mailbox_command = /usr/bin/procmail -a "$EXTENSION" DEFAULT=$HOME/proc',
        "local_recipient_maps ="))
    b.set("mailbox_command_maps = inline:{ {%s = /usr/bin/maildrop -V 0} }" % b.names["bea"])
    b.set("mailbox_transport_maps = inline:{ {%s = virtual:}, {%s = discard:kept} }" % (b.names["cy"], b.names["dan"]))
    b.set("fallback_transport = error:5.1.1 nobody of that name")
    b.write(b.home("bea") + "/.mailfilter", 'to "$HOME/drop"\n', "bea", 0o600)
    b.set("virtual_mailbox_maps = inline:{ {%s = example.test/cy/} }" % b.at("cy"))
    b.set("virtual_mailbox_domains =")
    have = [p for p in ("procmail", "maildrop") if os.path.exists("/usr/bin/" + p)]
    with b:
        if "procmail" in have:
            b.mail(b.at("al", "+x"))
            need(wait_for(lambda: len(mbox_of(b.home("al") + "/proc")) == 1), b.log()[-2000:])
        if "maildrop" in have:
            b.mail(b.at("bea"))
            need(wait_for(lambda: "body" in text_of(b.home("bea") + "/drop")), b.log()[-2000:])
        b.mail(b.at("cy"))
        need(wait_for(lambda: glob.glob(os.path.join(b.dir, "mail", "example.test", "cy", "new", "*"))), b.log()[-2000:])
        b.mail(b.at("dan"))
        logged(b, r"relay=none.*status=sent \(kept\)")
        b.mail(b.at("nosuch"), sender="")
        logged(b, r"to=<nosuch@.*status=bounced \(nobody of that name\)")
        b.forward("al", "\\{al}, |cat >$HOME/too\n")	# .forward comes first
        b.mail(b.at("al"))
        need(wait_for(lambda: "body" in text_of(b.home("al") + "/too")), b.log()[-2000:])
        settled(b)
    return None if len(have) == 2 else "in part, with %s alone" % have


def test_commands_may_be_set_gid():
    """As in any session of that user: sendmail's postdrop is such a one."""
    if not is_root():
        return WHY
    b = Box()
    program = os.path.join(b.dir, "id")
    shutil.copy(shutil.which("id"), program)
    os.chown(program, 0, grp.getgrnam("mail").gr_gid)
    os.chmod(program, 0o2755)
    b.forward("al", "\"|%s >$HOME/who\"\n" % program)
    with b:
        b.mail(b.at("al"))
        need(wait_for(lambda: text_of(b.home("al") + "/who")), b.log()[-2000:])
        who = text_of(b.home("al") + "/who")
        need("egid=%d(mail)" % grp.getgrnam("mail").gr_gid in who, who)
        need("uid=%d(" % b.user("al").pw_uid in who and "(root)" not in who, who)


def test_partial():
    """What was done of a recipient is not done again while the rest waits."""
    if not is_root():
        return WHY
    b = Box()
    b.forward("al", "\\{al}, \"|echo x >>$HOME/once\", \"|test -e $HOME/ok || exit 75\"\n")
    with b:
        b.mail(b.at("al"))
        need(wait_for(lambda: len(re.findall("status=deferred", b.log())) >= 3), b.log()[-2000:])
        b.write(b.home("al") + "/ok", "", "al")
        settled(b)
        need(text_of(b.home("al") + "/once") == "x\n" and len(b.mbox("al")) == 1,
             text_of(b.home("al") + "/once"), len(b.mbox("al")))


def test_status_filter():
    """local_delivery_status_filter makes of a failure a put-off."""
    if not is_root():
        return WHY
    b = Box(settings=(r"local_delivery_status_filter = pcre:{ {/^5\.7\.0 permission denied/ 4.7.0 not yet} }",))
    b.aliases("c: |exit 77")
    with b:
        b.mail(b.at("c"))
        logged(b, r"dsn=4.7.0, status=deferred \(not yet\)")


def test_big_list():
    """A list of 10,000 by :include:, each once."""
    if not is_root():
        return WHY
    n = int(os.environ.get("POSTERN_LIST", "2000"))
    b = Box(names=("al",))
    b.set("virtual_mailbox_maps = static:example.test/all/")
    b.write(os.path.join(b.etc, "big"), "".join("m%d@example.test\n" % i for i in range(n)) + "m1@example.test\n")
    b.aliases("big: :include:%s/big" % b.etc)
    with b:
        b.mail(b.at("big"))
        new = os.path.join(b.dir, "mail", "example.test", "all", "new")
        need(wait_for(lambda: os.path.isdir(new) and len(os.listdir(new)) >= n, 120, 0.5),
             len(os.listdir(new)) if os.path.isdir(new) else 0, b.log()[-2000:])
        settled(b)
        need(len(os.listdir(new)) == n, len(os.listdir(new)))


if __name__ == "__main__":
    sys.exit(main(globals()))
