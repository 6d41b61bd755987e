"""dns - a name server of the tests' own, on loopback, over UDP and TCP.

    from dns import DNS
    with DNS('''
        example.test        MX    10 mx.example.test
        mx.example.test     A     127.0.0.2
        www.example.test    CNAME mx.example.test
        alias.example.test  60 TXT "words here"   # a TTL is 0 if not given
        127.0.0.5           PTR   client.example.test
        *.wild.test         A     127.0.0.3
        null.test           MX    0 .
        _smtp._tcp.srv.test SRV   10 0 2525 mx.example.test
        _25._tcp.mx.example.test TLSA 3 1 1 0123...ef
    ''') as dns, Instance(dns=dns) as i:
        ...

Instance(dns=...) points resolve at it with short timeouts; without dns= an
instance has a server that does not answer, so no test ever asks the world.
A name that is not in it is NXDOMAIN, another type of a name that is: no data
(both with a SOA whose TTL is dns.negative_ttl, 0). TTLs are 0 by default, so
resolve keeps nothing and what a test changes holds at once. DNS(host=...)
listens at another address of this machine than 127.0.0.1.

    dns.add("new.test A 127.0.0.9"), dns.remove("new.test"), DNS(path=FILE)
    dns.fail("bad.test", "servfail")          # for all types of that name
    dns.fail("bad.test", "timeout", "MX")     # or for one; "" heals:
    dns.fail("bad.test", "")
    dns.secure = True                         # AD in answers that ask for it
    dns.queries                               # [(name, type, "udp" | "tcp")]

Ways to fail: see FAILURES below.
"""
import ipaddress
import re
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15,
         "TXT": 16, "AAAA": 28, "SRV": 33, "TLSA": 52}
NAMES = {v: k for k, v in TYPES.items()}

FAILURES = {
    "timeout": "no answer at all",
    "servfail": "RCODE 2",
    "refused": "RCODE 5",
    "formerr": "RCODE 1",
    "nxdomain": "as if it were not there",
    "wrong_id": "the answer to another number, again and again",
    "wrong_question": "an answer that repeats another question",
    "wrong_owner": "records of another name",
    "truncate": "TC by UDP, the whole by TCP",
    "truncate_all": "TC by TCP too",
    "garbage": "a header, then bytes that are no records",
    "short": "a packet that ends in the middle of a record",
    "loop": "CNAMEs in a ring",
    "chain": "a chain of 30 CNAMEs",
    "pointer_loop": "a compression pointer to itself",
    "many": "400 records of the type (A alone)",
    "dangle": "the CNAMEs without what they lead to: ask again",
}


def owner(name):
    """Lower case, no last dot; an address becomes its reverse name."""
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name.lower().rstrip(".")


def wire_name(name):
    name = name.rstrip(".")
    if not name:
        return b"\0"
    return b"".join(bytes([len(p)]) + p for p in
                    (part.encode("latin-1") for part in name.split("."))) + b"\0"


def wire_data(kind, words, text):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(words[0]).packed
    if kind in ("NS", "CNAME", "PTR"):
        return wire_name(words[0])
    if kind == "MX":
        return struct.pack(">H", int(words[0])) + wire_name(words[1])
    if kind == "SRV":
        return struct.pack(">HHH", *map(int, words[:3])) + wire_name(words[3])
    if kind == "TXT":
        strings = re.findall(r'"([^"]*)"', text) or [text]
        return b"".join(bytes([len(s[:255])]) + s[:255].encode("latin-1")
                        for s in strings)
    if kind == "TLSA":
        return bytes(int(w) for w in words[:3]) + bytes.fromhex("".join(words[3:]))
    raise ValueError(kind)


