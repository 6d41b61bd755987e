/*
 * smtpline - command lines and their parameters: any bytes, any limit.
 */
#include <stdlib.h>

#include "esmtp/esmtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size }, line, keyword, value;
	size_t max = size > 0 ? (size_t)data[0] * 8 : 0;
	bool bad;

	for (;;) {
		size_t before = in.n;
		enum line_end end = esmtp_line(&in, max, &line);

		if (end == LINE_MORE || end == LINE_LONG)
			break;
		if (in.n >= before || line.n > max ||
		    (end == LINE_OK && str_chr(line, '\n') < line.n))
			abort();
		while (esmtp_param(&line, &keyword, &value, &bad))
			if (!bad && str_chr(value, ' ') < value.n)
				abort();
	}
	return 0;
}
