# make              build all programs under build/
# make check        everything that a change must pass (HACKING.md)
# make quick        the inner loop: house checks and unit tests
# make fuzz         run each fuzz target for FUZZ_SECONDS (default 60)
# make soak         power cuts and long kill tests (root, 30 minutes)
# make programs     cron, at, PHP, mutt ... in a root with Postern (root)
# make tlscheck     testssl.sh and sslscan find nothing (some minutes)
# make bench        Postern beside Postfix, in one run, with ratios
# make peers        mail to and from Postfix, Exim, OpenSMTPD; into Dovecot (root)
# make reference    POSTFIX_SOURCE=DIR: Postfix's own test cases, replayed
# make install      DESTDIR= PREFIX=
#
# Every folder of lib/ is a room. Every main*.c elsewhere is a program:
# smtpd/main.c is smtpd, cleanup/main_pickup.c is pickup. Commands live in
# tools/ and go to build/sbin, daemons to build/libexec. Adding a file edits
# nothing here.

CC       = cc
B        = build
PREFIX   = /usr
FUZZ_SECONDS = 60
PKG      = libevent_core libssl libcrypto libseccomp libcares libsasl2 \
	   libpcre2-8 libidn2 libsodium
CPPFLAGS = -std=c11 -D_GNU_SOURCE $(TABLES) -Ilib -I. $(PKG_CFLAGS) $(CPPSAN)
WARN     = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	   -Wmissing-prototypes -Wwrite-strings -Wswitch-enum -Wvla \
	   -Wcast-qual -Wundef $(if $(SAN),,-Werror)
OPT      = -O2 -g
HARDEN   = -fPIE -fstack-protector-strong -fstack-clash-protection \
	   -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fno-strict-overflow
LDHARDEN = -pie -Wl,-z,relro,-z,now -Wl,--as-needed
SAN      =
CFLAGS   = $(OPT) $(HARDEN) $(SAN)
LDFLAGS  = $(LDHARDEN) $(SAN)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKG))
LDLIBS   := $(shell pkg-config --libs $(PKG)) -llmdb -lcdb -lunistring -lcrypt -lpam \
	   -lpthread

