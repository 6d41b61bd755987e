/*
 * stores - who knows passwords: auth_stores, in its order.
 *
 * The user database and tables are files, and answer at once. saslauthd and
 * PAM are asked with the password (verify.c), so only PLAIN and LOGIN reach
 * them.
 */
#include "auth/auth.h"

enum kind { USERS, TABLE, SASLAUTHD, PAM };
struct store {
	enum kind      kind;
	struct users  *users;
	struct table  *table;
	const char    *text;
};
struct stores { struct store *v; size_t n; };

static void	open_store(struct auth *, struct store *, struct str word,
		    struct buf *why);
static enum found ask(struct store *, struct str user, struct buf *record);

void
stores_open(struct auth *a, struct problems *p)
{
	struct stores *s = arena_alloc(a->arena, sizeof(*s));
	struct conf *conf = service_conf(a->service);
	struct str list = a->conf.auth_stores, word;
	const char *file;
	struct buf why;
	int line = 0;

	file = conf_where(conf, STR("auth_stores"), &line);
	a->stores = s;
	while (conf_list_next(&list, &word)) {
		s->v = mem_grow(s->v, s->n + 1, sizeof(*s->v));
		s->v[s->n] = (struct store){ 0 };
		s->v[s->n].text = arena_cstr(a->arena, word);
		buf_init(&why, 4096);
		open_store(a, &s->v[s->n++], word, &why);
		if (why.n > 0)
			problem_add(p, service_checks(a->service), file, line,
			    "auth_stores: %s", buf_cstr(&why));
		buf_free(&why);
	}
}

static void
open_store(struct auth *a, struct store *s, struct str word, struct buf *why)
{
	const char *dir = conf_dir(service_conf(a->service));
	struct buf unready;

	if (str_eq_nocase(word, STR("saslauthd"))) {
		s->kind = SASLAUTHD;
	} else if (str_eq_nocase(word, STR("pam"))) {
		s->kind = PAM;
	} else if (str_eq_nocase(word, STR("users"))) {
		s->kind = USERS;
		/* Not made yet is no mistake: logins say so, one by one. */
		buf_init(&unready, 4096);
		s->users = users_open(a->conf.auth_users_database, dir,
		    &unready);
		buf_free(&unready);
	} else if (str_chr(word, ':') < word.n) {
		s->kind = TABLE;
		s->table = table_open_lazy(word, dir, TABLE_FOLD |
		    TABLE_NO_REGSUB, why);
	} else {
		s->kind = TABLE;
		s->table = table_open_lazy(STR("fail:x"), dir, 0, why);
		buf_printf(why, "unknown store: " STRF, STRV(word));
	}
}

enum found
stores_find(struct stores *s, struct str user, size_t *at, struct buf *record,
    enum store_ask *who)
{
	enum found found;

	*who = ASK_NOBODY;
	buf_clear(record);
	while (*at < s->n) {
		struct store *store = &s->v[(*at)++];

		if (store->kind == SASLAUTHD || store->kind == PAM) {
			*who = store->kind == PAM ? ASK_PAM : ASK_SASLAUTHD;
			return FOUND;
		}
		found = ask(store, user, record);
		if (found == RETRY)
			log_warn("%s: %s", store->text, store->kind == USERS ?
			    users_error(store->users) :
			    table_error(store->table));
		if (found != NONE)
			return found;
	}
	return NONE;
}

static enum found
ask(struct store *s, struct str user, struct buf *record)
{
	struct str v;

	switch (s->kind) {
	case USERS:
		return users_find(s->users, user, record);
	case TABLE:
		if (!user_name_valid(user))
			return NONE;
		switch (table_get(s->table, user, record)) {
		case FOUND:
			/* passwd(5): what follows a colon is not ours. */
			v = str_first(buf_view(record),
			    str_chr(buf_view(record), ':'));
			record->n = v.n;
			return FOUND;
		case NONE:
			return NONE;
		case RETRY:
			break;
		}
		return RETRY;
	case SASLAUTHD:
	case PAM:
		break;
	}
	return NONE;
}

/* A key for whoever asks; the same answer each time for one who has none. */
bool
stores_secret(void *ctx, const char *scheme, struct str user,
    struct buf *credential)
{
	struct auth *a = ctx;
	struct str found = { NULL, 0 };
	struct buf record, folded;
	uint8_t secret[32];
	bool fault = false;

	buf_init(&record, USER_RECORD_MAX);
	buf_init(&folded, USER_NAME_MAX * 2);
	for (size_t i = 0; i < a->stores->n && found.n == 0 && !fault; i++) {
		struct store *s = &a->stores->v[i];
		enum found f = ask(s, user, &record);

		fault = f == RETRY || (s->kind == USERS &&
		    !users_secret(s->users, secret));
		if (f == FOUND && (record_has_flag(buf_view(&record),
		    USER_DISABLED) || !record_credential(buf_view(&record),
		    scheme, &found)))
			found.n = 0;
	}
	if (found.n > 0)
		buf_str(credential, found);
	else if (!fault && strcmp(scheme, "PLAIN") == 0) {
		random_bytes(secret, sizeof(secret));
		buf_puts(credential, "{PLAIN}");
		base64_encode((struct str){ (char *)secret, sizeof(secret) },
		    credential);
	} else if (!fault) {
		user_name_fold(user, &folded);
		scram_fake(scheme, (struct str){ (char *)secret,
		    sizeof(secret) }, buf_view(&folded), credential);
	}
	password_wipe(record.p, record.n);
	buf_free(&record);
	buf_free(&folded);
	return !fault;
}

/* Could every user of every store use that one? */
static bool
serves_all(struct auth *a, const char *scheme)
{
	for (size_t i = 0; i < a->stores->n; i++)
		if (a->stores->v[i].kind != USERS ||
		    !users_all_have(a->stores->v[i].users, scheme))
			return false;
	return a->stores->n > 0;
}

void
stores_mechanisms(struct auth *a, struct buf *out)
{
	static const struct { const char *name, *scheme, *more; } known[] = {
		{ "PLAIN", NULL, "" }, { "LOGIN", NULL, "" },
		{ "EXTERNAL", NULL, "" },
		{ "SCRAM-SHA-256", "SCRAM-SHA-256", " SCRAM-SHA-256-PLUS" },
		{ "SCRAM-SHA-1", "SCRAM-SHA-1", " SCRAM-SHA-1-PLUS" },
		{ "CRAM-MD5", "PLAIN", "" },
	};
	struct str list = a->conf.auth_mechanisms, word;

	while (conf_list_next(&list, &word))
		for (size_t i = 0; i < nitems(known); i++) {
			if (!str_eq_nocase(word, str_of(known[i].name)))
				continue;
			if (known[i].scheme == NULL ||
			    serves_all(a, known[i].scheme))
				buf_printf(out, "%s%s%s", out->n > 0 ? " " :
				    "", known[i].name, known[i].more);
		}
}
