/*
 * tls_tbs - any bytes as what tlskey is asked to sign: nothing is both a
 * server's and a client's, and what is taken has a handshake's form.
 */
#include "tls/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = { (const char *)data, size };
	bool server = tls_tbs_valid(false, s), client = tls_tbs_valid(true, s);

	assert(!(server && client));
	assert(!server || size > 64);
	if (server && data[0] == 0x20 && size == 64 + 33 + 1 + 32)
		assert(memcmp(data + 64, "TLS 1.3, server", 15) == 0 ||
		    data[64] == 3 || data[64] == 0);
	if (client && data[0] != 0x20)
		assert(data[0] == 1);		/* ClientHello */
	return 0;
}
