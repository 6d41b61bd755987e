#!/usr/bin/env python3
"""What a service manager hears: READY, RELOADING, STOPPING (sd_notify(3))."""
import os
import signal
import socket
import subprocess
import sys

from harness import Instance, main, need, tool, wait_for


def run(address, name):
    """start-fg with that socket: what it is told until the end."""
    i = Instance()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.settimeout(20)
    s.bind(name)
    try:
        p = subprocess.Popen([tool("postern"), "-c", i.etc, "start-fg"], stderr=subprocess.DEVNULL,
                             env=dict(os.environ, NOTIFY_SOCKET=address))
        need(b"READY=1" in s.recv(1000).split(b"\n"), "ready")
        need(i.answers(), "it is ready when it says so")
        i.run("postern", "reload")
        said = s.recv(1000).split(b"\n")
        need(said[0] == b"RELOADING=1" and said[1].startswith(b"MONOTONIC_USEC="), said)
        need(b"READY=1" in s.recv(1000).split(b"\n"), "ready again")
        p.send_signal(signal.SIGTERM)
        need(s.recv(1000) == b"STOPPING=1")
        need(p.wait(30) == 0, "it ends")
    finally:
        s.close()
        i.close()


def test_path():
    path = "/tmp/postern-notify-%d" % os.getpid()
    try:
        run(path, path)
    finally:
        os.unlink(path)


def test_abstract():
    name = "postern-notify-%d" % os.getpid()
    run("@" + name, "\0" + name)


def test_nobody_there():
    """A wrong or dead socket stops nothing."""
    for address in ("/nonexistent/socket", "@" + "x" * 200, "", "relative"):
        i = Instance()
        p = subprocess.Popen([tool("postern"), "-c", i.etc, "start-fg"], stderr=subprocess.DEVNULL,
                             env=dict(os.environ, NOTIFY_SOCKET=address))
        try:
            need(wait_for(i.answers), address)
            p.send_signal(signal.SIGTERM)
            need(p.wait(30) == 0, address)
        finally:
            i.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