class DNS:
    def __init__(self, zone="", path=None, host="127.0.0.1"):
        self.host = host
        self.records = {}            # name: [(type, ttl, data)]
        self.failures = {}           # (name, type or ""): how
        self.queries = []
        self.unsigned = set()           # zones without DNSSEC among secure ones
        self.secure = False
        self.negative_ttl = 0
        self.lock = threading.Lock()
        if path:
            with open(path) as f:
                zone += f.read()
        for line in zone.splitlines():
            if line.split("#")[0].strip():
                self.add(line)
        self.udp, self.tcp = self._sockets()
        self.port = self.udp.getsockname()[1]
        self.over = False
        self.threads = [threading.Thread(target=t, daemon=True)
                        for t in (self._serve_udp, self._serve_tcp)]
        for t in self.threads:
            t.start()

    def _sockets(self):
        while True:                  # one port that is free for both
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.bind((self.host, 0))
            t = socket.socket()
            t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                t.bind((self.host, u.getsockname()[1]))
                t.listen(64)
                return u, t
            except OSError:
                u.close()
                t.close()

    def close(self):
        self.over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", (self.host, self.port))
        try:
            socket.create_connection((self.host, self.port), 5).close()
        except OSError:
            pass
        for t in self.threads:
            t.join(10)
        self.udp.close()
        self.tcp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def settings(self):
        """For main.cf."""
        return ("resolve_servers = %s:%d" % (self.host, self.port),
                "resolve_timeout = 2s", "resolve_tries = 2",
                "resolve_deadline = 6s")

    def add(self, line):
        words = line.split("#")[0].split()
        name, words = owner(words[0]), words[1:]
        ttl = int(words.pop(0)) if words[0].isdigit() else 0
        kind = words.pop(0).upper()
        text = line.split(kind, 1)[1].strip() if kind == "TXT" else ""
        with self.lock:
            self.records.setdefault(name, []).append(
                (TYPES[kind], ttl, wire_data(kind, words, text)))

    def remove(self, name, kind=None):
        name = owner(name)
        with self.lock:
            left = [r for r in self.records.get(name, ())
                    if kind and r[0] != TYPES[kind]]
            if left:
                self.records[name] = left
            else:
                self.records.pop(name, None)

    def fail(self, name, how, kind=""):
        if how and how not in FAILURES:
            raise ValueError(how)
        with self.lock:
            self.failures[owner(name), kind] = how

    def asked(self, name, kind=None):
        """How many queries there were for it."""
        name = owner(name)
        with self.lock:
            return sum(1 for n, k, _ in self.queries
                       if n == name and kind in (None, k))

    # --- serving ---

    def _serve_udp(self):
        while not self.over:
            try:
                query, peer = self.udp.recvfrom(65535)
                for reply in self.answers(query, "udp"):
                    self.udp.sendto(reply, peer)
            except OSError:
                continue

    def _serve_tcp(self):
        while not self.over:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                continue
            threading.Thread(target=self._connection, args=(conn,),
                             daemon=True).start()

    def _connection(self, conn):
        with conn:
            conn.settimeout(30)
            try:
                f = conn.makefile("rb")
                while not self.over:
                    head = f.read(2)
                    if len(head) < 2:
                        return
                    query = f.read(struct.unpack(">H", head)[0])
                    for reply in self.answers(query, "tcp"):
                        conn.sendall(struct.pack(">H", len(reply)) + reply)
            except OSError:
                pass

    @staticmethod
    def question(query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        return ".".join(labels).lower(), kind, query[12:at + 5]

    def find(self, name):
        """The records of a name, by wildcard too; None: NXDOMAIN."""
        if name in self.records:
            return self.records[name]
        parts = name.split(".")
        for i in range(1, len(parts)):
            star = ".".join(["*"] + parts[i:])
            if star in self.records:
                return self.records[star]
        return [] if any(n.endswith("." + name) for n in self.records) else None

    def follow(self, name, kind):
        """(rcode, [(owner, type, ttl, data)]): CNAMEs, then the records."""
        found, seen = [], set()
        while name not in seen:
            seen.add(name)
            here = self.find(name)
            if here is None:
                return 3, found
            mine = [r for r in here if r[0] == kind]
            alias = [r for r in here if r[0] == TYPES["CNAME"]]
            if mine or not alias:
                return 0, found + [(name, *r) for r in mine]
            found.append((name, *alias[0]))
            at, labels, data = 0, [], alias[0][2]
            while data[at]:
                labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
                at += 1 + data[at]
            name = ".".join(labels).lower()
        return 0, found

    def answers(self, query, proto):
        """The packets that go back for one that came."""
        if len(query) < 17:
            return []
        name, kind, question = self.question(query)
        with self.lock:
            self.queries.append((name, NAMES.get(kind, str(kind)), proto))
            how = self.failures.get((name, NAMES.get(kind)),
                                    self.failures.get((name, ""), ""))
            rcode, records = self.follow(name, kind)
        if how == "timeout":
            return []
        if how in ("servfail", "refused", "formerr", "nxdomain"):
            rcode = {"servfail": 2, "refused": 5, "formerr": 1, "nxdomain": 3}[how]
            records = []
        records = self.lie(how, name, kind, records)
        flags = 0x8180 | rcode
        unsigned = any(("." + name).endswith("." + zone) for zone in self.unsigned)
        if self.secure and not unsigned and query[3] & 0x20 and rcode in (0, 3):
            flags |= 0x20
        if how == "truncate_all" or (how == "truncate" and proto == "udp"):
            flags, records = flags | 0x200, []
        if how == "wrong_question":
            question = wire_name("other." + name) + question[-4:]
        return self.pack(query[:2], flags, question, records, how, proto,
                         rcode, kind)

    def pack(self, ident, flags, question, records, how, proto, rcode, kind):
        body = b"".join(wire_name(n) + struct.pack(">HHIH", t, 1, ttl, len(d)) + d
                        for n, t, ttl, d in records)
        soa = b""
        absent = rcode == 3 or not any(r[1] == kind for r in records)
        if rcode in (0, 3) and absent and how not in ("dangle", "chain", "loop"):
            data = wire_name("ns.test") + wire_name("root.test") + struct.pack(
                ">IIIII", 1, 3600, 600, 86400, self.negative_ttl)
            soa = wire_name("test") + struct.pack(">HHIH", 6, 1,
                                                  self.negative_ttl, len(data)) + data
        if how == "garbage":
            body = b"\x3f\xff\xff" * 20
        elif how == "pointer_loop":
            body = struct.pack(">H", 0xc000 | (12 + len(question))) + b"\0" * 30
        count = len(records) if how not in ("garbage", "pointer_loop") else 3
        reply = struct.pack(">HHHHH", flags, 1, count, 1 if soa else 0, 0) + \
            question + body + soa
        if how == "short":
            reply = reply[:-3]
        if proto == "udp" and len(reply) > 1200:
            reply = struct.pack(">HHHHH", flags | 0x200, 1, 0, 0, 0) + question
        if how == "wrong_id":
            number = struct.unpack(">H", ident)[0]
            return [struct.pack(">H", (number + i) & 0xffff) + reply
                    for i in (1, 2, 3)]
        return [ident + reply]

    @staticmethod
    def lie(how, name, kind, records):
        cname = TYPES["CNAME"]
        if how == "wrong_owner":
            return [("other." + n, t, ttl, d) for n, t, ttl, d in records]
        if how == "loop":
            return [(name, cname, 0, wire_name("ring." + name)),
                    ("ring." + name, cname, 0, wire_name(name))]
        if how == "chain":
            return [("c%d.%s" % (i, name) if i else name, cname, 0,
                     wire_name("c%d.%s" % (i + 1, name))) for i in range(30)]
        if how == "many":
            return [(name, kind, 0, bytes([127, 1, i >> 8, i & 255]))
                    for i in range(400)]
        if how == "dangle":
            return [r for r in records if r[1] == cname]
        return records
