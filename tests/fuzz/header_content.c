/*
 * Content in any cut through cleanup's header and body, into a queue file.
 * The first byte says how it is cut. However it is: the same bytes, no stray
 * CR or LF, a header of whole fields, a body that ends in a line end.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cleanup/cleanup.h"
#include "sys/sys.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char dirs[2][40] = { "/dev/shm/fuzz-content-XXXXXX",
    "/dev/shm/fuzz-content-XXXXXX" };
static struct cleanup all[2];
static struct conf *confs[2];

static void
remove_dirs(void)
{
	for (int i = 0; i < 2; i++) {
		(void)unlinkat(all[i].queue.root, "incoming", AT_REMOVEDIR);
		(void)unlinkat(all[i].queue.root, "hold", AT_REMOVEDIR);
		(void)rmdir(dirs[i]);
		cleanup_end(&all[i]);
		conf_free(&confs[i]);
	}
}

/* Two of them: with nothing to inspect, and with tables and limits of MIME. */
static void
set_up(struct cleanup *c, struct conf **conf, char *dir, bool inspects)
{
	static const struct { const char *name, *value; } rows[] = {
		{ "myhostname", "mail.example.org" },
		{ "mydomain", "example.org" }, { "myorigin", "example.org" },
		{ "mydestination", "example.org" },
		{ "mail_name", "Postern" }, { "swap_bangpath", "yes" },
		{ "line_length_limit", "100" }, { "header_size_limit", "300" },
		{ "header_section_size_limit", "65536" },
		{ "header_address_token_limit", "1000" },
		{ "message_size_limit", "1048576" },
		{ "undisclosed_recipients_header", "To: nobody:;" },
		{ "message_drop_headers", "bcc" },
		{ "virtual_alias_maps", "" }, { "alias_maps", "" },
		/* from here on where it inspects */
		{ "header_checks", "pcre:{ {/^a/ IGNORE} {/^b(.*)/ REPLACE "
		    "C: $$1} {/^d/ PREPEND E: f} {/^g/ HOLD} {/^h(.)/ STRIP} "
		    "{/^i/ FILTER smtp:x} {/^j/ BCC x@y} {/^k/ PASS} }" },
		{ "body_checks", "pcre:{ {/^a/ IGNORE} {/b(.*)/ REPLACE "
		    "c$$1} {/^d/ PREPEND e} {/^k/ PASS} }" },
		{ "body_checks_size_limit", "500" },
		{ "message_strip_characters", "\\0" },
		{ "mime_nesting_limit", "3" },
		{ "canonical_maps", "inline:{joe=jane@x.example}" },
		{ "masquerade_domains", "example.net" },
	};
	struct problems problems = { 0 };
	const char *bad;

	if (mkdtemp(dir) == NULL)
		abort();
	memset(c, 0, sizeof(*c));
	*conf = conf_empty(dir);
	for (size_t i = 0; i < (inspects ? nitems(rows) : 15); i++)
		conf_override(*conf, str_of(rows[i].name),
		    str_of(rows[i].value));
	conf_override(*conf, STR("queue_directory"), str_of(dir));
	conf_fill(*conf, cleanup_params, cleanup_nparams, &c->conf,
	    &problems);
	cleanup_check(c, *conf, &problems);
	if (problems_fatal(&problems) ||
	    queue_open(&c->queue, dir, STR(""), 0, &bad) != 0 ||
	    mkdirat(c->queue.root, "incoming", 0700) != 0 ||
	    mkdirat(c->queue.root, "hold", 0700) != 0)
		abort();
	problems_free(&problems);
	queue_close(&c->queue);
	cleanup_open(c, *conf);
}

static void
check(struct str header, struct str body)
{
	struct mime_field f;

	for (size_t i = 0; i < header.n; i++)
		assert((header.p[i] == '\r') ==
		    (i + 1 < header.n && header.p[i + 1] == '\n'));
	for (size_t i = 0; i < body.n; i++)
		assert((body.p[i] == '\r') ==
		    (i + 1 < body.n && body.p[i + 1] == '\n'));
	assert(body.n == 0 || body.p[body.n - 1] == '\n');
	/* Completion makes at most "a," of limit 300 "a@example.org,\r\n\t". */
	while (mime_field_next(&header, &f))
		assert(f.id != MH_BCC && f.whole.n < 300 * 11);
	assert(header.n == 0);
}

/* The file's content, or nothing where it was refused. */
static void
run(struct cleanup *c, struct str in, size_t piece, struct buf *out)
{
	struct msg_mail_begin b = { .flags = MAIL_LOCAL_CLIENT,
		.sender = STR("joe"), .arrival_us = 1763702221000000 };
	struct queue_message msg = { .arrival_us = 1, .rcpts = NULL };
	struct queue_message back;
	struct mail *m = mail_new(c, &b);
	struct arena *arena = arena_new(1 << 22);
	char id[QUEUE_ID_MAX] = "";
	int fd;

	memcpy(id, m->id.p, m->id.n);
	for (; in.n > 0; in = str_from(in, piece))
		content_take(m, str_first(in, piece));
	if (m->status == MAIL_OK)
		content_end(m);
	if (m->status == MAIL_OK) {
		if (queue_write_rest(m->writer, buf_view(&m->headers),
		    &msg) != 0)
			abort();
		fd = queue_writer_keep(&m->writer);
		if (queue_read(fd, arena, true, &back) != QUEUE_OK ||
		    fd_pread_all(fd, buf_space(out, (size_t)back.size),
		    (size_t)back.size, (off_t)back.body_off) < 0 ||
		    queue_remove(&c->queue, Q_INCOMING, id) != 0)
			abort();
		out->n += (size_t)back.size;
		check(str_from(buf_view(out), (size_t)back.body_len),
		    str_first(buf_view(out), (size_t)back.body_len));
		close(fd);
		/* Without what differs by its id. */
		out->n = (size_t)back.body_len;
	}
	mail_free(&m);
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole, cut;
	struct cleanup *c;
	struct str in;

	if (n < 1 || n > 1 << 14)
		return 0;
	in = (struct str){ (const char *)data + 1, n - 1 };
	if (confs[0] == NULL) {
		set_up(&all[0], &confs[0], dirs[0], false);
		set_up(&all[1], &confs[1], dirs[1], true);
		(void)atexit(remove_dirs);
	}
	for (int i = 0; i < 2; i++) {
		c = &all[i];
		buf_init(&whole, 1 << 21);
		buf_init(&cut, 1 << 21);
		run(c, in, in.n + 1, &whole);
		run(c, in, (size_t)data[0] + 1, &cut);
		assert(str_eq(buf_view(&whole), buf_view(&cut)));
		buf_free(&whole);
		buf_free(&cut);
	}
	return 0;
}
