/*
 * Stored credentials and SCRAM's first messages, as a database or a client
 * may hold them: read without harm; what is let through to libsasl has the
 * shape that it needs.
 */
#include <stdlib.h>
#include "users/users.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What is kept of a place fits into a record's words, and reads the same. */
static void
check_place(struct user_place *p)
{
	struct user_place again;
	struct buf b;

	buf_init(&b, USER_RECORD_MAX);
	place_print(p, &b);
	if (b.full || record_place(buf_view(&b), &again) != NULL ||
	    again.has_uid != p->has_uid || again.has_gid != p->has_gid ||
	    (p->has_uid && again.uid != p->uid) ||
	    (p->has_gid && again.gid != p->gid) ||
	    !str_eq(again.home, p->home) || !str_eq(again.mail, p->mail))
		abort();
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size }, text, c;
	struct scram_look look;
	struct user_place p;
	struct scram s;

	(void)record_place(in, &p);
	check_place(&p);
	(void)passwd_place(in, &p);
	check_place(&p);
	if (scram_look(in, &look) != scram_parse(in, &s))
		abort();
	if (scram_parse(in, &s) && (s.iterations < SCRAM_LEAST ||
	    s.iterations > SCRAM_MOST || s.salt.n == 0))
		abort();
	if (password_scheme(in, &text).n > size + 5 || text.n > size)
		abort();
	(void)password_refusal(in);
	(void)password_is_weak(in);
	(void)record_credential(in, "SCRAM-SHA-256", &c);
	(void)record_has_flag(in, USER_DISABLED);
	(void)user_name_valid(in);
	if (scram_first_is_sane(in)) {
		/* Something stands behind both commas of the GS2 header. */
		struct str rest = str_from(in, str_chr(in, ',') + 1);

		rest = str_from(rest, str_chr(rest, ',') + 1);
		if (!str_starts(rest, STR("n=")) || size > 2048)
			abort();
	}
	return 0;
}
