/*
 * A cdb file of any bytes: an answer, none or RETRY; never a crash, and each
 * entry ends.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/table.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static bool
see(void *ctx, struct str key, struct str value)
{
	size_t *left = ctx;

	return key.n + value.n < 1 << 20 && --*left > 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char path[64], spec[80];
	struct buf why, value;
	struct table *t;
	size_t left = 10000;
	int fd;

	if (n > 1 << 16)
		return 0;
	snprintf(path, sizeof(path), "/dev/shm/fuzz-%ld.cdb", (long)getpid());
	snprintf(spec, sizeof(spec), "cdb:/dev/shm/fuzz-%ld", (long)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, data, n) != 0)
		abort();
	fd_close(&fd);
	buf_init(&why, 10000);
	buf_init(&value, TABLE_VALUE_MAX);
	t = table_open(str_of(spec), NULL, 0, &why);
	if (t != NULL) {
		(void)!table_get(t, STR("alice"), &value);
		(void)!table_get(t, STR("b"), &value);
		(void)!table_each(t, see, &left);
		table_free(&t);
	}
	unlink(path);
	buf_free(&why);
	buf_free(&value);
	return 0;
}
