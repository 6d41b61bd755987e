/*
 * id - names of messages.
 *
 * Short: microsecond of the second (5 digits), second (6), writer (1), all
 * upper-case hexadecimal: the digits that change most come first, so that
 * hashed directories fill evenly; the same name could come back after 194
 * days. Long, as Postfix's: second (6) and microsecond (4) in base 52, 'z',
 * and a number in base 51, which has no 'z'; never reused, sorts by time.
 */
#include <stdio.h>
#include "queue/internal.h"
#include "sys/sys.h"

#define SHORT_MIN	6
#define SHORT_MAX	20
#define LONG_SEC	6
#define LONG_USEC	4
#define USEC_DIGITS	5
#define LONG_Z_AT	(LONG_SEC + LONG_USEC)

/* No vowels: an id never spells a word. */
static const char digits[] =
    "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

static char *
put_base(char *p, uint64_t v, unsigned base, size_t width)
{
	char tmp[16];
	size_t n = 0;

	do {
		tmp[n++] = digits[v % base];
		v /= base;
	} while (v > 0 && n < sizeof(tmp));
	while (n < width)
		tmp[n++] = '0';
	while (n > 0)
		*p++ = tmp[--n];
	return p;
}

void
queue_id_new(struct queue *q, char id[QUEUE_ID_MAX])
{
	int64_t now = clock_wall_us();
	char *p = &id[0];

	/* The clock may stand still or be set back: an id never is. */
	if (now <= q->last_us)
		now = q->last_us + 1;
	q->last_us = now;
	memset(id, 0, QUEUE_ID_MAX);	/* all of it goes into the head */
	if (!q->long_ids) {
		snprintf(id, QUEUE_ID_MAX, "%05X%06X%X",
		    (unsigned)(now % 1000000),
		    (unsigned)(now / 1000000 & 0xFFFFFF), q->writer & 0xF);
		return;
	}
	p = put_base(p, (uint64_t)(now / 1000000), 52, LONG_SEC);
	p = put_base(p, (uint64_t)(now % 1000000), 52, LONG_USEC);
	*p++ = 'z';
	p = put_base(p, q->writer & 0xF, 51, 1);
	*p = '\0';
}

static bool
all_of(struct str s, const char *set, size_t n)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || memchr(set, s.p[i], n) == NULL)
			return false;
	return true;
}

static bool
is_long(struct str id)
{
	return id.n > LONG_Z_AT + 1 && id.n < QUEUE_ID_MAX &&
	    id.p[LONG_Z_AT] == 'z' && all_of(id, digits, 52) &&
	    memchr(id.p + LONG_Z_AT + 1, 'z', id.n - LONG_Z_AT - 1) == NULL;
}

bool
queue_id_valid(struct str id)
{
	if (id.n >= SHORT_MIN && id.n <= SHORT_MAX &&
	    all_of(id, "0123456789ABCDEF", 16))
		return true;
	return is_long(id);
}

/* Of a long id the microsecond: its first characters hardly change. */
void
queue_id_hash(const char *id, char out[HASH_DEPTH_MAX])
{
	size_t n = strlen(id);
	unsigned usec = 0;

	memset(out, '_', HASH_DEPTH_MAX);
	if (!is_long(str_of(id))) {
		memcpy(out, id, n < HASH_DEPTH_MAX ? n : HASH_DEPTH_MAX);
		return;
	}
	for (size_t i = LONG_SEC; i < LONG_Z_AT; i++)
		usec = usec * 52 +
		    (unsigned)((const char *)memchr(digits, id[i], 52) -
			digits);
	for (size_t i = USEC_DIGITS; i-- > 0; usec >>= 4)
		out[i] = "0123456789ABCDEF"[usec & 0xF];
}
