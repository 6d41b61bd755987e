"""live - Postfix's library test programs, played by a running instance.

A stand-in here starts Postern, sends it what the test program is given, and
prints what came of it in a reduced form; reduce() brings the expected output
of Postfix to the same form. Left out is what a mail system does not show:
offsets, tokens, which line ended the header.
"""
import os
import re
import smtplib
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'suite'))

import harness                                              # noqa: E402
from badserver import Server                                # noqa: E402, F401

SENDER, ANN = 'sender@elsewhere.test', 'ann@example.test'
EVENT = re.compile(r'(?:\d+ )?(MAIN|MULT|NEST|BODY N) \d+\t\|(.*)')
MIME_FIELD = re.compile(r'(?i)(content-[a-z-]+|mime-version)\s*:')


def plain(text):
    """As a log line shows it: no control, no 8-bit byte."""
    return re.sub(r'[^ -~]', '?', text)


def reduce(name, data):
    """An expected output of Postfix, by its file's name."""
    text = data.decode('latin-1')
    if name.startswith('header_body_checks'):
        text = reduce_checks(text)
    elif name.startswith('mime_cvt'):
        text = unbroken('\n'.join(content_of(text)) + '\n')
    elif re.match(r'(with|no)-m(essage-)?(sg)?id', name):
        text = reduce_report(text)
    elif name.startswith(('namadr_list', 'resolve_local')):
        text = re.sub(r'(?m)^\S+: (warning|error): .*\n', '', text)
    elif name.startswith('mac_expand'):
        text = reduce_expand(text)
    elif name.startswith('smtpd_'):
        text = reduce_check(text)
    elif name.startswith('mime_'):
        text = reduce_walk(text)
    else:
        return data
    return text.encode('latin-1')


def unbroken(text):
    """Where a soft line break stands is free, within 76 bytes."""
    assert max(map(len, text.split('\n'))) <= 76
    return text.replace('=\n', '')


def content_of(text):
    """The message that a test program wrote line by line."""
    out = []
    for line in text.split('\n')[:-1]:
        m = EVENT.fullmatch(line)
        if m or not re.match(r'(HEADER|BODY) END|\w+: (test-queueID|warning|'
                             r'header_token|PUSH|POP|garbage)', line):
            out.append(m[2] if m else line)
    return out


def reduce_checks(text):
    logged = re.findall(r'^header_body_checks: test-queueID: (.*)', text, re.M)
    return '\n'.join(content_of(text) + ['--'] + logged) + '\n'


# Commands of the test program that no client has.
SMTPD_UNKNOWN = ('fingerprint', 'rewrite', 'flush_dnsxl_cache')


def reduce_smtpd(line):
    """A line of smtpd's log, without whose it was; '' for other matters."""
    line = re.sub(r'^(NOQUEUE|<queue id>): ', '', line)
    line = re.sub(r';( from=<\S*>)?( to=<\S*>)? proto=E?SMTP( helo=<\S*>)?$', '',
                  line)
    line = line.replace('192.0.2.9', 'dummy').replace('hash:./', 'hash:')
    # smtpd says after which command it refuses; the test program, that it is
    # at the beginning.
    line = line.replace('reject: XCLIENT from', 'reject: CONNECT from')
    if line.endswith('Application error'):  # why a table of type fail fails
        return ''
    if re.match(r'(reject|warn|hold|discard|filter|warning|redirect|permit|'
                r'mapping|ignoring)\b', line):
        return line
    return ''


def reduce_check(text):
    """The commands of clients, what was logged then, and the answers."""
    out, wanted = [], False
    for line in text.split('\n')[:-1]:
        if line.startswith('>>> '):
            wanted = re.match(r'>>> (client|helo|mail|rcpt) ', line)
            if wanted:
                out.append(line.rstrip())
        elif wanted:
            said = line.startswith('smtpd_check: ')
            line = reduce_smtpd(line.removeprefix('smtpd_check: ')) if said \
                else line
            if line:
                out.append(line)
    return '\n'.join(out) + '\n'


REPORT_FIELDS = (r'(?i)(Subject|References|In-Reply-To|Auto-Submitted|'
                 r'MIME-Version|Content-Transfer-Encoding):')


def reduce_report(text):
    """The header of a report, but for who, when, and its boundary."""
    head = text.partition('\n\n')[0]
    return ''.join(f + '\n' for f in re.split(r'\n(?![ \t])', head)
                   if re.match(REPORT_FIELDS, f))


def reduce_expand(text):
    """Expressions, what was warned of, and the text or that it is none."""
    out = []
    for line in text.split('\n'):
        m = re.fullmatch(r'stat=(\d+) result=(.*)', line)
        if m and int(m[1]) & 1:
            out.append('error')
        elif m:
            out.append('result=' + m[2].strip())
        elif line.startswith('<< ') and line != '<< ' and not re.match(r'<< \w+ = ', line):
            out.append(line)
        elif line.startswith('unknown: '):
            out.append(line.removeprefix('unknown: '))
    return '\n'.join(out) + '\n'


def reduce_walk(text):
    """Which header and body lines there are, and which kind each is."""
    out, kinds = [], {'MAIN': 'main', 'MULT': 'mime', 'NEST': 'nest'}
    for line in text.split('\n')[:-1]:
        m = EVENT.fullmatch(line)
        if m and m[1] == 'BODY N':
            out.append(('body', m[2]))
        elif m:
            out.append(('mime' if MIME_FIELD.match(m[2]) else kinds[m[1]],
                        m[2]))
        elif re.match(r'[ \t]', line) and out and out[-1][0] != 'body':
            out[-1] = (out[-1][0], out[-1][1] + '\n' + line)
    return ''.join('%s %s\n' % (k, plain(t)[:60]) for k, t in out if t)


def instance(settings):
    """Checks leave the fields alone that it adds itself."""
    return harness.Instance(users=('ann',), settings=(
        'local_header_rewrite_clients =', 'mailbox_command =',
        'recipient_delimiter =', *settings))


def send(i, data, sender=SENDER, options=(), to=ANN):
    """Data with LF; NUL and 8-bit bytes as they are."""
    with smtplib.SMTP('127.0.0.1', i.port, timeout=60) as s:
        s.ehlo('client.test')
        s.sendmail(sender, [to], data.replace(b'\n', b'\r\n'), options)


def test_setting(name):
    """What the recipe's own postconf says."""
    p = subprocess.run([harness.tool('postconf'), '-h', name], check=True,
                       stdout=subprocess.PIPE, text=True)
    return p.stdout.strip()


def own(table):
    """Received is the instance's: no check sees it."""
    return 'pcre:{{/^Received:/ DUNNO}} ' + table


def checks_log(i):
    """What cleanup logged of the checks, without whose message it was."""
    return [re.sub(r' from \S+\[[\d.]+\]; from=.*?helo=<\S*?>', '', m)
            for m in re.findall(r'/cleanup\[\d+\]: \w+: ((?:warning|prepend|'
                                r'replace|strip|reject|discard|hold|filter'
                                r'): (?:header|body) .*)', i.log())]


def received(i):
    """The message as it was delivered, without what delivery added."""
    return without_trace(i.wait_mails('ann', 1)[0].decode('latin-1'))


def without_trace(text):
    head, _, body = text.partition('\n\n')
    fields = [f for f in re.split(r'\n(?![ \t])', head)
              if not re.match(r'Return-Path|X-Original-To|Delivered-To|'
                              r'Received', f)]
    return ''.join(f + '\n' for f in fields) + '\n' + body


def finish(text):
    sys.stdout.buffer.write(text.encode('latin-1'))
