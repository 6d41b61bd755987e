#!/usr/bin/env python3
"""Compares /proc of every process of a running instance with process.def.

usage: proc_check.py SPOOL [process.def]

Each child of the instance's master must be what its row says: Uid, Gid,
Groups, root, NoNewPrivs, Seccomp, capabilities, RLIMIT_NOFILE and
RLIMIT_CORE, no directory or file open where the row's filter opens none.
Prints each breach; exits 1 if there is any, or if a role of ROLES is absent.
"""
import os
import pwd
import re
import stat
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ALWAYS = {'lookup', 'anvil', 'cleanup', 'qmgr', 'bounce', 'pickup', 'showq',
          'smtpd'}


def rows(path):
    """process.def: program -> dict of its columns."""
    text = re.sub(r'/\*.*?\*/', '', open(path).read(), flags=re.S)
    out = {}
    for m in re.finditer(r'PROCESS\((\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),'
                         r'\s*(\d+),', text):
        role, program, owner, root, filt, files = m.groups()
        out[program] = dict(role=role, owner=owner, root=root, filter=filt,
                            files=int(files))
    return out


def status(pid):
    out = {}
    for line in open(f'/proc/{pid}/status'):
        name, _, value = line.partition(':')
        out[name] = value.split()
    return out


def children(pid):
    return [int(p) for p in
            open(f'/proc/{pid}/task/{pid}/children').read().split()]


def limit(pid, name, column=0):
    for line in open(f'/proc/{pid}/limits'):
        if line.startswith(name):
            return line[len(name):].split()[column]
    return None


def open_files(pid):
    """Descriptors that are regular files or directories, but the log."""
    out = []
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            mode = os.stat(f'/proc/{pid}/fd/{fd}').st_mode
            name = os.readlink(f'/proc/{pid}/fd/{fd}')
        except OSError:
            continue
        if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and fd != '4':
            out.append(f'{fd}={name}')
    return out


def param(spool, name):
    """mail_owner and its kin, where they are not the default."""
    conf = os.path.join(os.path.dirname(spool.rstrip('/')), 'etc', 'main.cf')
    try:
        for line in open(conf):
            m = re.match(rf'{name}\s*=\s*(\S+)', line)
            if m:
                return m.group(1)
    except OSError:
        pass
    return {'mail_owner': 'postern', 'postern_net_user': 'postern-net',
            'postern_auth_user': 'postern-auth'}[name]


class Checker:
    def __init__(self, spool, table):
        self.spool, self.table, self.bad, self.seen = spool, table, [], {}
        self.root = os.stat(f'{spool}/pid').st_uid == 0
        self.owners = {
            'OWNER_QUEUE': param(spool, 'mail_owner'),
            'OWNER_NET': param(spool, 'postern_net_user'),
            'OWNER_AUTH': param(spool, 'postern_auth_user')}

    def expect(self, pid, program, what, have, want):
        if have != want:
            self.bad.append(f'{program}[{pid}]: {what} is {have}, '
                            f'process.def says {want}')

    def identity(self, pid, program, row, st):
        if not self.root:
            me = os.stat(f'{self.spool}/pid')
            self.expect(pid, program, 'Uid', st['Uid'], [str(me.st_uid)] * 4)
            return
        if row['owner'] == 'OWNER_TARGET':
            for what in ('Uid', 'Gid'):
                if len(set(st[what])) != 1 or st[what][0] == '0':
                    self.bad.append(f'{program}[{pid}]: {what} {st[what]}')
            own = {str(pwd.getpwnam(n).pw_uid) for n in self.owners.values()}
            if st['Uid'][0] in own:
                self.bad.append(f'{program}[{pid}]: an agent of an owner')
            return
        pw = pwd.getpwnam(self.owners[row['owner']])
        self.expect(pid, program, 'Uid', st['Uid'], [str(pw.pw_uid)] * 4)
        self.expect(pid, program, 'Gid', st['Gid'], [str(pw.pw_gid)] * 4)
        self.expect(pid, program, 'Groups', st['Groups'], [str(pw.pw_gid)])
        self.expect(pid, program, 'root', os.readlink(f'/proc/{pid}/root'),
                    os.path.realpath(f'{self.spool}/empty')
                    if row['root'] == 'ROOT_EMPTY' else '/')

    def child(self, pid):
        program = open(f'/proc/{pid}/comm').read().strip()
        if program == 'master':         # the guard: waits, reads nothing
            return
        row = self.table.get(program)
        if row is None:
            self.bad.append(f'{program}[{pid}]: no row in process.def')
            return
        self.seen[program] = self.seen.get(program, 0) + 1
        st = status(pid)
        self.identity(pid, program, row, st)
        self.expect(pid, program, 'NoNewPrivs', st['NoNewPrivs'], ['1'])
        if row['filter'] != 'FILTER_NONE':
            self.expect(pid, program, 'Seccomp', st['Seccomp'], ['2'])
        caps = ('CapInh', 'CapPrm', 'CapEff', 'CapAmb') + \
            (('CapBnd',) if self.root else ())
        for cap in caps:
            self.expect(pid, program, cap, int(st[cap][0], 16), 0)
        self.expect(pid, program, 'core', limit(pid, 'Max core file size'),
                    '0')
        if self.root:
            # Where root lacks CAP_SYS_RESOURCE its hard limit is the most.
            have = limit(pid, 'Max open files')
            if have != limit(os.getppid(), 'Max open files', 1):
                self.expect(pid, program, 'nofile', have, str(row['files']))
        if row['filter'] in ('FILTER_SOCKETS', 'FILTER_CHANNELS') and \
                os.geteuid() == 0:
            self.expect(pid, program, 'open files', open_files(pid), [])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    spool = os.path.realpath(sys.argv[1])
    table = rows(sys.argv[2] if len(sys.argv) == 3 else
                 os.path.join(HERE, '../../lib/priv/process.def'))
    master = int(open(f'{spool}/pid/master.pid').read())
    c = Checker(spool, table)
    for pid in children(master):
        c.child(pid)
    for program in sorted(ALWAYS - set(c.seen)):
        c.bad.append(f'{program}: not running')
    for line in c.bad:
        print(line)
    print(f'{sum(c.seen.values())} processes of {len(c.seen)} programs, '
          f'{len(c.bad)} breaches')
    return 1 if c.bad else 0


if __name__ == '__main__':
    sys.exit(main())
