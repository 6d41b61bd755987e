"""test_powercut - two power cuts under load; tests/soak/powercut.py has more.
"""
import os
import sys

import harness

sys.path.insert(0, os.path.join(harness.TOP, "tests", "soak"))
import powercut		# noqa: E402  pylint: disable=wrong-import-position


def cuts(*args):
    reason = powercut.usable()
    if reason:
        return reason
    powercut.powercut("ext4", powercut.options(
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


if __name__ == "__main__":
    sys.exit(harness.main(globals()))
