/*
 * copy - a message out of a queue file into a mailbox file.
 *
 * Runs in a pool thread and touches nothing but its struct copy. A message
 * of up to CHUNK bytes costs one read and one write.
 */
#include <errno.h>
#include <unistd.h>
#include "store/internal.h"

#define CHUNK		(128 * 1024)
#define PREFIX_MAX	16384

struct sink {
	int	 fd;
	char	*p;
	size_t	 n, cap;
	uint64_t total;		/* length of the file when all is flushed */
	uint64_t limit;		/* 0: none */
};

static int
sink_flush(struct sink *s)
{
	int err;

	if (s->limit > 0 && s->total > s->limit)
		return EFBIG;
	if (s->n == 0)
		return 0;
	err = fd_write_all(s->fd, s->p, s->n);
	s->n = 0;
	return err;
}

static void
sink_add(struct sink *s, struct str bytes)
{
	assert(bytes.n <= s->cap - s->n);
	memcpy(s->p + s->n, bytes.p, bytes.n);
	s->n += bytes.n;
	s->total += bytes.n;
}

/* Converts in; *taken says how much of it. */
static int
sink_text(struct sink *s, struct store_text *text, struct str in, bool last,
    size_t *taken)
{
	size_t n;
	int err;

	if (s->cap - s->n < STORE_TEXT_MAX(in.n) && (err = sink_flush(s)) != 0)
		return err;
	assert(s->cap - s->n >= STORE_TEXT_MAX(in.n));
	*taken = store_text(text, in, last, s->p + s->n, &n);
	s->n += n;
	s->total += n;
	return 0;
}

/* One region of the queue file, a chunk at a time. */
static int
copy_region(struct copy *c, struct sink *s, struct store_text *text,
    char *chunk, uint64_t off, uint64_t len)
{
	while (len > 0) {
		size_t want = len < CHUNK ? (size_t)len : CHUNK, taken;
		ssize_t got = fd_pread_all(c->job->queue_file, chunk, want,
		    (off_t)off);
		int err;

		if (got < 0 || (size_t)got != want) {
			c->reading = true;
			return got < 0 ? errno : EIO;
		}
		err = sink_text(s, text, (struct str){ chunk, want },
		    want == len, &taken);
		if (err != 0)
			return err;
		off += taken;
		len -= taken;
	}
	return 0;
}

/* A small message whose regions lie together: one read. */
static int
copy_small(struct copy *c, struct sink *s, struct store_text *text,
    char *chunk)
{
	const struct msg_store *job = c->job;
	uint64_t lowest = job->header_off < job->body_off ?
	    job->header_off : job->body_off;
	size_t want = (size_t)(job->header_len + job->body_len), taken;
	ssize_t got = fd_pread_all(job->queue_file, chunk, want,
	    (off_t)lowest);
	int err;

	if (got < 0 || (size_t)got != want) {
		c->reading = true;
		return got < 0 ? errno : EIO;
	}
	err = sink_text(s, text,
	    (struct str){ chunk + (job->header_off - lowest),
		(size_t)job->header_len }, true, &taken);
	if (err == 0)
		err = sink_text(s, text,
		    (struct str){ chunk + (job->body_off - lowest),
			(size_t)job->body_len }, true, &taken);
	return err;
}

static bool
is_small(const struct msg_store *job)
{
	return job->header_len + job->body_len <= CHUNK &&
	    (job->body_off + job->body_len == job->header_off ||
	    job->header_off + job->header_len == job->body_off);
}

static int
copy_parts(struct copy *c, struct sink *s, char *chunk)
{
	const struct msg_store *job = c->job;
	struct store_text text = { .quote_from = job->kind == STORE_MBOX,
		.quote_mmdf = job->kind == STORE_MMDF };
	int err;

	if (is_small(job))
		err = copy_small(c, s, &text, chunk);
	else if ((err = copy_region(c, s, &text, chunk, job->header_off,
	    job->header_len)) == 0)
		err = copy_region(c, s, &text, chunk, job->body_off,
		    job->body_len);
	if (err == 0 && s->cap - s->n < 8)
		err = sink_flush(s);
	if (err != 0)
		return err;
	if (text.in_line) {
		sink_add(s, STR("\n"));
		text.lines++;
	}
	if (job->kind == STORE_MBOX)
		sink_add(s, STR("\n"));
	else if (job->kind == STORE_MMDF)
		sink_add(s, STR(STORE_MMDF_LINE "\n"));
	c->lines += text.lines;
	return sink_flush(s);
}

static bool
regions_sane(const struct msg_store *job)
{
	uint64_t end;

	return !__builtin_add_overflow(job->header_off, job->header_len,
	    &end) && end <= INT64_MAX &&
	    !__builtin_add_overflow(job->body_off, job->body_len, &end) &&
	    end <= INT64_MAX && job->header_len <= INT64_MAX / 2 &&
	    job->body_len <= INT64_MAX / 2;
}

int
copy_message(struct copy *c)
{
	const struct msg_store *job = c->job;
	struct sink s = { .fd = c->to, .total = c->at,
	    .limit = job->size_max };
	struct buf prefix;
	size_t content;
	char *chunk;
	int err;

	if (!regions_sane(job)) {
		c->reading = true;
		return EINVAL;
	}
	buf_init(&prefix, PREFIX_MAX);
	for (unsigned i = 0; i < c->newlines; i++)
		buf_putc(&prefix, '\n');
	store_prefix(job, clock_wall_s(), &prefix);
	if (prefix.full) {
		buf_free(&prefix);
		return EMSGSIZE;
	}
	content = job->header_len + job->body_len < CHUNK ?
	    (size_t)(job->header_len + job->body_len) : CHUNK;
	s.cap = prefix.n + STORE_TEXT_MAX(content) + 16;
	s.p = mem_grow(NULL, s.cap, 1);
	chunk = mem_grow(NULL, content + 1, 1);
	sink_add(&s, buf_view(&prefix));
	for (size_t i = 0; i < prefix.n; i++)
		c->lines += prefix.p[i] == '\n';
	err = copy_parts(c, &s, chunk);
	c->written = s.total - c->at;
	c->over = err == EFBIG && s.limit > 0 && s.total > s.limit;
	mem_free(chunk);
	mem_free(s.p);
	buf_free(&prefix);
	return err;
}
