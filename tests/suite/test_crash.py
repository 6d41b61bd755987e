"""test_crash - processes are killed and stopped under load; every message
that was accepted is then found: delivered, queued or reported. DESIGN 1.

POSTERN_CRASH=N multiplies the faults (tests/soak uses it).
"""
import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import badserver
import harness
import ledger
from harness import need

TIMES = int(os.environ.get("POSTERN_CRASH", "1"))
HEALED_S = 10.0
# What may come twice after one kill: deliveries under way, whose limit is
# default_destination_concurrency_limit, and a report's. A reload or a new
# binary kills nobody and brings none twice.
IN_FLIGHT = 20
DELIVERERS = ("qmgr", "virtual", "agent", "bounce", "cleanup", "pickup")
SETTINGS = ledger.SETTINGS + ("daemon_stopped_time = 1s",)


class Box(harness.Instance):
    def __init__(self, *settings, **kw):
        super().__init__(users=ledger.USERS, settings=SETTINGS + settings,
                         **kw)


def finish(inst, load, dups_most, since):
    """Heals, comes to rest, and all is there."""
    took = ledger.probe(inst, since, HEALED_S)
    ledger.quiet(inst)
    a = ledger.Account(load, dups_most)
    print("#   %s; healed in %.1f s" % (a, took), flush=True)
    a.check()
    need(len(load.accepted) >= 100, "too little load:", len(load.accepted))
    return a


def test_children_one_by_one():
    rng = random.Random(1)
    harmful = 0
    with Box() as inst, ledger.Load(inst) as load:
        for _ in range(25 * TIMES):
            time.sleep(0.3)
            children = inst.children()
            if not children:
                continue
            pid, name = rng.choice(children)
            ledger.kill(pid)
            harmful += name in DELIVERERS
        since = time.monotonic()
        load.stop()
        a = finish(inst, load, harmful * IN_FLIGHT, since)
        need(a.litter <= harmful * IN_FLIGHT, "files in tmp/:", a.litter)


def test_all_workers_at_once():
    rounds = 3 * TIMES
    with Box() as inst, ledger.Load(inst) as load:
        for _ in range(rounds):
            time.sleep(1.5)
            master = inst.master_pid()
            for pid, _ in inst.children():
                ledger.kill(pid)
            since = time.monotonic()
            ledger.probe(inst, since, HEALED_S)
            need(inst.master_pid() == master, "master went too")
        load.stop()
        finish(inst, load, rounds * IN_FLIGHT, since)


def test_master():
    """Its guard starts a new one; the children of the old one leave."""
    rounds = 3 * TIMES
    with Box() as inst, ledger.Load(inst) as load:
        for _ in range(rounds):
            time.sleep(1.5)
            old = inst.master_pid()
            ledger.kill(old)
            since = time.monotonic()
            ledger.probe(inst, since, HEALED_S)
            need(inst.master_pid() != old, "the same pid")
        load.stop()
        finish(inst, load, rounds * IN_FLIGHT, since)


def test_everything():
    """Guard and all: then somebody has to start it, like systemd."""
    rounds = 3 * TIMES
    with Box() as inst, ledger.Load(inst, sendmail=False) as load:
        for _ in range(rounds):
            time.sleep(1.5)
            ledger.kill_all(inst)
            since = time.monotonic()
            inst.start()
            ledger.probe(inst, since, HEALED_S)
        load.stop()
        finish(inst, load, rounds * IN_FLIGHT, since)


def test_stopped():
    """Each program is stopped, one after the other; master, too."""
    with Box() as inst, ledger.Load(inst) as load:
        harness.wait_for(lambda: inst.pids("agent"))
        for name in sorted({n for _, n in inst.children()}):
            for pid in inst.pids(name):
                ledger.kill(pid, signal.SIGSTOP)
            time.sleep(0.4)
        since = time.monotonic()
        ledger.probe(inst, since, HEALED_S)
        ledger.kill(inst.master_pid(), signal.SIGSTOP)
        since = time.monotonic()
        load.stop()
        finish(inst, load, 0, since)

        def runs():
            with open("/proc/%d/stat" % inst.master_pid()) as f:
                return f.read().rsplit(")", 1)[1].split()[0] != "T"
        need(harness.wait_for(runs, HEALED_S), "master is still stopped")


def test_hung():
    """One that is not stopped but does nothing: killed, replaced."""
    reason = ledger.can_trace()
    if reason:
        return reason
    with Box("daemon_watchdog_time = 3s") as inst:
        for name in ("virtual", "cleanup"):
            inst.send()
            old = inst.pids(name)[0]
            t = ledger.Trace(old, "epoll_wait,epoll_pwait",
                             ["epoll_wait,epoll_pwait:delay_enter=60s"])
            need(t.ok, "strace:", t.lines)
            found = inst.wait_log(r"process %s pid %d gives no sign of life"
                                  % (name, old), 15)
            since = time.monotonic()
            t.end()
            need(found, name, "was not found hung")
            ledger.probe(inst, since, HEALED_S)
            need(old not in inst.pids(name), "the same process")


