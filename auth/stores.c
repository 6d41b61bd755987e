/*
 * stores - who knows passwords: auth_stores, in its order.
 *
 * The user database, sasldb and tables are files, and answer at once.
 * saslauthd and PAM are asked with the password (verify.c), so only PLAIN and
 * LOGIN reach them.
 */
#include "auth/auth.h"

enum kind { USERS, TABLE, SASLDB, SASLAUTHD, PAM };
struct store {
	enum kind      kind;
	struct users  *users;
	struct table  *table;
	const char    *text;
};
struct stores {
	struct store *v;
	size_t	      n;
	uint8_t	      secret[32];	/* where no database has one */
};

static void	open_store(struct auth *, struct store *, struct str word,
		    struct buf *why);
static enum found ask(struct auth *, struct store *, struct str user,
		    struct buf *record);

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
	random_bytes(s->secret, sizeof(s->secret));
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
	} else if (str_eq_nocase(word, STR("sasldb"))) {
		s->kind = SASLDB;
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

static bool
has_kind(const struct stores *s, enum kind kind)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].kind == kind)
			return true;
	return false;
}

bool
stores_have_sasldb(const struct stores *s)
{
	return has_kind(s, SASLDB);
}

static const char *
error_of(struct store *s)
{
	if (s->kind == USERS)
		return users_error(s->users);
	return s->kind == TABLE ? table_error(s->table) : "can't be read";
}

enum found
stores_find(struct auth *a, struct str user, size_t *at, struct buf *record,
    enum store_ask *who)
{
	struct stores *s = a->stores;
	enum found found;

	*who = ASK_NOBODY;
	buf_clear(record);
	while (*at < s->n) {
		struct store *store = &s->v[(*at)++];

		if (store->kind == SASLAUTHD || store->kind == PAM) {
			*who = store->kind == PAM ? ASK_PAM : ASK_SASLAUTHD;
			return FOUND;
		}
		found = ask(a, store, user, record);
		if (found == RETRY)
			log_warn("%s: %s", store->text, error_of(store));
		if (found != NONE)
			return found;
	}
	return NONE;
}

static enum found
ask_sasldb(struct auth *a, struct str user, struct buf *record)
{
	struct buf path, realm, password;
	enum found found;

	if (!user_name_valid(user))
		return NONE;
	buf_init(&path, 4096);
	buf_init(&realm, 4096);
	buf_init(&password, PASSWORD_MAX + 1);
	buf_str(&path, a->conf.auth_sasldb_path);
	buf_str(&realm, a->hostname);
	found = sasldb_find(buf_cstr(&path), buf_cstr(&realm), user,
	    &password);
	buf_clear(record);
	if (found == FOUND) {
		/* It may have blanks, and a record is words. */
		buf_puts(record, "{PLAIN.b64}");
		base64_encode(buf_view(&password), record);
	}
	password_wipe(password.p, password.n);
	buf_free(&path);
	buf_free(&realm);
	buf_free(&password);
	return found;
}

static enum found
ask(struct auth *a, struct store *s, struct str user, struct buf *record)
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
	case SASLDB:
		return ask_sasldb(a, user, record);
	case SASLAUTHD:
	case PAM:
		break;
	}
	return NONE;
}

/* Of one store: NONE where it does not know the user, or can't know this. */
static enum found
place_in(struct auth *a, struct store *s, struct str user,
    struct buf *record, struct user_place *place, const char **wrong)
{
	struct str rest;
	enum found f = NONE;

	if (s->kind == USERS)
		f = users_find(s->users, user, record);
	else if (s->kind == TABLE && user_name_valid(user))
		f = table_get(s->table, user, record);
	else if (s->kind == SASLDB)
		f = ask_sasldb(a, user, record);
	if (f == RETRY)
		log_warn("%s: %s", s->text, error_of(s));
	if (f != FOUND || s->kind == SASLDB)
		return f;
	rest = buf_view(record);
	*wrong = s->kind == USERS ? record_place(rest, place) :
	    passwd_place(str_from(rest, str_chr(rest, ':') + 1), place);
	if (s->kind == USERS && record_has_flag(rest, USER_DISABLED))
		*wrong = "the user is disabled";
	return FOUND;
}

enum found
stores_place(struct auth *a, struct str user, size_t store,
    struct buf *record, struct user_place *place, const char **wrong)
{
	struct stores *s = a->stores;
	enum found f = NONE;

	*place = (struct user_place){ 0 };
	*wrong = NULL;
	if (store < s->n)
		return place_in(a, &s->v[store], user, record, place, wrong);
	for (size_t i = 0; i < s->n && f == NONE; i++)
		f = place_in(a, &s->v[i], user, record, place, wrong);
	return f;
}

