/*
 * dsn - any bytes as a status code: the length never passes the end, a code
 * found is found again in itself alone, and its class is its first digit.
 */
#include "dsn/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = { (const char *)data, size };
	size_t n = dsn_status_length(s);

	assert(n <= size);
	assert(n == 0 || (n >= 5 && n <= 9));
	if (n == 0) {
		assert(dsn_class(s) == 0);
		return 0;
	}
	assert(dsn_status_length(str_first(s, n)) == n);
	assert(dsn_class(s) == s.p[0] - '0');
	assert(n == size || s.p[n] == ' ' || s.p[n] == '\t');
	return 0;
}
