"""tlskey alone has the private keys: no other process's memory holds a byte
sequence of one, tlskey's does (so the search finds what is there); without
tlskey handshakes wait and then fail, sessions go on.
"""
import os
import re
import signal
import socket
import sys

from harness import Instance, is_root, main, need, wait_for
from tls import Authority, context, openssl, starttls

PIECE = 16      # bytes of a secret number that are looked for


def numbers(key):
    """The secret numbers of a PEM key, big end first."""
    text = openssl("pkey", "-in", key, "-noout", "-text")
    found = []
    for name in ("priv", "privateExponent", "prime1", "prime2"):
        m = re.search(r"^%s:\s*\n((?:    [0-9a-f:]+\n)+)" % name, text, re.M)
        if m:
            found.append(bytes.fromhex(re.sub(r"[\s:]", "", m.group(1))).lstrip(b"\0"))
    need(found, "no secret in", text)
    return found


def pieces(key):
    """Bytes from the middle of each number, in both orders, and the PEM text."""
    out = []
    for n in numbers(key):
        middle = n[len(n) // 2 - PIECE // 2:][:PIECE]
        out += [middle, middle[::-1]]
    lines = [line for line in open(key).read().splitlines() if "-----" not in line]
    return out + [lines[1][:32].encode()]


def memory(pid):
    """All that a process has in memory, as one would find it in a core."""
    parts = []
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            first, last = (int(x, 16) for x in span.split("-"))
            if "r" not in mode or last - first > 1 << 28:
                continue
            try:
                mem.seek(first)
                parts.append(mem.read(last - first))
            except (OSError, ValueError, OverflowError):
                continue        # [vvar] and the like
    return parts


def holds(pid, wanted):
    return [w for part in memory(pid) for w in wanted if w in part]


def test_no_private_key_in_other_memory():
    if not is_root():
        return "needs root, to read the memory of others"
    i = Instance()
    ca = Authority(os.path.join(i.dir, "ca"))
    pairs = [ca.make("rsa", ["mx.example.test"], "rsa"), ca.make("ec", ["mx.example.test"])]
    me = ca.make("me", ["me.test"], client=True)
    i.set("smtpd_tls_chain_files = " + ", ".join(f for pair in pairs for f in pair))
    i.set("smtp_tls_chain_files = %s, %s" % me)
    wanted = [p for key, _ in pairs + [me] for p in pieces(key)]
    with i:
        for _ in range(5):      # handshakes with each key, and a session that stays
            for sigalg in ("rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"):
                openssl("s_client", "-connect", "127.0.0.1:%d" % i.port, "-starttls", "smtp",
                        "-sigalgs", sigalg, stdin=b"QUIT\r\n")
        with starttls(i.port) as s:
            need(s.noop()[0] == 250)
            keepers = 0
            for pid, name in i.children():
                found = holds(pid, wanted)
                if name == "tlskey":
                    keepers += bool(found)
                elif name != "master":
                    need(not found, "%s[%d] holds a private key" % (name, pid), len(found))
            need(not holds(i.master_pid(), wanted), "master holds a private key")
            need(keepers == 1, "the search finds nothing in tlskey: it is worth nothing")


def test_without_tlskey():
    with Instance() as i:
        session = starttls(i.port)
        pid = i.pids("tlskey")[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            s = socket.create_connection(("127.0.0.1", i.port), 30)
            s.settimeout(2)
            f = s.makefile("rb")
            f.readline()
            s.sendall(b"STARTTLS\r\n")
            need(f.readline().startswith(b"220"))
            try:
                context().wrap_socket(s)
                need(False, "a handshake without the key process")
            except (TimeoutError, socket.timeout, OSError):
                pass
            # One that goes on is in nobody's way, nor is plain text.
            need(session.noop()[0] == 250)
            session.sendmail("a@elsewhere.test", [i.addr("ann")], "Subject: x\n\nx\n")
            i.send()
            s.close()
        finally:
            os.kill(pid, signal.SIGCONT)
        need(len(i.wait_mails("ann", 2)) == 2)
        with starttls(i.port) as again:
            need(again.noop()[0] == 250)
        # Killed: another comes by itself.
        os.kill(i.pids("tlskey")[0], signal.SIGKILL)
        need(wait_for(lambda: [p for p in i.pids("tlskey") if p != pid], 20))
        with starttls(i.port) as again:
            need(again.noop()[0] == 250)
        need(session.noop()[0] == 250)
        session.quit()


def test_many_at_once():
    """More handshakes than have a stack, each waiting for a signature."""
    with Instance(settings=["smtpd_client_connection_count_limit = 0", "default_process_limit = 1000"]) as i:
        pid = i.pids("tlskey")[0]
        os.kill(pid, signal.SIGSTOP)
        sockets = []
        try:
            for _ in range(300):
                s = socket.create_connection(("127.0.0.1", i.port), 30)
                f = s.makefile("rb")
                f.readline()
                s.sendall(b"STARTTLS\r\n")
                f.readline()
                t = context().wrap_socket(s, do_handshake_on_connect=False)
                t.settimeout(0)
                try:
                    t.do_handshake()
                except OSError:
                    pass
                sockets.append(t)
        finally:
            os.kill(pid, signal.SIGCONT)
        done = 0
        for t in sockets:
            t.settimeout(60)
            t.do_handshake()
            t.sendall(b"NOOP\r\n")
            need(t.recv(100).startswith(b"250"))
            done += 1
            t.close()
        need(done == 300)


if __name__ == "__main__":
    sys.exit(main(globals()))
