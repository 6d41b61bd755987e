/*
 * postcat - show a queue file: envelope, journal, content.
 *
 * Names as Postfix's postcat shows them where it has such a record. Reads
 * queue files and what stands in maildrop/, damaged ones as far as they go.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "address/address.h"
#include "ipc/ipc.h"
#include "maildrop/maildrop.h"
#include "tools/tool.h"

#define USAGE "usage: postcat [-b (body text)] [-c config_dir] " \
	"[-d (decimal record type)] [-e (envelope records)] " \
	"[-h (header text)] [-q (access queue)] [-v] [file(s)...]"
#define ARENA_MAX	((size_t)1 << 32)
#define PIECE		65536

enum { SHOW_ENVELOPE = 1, SHOW_HEADER = 2, SHOW_BODY = 4, SHOW_ALL = 7,
	SHOW_PATH = 8, SHOW_OFFSET = 16, SHOW_TYPE = 32 };

/* -d: numbers of record.def; 0 is the head, content has Postfix's 'N'. */
enum { TYPE_HEAD = 0, TYPE_SENDER = 1, TYPE_ATTR = 2, TYPE_RCPT = 3,
	TYPE_EVENT = 5, TYPE_TEXT = 'N' };

struct postcat {
	struct tool   tool;
	struct queue  queue;
	unsigned      show;
	bool	      search;		/* -q */
	const char   *path;		/* of the file at hand */
	struct arena *arena;
	int	      type;		/* of the record at hand */
};

static void
check_output(struct postcat *p)
{
	if (ferror(stdout))
		tool_fail(&p->tool, EX_FAILED, "output write error: %s",
		    strerror(errno));
}

/* What stands before a line: -f, -o, -d. */
static void
put_start(struct postcat *p, uint64_t at)
{
	if (p->show & SHOW_PATH)
		printf("%s: ", p->path);
	if (p->show & SHOW_OFFSET)
		printf("%9llu ", (unsigned long long)at);
	if (p->show & SHOW_TYPE)
		printf("%3d ", p->type);
}

/* One named value, printable. */
static void
put_record(struct postcat *p, uint64_t at, const char *name, struct str value)
{
	struct buf shown;

	put_start(p, at);
	buf_init(&shown, 8 * value.n + 16);
	log_escape(value, &shown);
	printf("%s: " STRF "\n", name, STRV(buf_view(&shown)));
	buf_free(&shown);
}

static void
put_marker(struct postcat *p, const char *text)
{
	printf("*** %s %s ***\n", text, p->path);
}

static struct str
time_text(struct postcat *p, int64_t s)
{
	char *text = arena_alloc(p->arena, 64);
	time_t t = (time_t)s;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(text, 64, "%a %b %e %H:%M:%S %Y", &tm) == 0)
		return STR("?");
	return str_of(text);
}

static struct str
number_text(struct postcat *p, int64_t v)
{
	return str_of(arena_printf(p->arena, "%lld", (long long)v));
}

/* Lines that end in CRLF, shown with LF; *start: at the start of a line. */
static void
put_bytes(struct postcat *p, struct str s, uint64_t at, bool *start)
{
	for (size_t i = 0; i < s.n; i++) {
		if (*start)
			put_start(p, at + i);
		*start = s.p[i] == '\n';
		if (s.p[i] != '\r' || i + 1 == s.n || s.p[i + 1] != '\n')
			putchar(s.p[i]);
	}
}

