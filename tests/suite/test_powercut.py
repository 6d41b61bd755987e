"""test_powercut - two power cuts under load; tests/soak/powercut.py has more.
"""
import os
import re
import sys

import harness
import ledger

sys.path.insert(0, os.path.join(harness.TOP, "tests", "soak"))
import powercut		# noqa: E402  pylint: disable=wrong-import-position


def cuts(*args, fs="ext4"):
    reason = powercut.usable(fs)
    if reason:
        return reason
    powercut.powercut(fs, powercut.options(
        ["--cuts", "2", "--messages", "400", *args]),
        lambda text: print("#   " + text, flush=True))
    return None


def test_maildir():
    return cuts()


def test_mbox():
    return cuts("--mbox")


def test_forward():
    return cuts("--through", "forward")


def test_command():
    return cuts("--through", "command")


def test_users_mbox():
    return cuts("--users", "spool")


def test_users_home():
    return cuts("--users", "home", fs="xfs")


def test_zeroed_end():
    """
    An append that was written and not synced, while something else was: ext4
    puts down its length alone. The NULs go with the next delivery.
    """
    reason = powercut.usable()
    if reason:
        return reason
    with powercut.Users("ext4", powercut.options(["--users", "spool"])) as inst:
        paths = [inst.boxes[kind] for kind in ("box", "file")]
        powercut.deliver(inst, 10**9, inst.all_boxes())
        ledger.quiet(inst)
        before = []
        for path in paths:
            with open(path, "r+b", 0) as f, open(os.path.dirname(path) + "/other", "wb", 0) as other:
                before.append(f.read())
                f.write(b"From x\n\n" + b"line\n" * 100 + b"\n")
                os.fsync(other.fileno())
        inst.cut(ledger.Load(inst, sessions=0, sendmail=False))
        zeros = 0
        for path in paths:
            with open(path, "rb") as f:
                zeros += f.read().endswith(b"\0")
        if not zeros:
            return "no NULs: this ext4 does better"
        powercut.deliver(inst, 10**9 + 1, inst.all_boxes())
        for path, whole in zip(paths, before):
            with open(path, "rb") as f:
                data = f.read()
            harness.need(data.startswith(whole + b"From ") and b"\0" not in data,
                         path, data[len(whole):][:300])
            harness.need([ledger.check_mail(m) for m in ledger.split_mbox(data)] ==
                         [(10**9, True), (10**9 + 1, True)], path, data)
        harness.need(len(re.findall("warning: .*: cut off the 509 NULs at its end", inst.log())) == zeros,
                     inst.log()[-1000:])
        return None


if __name__ == "__main__":
    sys.exit(harness.main(globals()))
