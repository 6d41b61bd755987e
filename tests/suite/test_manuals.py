#!/usr/bin/env python3
"""Manuals and programs agree: each option stands in its page, and the reverse.

Options are read from the getopt strings of the sources; what a page says of
an option is an .It Fl line of its list. Each page that is named is there.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

from harness import BUILD, TOP, main, need

# page: (source, pattern of its getopt string)
PAGES = {
    "sendmail.1": ("tools/sendmail_args.c", r'define OPTIONS "([^"]+)"'),
    "postqueue.1": ("tools/main_postqueue.c", r'getopt\(argc, argv, "([^"]+)"'),
    "postsuper.1": ("tools/main_postsuper.c", r'define OPTIONS\s+"([^"]+)"'),
    "postcat.1": ("tools/main_postcat.c", r'getopt\(argc, argv, "([^"]+)"'),
    "postlog.1": ("tools/main_postlog.c", r'getopt\(argc, argv, "([^"]+)"'),
    "postlock.1": ("tools/main_postlock.c", r'getopt\(argc, argv, "([^"]+)"'),
    "postkick.1": ("tools/main_postkick.c", r'getopt\(argc, argv, "([^"]+)"'),
    "postdrop.1": ("tools/main_postdrop.c", r'getopt\(argc, argv, "([^"]+)"'),
    "postconf.1": ("tools/main_postconf.c", r'getopt\(argc, argv,\s+"([^"]+)"'),
    "postmap.1": ("tools/main_postmap.c", r'\.options = "([^"]+)"'),
    "postalias.1": ("tools/main_postalias.c", r'\.options = "([^"]+)"'),
    "postern.8": ("tools/main_postern.c", r'getopt\(argc, argv, "([^"]+)"'),
    "master.8": ("master/main.c", r'getopt\(argc, argv, "([^"]+)"'),
}


def read(name):
    with open(os.path.join(TOP, name)) as f:
        return f.read()


def pages():
    """File name -> its text; those made of tables too."""
    subprocess.run(["make", "-s", "-C", TOP, "B=" + BUILD, "manuals"], check=True, stdout=subprocess.DEVNULL)
    found = {}
    for p in glob.glob(os.path.join(TOP, "man", "*.[1-8]")) + glob.glob(os.path.join(BUILD, "man", "*.[1-8]")):
        with open(p) as f:
            found[os.path.basename(p)] = f.read()
    return found


def sources_of(name):
    source, pattern = PAGES[name]
    options = "".join(re.findall(pattern, read(source)))
    if name == "master.8":      # the daemons' are told there
        options += re.search(r'getopt\(argc, argv, "([^"]+)"', read("lib/service/args.c")).group(1)
    return set(options.replace("+", "").replace(":", ""))


def in_list(text):
    found = set()
    for line in re.findall(r"^\.It (Fl .*)$", text, re.M):
        for one in re.split(r" , ", line):
            words = one.split()
            if words[0] == "Fl" and len(words) > 1 and words[1] != "Fl":
                found.add(words[1][0])
            elif words[0] != "Fl":
                found.add(words[0][0])
    return found


def test_options_both_ways():
    text = pages()
    for name in PAGES:
        code, page = sources_of(name), in_list(text[name])
        need(code, "no getopt string", name)
        need(code == page, name, "only in the source:", sorted(code - page), "only in the page:", sorted(page - code))


def test_long_options_of_postern():
    page = pages()["postern.8"]
    code = set(re.findall(r'\{ "([a-z-]+)", required_argument', read("tools/postern_setup.c")))
    code |= set(re.findall(r'STR\("([a-z-]+)"\)\)\) \{\n\t\t\tc->', read("tools/postern_queue.c")))
    code |= set(re.findall(r'"([a-z]+)"', re.search(r"names\[\] = \{(.*?)\}", read("tools/queue_filter.c"), re.S).group(1)))
    code |= set(re.findall(r'"--([a-z]+)"\) == 0', read("tools/postern_trace.c")))
    told = {o for l in re.findall(r"^\.(?:It )?Fl Fl .*", page, re.M) for o in re.findall(r"Fl Fl ([a-z-]+)", l)}
    need({"all", "json", "log", "user", "older"} <= code and code <= told and told - code <= {"stdin", "generate"},
         code ^ told)
    for word in re.findall(r'^\t\{ "([a-z-]+)", \w+, "', read("tools/main_postern.c"), re.M):
        need(re.search(r"^\.It Cm %s$" % word, page, re.M), "postern.8 has no", word)


def test_each_program_has_a_page():
    names = set(pages())
    for p in os.listdir(os.path.join(BUILD, "sbin")):
        need(p in ("mailq", "newaliases") or {p + ".1", p + ".8"} & names, "no page of", p)
    for p in os.listdir(os.path.join(BUILD, "libexec")):
        need(p + ".8" in names, "no page of", p)


def test_references():
    text = pages()
    there = set(text) | {"mailq.1", "newaliases.1"} | {"hosts.5", "resolv.conf.5"}   # the system's
    for name, t in text.items():
        for page, section in re.findall(r"^\.Xr (\S+) (\d)", t, re.M):
            need("%s.%s" % (page, section) in there, name, "refers to", page, section)


def test_every_parameter_stands_in_postconf_5():
    page = pages()["postconf.5"]
    for name in glob.glob(os.path.join(TOP, "*", "params*.def")) + [os.path.join(TOP, "lib/conf/common.def")]:
        with open(name) as f:
            for row in re.findall(r"^PARAM\(\w+,\s+(\w+),", f.read(), re.M):
                need(re.search(r"^\.It Ic %s$" % row, page, re.M), "postconf.5 has no", row)


def test_every_restriction_stands_in_smtpd_8():
    page = pages()["smtpd.8"]
    for name in re.findall(r"^RULE\((\w+),", read("smtpd/rules.def"), re.M):
        need(re.search(r"^\.It Cm %s( Ar .+)?$" % name, page, re.M), "smtpd.8 has no", name)


def test_installed():
    with tempfile.TemporaryDirectory(prefix="postern-test-") as where:
        installed(where)


def installed(where):
    p = subprocess.run(["make", "-C", TOP, "B=" + BUILD, "DESTDIR=" + where, "install"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    need(p.returncode == 0, p.stdout[-2000:])
    for f in ("usr/sbin/sendmail", "usr/bin/mailq", "usr/lib/sendmail", "usr/bin/newaliases", "usr/sbin/postern",
              "usr/libexec/postern/smtpd", "etc/postern/main.cf", "usr/share/man/man1/sendmail.1",
              "usr/share/man/man1/mailq.1", "usr/share/man/man5/postconf.5", "usr/share/man/man8/smtpd.8"):
        need(os.path.exists(os.path.join(where, f)), "not installed:", f)
    need(os.stat(os.path.join(where, "usr/sbin/postdrop")).st_mode & 0o2000, "set-gid")
    p = subprocess.run([os.path.join(where, "usr/sbin/postconf"), "-c", os.path.join(where, "etc/postern"), "-n"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    need(p.returncode == 0 and b"warning" not in p.stdout, "the example configuration", p.stdout)


if __name__ == "__main__":
    sys.exit(main(globals()))