static void
put_region(struct postcat *p, int fd, uint64_t off, uint64_t len)
{
	char *piece = mem_new(PIECE);
	bool start = true;

	p->type = TYPE_TEXT;
	while (len > 0) {
		size_t want = len < PIECE ? (size_t)len : PIECE;
		ssize_t n = fd_pread_all(fd, piece, want, (off_t)off);

		if (n <= 0) {
			tool_warn(&p->tool, "%s: content ends early", p->path);
			break;
		}
		if (n > 1 && (size_t)n < len && piece[n - 1] == '\r')
			n--;		/* with its LF, in the next piece */
		put_bytes(p, (struct str){ piece, (size_t)n }, off, &start);
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	if (!start)
		putchar('\n');
	mem_free(piece);
}

/* The empty line behind the header is part of the body here. */
static uint64_t
header_end(const struct queue_message *m)
{
	return m->header_len >= 2 ? m->header_len - 2 : m->header_len;
}

static void
put_notify(struct postcat *p, uint64_t at, unsigned notify)
{
	if (notify != 0)
		put_record(p, at, "dsn_notify", number_text(p, notify));
}

static const char *
state_name(unsigned state)
{
	switch ((enum rcpt_state)state) {
	case RCPT_TODO:		return "todo";
	case RCPT_DEFERRED:	return "deferred";
	case RCPT_SENT:		return "sent";
	case RCPT_BOUNCED:	return "bounced";
	case RCPT_REPORTED:	return "reported";
	}
	return "?";
}

/* Envelope and what the journal says of each recipient. */
static void
put_rcpt(struct postcat *p, uint64_t at, const struct queue_rcpt *r)
{
	p->type = TYPE_RCPT;
	put_notify(p, at, r->dsn_notify);
	if (r->dsn_orcpt.n > 0)
		put_record(p, at, "dsn_orig_rcpt", r->dsn_orcpt);
	put_record(p, at, "original_recipient",
	    r->original.n > 0 ? r->original : r->address);
	put_record(p, at, r->status == RCPT_TODO ||
	    r->status == RCPT_DEFERRED ? "recipient" : "done_recipient",
	    r->address);
	if (r->tries == 0)
		return;
	p->type = TYPE_EVENT;
	put_record(p, at, "status", str_of(state_name(r->status)));
	put_record(p, at, "tries", number_text(p, r->tries));
	put_record(p, at, "last_try", time_text(p, r->tried_s));
	put_record(p, at, "dsn", r->dsn);
	put_record(p, at, "reason", r->text);
}

static void
put_envelope(struct postcat *p, const struct queue_message *m)
{
	uint64_t at = m->envelope_off;

	put_marker(p, "ENVELOPE RECORDS");
	p->type = TYPE_HEAD;
	put_record(p, 0, "message_size", number_text(p, (int64_t)m->size));
	put_record(p, 0, "message_arrival_time",
	    time_text(p, m->arrival_us / 1000000));
	if (m->flags != 0)
		put_record(p, 0, "flags", str_of(arena_printf(p->arena,
		    "%s%s%s%s%s%s%s", m->flags & QMF_HAS_DOTS ? "dots " : "",
		    m->flags & QMF_8BIT ? "8bit " : "",
		    m->flags & QMF_SMTPUTF8 ? "smtputf8 " : "",
		    m->flags & QMF_BOUNCE ? "bounce " : "",
		    m->flags & QMF_VERIFY ? "verify " : "",
		    m->flags & QMF_TRACE ? "trace " : "",
		    m->flags & QMF_TLS_OPTIONAL ? "tls-optional " : "")));
	p->type = TYPE_SENDER;
	if (m->dsn_envid.n > 0)
		put_record(p, at, "dsn_envelope_id", m->dsn_envid);
	if (m->dsn_ret != DSN_RET_NONE)
		put_record(p, at, "dsn_ret_flags",
		    number_text(p, m->dsn_ret));
	put_record(p, at, "sender", m->sender);
	p->type = TYPE_ATTR;
	for (size_t i = 0; i < m->nattrs; i++)
		put_record(p, at, "named_attribute", str_of(arena_printf(
		    p->arena, STRF "=" STRF, STRV(m->attrs[i].name),
		    STRV(m->attrs[i].value))));
	p->type = TYPE_EVENT;
	if (m->warned_s != 0)
		put_record(p, m->journal_off, "warning_sent",
		    time_text(p, m->warned_s));
	for (size_t i = 0; i < m->nrcpts; i++)
		put_rcpt(p, at, &m->rcpts[i]);
}

static void
cat_queue_file(struct postcat *p, int fd)
{
	struct queue_message m;

	switch (queue_read(fd, p->arena, true, &m)) {
	case QUEUE_OK:
		break;
	case QUEUE_TORN:
		tool_fail(&p->tool, EX_FAILED,
		    "%s: not complete: never accepted", p->path);
	case QUEUE_LOCKED:
		tool_fail(&p->tool, EX_FAILED, "%s: is being written",
		    p->path);
	case QUEUE_GONE:
	case QUEUE_BAD:
		tool_fail(&p->tool, EX_FAILED, "%s: damaged queue file",
		    p->path);
	case QUEUE_RETRY:
		tool_fail(&p->tool, EX_FAILED, "read %s: %s", p->path,
		    strerror(errno));
	}
	if (p->show & SHOW_ENVELOPE) {
		put_envelope(p, &m);
		put_marker(p, "MESSAGE CONTENTS");
	}
	if (p->show & SHOW_HEADER)
		put_region(p, fd, m.header_off, header_end(&m));
	if (p->show & SHOW_BODY) {
		put_region(p, fd, m.header_off + header_end(&m),
		    m.header_len - header_end(&m));
		put_region(p, fd, m.body_off, m.body_len);
	}
	if (p->show & SHOW_ENVELOPE) {
		put_marker(p, "HEADER EXTRACTED");
		put_marker(p, "MESSAGE FILE END");
	}
}

/* --- maildrop/ --- */

struct cat_state {
	bool in_content, in_body;
	bool line_start;		/* content stands at a line's start */
};

/* Header up to the first empty line, then body. */
static void
put_content(struct postcat *p, struct cat_state *s, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (s->line_start && text.p[i] == '\n')
			s->in_body = true;
		if (p->show & (s->in_body ? SHOW_BODY : SHOW_HEADER))
			putchar(text.p[i]);
		s->line_start = text.p[i] == '\n';
	}
}

