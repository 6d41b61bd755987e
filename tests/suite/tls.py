"""tls - certificates by openssl(1) and hands for tests of TLS."""
import contextlib
import os
import smtplib
import socket
import ssl
import subprocess
import threading


def openssl(*args, stdin=b"", check=True):
    p = subprocess.run(["openssl", *map(str, args)], input=stdin, timeout=60,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and p.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (args, p.stdout.decode()))
    return p.stdout.decode("utf-8", "replace")


ALGORITHMS = {
    "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-newkey", "rsa:2048"],
    "ed25519": ["-newkey", "ed25519"],
}


class Authority:
    """A CA in a directory, and what it signs: NAME.key, NAME.pem (chain)."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.cert, self.key = self.path("ca.pem"), self.path("ca.key")
        openssl("req", "-x509", *ALGORITHMS["ec"], "-nodes", "-keyout",
                self.key, "-out", self.cert, "-days", 30, "-subj", "/CN=Test CA")

    def path(self, name):
        return os.path.join(self.dir, name)

    def make(self, name, names=(), algorithm="ec", days=30, client=False):
        """(key file, certificate file) for a host; days < 0: expired."""
        key, cert, csr = (self.path(name + e) for e in (".key", ".pem", ".csr"))
        ext = self.path(name + ".ext")
        with open(ext, "w") as f:
            f.write("basicConstraints=CA:FALSE\n"
                    "extendedKeyUsage=%s\n" % ("clientAuth" if client else "serverAuth"))
            if names:
                f.write("subjectAltName=%s\n" % ",".join("DNS:" + n for n in names))
        openssl("req", "-new", *ALGORITHMS[algorithm], "-nodes", "-keyout", key,
                "-out", csr, "-subj", "/CN=" + (names[0] if names else name))
        openssl("x509", "-req", "-in", csr, "-CA", self.cert, "-CAkey", self.key,
                "-CAcreateserial", "-out", cert, "-days", days, "-extfile", ext)
        return key, cert

    def chain(self, cert):
        """The certificate with its authority's behind it."""
        path = cert + ".chain"
        with open(path, "w") as f:
            f.write(open(cert).read() + open(self.cert).read())
        return path

    def self_signed(self, name, names, algorithm="ec"):
        key, cert = self.path(name + ".key"), self.path(name + ".pem")
        openssl("req", "-x509", *ALGORITHMS[algorithm], "-nodes", "-keyout", key,
                "-out", cert, "-days", 30, "-subj", "/CN=" + names[0], "-addext",
                "subjectAltName=" + ",".join("DNS:" + n for n in names))
        return key, cert


def fingerprint(cert, digest="sha256"):
    return openssl("x509", "-in", cert, "-noout", "-fingerprint", "-" + digest).strip().split("=")[1]


def context(ca=None, cert=None, key=None, least=None, most=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        c.load_verify_locations(ca)
    else:
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if cert:
        c.load_cert_chain(cert, key)
    if least:
        c.minimum_version = least
    if most:
        c.maximum_version = most
    return c


def starttls(port, ctx=None, name="localhost"):
    """An smtplib session that has done STARTTLS and EHLO."""
    s = smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60)
    s._host = name
    s.starttls(context=ctx or context())
    s.ehlo()
    return s


def peer_name(s):
    """The common name of the certificate that this session was shown."""
    der = s.sock.getpeercert(binary_form=True)
    text = openssl("x509", "-inform", "DER", "-noout", "-subject", stdin=der)
    return text.strip().split("=")[-1].strip()


class TlsServer:
    """A small SMTP server with one certificate; remembers what it was given.

    mode: "starttls"; "wrapper" (from the first byte); "plain" (offers none);
    "refuse" (offers it, says 454); "break" (closes in the handshake);
    "inject" (sends a reply behind 220); "hangup" (closes at MAIL, under TLS).
    """

    def __init__(self, host, port=0, cert=None, key=None, mode="starttls", ca=None):
        self.ctx = None
        if cert:
            self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.ctx.load_cert_chain(cert, key)
            self.ctx.sni_callback = self._sni
            if ca:
                self.ctx.load_verify_locations(ca)
                self.ctx.verify_mode = ssl.CERT_OPTIONAL
        self.mode = mode
        self.mails, self.names, self.resumed, self.peers, self.versions = [], [], [], [], []
        self.helos = []
        self.listener = socket.create_server((host, port), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _sni(self, sock, name, ctx):
        self.names.append(name)

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _wrap(self, s):
        t = self.ctx.wrap_socket(s, server_side=True)
        self.resumed.append(t.session_reused)
        self.versions.append(t.version())
        self.peers.append(t.getpeercert(binary_form=True))
        return t

    def _serve(self, s):
        try:
            s.settimeout(60)
            secure = self.mode == "wrapper"
            if secure:
                s = self._wrap(s)
            self._talk(s, secure)
        except OSError:
            pass
        finally:
            s.close()

    def _talk(self, s, secure):
        f = s.makefile("rb")
        s.sendall(b"220 tls.test ESMTP\r\n")
        while True:
            line = f.readline()
            verb = line[:8].upper().split(b" ")[0].strip()
            if not line or verb == b"QUIT":
                s.sendall(b"221 bye\r\n")
                return
            if verb in (b"EHLO", b"LHLO"):
                self.helos.append(secure)
                offer = b"" if secure or self.mode == "plain" else b"250-STARTTLS\r\n"
                s.sendall(b"250-tls.test\r\n" + offer + b"250 8BITMIME\r\n")
            elif verb == b"STARTTLS":
                if self.mode == "refuse":
                    s.sendall(b"454 4.7.0 not now\r\n")
                    continue
                s.sendall(b"220 go\r\n" + (b"250 injected\r\n" if self.mode == "inject" else b""))
                if self.mode == "break":
                    s.recv(100)
                    return
                s = self._wrap(s)
                f = s.makefile("rb")
                secure = True
            elif verb == b"MAIL" and secure and self.mode == "hangup":
                return
            elif verb == b"DATA":
                s.sendall(b"354 go\r\n")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    more = f.readline()
                    if not more:
                        return
                    body += more
                self.mails.append((secure, body))
                s.sendall(b"250 2.0.0 taken\r\n")
            else:
                s.sendall(b"250 2.0.0 ok\r\n")

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)    # wakes accept()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
