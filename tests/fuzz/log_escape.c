/*
 * log_escape - any bytes become printable UTF-8 of one line, no longer than
 * they were; what is printable already stays; a piece tells what the whole
 * would.
 */
#include "sys/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct buf once, twice;
	size_t other = 0;

	if (n > 1 << 16)
		return 0;
	buf_init(&once, n + 1);
	buf_init(&twice, n + 1);
	log_escape(in, &once);
	assert(!once.full && once.n <= n);
	for (size_t i = 0; i < once.n; i++) {
		unsigned char c = (unsigned char)once.p[i];

		assert(c >= 0x20 && c != 0x7f);
		/* C1 is c2 80 to c2 9f; bidi is e2 80 8e and its kin. */
		if (i > 0 && (unsigned char)once.p[i - 1] == 0xc2)
			assert(c >= 0xa0);
		if (i > 1 && (unsigned char)once.p[i - 2] == 0xe2 &&
		    (unsigned char)once.p[i - 1] == 0x80)
			assert(c != 0x8e && c != 0x8f && (c < 0xa8 || c > 0xae));
		other += c != '?' && c < 0x80;
	}
	log_escape(buf_view(&once), &twice);
	assert(str_eq(buf_view(&once), buf_view(&twice)));
	for (size_t i = 0; i < n; i++)
		other -= data[i] >= 0x20 && data[i] < 0x7f && data[i] != '?';
	assert(other == 0);
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