/*
 * sasldb has passwords in the clear: keys are made of them, and at the same
 * cost of no password (plain is empty) for a user who is not there.
 */
static bool
derive(const char *scheme, const uint8_t secret[32], struct str user,
    struct str plain, struct buf *credential)
{
	struct buf password;
	char chance[32];
	bool good = true;

	buf_init(&password, PASSWORD_MAX + 1);
	random_bytes(chance, sizeof(chance));
	if (plain.n == 0)
		buf_add(&password, chance, sizeof(chance));
	else
		good = password_plain(plain, &password);
	good = good && scram_derive(scheme, (struct str){
	    (const char *)secret, 32 }, user, buf_view(&password), credential);
	password_wipe(password.p, password.n);
	buf_free(&password);
	return good;
}

/*
 * The first that knows the user decides; all are asked all the same, so that
 * it takes as long whoever it is.
 */
static enum found
ask_all(struct auth *a, struct str user, uint8_t secret[32],
    struct buf *record, enum kind *kind)
{
	struct stores *s = a->stores;
	enum found found = NONE, f;
	struct buf other;

	memcpy(secret, s->secret, sizeof(s->secret));
	buf_init(&other, USER_RECORD_MAX);
	for (size_t i = 0; i < s->n; i++) {
		f = ask(a, &s->v[i], user, found == NONE ? record : &other);
		if (s->v[i].kind == USERS &&
		    !users_secret(s->v[i].users, secret))
			f = RETRY;
		if (found == NONE) {
			found = f;
			*kind = s->v[i].kind;
		}
	}
	password_wipe(other.p, other.n);
	buf_free(&other);
	return found;
}

/*
 * Keys for one who has none. They look as those of the store's users do; of
 * two stores whose users look unlike, the name says which, evenly: so neither
 * look tells that a user is there. False: a fault.
 */
static bool
feign(struct auth *a, const char *scheme, const uint8_t secret[32],
    struct str user, struct buf *credential)
{
	const struct str key = { (const char *)secret, 32 };
	struct scram_look look = SCRAM_OURS;
	struct store *users = NULL;
	uint64_t chance[4];
	struct buf text;

	for (size_t i = 0; i < a->stores->n && users == NULL; i++)
		if (a->stores->v[i].kind == USERS)
			users = &a->stores->v[i];
	buf_init(&text, 4096);
	buf_printf(&text, "look %s " STRF, scheme, STRV(user));
	password_mac(key, buf_view(&text), (uint8_t *)chance);
	buf_free(&text);
	if (has_kind(a->stores, SASLDB) && (users == NULL || chance[1] & 1))
		return derive(scheme, secret, user, STR(""), credential);
	if (users != NULL)
		look = users_draw(users->users, scheme, chance[0]);
	scram_fake(scheme, &look, key, user, credential);
	return true;
}

/* A key for whoever asks; the same answer each time for one who has none. */
bool
stores_secret(void *ctx, const char *scheme, struct str user,
    struct buf *credential)
{
	struct auth *a = ctx;
	bool plain = strcmp(scheme, "PLAIN") == 0, good = true;
	struct buf record, folded;
	enum kind kind = USERS;
	uint8_t secret[32];
	struct str c;

	buf_init(&record, USER_RECORD_MAX);
	buf_init(&folded, USER_FOLDED_MAX);
	user_name_fold(user, &folded);
	switch (ask_all(a, user, secret, &record, &kind)) {
	case RETRY:
		good = false;
		break;
	case FOUND:
		if (kind == SASLDB && !plain)
			good = derive(scheme, secret, buf_view(&folded),
			    buf_view(&record), credential);
		else if (!record_has_flag(buf_view(&record), USER_DISABLED) &&
		    record_credential(buf_view(&record), scheme, &c))
			buf_str(credential, c);
		break;
	case NONE:
		break;
	}
	if (good && credential->n == 0 && plain) {
		random_bytes(secret, sizeof(secret));
		buf_puts(credential, "{PLAIN}");
		base64_encode((struct str){ (char *)secret, sizeof(secret) },
		    credential);
	} else if (good && credential->n == 0)
		good = feign(a, scheme, secret, buf_view(&folded),
		    credential);
	password_wipe(record.p, record.n);
	buf_free(&record);
	buf_free(&folded);
	return good;
}

/* Could every user of every store use that one? */
static bool
serves_all(struct auth *a, const char *scheme)
{
	for (size_t i = 0; i < a->stores->n; i++)
		if (a->stores->v[i].kind != SASLDB &&
		    (a->stores->v[i].kind != USERS ||
		    !users_all_have(a->stores->v[i].users, scheme)))
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
