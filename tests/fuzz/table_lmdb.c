/*
 * table_lmdb - damage to an indexed table: it opens or says why, and no
 * question makes LMDB die. Input: page, offset (2 bytes), value, again and
 * again; a first byte above 0x7f cuts the file short as well.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/table.h"

#define PAGE 4096

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct good { char dir[64]; struct buf file; };

static void
make_good(struct good *g)
{
	struct table_maker *m;
	char key[64], value[9000];
	struct buf why, spec;
	bool there;

	snprintf(g->dir, sizeof(g->dir), "/tmp/postern-fuzz-XXXXXX");
	if (mkdtemp(g->dir) == NULL)
		die("mkdtemp failed");
	buf_init(&g->file, 1 << 20);
	buf_init(&why, 1000);
	buf_init(&spec, 1000);
	buf_printf(&spec, "lmdb:%s/good", g->dir);
	m = table_make(buf_view(&spec), 0600, &why);
	assert(m != NULL);
	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 100; i++) {
		size_t n = i == 50 ? sizeof(value) : 60;

		snprintf(key, sizeof(key), "user%d@example.com", i);
		assert(table_put(m, str_of(key), (struct str){ value, n },
		    &there, &why));
	}
	assert(table_finish(&m, &why));
	buf_clear(&spec);
	buf_printf(&spec, "%s/good.lmdb", g->dir);
	assert(file_read(AT_FDCWD, buf_cstr(&spec), 1 << 20, &g->file) == 0);
	unlink(buf_cstr(&spec));
	buf_free(&why);
	buf_free(&spec);
}

static bool
count(void *ctx, struct str key, struct str value)
{
	size_t *n = ctx;

	*n += key.n + value.n;
	return *n < 1 << 20;
}

static void
ask(const char *dir)
{
	struct buf why, value;
	struct table *t;
	size_t n = 0;

	buf_init(&why, 2000);
	buf_init(&value, TABLE_VALUE_MAX);
	t = table_open(STR("hash:bad"), dir, TABLE_FOLD, &why);
	if (t == NULL)
		assert(why.n > 0);
	else {
		(void)!table_get(t, STR("user50@example.com"), &value);
		(void)!table_get(t, STR("a"), &value);
		(void)!table_get(t, STR("z"), &value);
		(void)!table_each(t, count, &n);
	}
	table_free(&t);
	buf_free(&why);
	buf_free(&value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct good good;
	struct buf bad, path;
	FILE *f;

	if (good.dir[0] == '\0')
		make_good(&good);
	buf_init(&bad, 1 << 20);
	buf_init(&path, 200);
	buf_str(&bad, buf_view(&good.file));
	if (size > 0 && data[0] > 0x7f)
		bad.n -= bad.n * (data[0] & 0x7f) / 128;
	for (size_t i = 0; i + 4 <= size; i += 4) {
		size_t at = data[i] % (good.file.n / PAGE) * PAGE +
		    (size_t)(data[i + 1] << 8 | data[i + 2]) % PAGE;

		if (at < bad.n)
			bad.p[at] = (char)data[i + 3];
	}
	buf_printf(&path, "%s/bad.lmdb", good.dir);
	f = fopen(buf_cstr(&path), "w");
	assert(f != NULL && fwrite(bad.p, 1, bad.n, f) == bad.n);
	assert(fclose(f) == 0);
	ask(good.dir);
	unlink(buf_cstr(&path));
	buf_free(&bad);
	buf_free(&path);
	return 0;
}
