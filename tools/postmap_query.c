/*
 * postmap_query - asks tables for keys, and lists them.
 */
#include <stdio.h>

#include "mime/mime.h"
#include "sys/sys.h"
#include "tools/json.h"
#include "tools/postmap.h"

#define NO_UTF8	"malformed UTF-8 or invalid codepoint"	/* Postfix's words */

struct maps {
	const struct job *job;
	struct table	**tables;
	char		**specs;
	int		  n;
	bool		  with_key;	/* print it too */
	bool		  utf8;		/* nothing else is asked, or taken */
	struct buf	  value, decoded;
};

static bool	ask(struct maps *, struct str key);
static bool	ask_message(struct maps *);
static bool	ask_lines(struct maps *);
static bool	is_header(struct str line);
static bool	print_entry(void *ctx, struct str key, struct str value);
static bool	value_of(struct maps *, struct str key, struct str *value);
static struct table *open_map(const struct job *, const char *spec);
static const char *reason(const char *spec, const struct table *);
static void	empty_warning(const char *spec, struct str key);

bool
postmap_query(const struct job *job, char **args, int n)
{
	struct maps m = { .job = job, .n = n };
	bool found;

	m.tables = mem_grow(NULL, (size_t)n, sizeof(struct table *));
	m.specs = mem_grow(NULL, (size_t)n, sizeof(char *));
	for (int i = 0; i < n; i++) {
		m.specs[i] = postmap_spec(job, args[i]);
		m.tables[i] = NULL;
	}
	buf_init(&m.value, TABLE_VALUE_MAX);
	buf_init(&m.decoded, TABLE_VALUE_MAX);
	m.with_key = strcmp(job->ask, "-") == 0;
	m.utf8 = job->utf8 && (job->force_utf8 || (!job->headers &&
	    !job->body));
	if (!m.with_key)
		found = ask(&m, str_of(job->ask));
	else if (job->headers || job->body)
		found = ask_message(&m);
	else
		found = ask_lines(&m);
	for (int i = 0; i < n; i++) {
		table_free(&m.tables[i]);
		mem_free(m.specs[i]);
	}
	mem_free(m.tables);
	mem_free(m.specs);
	buf_free(&m.value);
	buf_free(&m.decoded);
	return found;
}

void
postmap_list(const struct job *job, const char *arg)
{
	struct maps m = { .job = job, .n = 1, .with_key = true };
	char *spec = postmap_spec(job, arg);
	struct table *t = open_map(job, spec);
	enum found found;

	m.specs = &spec;
	buf_init(&m.decoded, TABLE_VALUE_MAX);
	found = table_each(t, print_entry, &m);
	if (found == NONE)
		postmap_fatal("table %s: sequence operation is not supported",
		    spec);
	if (found == RETRY)
		postmap_fatal("table %s: sequence error: %s", spec,
		    reason(spec, t));
	buf_free(&m.decoded);
	table_free(&t);
	mem_free(spec);
}

bool
postmap_read_key(struct buf *line)
{
	int c = getchar();

	buf_clear(line);
	if (c == EOF)
		return false;
	for (; c != EOF && c != '\n'; c = getchar())
		buf_putc(line, (char)c);
	return true;
}

static bool
ask_lines(struct maps *m)
{
	bool found = false;
	struct buf key;

	buf_init(&key, ENTRY_MAX);
	while (postmap_read_key(&key))
		found |= ask(m, buf_view(&key));
	buf_free(&key);
	return found;
}

/* --- -h, -b, -m: standard input is a message --- */

struct reading {
	struct maps	 *maps;
	bool		  found;
	struct mime_walk *walk;
	struct buf	  key;
};

/* A field, with LF where its lines were folded. */
static void
ask_field(struct reading *r, struct str field)
{
	buf_clear(&r->key);
	for (size_t i = 0; i < field.n; i++)
		if (field.p[i] != '\r')
			buf_putc(&r->key, field.p[i]);
	if (r->maps->job->headers && r->key.n > 0)
		r->found |= ask(r->maps, buf_view(&r->key));
}

static void
on_field(void *ctx, enum mime_place place, struct str field)
{
	(void)place;
	ask_field(ctx, field);
}

static void
on_line(void *ctx, struct str line, bool begins, uint64_t at)
{
	struct reading *r = ctx;

	(void)begins;
	(void)at;
	if (line.n >= 2 && line.p[line.n - 1] == '\n')
		line.n -= 2;
	if (r->maps->job->body && line.n > 0)
		r->found |= ask(r->maps, line);
}

/* The primary header; line is the first that is none of it. */
static bool
read_header(struct reading *r, struct buf *line)
{
	struct buf field;
	bool more;

	buf_init(&field, ENTRY_MAX);
	while ((more = postmap_read_key(line))) {
		struct str text = buf_view(line);
		bool folded = field.n > 0 && text.n > 0 &&
		    (text.p[0] == ' ' || text.p[0] == '\t');

		if (!folded && field.n > 0) {
			mime_walk_field(r->walk, buf_view(&field));
			ask_field(r, buf_view(&field));
			buf_clear(&field);
		}
		if (!folded && !is_header(text))
			break;
		if (folded)
			buf_puts(&field, "\r\n");
		buf_str(&field, text);
	}
	if (field.n > 0) {
		mime_walk_field(r->walk, buf_view(&field));
		ask_field(r, buf_view(&field));
	}
	buf_free(&field);
	return more;
}

