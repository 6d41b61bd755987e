/*
 * users - reading the user database, and its records.
 */
#include "table/table.h"
#include "users/internal.h"

struct users {
	struct table *table;
	struct buf    own, folded;	/* the entry "*"; a name */
};

static bool	own_number(struct str own, const char *name, uint64_t *n);

struct users *
users_open(struct str spec, const char *conf_dir, struct buf *why)
{
	struct users *u = mem_new(sizeof(*u));

	u->table = table_open_lazy(spec, conf_dir, TABLE_NO_REGSUB, why);
	buf_init(&u->own, USER_RECORD_MAX);
	buf_init(&u->folded, USER_FOLDED_MAX);
	return u;
}

void
users_free(struct users **up)
{
	struct users *u = *up;

	*up = NULL;
	if (u == NULL)
		return;
	table_free(&u->table);
	buf_free(&u->own);
	buf_free(&u->folded);
	mem_free(u);
}

enum found
users_find(struct users *u, struct str name, struct buf *record)
{
	if (!user_name_valid(name))
		return NONE;
	buf_clear(&u->folded);
	user_name_fold(name, &u->folded);
	return table_get(u->table, buf_view(&u->folded), record);
}

bool
users_secret(struct users *u, uint8_t out[32])
{
	struct str rest, word;
	struct buf bytes;
	bool good = false;

	if (table_get(u->table, STR(OWN_KEY), &u->own) != FOUND)
		return false;
	rest = buf_view(&u->own);
	buf_init(&bytes, 64);
	while (!good && str_token(&rest, " ", &word))
		good = str_starts(word, STR("secret=")) &&
		    base64_decode(str_from(word, 7), &bytes) && bytes.n == 32;
	if (good)
		memcpy(out, bytes.p, 32);
	buf_free(&bytes);
	return good;
}

bool
users_all_have(struct users *u, const char *scheme)
{
	uint64_t all = 0, n = 0;

	return table_get(u->table, STR(OWN_KEY), &u->own) == FOUND &&
	    own_number(buf_view(&u->own), "users", &all) &&
	    own_number(buf_view(&u->own), scheme, &n) && all > 0 && n == all;
}

/* "look=SCHEME,ITERATIONS,SALT,USERS" */
static bool
parse_look(struct str word, const char *scheme, struct scram_look *look,
    uint64_t *users)
{
	struct str name, iterations, salt, count;
	uint64_t n;

	if (!str_starts(word, STR(LOOK)))
		return false;
	word = str_from(word, strlen(LOOK));
	if (!str_token(&word, ",", &name) ||
	    !str_token(&word, ",", &iterations) ||
	    !str_token(&word, ",", &salt) || !str_token(&word, ",", &count) ||
	    !str_eq(name, str_of(scheme)) ||
	    !str_number(iterations, &look->iterations) ||
	    !str_number(salt, &n) || n > 1024 || !str_number(count, users) ||
	    *users > UINT32_MAX || look->iterations < SCRAM_LEAST ||
	    look->iterations > SCRAM_MOST)
		return false;
	look->salt = (size_t)n;
	return true;
}

struct scram_look
users_draw(struct users *u, const char *scheme, uint64_t chance)
{
	struct scram_look look = SCRAM_OURS, l;
	struct str own, rest, word;
	uint64_t all = 0, n;

	if (table_get(u->table, STR(OWN_KEY), &u->own) != FOUND)
		return look;
	own = rest = buf_view(&u->own);
	while (str_token(&rest, " ", &word))
		if (parse_look(word, scheme, &l, &n))
			all += n;
	/* By its high bits: when users come and go, few names look new. */
	chance = (chance >> 32) * all >> 32;
	while (str_token(&own, " ", &word))
		if (parse_look(word, scheme, &l, &n)) {
			look = l;
			if (chance < n)
				break;
			chance -= n;
		}
	return look;
}

static bool
own_number(struct str own, const char *name, uint64_t *n)
{
	struct str word, key = str_of(name);

	while (str_token(&own, " ", &word))
		if (str_starts(word, key) && word.n > key.n &&
		    word.p[key.n] == '=')
			return str_number(str_from(word, key.n + 1), n);
	return false;
}

const char *
users_error(const struct users *u)
{
	return table_error(u->table);
}

bool
user_name_valid(struct str name)
{
	if (name.n == 0 || name.n > USER_NAME_MAX || !utf8_valid(name) ||
	    str_eq(name, STR(OWN_KEY)))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c <= ' ' || c == 127 || c == ':')
			return false;
	}
	return true;
}

void
user_name_fold(struct str name, struct buf *out)
{
	table_fold(name, out);
}

bool
record_credential(struct str record, const char *scheme,
    struct str *credential)
{
	struct str word, text;

	while (str_token(&record, " ", &word))
		if (word.p[0] == '{' && str_eq_nocase(
		    password_scheme(word, &text), str_of(scheme))) {
			*credential = word;
			return true;
		}
	return false;
}

bool
record_has_flag(struct str record, const char *flag)
{
	struct str word;

	while (str_token(&record, " ", &word))
		if (str_eq(word, str_of(flag)))
			return true;
	return false;
}
