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

bool
loop_in_header(struct str header, struct str address)
{
	struct buf quoted;
	struct str line;
	unsigned lines = 0;
	bool found = false;

	buf_init(&quoted, 4 * ADDRESS_MAX);
	address_quote_822(address, &quoted);
	while (!found && header.n > 0 && lines < LINES_MAX) {
		size_t end = str_chr(header, '\n');

		line = str_first(header, end);
		header = str_from(header, end + 1);
		if (line.n == 0 || str_eq(line, STR("\r")))
			break;		/* the empty line */
		if (!str_starts_nocase(line, STR(FIELD)))
			continue;
		lines++;
		found = str_eq_nocase(str_trim(str_from(line,
		    sizeof(FIELD) - 1)), buf_view(&quoted));
	}
	buf_free(&quoted);
	return found;
}

enum found
loop_find(const struct delivery *d, struct str address)
{
	size_t want = d->msg.header_len < HEADER_MAX ?
	    (size_t)d->msg.header_len : HEADER_MAX;
	struct buf header;
	enum found found = RETRY;
	ssize_t got;
	char *space;

	buf_init(&header, HEADER_MAX + 1);
	space = buf_space(&header, want + 1);
	if (space != NULL && (got = fd_pread_all(d->msg.queue_file, space,
	    want, (off_t)d->msg.header_off)) == (ssize_t)want)
		found = loop_in_header((struct str){ space, want }, address) ?
		    FOUND : NONE;
	buf_free(&header);
	return found;
}