def break_channels(pid):
    """Shuts the channels between this process and its peers, not master's:
    as if they had overflowed. How many there were."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd, n = libc.syscall(434, pid, 0), 0	# pidfd_open
    for fd in os.listdir("/proc/%d/fd" % pid):
        mine = libc.syscall(438, pidfd, int(fd), 0)	# pidfd_getfd
        if mine < 0:
            continue
        if int(fd) <= 4 or not stat.S_ISSOCK(os.fstat(mine).st_mode):
            os.close(mine)
            continue
        with socket.socket(fileno=mine) as s:
            if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET:
                s.shutdown(socket.SHUT_RDWR)
                n += 1
    os.close(pidfd)
    return n


def test_broken_channels():
    if not harness.is_root():
        return "pidfd_getfd needs root"
    with Box() as inst, ledger.Load(inst) as load:
        for name in ("smtpd", "cleanup", "qmgr", "virtual"):
            time.sleep(0.5)
            before = inst.pids(name)
            need(harness.wait_for(lambda pid=before[0]: break_channels(pid)),
                 "no channels of", name)
            need(inst.wait_log(r"channel between .*%s\[%d\].* broke: remade" %
                               (name, before[0])), "not remade:", name)
            need(inst.pids(name) == before, name, "was replaced")
        since = time.monotonic()
        load.stop()
        finish(inst, load, 4 * IN_FLIGHT, since)


def test_reload_storm():
    """No session is dropped, no message refused."""
    with Box() as inst, ledger.Load(inst, per_session=400) as load:
        idle = ledger.Session(inst.port)
        for _ in range(30 * TIMES):
            inst.run("postern", "-c", inst.etc, "reload")
            time.sleep(0.1)
        need(idle.say("NOOP\r\n", "250") is None, "the idle session went")
        idle.close()
        since = time.monotonic()
        load.stop()
        a = finish(inst, load, 0, since)
        need(load.lost_sessions == 0, "sessions lost:", load.lost_sessions)
        need(not load.refused, "refused:", list(load.refused.items())[:5])
        need(not load.unknown, "unknown:", list(load.unknown.items())[:5])
        need(a.litter == 0, "files in tmp/:", a.litter)


def test_second_master():
    with Box() as inst:
        pid = inst.master_pid()
        for _ in range(3):
            p = subprocess.run([os.path.join(harness.BUILD, "libexec",
                                             "master"), "-c", inst.etc],
                               capture_output=True, timeout=30)
            need(p.returncode != 0, "a second master runs")
            need(p.stderr, "and says nothing")
        need(inst.master_pid() == pid, "the pid file was changed")
        ledger.probe(inst, time.monotonic(), HEALED_S)


@contextlib.contextmanager
def own_programs():
    """Runs a test on copies of our programs, master's path."""
    sbin, build = harness.SBIN, harness.BUILD
    top = os.path.join("/tmp", "postern-binary-%d" % os.getpid())
    try:
        for d in ("sbin", "libexec"):
            shutil.copytree(os.path.join(build, d), os.path.join(top, d),
                            symlinks=True)
        os.chmod(top, 0o755)
        harness.SBIN = os.path.join(top, "sbin")
        yield os.path.join(top, "libexec", "master")
    finally:
        harness.SBIN = sbin
        shutil.rmtree(top, ignore_errors=True)


def become_new(inst, master):
    """Another file at master's path, and a reload."""
    pid = inst.master_pid()
    shutil.copy2(master, master + ".new")
    os.utime(master + ".new")
    os.rename(master + ".new", master)
    inode = os.stat(master).st_ino
    inst.run("postern", "-c", inst.etc, "reload")
    runs = harness.wait_for(lambda: os.stat(
        "/proc/%d/exe" % inst.master_pid()).st_ino == inode)
    need(runs, "the old master still runs", inst.log()[-1000:])
    need(inst.master_pid() == pid, "another pid")


def test_new_binary():
    """master's file is replaced: the next reload runs the new one, with the
    same listeners, and no session notices."""
    with own_programs() as master, Box() as inst, \
            ledger.Load(inst, per_session=400) as load:
        for _ in range(3 * TIMES):
            time.sleep(1)
            become_new(inst, master)
        time.sleep(1)
        since = time.monotonic()
        load.stop()
        finish(inst, load, 0, since)
        need(load.lost_sessions == 0, "sessions lost:", load.lost_sessions)
        need(not load.refused, "refused:", list(load.refused.items())[:5])


def test_slow_delivery_outlives_qmgr():
    """A delivery that is under way when a new qmgr comes is not begun again,
    and nothing else waits for its end."""
    reached, go = threading.Event(), threading.Event()

    def dot(client):
        reached.set()
        go.wait(120)
        client.put("250 2.0.0 Ok: taken")
    with badserver.Server({"DOT": dot}) as server, \
            own_programs() as master, Box(
                "relay_domains = slow.test", "transport_maps = inline:{ "
                "slow.test=smtp:[127.0.0.1]:%d }" % server.port) as inst:
        inst.send(to=["a@slow.test"])
        need(reached.wait(30), "not delivered")
        old = inst.pids("qmgr")
        become_new(inst, master)
        need(harness.wait_for(lambda: len(inst.pids("qmgr")) == 2),
             "no new qmgr beside the old:", inst.pids("qmgr"))
        inst.send(to=[inst.addr("ann")])
        need(inst.wait_mails("ann", 1), "nothing else is delivered")
        inst.run("postqueue", "-f")
        need(set(old) <= set(inst.pids("qmgr")), "the old one left")
        go.set()
        need(harness.wait_for(lambda: not inst.queue()), "still queued:",
             inst.queue(), inst.log()[-2000:])
        need(harness.wait_for(lambda: not set(old) & set(inst.pids("qmgr"))),
             "the old one is still there")
        need(len(server.mails) == 1, "delivered so often:",
             len(server.mails))


if __name__ == "__main__":
    sys.exit(harness.main(globals()))
