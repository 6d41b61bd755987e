/*
 * loop - has this message been delivered to this recipient before?
 *
 * local(8): each local delivery leaves a Delivered-To: line; who finds the
 * recipient in one has a forwarding loop. Reads the header of a message,
 * boundedly; field names and continuation lines as RFC 5322 2.2.
 */
#include <errno.h>
#include "address/address.h"
#include "local/local.h"

#define HEADER_MAX	(256 * 1024)	/* looked at, of a header */
#define LINES_MAX	1000		/* Delivered-To: lines looked at */
#define FIELD		"Delivered-To:"

/* The next Delivered-To: of *header; false at its end. */
static bool
next_address(struct str *header, struct str *address)
{
	struct str line;

	while (header->n > 0) {
		size_t end = str_chr(*header, '\n');

		line = str_first(*header, end);
		*header = str_from(*header, end + 1);
		if (line.n == 0 || str_eq(line, STR("\r")))
			break;		/* the empty line */
		if (!str_starts_nocase(line, STR(FIELD)))
			continue;
		*address = str_trim(str_from(line, sizeof(FIELD) - 1));
		return true;
	}
	return false;
}

bool
loop_in_header(struct str header, struct str address)
{
	struct buf quoted;
	struct str line;
	unsigned lines = 0;
	bool found = false;

	buf_init(&quoted, 4 * ADDRESS_MAX);
	address_quote_822(address, &quoted);
	while (!found && lines++ < LINES_MAX && next_address(&header, &line))
		found = str_eq_nocase(line, buf_view(&quoted));
	buf_free(&quoted);
	return found;
}

/* The Delivered-To: lines alone, for a message of many recipients. */
static bool
load(struct delivery *d)
{
	size_t want = d->msg.header_len < HEADER_MAX ?
	    (size_t)d->msg.header_len : HEADER_MAX;
	struct buf header, kept;
	struct str rest, line;
	struct str *own;
	char *space;
	bool good;

	buf_init(&header, HEADER_MAX + 1);
	buf_init(&kept, HEADER_MAX);
	space = buf_space(&header, want + 1);
	good = space != NULL && fd_pread_all(d->msg.queue_file, space, want,
	    (off_t)d->msg.header_off) == (ssize_t)want;
	rest = (struct str){ space, good ? want : 0 };
	while (good && next_address(&rest, &line))
		buf_printf(&kept, FIELD STRF "\n", STRV(line));
	if (good) {
		own = arena_alloc(d->arena, sizeof(*own));
		*own = arena_str(d->arena, buf_view(&kept));
		d->own = own;
	}
	buf_free(&header);
	buf_free(&kept);
	return good;
}

enum found
loop_find(struct delivery *d, struct str address)
{
	const struct str *lines;

	if (d->own == NULL && !load(d))
		return RETRY;
	lines = d->own;
	return loop_in_header(*lines, address) ? FOUND : NONE;
}
