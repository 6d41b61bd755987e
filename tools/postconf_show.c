/*
 * postconf_show - main.cf parameters: values, defaults, the manual.
 */
#include <stdio.h>
#include <stdlib.h>
#include "tools/json.h"
#include "tools/postconf.h"

static void
show_one(struct postconf *pc, const struct name *n)
{
	struct str value;

	if (!value_lookup(pc, NULL, n->name, pc->mode, &value))
		return;
	if ((pc->mode & HIDE_VALUE) != 0) {
		print_line(pc->mode, n->name);
		return;
	}
	if ((pc->mode & EVALUATE) != 0 && (n->flags & NAME_RAW) == 0)
		value = value_expand(pc, NULL, value);
	if ((pc->mode & AS_JSON) != 0)
		json_print_pair(n->name, value);
	else if ((pc->mode & HIDE_NAME) != 0)
		print_line(pc->mode, value);
	else
		print_line(pc->mode, str_of(arena_printf(pc->mem,
		    STRF " = " STRF, STRV(n->name), STRV(value))));
}

static int
by_name(const void *a, const void *b)
{
	struct name *const *x = a, *const *y = b;

	return str_cmp((*x)->name, (*y)->name);
}

void
show_main(struct postconf *pc, char **names)
{
	if (names[0] == NULL) {
		qsort(pc->list, pc->nlist, sizeof(struct name *), by_name);
		for (size_t i = 0; i < pc->nlist; i++)
			if ((pc->list[i]->flags & pc->classes) != 0)
				show_one(pc, pc->list[i]);
		return;
	}
	for (; *names != NULL; names++) {
		const struct name *n = names_find(pc, str_of(*names));

		if (n == NULL)
			postconf_warn("%s: unknown parameter", *names);
		else
			show_one(pc, n);
	}
}

/* One argument of an mdoc macro. */
static void
put_argument(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++)
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '"')
			fputs("\\(dq", stdout);
		else
			putchar(*text);
	puts("\"");
}

/* mdoc of every parameter that has its effect, for postern.conf(5). */
void
show_manual(struct postconf *pc)
{
	qsort(pc->list, pc->nlist, sizeof(struct name *), by_name);
	for (size_t i = 0; i < pc->nlist; i++) {
		const struct param_known *k = pc->list[i]->known;

		if (k == NULL || k->status != PARAM_WORKS)
			continue;
		printf(".It Ic %s\n%s\n", k->name, k->text);
		if (k->preset[0] != '\0') {
			fputs(".br\nDefault:\n.Ql ", stdout);
			put_argument(k->preset);
		}
		if (k->least[0] != '\0')
			printf(".br\nAt least %s%s%s.\n", k->least,
			    k->most[0] != '\0' ? ", at most " : "", k->most);
	}
}
