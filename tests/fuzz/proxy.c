/*
 * A PROXY header, whole and in any cut: what is said of a part never
 * contradicts what is said of the whole, and no byte behind it matters.
 */
#include <stdlib.h>
#include "esmtp/esmtp.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct proxy_header h, part;
	enum proxy_verdict v = proxy_header_read(in, &h), p;

	if ((v == PROXY_CLIENT || v == PROXY_LOCAL) &&
	    (h.n == 0 || h.n > size || h.n > PROXY_HEADER_MAX))
		abort();
	if (v == PROXY_CLIENT && (h.client[0] == '\0' ||
	    h.server[0] == '\0' || h.client_port > 65535))
		abort();
	if (v == PROXY_MORE && size > PROXY_HEADER_MAX)
		abort();
	for (size_t n = 0; n < size && n < 600; n++) {
		p = proxy_header_read(str_first(in, n), &part);
		if (v == PROXY_BAD ? p == PROXY_CLIENT || p == PROXY_LOCAL :
		    p == PROXY_BAD || (p != PROXY_MORE && part.n != h.n))
			abort();
	}
	return 0;
}
