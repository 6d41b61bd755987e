/*
 * conf_master - master.cf: an entry that is taken has all its columns, and
 * what can't be taken is named as a problem of its line.
 */
#include <stdlib.h>

#include "conf/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str text = { (const char *)p, n };
	struct problems ps = { NULL, 0 };
	struct conf *c = conf_empty("/nonexistent");
	struct master_cf m = { NULL, 0 };
	int lines = 1;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	master_cf_parse(c, "master.cf", text, &m, &ps);
	for (size_t i = 0; i < m.n; i++) {
		const struct master_entry *e = &m.v[i];

		check(e->name.n > 0 && e->type.n > 0 && e->command.n > 0);
		check(e->line >= 1 && e->line <= lines);
		check(e->limit >= -1 && e->wakeup_s >= 0);
		check(!str_eq(e->type, STR("inet")) || !e->is_private);
		for (size_t o = 0; o < e->noverrides; o++)
			check(e->overrides[o].name.n > 0);
		for (size_t a = 0; a < e->argc; a++)
			check(e->argv[a].n <= n);
	}
	for (size_t i = 0; i < ps.n; i++)
		check(ps.v[i].line >= 1 && ps.v[i].line <= lines);
	problems_free(&ps);
	conf_free(&c);
	return 0;
}