static void
put_frame(struct postcat *p, struct cat_state *s, uint64_t at,
    const struct maildrop_frame *f)
{
	bool envelope = p->show & SHOW_ENVELOPE;

	if (f->type == MD_CONTENT) {
		if (!s->in_content && envelope)
			put_marker(p, "MESSAGE CONTENTS");
		s->in_content = true;
		put_content(p, s, f->text);
		return;
	}
	if (!envelope)
		return;
	if (f->type == MD_SENDER) {
		put_record(p, at, "sender", f->text);
	} else if (f->type == MD_ATTR) {
		put_record(p, at, "named_attribute", str_of(arena_printf(
		    p->arena, STRF "=" STRF, STRV(f->name), STRV(f->text))));
	} else if (f->type == MD_RCPT) {
		put_notify(p, at, f->notify);
		put_record(p, at, "recipient", f->text);
	}
}

static void
cat_submission(struct postcat *p, int fd)
{
	struct maildrop_reader r = { .stage = 0 };
	struct cat_state s = { .line_start = true };
	struct maildrop_frame f;
	enum maildrop_result result = MAILDROP_MORE;
	struct buf in;
	off_t at = 0;

	buf_init(&in, 4 * PIECE);
	if (p->show & SHOW_ENVELOPE)
		put_marker(p, "ENVELOPE RECORDS");
	while (result == MAILDROP_MORE) {
		char *room = buf_space(&in, PIECE);
		ssize_t n = room == NULL ? -1 : pread(fd, room, PIECE, at);
		struct str rest;

		if (n <= 0)
			break;
		in.n += (size_t)n;
		at += n;
		rest = buf_view(&in);
		while ((result = maildrop_read(&r, &rest, &f)) ==
		    MAILDROP_FRAME)
			put_frame(p, &s, (uint64_t)at - rest.n, &f);
		buf_drop(&in, in.n - rest.n);
	}
	buf_free(&in);
	if (result != MAILDROP_END)
		tool_fail(&p->tool, EX_FAILED, "%s: %s", p->path,
		    result == MAILDROP_BAD ? r.why : "not complete");
	if (p->show & SHOW_ENVELOPE)
		put_marker(p, "MESSAGE FILE END");
}

