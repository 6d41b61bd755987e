"""tls - certificates by openssl(1) and hands for tests of TLS."""
import os
import smtplib
import ssl
import subprocess


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
