/*
 * record - encoder and decoder of frames and of the head, from record.def.
 *
 *   frame := type:u16 length:u32 crc32c:u32 bytes
 *   head  := "PSTRNQ01" id[32] arrival_us flags size body_off body_len
 *            header_off header_len envelope_off envelope_len journal_off
 *            zeros crc32c:u32, all numbers u64 but the last
 *
 * The CRC of a frame covers type, length and bytes. Pure; trusts no byte.
 */
#include "queue/queue.h"
#include "queue/record.h"

#define HEAD_MAGIC	"PSTRNQ01"
#define HEAD_ID_AT	8
#define HEAD_NUMS_AT	40
#define HEAD_NUMS	10
#define HEAD_CRC_AT	(QUEUE_HEAD_SIZE - 4)
#define LEN_MAX		(1ULL << 50)	/* no region is longer */

enum field_type { F_END, F_TEXT, F_NUM };
struct field {
	enum field_type type;
	size_t		at;
};

/* One function a record, so that TEXT can say offsetof(self, f). */
#define RECORD(name, number) \
	static const struct field *fields_##name(void) \
	{ \
		typedef struct rec_##name self; \
		static const struct field f[] = {
#define TEXT(f) { F_TEXT, offsetof(self, f) },
#define NUM(f)	{ F_NUM, offsetof(self, f) },
#define END(name) \
			{ F_END, 0 } \
		}; \
		return f; \
	}
#include "queue/record.def"
#undef RECORD
#undef TEXT
#undef NUM
#undef END

static const struct {
	enum record number;
	const struct field *(*fields)(void);
} records[] = {
#define RECORD(name, number) { REC_##name, fields_##name },
#define TEXT(f)
#define NUM(f)
#define END(name)
#include "queue/record.def"
#undef RECORD
#undef TEXT
#undef NUM
#undef END
};

static const struct field *
fields_of(unsigned number)
{
	for (size_t i = 0; i < nitems(records); i++)
		if ((unsigned)records[i].number == number)
			return records[i].fields();
	return NULL;
}

static void
put_num(char *out, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (char)(v >> 8 * (bytes - 1 - i));
}

static uint64_t
get_num(const char *in, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | (unsigned char)in[i];
	return v;
}

static size_t
record_length(const struct field *f, const void *rec)
{
	size_t n = 0;
	struct str s;

	for (; f->type != F_END; f++) {
		if (f->type == F_NUM) {
			n += 8;
			continue;
		}
		memcpy(&s, (const char *)rec + f->at, sizeof(s));
		n += 4 + s.n;
	}
	return n;
}

void
record_encode(enum record number, const void *rec, struct buf *out)
{
	const struct field *f = fields_of(number);
	size_t n = record_length(f, rec);
	char *start = buf_space(out, FRAME_HEAD + n), *p;
	struct str s;
	uint64_t v;

	assert(n <= UINT32_MAX);
	if (start == NULL)
		return;
	put_num(start, number, 2);
	put_num(start + 2, n, 4);
	p = start + FRAME_HEAD;
	for (; f->type != F_END; f++) {
		const char *at = (const char *)rec + f->at;

		if (f->type == F_NUM) {
			memcpy(&v, at, sizeof(v));
			put_num(p, v, 8);
			p += 8;
			continue;
		}
		memcpy(&s, at, sizeof(s));
		put_num(p, s.n, 4);
		if (s.n > 0)
			memcpy(p + 4, s.p, s.n);
		p += 4 + s.n;
	}
	put_num(start + 6,
	    crc32c(crc32c(0, start, 6), start + FRAME_HEAD, n), 4);
	out->n += FRAME_HEAD + n;
}

static bool
get_fields(const struct field *f, struct str in, union rec_any *out)
{
	struct str s;
	uint64_t v;

	for (; f->type != F_END; f++) {
		char *at = (char *)out + f->at;
		size_t need = f->type == F_NUM ? 8 : 4;

		if (in.n < need)
			return false;
		v = get_num(in.p, need);
		in = str_from(in, need);
		if (f->type == F_NUM) {
			memcpy(at, &v, sizeof(v));
			continue;
		}
		if (v > in.n)
			return false;
		s = str_first(in, (size_t)v);
		memcpy(at, &s, sizeof(s));
		in = str_from(in, (size_t)v);
	}
	return in.n == 0;
}

