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

static void
set_up(struct cleanup *c, char *dir)
{
	const char *bad;

	if (mkdtemp(dir) == NULL)
		abort();
	*c = (struct cleanup){ .size_max = 1 << 20, .hops_max = 50,
		.line_max = 100, .myhostname = STR("mail.example.org"),
		.mail_name = STR("Postern"),
		.local = { STR("example.org"), STR("example.org"), true, true,
		    true, true } };
	c->conf.header_size_limit = 300;
	c->conf.header_section_size_limit = 1 << 16;
	c->conf.header_address_token_limit = 1000;
	c->conf.cleanup_replace_stray_cr_lf = true;
	c->conf.header_from_format = STR("standard");
	c->conf.undisclosed_recipients_header = STR("To: nobody:;");
	c->conf.non_empty_end_of_header_action = STR("fix_quietly");
	c->drop[MH_BCC] = true;
	c->drop_others = map_new();
	buf_init(&c->scratch, 1 << 20);
	if (queue_open(&c->queue, dir, STR(""), 0, &bad) != 0 ||
	    mkdirat(c->queue.root, "incoming", 0700) != 0)
		abort();
	queue_close(&c->queue);
	if (queue_open(&c->queue, dir, STR(""), 0, &bad) != 0)
		abort();
}

static void
tear_down(struct cleanup *c, const char *dir)
{
	if (unlinkat(c->queue.root, "incoming", AT_REMOVEDIR) != 0)
		abort();
	(void)rmdir(dir);
	map_free(&c->drop_others);
	buf_free(&c->scratch);
	queue_close(&c->queue);
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
		assert(f.id != MH_BCC && f.whole.n < 300 * 9);
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
	char dir[] = "/dev/shm/fuzz-content-XXXXXX";
	struct buf whole, cut;
	struct cleanup c;
	struct str in;

	if (n < 1 || n > 1 << 14)
		return 0;
	in = (struct str){ (const char *)data + 1, n - 1 };
	set_up(&c, dir);
	buf_init(&whole, 1 << 21);
	buf_init(&cut, 1 << 21);
	run(&c, in, in.n + 1, &whole);
	run(&c, in, (size_t)data[0] + 1, &cut);
	assert(str_eq(buf_view(&whole), buf_view(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	tear_down(&c, dir);
	return 0;
}
