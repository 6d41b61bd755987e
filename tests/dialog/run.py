#!/usr/bin/env python3
"""run - plays the dialogues beside this file against a running instance.

    # comment
    set NAME = VALUE    an instance with that in main.cf (first lines only)
    open                a new connection; its greeting is the next reply
    c -> LINE           the client says LINE and CRLF
    c => TEXT           the client sends TEXT as it is, with \\r \\n \\0 \\xHH
    c *N TEXT           the same, N times over
    s <- TEXT           the next reply is TEXT (lines joined by " | ")
    s <~ REGEX          the next reply matches REGEX from its start
    s <x                the server closes
    log <~ REGEX        a line of the log matches, soon

Every verb of smtpd's table must appear in some dialogue.
"""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suite"))
from harness import TOP, Instance, Wire, need  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def unescape(text):
    return re.sub(rb"\\(x[0-9a-fA-F]{2}|.)", lambda m: {
        b"r": b"\r", b"n": b"\n", b"0": b"\0", b"\\": b"\\"}.get(
            m.group(1)) or bytes([int(m.group(1)[1:], 16)]), text.encode())


def play(path, inst):
    wire = None
    start = len(inst.log())
    try:
        for number, raw in enumerate(open(path, encoding="utf-8"), 1):
            line = raw.rstrip("\n")
            where = "%s:%d: %s" % (os.path.basename(path), number, line)
            if not line or line.startswith(("#", "set ")):
                continue
            if line == "open":
                if wire:
                    wire.close()
                wire = Wire(inst.port)
            elif line.startswith("c -> "):
                wire.send(line[5:].encode() + b"\r\n")
            elif line.startswith("c => "):
                wire.send(unescape(line[5:]))
            elif line.startswith("c *"):
                times, text = line[3:].split(" ", 1)
                wire.send(unescape(text) * int(times))
            elif line.startswith("s <- "):
                got = wire.reply().replace("\n", " | ")
                need(got == line[5:], where + ": got", got)
            elif line.startswith("s <~ "):
                got = wire.reply().replace("\n", " | ")
                need(re.match(line[5:], got), where + ": got", got)
            elif line == "s <x":
                need(wire.closed(), where + ": still open")
            elif line.startswith("log <~ "):
                need(inst.wait_log(line[7:], 10), where + ": not in\n" + inst.log()[start:])
            else:
                raise AssertionError(where + ": not a line of a dialogue")
    finally:
        if wire:
            wire.close()


def settings(path):
    with open(path, encoding="utf-8") as f:
        return tuple(line[4:].strip() for line in f if line.startswith("set "))


def run_group(sets, paths, results):
    try:
        with Instance(settings=sets) as inst:
            for path in paths:
                name = os.path.basename(path)
                try:
                    play(path, inst)
                    results.append("ok %s" % name)
                except Exception as e:
                    results.append("not ok %s: %s" % (name, e))
    except Exception as e:
        results.extend("not ok %s: %s" % (os.path.basename(p), e) for p in paths)


def verbs_covered(paths):
    """Each verb of smtpd/session.c's table stands in some dialogue."""
    with open(os.path.join(TOP, "smtpd", "session.c")) as f:
        verbs = re.findall(r'^\t\{ "([A-Z]+)",', f.read(), re.M)
    need(len(verbs) > 10, "no table of verbs found")
    text = "".join(open(p, encoding="utf-8").read().upper() for p in paths)
    missing = [v for v in verbs if not re.search(r"C [-=]> .*\b%s\b" % v, text)]
    return "not ok verbs without a dialogue: %s" % missing if missing else "ok every verb has a dialogue"


def main():
    paths = [p for p in sorted(glob.glob(os.path.join(HERE, "*.txt")))
             if len(sys.argv) < 2 or os.path.basename(p) in sys.argv[1:]]
    groups = {}
    for path in paths:
        groups.setdefault(settings(path), []).append(path)
    results = [] if len(sys.argv) > 1 else [verbs_covered(paths)]
    for sets, members in groups.items():
        run_group(sets, members, results)
    print("\n".join(sorted(results)))
    return any(r.startswith("not") for r in results)


sys.exit(main())