/* Without -m all behind the first header is body. */
static bool
ask_message(struct maps *m)
{
	static const struct mime_walk_ops ops = { .field = on_field,
	    .line = on_line };
	struct mime_walk_conf conf = { .header_max = ENTRY_MAX,
	    .boundary_max = 2048, .line_max = ENTRY_MAX, .nesting_max = 100,
	    .flat = !m->job->mime };
	struct reading r = { .maps = m };
	struct buf line;
	bool more;

	buf_init(&line, ENTRY_MAX);
	buf_init(&r.key, ENTRY_MAX);
	r.walk = mime_walk_new(&conf, &ops, &r);
	more = read_header(&r, &line);
	mime_walk_header_end(r.walk);
	if (more && line.n == 0)
		more = postmap_read_key(&line);
	while (more && (m->job->body || m->job->mime)) {
		buf_puts(&line, "\r\n");
		mime_walk_body(r.walk, buf_view(&line));
		more = postmap_read_key(&line);
	}
	mime_walk_end(r.walk);
	mime_walk_free(&r.walk);
	buf_free(&line);
	buf_free(&r.key);
	return r.found;
}

/* RFC 5322 2.2: printable bytes but ':' and then ':'. */
static bool
is_header(struct str line)
{
	size_t colon = str_chr(line, ':'), i;

	for (i = 0; i < colon && line.p[i] > ' ' && line.p[i] < 0x7f; i++)
		continue;
	while (i > 0 && i < colon && (line.p[i] == ' ' || line.p[i] == '\t'))
		i++;
	return i > 0 && i == colon && colon < line.n;
}

/* Why a table fails, without its name where that stands before. */
static const char *
reason(const char *spec, const struct table *t)
{
	const char *text = table_error(t);
	size_t n = strlen(spec);

	return strncmp(text, spec, n) == 0 && strncmp(text + n, ": ", 2) == 0 ?
	    text + n + 2 : text;
}

/* The first table that has the key answers. */
static bool
ask(struct maps *m, struct str key)
{
	struct str value;

	for (int i = 0; i < m->n; i++) {
		enum found found;

		if (m->tables[i] == NULL)
			m->tables[i] = open_map(m->job, m->specs[i]);
		if (m->utf8 && !utf8_valid(key)) {
			log_warn("%s: non-UTF-8 key \"" STRF "\": " NO_UTF8,
			    m->specs[i], STRV(key));
			continue;
		}
		found = table_get(m->tables[i], key, &m->value);
		if (found == RETRY)
			postmap_fatal("table %s: query error: %s", m->specs[i],
			    reason(m->specs[i], m->tables[i]));
		if (found == NONE)
			continue;
		value = buf_view(&m->value);
		if (m->utf8 && !utf8_valid(value)) {
			log_warn("%s: key \"" STRF "\": non-UTF-8 value \"" STRF
			    "\": " NO_UTF8, m->specs[i], STRV(key),
			    STRV(value));
			postmap_fatal("table %s: query error", m->specs[i]);
		}
		if (value.n == 0)
			empty_warning(m->specs[i], key);
		if (!value_of(m, key, &value))
			postmap_fatal("table %s: query error", m->specs[i]);
		if (m->with_key || m->job->json)
			(void)print_entry(m, key, buf_view(&m->value));
		else
			printf(STRF "\n", STRV(value));
		return true;
	}
	return false;
}

/* For a table_each_fn: one line of -s, also of -q -. */
static bool
print_entry(void *ctx, struct str key, struct str value)
{
	struct maps *m = ctx;

	if (key.n == 0)
		log_warn("table %s: empty lookup key value is not allowed",
		    m->specs[0]);
	else if (value.n == 0 && m->job->list)
		empty_warning(m->specs[0], key);
	if (!value_of(m, key, &value))
		return true;
	if (m->job->json)
		json_print_pair(key, value);
	else
		printf(STRF "%s\t" STRF "\n", STRV(key),
		    m->job->tool->aliases ? ":" : "", STRV(value));
	return true;
}

/* With -F the value stands in base64. */
static bool
value_of(struct maps *m, struct str key, struct str *value)
{
	if (!m->job->values_are_files)
		return true;
	buf_clear(&m->decoded);
	if (!base64_decode(*value, &m->decoded)) {
		log_warn("table %s: key " STRF ": malformed BASE64 value: "
		    STRF, m->specs[0], STRV(key),
		    STRV(str_first(*value, 30)));
		return false;
	}
	*value = buf_view(&m->decoded);
	return true;
}

static struct table *
open_map(const struct job *job, const char *spec)
{
	struct table *t;
	struct buf why;

	buf_init(&why, 4000);
	t = table_open(str_of(spec), NULL, (job->fold ? TABLE_FOLD : 0) |
	    (job->values_are_files ? TABLE_FILES : 0), &why);
	if (t == NULL)
		postmap_fatal("%s", buf_cstr(&why));
	buf_free(&why);
	return t;
}

static void
empty_warning(const char *spec, struct str key)
{
	log_warn("table %s: key " STRF ": empty string result is not allowed",
	    spec, STRV(key));
	log_warn("table %s should return NO RESULT in case of NOT FOUND",
	    spec);
}