FOLDERS  = master smtpd cleanup qmgr smtp local pop3d imapd auth lookup tools
MAINS    = $(wildcard $(FOLDERS:%=%/main.c) $(FOLDERS:%=%/main_*.c))
LIB      = $(patsubst %.c,$B/%.o,$(wildcard lib/*/*.c))
name     = $(if $(filter %/main.c,$1),$(patsubst %/,%,$(dir $1)),$(patsubst main_%.c,%,$(notdir $1)))
dest     = $B/$(if $(filter tools/%,$1),sbin,libexec)/$(call name,$1)
parts    = $(patsubst %.c,$B/%.o,$(filter-out $(MAINS),$(wildcard $(dir $1)*.c)))
PROGRAMS = $(foreach m,$(MAINS),$(call dest,$m))
UNITS    = $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/*.c))
FUZZERS  = $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))

all: $(PROGRAMS) links

# Other parts of a folder are linked in from an archive: a program takes
# those that it calls.
define program
$(call dest,$1): $(patsubst %.c,$B/%.o,$1) $B/$(dir $1)parts.a $B/lib.a
	@mkdir -p $$(@D)
	@echo LD $$@
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach m,$(MAINS),$(eval $(call program,$m)))

define folder
$B/$1/parts.a: $(call parts,$1/)
	@mkdir -p $$(@D)
	@rm -f $$@
	@$$(AR) rcsT $$@ $$^
endef
$(foreach f,$(sort $(patsubst %/,%,$(dir $(MAINS)))),$(eval $(call folder,$f)))

$B/lib.a: $(LIB)
	@mkdir -p $(@D)
	@rm -f $@
	@$(AR) rcsT $@ $^

$B/%.o: %.c
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) $(CPPFLAGS) $(WARN) $(CFLAGS) -MMD -MP -c -o $@ $<

# mailq and newaliases are sendmail by other names.
links: $(PROGRAMS)
	@for p in mailq newaliases; do \
	    [ -L $B/sbin/$$p ] || ln -sf sendmail $B/sbin/$$p; done

# Manuals that are made of .def tables.
MADE = $(patsubst man/%.in,$B/man/%,$(wildcard man/*.in))
$B/man/%: man/%.in man/generate smtpd/rules.def $B/sbin/postconf
	@mkdir -p $(@D)
	@man/generate $< $B/sbin/postconf >$@.new && mv $@.new $@
manuals: $(MADE)

# A test may call any room, and the parts of the folders that it includes:
# two daemons may have a session_new each.
PARTS    = $(sort $(patsubst %/,%,$(dir $(MAINS))))
ALLPARTS = $(PARTS:%=$B/%/parts.a)
tested   = $(foreach f,$(PARTS),$(if $(shell grep '^#include "$f/' $1),$B/$f/parts.a))
$B/unit/%: $B/tests/unit/%.o $(ALLPARTS) $B/lib.a
	@mkdir -p $(@D)
	@echo LD $@
	@$(CC) $(LDFLAGS) -o $@ $< $(call tested,tests/unit/$*.c) \
	    $B/lib.a $(LDLIBS) -lcmocka

# A fuzz target is one function; replay.c runs it over its kept corpus,
# FUZZ=-fsanitize=fuzzer (with clang) makes it a fuzzer.
FUZZ =
REPLAY = $(if $(FUZZ),,$B/tests/fuzz/replay.o)
$B/fuzz/%: $B/tests/fuzz/%.o $(REPLAY) $(ALLPARTS) $B/lib.a
	@mkdir -p $(@D)
	@echo LD $@
	@$(CC) $(LDFLAGS) $(FUZZ) -o $@ $< $(REPLAY) \
	    $(call tested,tests/fuzz/$*.c) $B/lib.a $(LDLIBS)

# The real smtpd with one command replaced by an intruder's tries.
$B/takeover/smtpd: $B/smtpd/main.o $B/tests/takeover/smtpd.o \
    $B/smtpd/parts.a $B/lib.a
	@mkdir -p $(@D)
	@echo LD $@
	@$(CC) $(LDFLAGS) -Wl,--wrap=cmd_help -o $@ $^ $(LDLIBS)
takeover: $B/takeover/smtpd

# master and auth with fronts and workers of the tests': their rows stand in
# tests/reading, which this build alone searches before lib/.
TABLES   =
READING  = master auth maild mail
$B/libexec/maild $B/libexec/mail: $B/libexec/%: $B/tests/reading/%.o $B/lib.a
	@mkdir -p $(@D)
	@echo LD $@
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
reading:
	@$(MAKE) B=$B/reading TABLES=-Itests/reading \
	    $(READING:%=$B/reading/libexec/%)

# Puts very many messages into a queue.
$B/bench/fill: $B/bench/fill.o $B/lib.a
	@echo LD $@
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
fill: $B/bench/fill

units: $(UNITS)
fuzzers: $(FUZZERS)

check:
	@tests/run
quick: all
	@tests/run house unit
# Each target for FUZZ_SECONDS, from its kept corpus; finds stay in build/.
fuzz:
	@$(MAKE) -s -j2 B=build/fuzzing CC=clang OPT='-O1 -g' HARDEN= \
	    SAN='-fsanitize=address,undefined,fuzzer-no-link' \
	    FUZZ=-fsanitize=fuzzer fuzzers
	@tests/fuzz/run $(FUZZ_SECONDS)
soak: all
	@tests/soak/run
bench: all
	@bench/run
# A queue of 100,000 deferred messages: start, listing, flush by site.
bench-queue: all
	@bench/queue
# Beside other mail servers, each in a root of its own (root).
peers: all
	@tests/peers/run
reference: all
	@tests/reference/run $(POSTFIX_SOURCE)
tlscheck: all
	@tests/tlscheck
programs: all manuals
	@tests/programs/run

clean:
	rm -rf build

.PHONY: all links manuals takeover reading fill units fuzzers check quick fuzz soak bench peers reference \
    bench-queue programs clean
.SECONDARY:
-include $(shell find $B \( -path '*/peer' -o -path '*/peers' -o -path '*/programs' \) -prune -o -name '*.d' -type f -print 2>/dev/null)

# --- install: DESTDIR= for packages, PREFIX=/usr ---
# Configuration files that exist stay. Without DESTDIR, and as root, users
# and the set-gid group are made too.
SBIN     = $(DESTDIR)$(PREFIX)/sbin
BIN      = $(DESTDIR)$(PREFIX)/bin
LIBEXEC  = $(DESTDIR)$(PREFIX)/libexec/postern
MANDIR   = $(DESTDIR)$(PREFIX)/share/man
CONFDIR  = $(DESTDIR)/etc/postern
UNITDIR  = $(DESTDIR)/lib/systemd/system
SETGID   = postdrop postqueue
COMMANDS = $(filter $B/sbin/%,$(PROGRAMS))
DAEMONS  = $(filter $B/libexec/%,$(PROGRAMS))

install: all manuals
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then conf/make-users; fi
	install -d $(SBIN) $(BIN) $(LIBEXEC) $(CONFDIR) $(UNITDIR) \
	    $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(COMMANDS) $(SBIN)
	install -m 755 $(DAEMONS) $(LIBEXEC)
	@for p in $(SETGID); do \
	    if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then \
		chgrp postdrop $(SBIN)/$$p; fi; \
	    chmod 2755 $(SBIN)/$$p; done
	ln -sf ../sbin/sendmail $(BIN)/mailq
	ln -sf ../sbin/sendmail $(BIN)/newaliases
	ln -sf ../sbin/sendmail $(DESTDIR)$(PREFIX)/lib/sendmail
	@for f in main.cf master.cf; do [ -e $(CONFDIR)/$$f ] || \
	    install -m 644 conf/$$f $(CONFDIR)/$$f; done
	sed 's,/usr/sbin,$(PREFIX)/sbin,' conf/postern.service \
	    >$(UNITDIR)/postern.service
	@for m in $(wildcard man/*.[1578]) $(MADE); do \
	    install -D -m 644 $$m $(MANDIR)/man$${m##*.}/$${m##*/}; done
	ln -sf sendmail.1 $(MANDIR)/man1/mailq.1
	ln -sf sendmail.1 $(MANDIR)/man1/newaliases.1
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then \
	    conf/finish-install $(PREFIX); fi

.PHONY: install