bool
record_decode(struct str *in, enum record *number, union rec_any *out)
{
	const struct field *f;
	struct str bytes;
	uint64_t n;

	if (in->n < FRAME_HEAD)
		return false;
	f = fields_of((unsigned)get_num(in->p, 2));
	n = get_num(in->p + 2, 4);
	if (f == NULL || n > in->n - FRAME_HEAD)
		return false;
	bytes = (struct str){ in->p + FRAME_HEAD, (size_t)n };
	if (crc32c(crc32c(0, in->p, 6), bytes.p, bytes.n) !=
	    get_num(in->p + 6, 4))
		return false;
	if (!get_fields(f, bytes, out))
		return false;
	*number = (enum record)get_num(in->p, 2);
	*in = str_from(*in, FRAME_HEAD + (size_t)n);
	return true;
}

bool
record_skip(struct str *in, unsigned *number)
{
	uint64_t n;

	if (in->n < FRAME_HEAD)
		return false;
	n = get_num(in->p + 2, 4);
	if (n > in->n - FRAME_HEAD)
		return false;
	*number = (unsigned)get_num(in->p, 2);
	*in = str_from(*in, FRAME_HEAD + (size_t)n);
	return true;
}

size_t
record_commit_size(void)
{
	struct rec_commit none = { 0 };

	return FRAME_HEAD + record_length(fields_commit(), &none);
}

bool
record_text_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
			return false;
	return true;
}

void
head_encode(const struct queue_head *h, char *out)
{
	uint64_t header_off = QUEUE_HEAD_SIZE + h->body_len;
	uint64_t envelope_off = header_off + h->header_len;
	const uint64_t nums[HEAD_NUMS] = { h->arrival_us, h->flags, h->size,
		QUEUE_HEAD_SIZE, h->body_len, header_off, h->header_len,
		envelope_off, h->envelope_len,
		envelope_off + h->envelope_len };

	memset(out, 0, QUEUE_HEAD_SIZE);
	memcpy(out, HEAD_MAGIC, 8);
	memcpy(out + HEAD_ID_AT, h->id, sizeof(h->id));
	for (size_t i = 0; i < HEAD_NUMS; i++)
		put_num(out + HEAD_NUMS_AT + 8 * i, nums[i], 8);
	put_num(out + HEAD_CRC_AT, crc32c(0, out, HEAD_CRC_AT), 4);
}

/* What the numbers say beside the lengths must be what follows from them. */
enum head_check
head_decode(const char *in, struct queue_head *h)
{
	char again[QUEUE_HEAD_SIZE];
	uint64_t nums[HEAD_NUMS];
	size_t i;

	for (i = 0; i < QUEUE_HEAD_SIZE && in[i] == '\0'; i++)
		;
	if (i == QUEUE_HEAD_SIZE)
		return HEAD_EMPTY;
	for (i = 0; i < HEAD_NUMS; i++)
		nums[i] = get_num(in + HEAD_NUMS_AT + 8 * i, 8);
	memcpy(h->id, in + HEAD_ID_AT, sizeof(h->id));
	h->arrival_us = nums[0];
	h->flags = nums[1];
	h->size = nums[2];
	h->body_len = nums[4];
	h->header_len = nums[6];
	h->envelope_len = nums[8];
	if (h->body_len > LEN_MAX || h->header_len > LEN_MAX ||
	    h->envelope_len > QUEUE_ENVELOPE_MAX ||
	    h->envelope_len < record_commit_size() ||
	    h->size != h->body_len + h->header_len ||
	    h->arrival_us > INT64_MAX || h->flags > UINT32_MAX)
		return HEAD_BAD;
	if (memchr(h->id, '\0', sizeof(h->id)) == NULL ||
	    !queue_id_valid(str_of(h->id)))
		return HEAD_BAD;
	head_encode(h, again);
	return memcmp(again, in, QUEUE_HEAD_SIZE) == 0 ? HEAD_OK : HEAD_BAD;
}
