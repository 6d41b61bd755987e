/*
 * zeros - the end of a mailbox file whose bytes a power cut has taken.
 *
 * Between write and fsync of an append a file system may have put down the
 * new length and not the bytes (ext4 does, for what went into the last old
 * block): they read as NULs. Nobody was told that this mail was delivered,
 * it comes again whole. Mail in a mailbox file ends in LF, so NULs at the
 * very end are such a loss, and no mail.
 */
#include <errno.h>
#include <unistd.h>
#include "store/internal.h"

#define CHUNK		(64 * 1024)
#define READ_MAX	(64 << 20)	/* bytes; holes cost nothing */

/* Is there anything but a hole in [at, end)? */
static bool
has_data(int fd, off_t at, off_t end)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	/* Where a file system cannot tell, all is data. */
	return data >= 0 ? data < end : errno != ENXIO;
}

/* end, or where the hole begins that reaches from there to it. */
static off_t
skip_hole(int fd, off_t end)
{
	off_t low = 0, high = (end + CHUNK - 1) / CHUNK;

	while (low < high) {		/* in chunks */
		off_t middle = low + (high - low) / 2;

		if (has_data(fd, middle * CHUNK, end))
			low = middle + 1;
		else
			high = middle;
	}
	return low * CHUNK < end ? low * CHUNK : end;
}

int
zeros_find(int fd, off_t size, off_t *end)
{
	char *chunk = NULL, last = '\0';
	off_t at = size, from;
	ssize_t n = 0;
	int err = 0;

	/* Mostly one byte says that all is well. */
	if (size > 0 && fd_pread_all(fd, &last, 1, size - 1) < 0)
		return errno;
	*end = size;
	if (size == 0 || last != '\0')
		return 0;
	chunk = mem_grow(NULL, CHUNK, 1);
	for (size_t done = 0; n == 0 && at > 0; done += CHUNK) {
		from = (at - 1) / CHUNK * CHUNK;
		n = fd_pread_all(fd, chunk, (size_t)(at - from), from);
		if (n < 0 || n != at - from || done >= READ_MAX) {
			err = n < 0 ? errno : done >= READ_MAX ? EFBIG : EIO;
			break;
		}
		while (n > 0 && chunk[n - 1] == '\0')
			n--;
		at = n > 0 ? from + n : skip_hole(fd, from);
	}
	mem_free(chunk);
	if (err == 0)
		*end = at;
	return err;
}
