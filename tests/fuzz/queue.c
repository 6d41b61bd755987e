/*
 * queue_parse and queue_read on hostile bytes. An even first byte: the rest
 * is a file as it is. Odd: the rest is frames (type, length:u16, bytes) that
 * get right checksums, so that the fuzzer reaches what stands behind them;
 * frames after one of type 255 are the journal.
 */
#include <sys/mman.h>
#include <stdlib.h>
#include <unistd.h>
#include "queue/queue.h"
#include "queue/record.h"
#include "sys/sys.h"

#define ROOM	(1 << 24)

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
put(struct buf *b, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		buf_putc(b, (char)(v >> 8 * bytes));
}

static void
put_frame(struct buf *b, unsigned type, struct str bytes)
{
	size_t at = b->n;
	uint32_t crc;

	put(b, type, 2);
	put(b, bytes.n, 4);
	crc = crc32c(crc32c(0, b->p + at, 6), bytes.p, bytes.n);
	put(b, crc, 4);
	buf_str(b, bytes);
}

static void
build(struct str in, struct buf *file)
{
	struct queue_head head = { .id = "ABCDEF123456" };
	struct rec_commit commit = { .nrcpts = 0 };
	struct buf journal, *to = file;
	char room[QUEUE_HEAD_SIZE] = { 0 };

	buf_init(&journal, ROOM);
	buf_add(file, room, sizeof(room));
	while (in.n > 3) {
		unsigned type = (unsigned char)in.p[0];
		size_t n = (size_t)((unsigned char)in.p[1] << 8 |
		    (unsigned char)in.p[2]);
		struct str bytes = str_first(str_from(in, 3), n);

		in = str_from(in, 3 + bytes.n);
		if (type == 255) {
			to = &journal;
			continue;
		}
		commit.nrcpts += type == REC_rcpt && to == file;
		put_frame(to, type, bytes);
	}
	head.envelope_len = file->n - QUEUE_HEAD_SIZE + record_commit_size();
	head_encode(&head, file->p);
	commit.envelope_crc = crc32c(0, file->p, file->n);
	record_encode(REC_commit, &commit, file);
	buf_str(file, buf_view(&journal));
	buf_free(&journal);
}

/* What is read may be used: no frame broke out of its bounds. */
static void
check(const struct queue_message *m)
{
	char sum = 0;

	assert(queue_id_valid(str_of(m->id)));
	assert(m->body_off + m->body_len == m->header_off);
	assert(m->header_off + m->header_len == m->envelope_off);
	assert(m->envelope_off + m->envelope_len == m->journal_off);
	for (size_t i = 0; i < m->nrcpts; i++) {
		const struct queue_rcpt *r = &m->rcpts[i];
		const struct str all[] = { r->address, r->original,
			r->dsn_orcpt, r->dsn, r->text, r->remote_mta,
			r->diagnostic, r->action, r->transport };

		assert(r->address.n > 0 && r->status <= RCPT_REPORTED);
		for (size_t j = 0; j < nitems(all); j++) {
			assert(record_text_clean(all[j]));
			for (size_t k = 0; k < all[j].n; k++)
				sum ^= all[j].p[k];
		}
	}
	assert(sum != 1 || m->nrcpts > 0);
	for (size_t i = 0; i < m->nattrs; i++)
		assert(str_eq(queue_attr(m, "x"), STR("")) ||
		    m->attrs[i].name.n > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(ROOM);
	struct str in = { (const char *)data, n };
	struct queue_message m;
	struct buf file;
	int fd;

	if (n == 0 || n > 1 << 16) {
		arena_free(&arena);
		return 0;
	}
	buf_init(&file, ROOM);
	if (data[0] & 1)
		build(str_from(in, 1), &file);
	else
		buf_str(&file, str_from(in, 1));
	if (queue_parse(buf_view(&file), arena, &m) == QUEUE_OK)
		check(&m);
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || fd_write_all(fd, file.p, file.n) != 0)
		abort();
	if (queue_read(fd, arena, true, &m) == QUEUE_OK)
		check(&m);
	close(fd);
	buf_free(&file);
	arena_free(&arena);
	return 0;
}
