/*
 * Any bytes as the words of a pipe line of master.cf, NUL between them; the
 * last is an address. What is expanded has no more words than it may, and
 * an address never becomes two of them.
 */
#include <stdint.h>
#include "local/pipe.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define WORDS_MAX	64

static size_t
count(struct str words)
{
	size_t n = 0;

	for (size_t i = 0; i < words.n; i++)
		n += words.p[i] == '\0';
	return n;
}

static void
expand(struct pipe_args *a, struct arena *arena, struct str address)
{
	struct msg_deliver m = { .sender = address, .nexthop = address,
		.queue_id = STR("A1"), .size = 7 };
	struct pipe_message message = { &m, STR("+-") };
	struct recipient r[2] = { { .address = address },
		{ .address = STR("B+c@D"), .original = address } };
	struct recipient *both[2] = { &r[0], &r[1] };
	struct str out = STR("");

	if (pipe_expand(a, &message, both, 2, arena, &out) == FOUND) {
		assert(count(out) >= a->argc && count(out) <= 2 * a->argc);
		assert(out.n <= PIPE_WORDS_MAX);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct arena *arena = arena_new(64 << 20);
	char *argv[WORDS_MAX + 1];
	struct pipe_args a;
	const char *why = NULL;
	struct str what;
	int argc = 0;

	while (rest.n > 0 && rest.n < 65536 && argc < WORDS_MAX) {
		size_t end = str_chr(rest, '\0');

		argv[argc++] = arena_cstr(arena, str_first(rest, end));
		rest = str_from(rest, end + 1);
	}
	argv[argc] = NULL;
	if (argc > 1 && pipe_args_parse(&a, arena, argc - 1, argv, &why,
	    &what)) {
		assert(a.user.n > 0 && a.argc > 0 && a.eol.n <= 16);
		expand(&a, arena, str_of(argv[argc - 1]));
	} else if (argc > 1)
		assert(why != NULL);
	arena_free(&arena);
	return 0;
}