static void
cat_file(struct postcat *p, int fd, const char *path)
{
	char magic[8];

	p->path = path;
	p->arena = arena_new(ARENA_MAX);
	if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	    memcmp(magic, "PSTRNMD1", sizeof(magic)) == 0)
		cat_submission(p, fd);
	else
		cat_queue_file(p, fd);
	arena_free(&p->arena);
	(void)fflush(stdout);
	check_output(p);
	close(fd);
}

static void
cat_id(struct postcat *p, const char *id)
{
	enum queue_dir d = Q__MAX;
	int fd = -1;

	if (!queue_id_valid(str_of(id)))
		tool_fail(&p->tool, EX_FAILED, "bad mail queue ID: %s", id);
	for (int tries = 0; tries < 2 && fd < 0; tries++) {
		d = queue_find(&p->queue, id);	/* it may be moving */
		if (d != Q__MAX)
			fd = queue_open_file(&p->queue, d, id, O_RDONLY |
			    O_NONBLOCK, 0);
	}
	if (fd < 0)
		tool_fail(&p->tool, EX_FAILED, "open queue file %s: %s", id,
		    strerror(d == Q__MAX ? ENOENT : errno));
	cat_file(p, fd, arena_printf(p->tool.arena, "%s/%s",
	    queue_dir_names[d], id));
}

static const char *
read_args(struct postcat *p, int argc, char **argv)
{
	const char *dir = NULL;
	int c;

	opterr = 0;
	while ((c = getopt(argc, argv, "bc:defhoqrs:v")) != -1)
		switch (c) {
		case 'b': p->show |= SHOW_BODY; break;
		case 'c': dir = optarg; break;
		case 'e': p->show |= SHOW_ENVELOPE; break;
		case 'f': p->show |= SHOW_PATH; break;
		case 'h': p->show |= SHOW_HEADER; break;
		case 'o': p->show |= SHOW_OFFSET; break;
		case 'q': p->search = true; break;
		case 'd': p->show |= SHOW_TYPE; break;
		case 'v': p->tool.verbose++; break;
		case 'r': case 's': break;	/* of Postfix's own form */
		default: tool_fail(&p->tool, EX_FAILED, USAGE);
		}
	if ((p->show & SHOW_ALL) == 0)
		p->show |= SHOW_ALL;
	return dir;
}

/* Opened as the caller, read with no more rights than mail_owner's. */
static int *
open_named(struct postcat *p, char **names, int n)
{
	int *fds = mem_new(((size_t)n + 1) * sizeof(*fds));

	for (int i = 0; i < n; i++) {
		fds[i] = open(names[i], O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fds[i] < 0)
			tool_fail(&p->tool, EX_FAILED, "open %s: %s",
			    names[i], strerror(errno));
	}
	return fds;
}

int
main(int argc, char **argv)
{
	struct postcat p = { .show = 0 };
	const char *dir;
	int *fds = NULL;

	tool_start(&p.tool, "postcat");
	dir = read_args(&p, argc, argv);
	tool_conf(&p.tool, dir, EX_FAILED);
	argc -= optind;
	argv += optind;
	if (!p.search)
		fds = open_named(&p, argv, argc);
	tool_become_owner(&p.tool);
	if (p.search)
		tool_queue(&p.tool, &p.queue);
	else if (argc == 0)
		cat_file(&p, 0, "stdin");
	for (int i = 0; i < argc; i++) {
		if (p.search)
			cat_id(&p, argv[i]);
		else
			cat_file(&p, fds[i], argv[i]);
	}
	mem_free(fds);
	exit(EX_OK);
}
