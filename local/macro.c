/*
 * macro - $name in forward_path, luser_relay and
 * command_execution_directory, and in the arguments of pipe(8). What a
 * sender may choose goes through a filter of bytes first, and no result is
 * expanded again. mac_expand(3) of Postfix.
 */
#include "conf/syntax.h"
#include "local/macro.h"

struct expansion {
	const struct macro *v;
	size_t		    n;
	struct str	    filter;	/* bytes that may stand; "": all */
	struct arena	   *arena;
	uint64_t	    used;	/* bit i: v[i] was asked for */
};

/* Others become '_'. */
static struct str
filtered(struct str s, struct str filter, struct arena *arena)
{
	char *p;

	if (filter.n == 0)
		return s;
	p = arena_cstr(arena, s);
	for (size_t i = 0; i < s.n; i++)
		if (str_chr(filter, p[i]) == filter.n)
			p[i] = '_';
	return (struct str){ p, s.n };
}

static bool
look_up(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct expansion *x = ctx;

	*raw = true;
	for (size_t i = 0; i < x->n; i++) {
		if (!str_eq(name, str_of(x->v[i].name)))
			continue;
		if (x->v[i].value.p == NULL)
			return false;
		x->used |= UINT64_C(1) << i;
		*value = filtered(x->v[i].value, x->filter, x->arena);
		return true;
	}
	return false;
}

enum macro_result
macro_expand(const struct macro *v, size_t n, struct str pattern,
    struct str filter, struct arena *arena, struct str *out, uint64_t *used)
{
	struct expansion x = { .v = v, .n = n, .filter = filter,
		.arena = arena };
	const struct expander e = { .ctx = &x, .lookup = look_up };
	enum macro_result result = MACRO_ERROR;
	struct buf b;

	assert(n <= 64);
	buf_init(&b, MACRO_MAX);
	switch (expand_text(&e, pattern, &b)) {
	case EXPAND_OK:
		result = MACRO_OK;
		break;
	case EXPAND_UNDEFINED:
		result = MACRO_UNDEFINED;
		break;
	case EXPAND_ERROR:
		break;
	}
	*out = arena_str(arena, buf_view(&b));
	if (used != NULL)
		*used = x.used;
	buf_free(&b);
	return result;
}
