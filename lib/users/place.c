/*
 * place - whose a user's mail is and where: words of a record, and what of
 * passwd(5) and Dovecot's passwd-file says the same.
 *
 * No word has a blank: records are words. Whether a number may be had is
 * master's to say.
 */
#include "users/internal.h"

static const char *
take_number(struct str text, bool *has, uint64_t *number)
{
	*has = str_number(text, number) && *number < UINT32_MAX;
	return *has ? NULL : "uid and gid are numbers";
}

static const char *
take_uid(struct str text, struct user_place *p)
{
	return take_number(text, &p->has_uid, &p->uid);
}

static const char *
take_gid(struct str text, struct user_place *p)
{
	return take_number(text, &p->has_gid, &p->gid);
}

static bool
is_plain(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c <= ' ' || c == 127)
			return false;
	}
	return text.n <= PLACE_PATH_MAX;
}

static const char *
take_home(struct str text, struct user_place *p)
{
	if (text.n == 0 || text.p[0] != '/')
		return "a home directory begins with /";
	if (!is_plain(text))
		return "a blank in the home directory";
	p->home = text;
	return NULL;
}

/* Dovecot's mail_location: variables are what nobody here fills in. */
static const char *
take_mail(struct str text, struct user_place *p)
{
	struct str path = str_from(text, str_chr(text, ':') + 1);

	if (!str_starts(text, STR("maildir:")) &&
	    !str_starts(text, STR("mbox:")))
		return "mail is maildir:PATH or mbox:PATH";
	if (path.n == 0 || (path.p[0] != '/' && !str_starts(path, STR("~/"))))
		return "a mailbox's path begins with / or ~/";
	if (!is_plain(text) || str_chr(text, '%') < text.n)
		return "a blank or a %variable in the mailbox's path";
	p->mail = text;
	return NULL;
}

static const struct {
	const char *name;
	const char *(*take)(struct str, struct user_place *);
} words[] = {
	{ "uid=", take_uid }, { "gid=", take_gid }, { "home=", take_home },
	{ "mail=", take_mail },
};

static size_t
word_of(struct str word)
{
	size_t i = 0;

	while (i < nitems(words) && !str_starts(word, str_of(words[i].name)))
		i++;
	return i;
}

const char *
place_word(struct str word, struct user_place *place)
{
	size_t i = word_of(word);

	if (i == nitems(words))
		return "no such word: uid=, gid=, home=, mail=";
	return words[i].take(str_from(word, strlen(words[i].name)), place);
}

bool
record_is_credential(struct str word)
{
	return word_of(word) == nitems(words) &&
	    !str_eq(word, STR(USER_DISABLED));
}

const char *
record_place(struct str record, struct user_place *place)
{
	const char *wrong = NULL, *why;
	struct str word;

	*place = (struct user_place){ 0 };
	while (str_token(&record, " ", &word))
		if (word_of(word) < nitems(words)) {
			why = place_word(word, place);
			wrong = why != NULL ? why : wrong;
		}
	return wrong;
}

/* The next of fields that colons end; empty ones count. */
static struct str
field(struct str *rest)
{
	size_t end = str_chr(*rest, ':');
	struct str f = str_first(*rest, end);

	*rest = str_from(*rest, end + 1);
	return f;
}

/* shadow(5) has days and nothing else there, and one field more. */
static bool
is_shadow(struct str fields)
{
	size_t colons = 0;

	for (size_t i = 0; i < fields.n; i++) {
		colons += fields.p[i] == ':';
		if (fields.p[i] != ':' &&
		    (fields.p[i] < '0' || fields.p[i] > '9'))
			return false;
	}
	return colons > 5;
}

const char *
passwd_place(struct str fields, struct user_place *place)
{
	struct str uid, gid, home, word;
	const struct { const char *name; size_t word; } extra[] = {
		{ "userdb_uid=", 0 }, { "userdb_gid=", 1 },
		{ "userdb_home=", 2 }, { "userdb_mail=", 3 },
	};
	const char *wrong = NULL, *why = NULL;

	*place = (struct user_place){ 0 };
	if (is_shadow(fields))
		return NULL;
	uid = field(&fields);
	gid = field(&fields);
	(void)field(&fields);		/* gecos */
	home = field(&fields);
	(void)field(&fields);		/* shell */
	if (uid.n > 0)
		wrong = take_uid(uid, place);
	if (gid.n > 0 && (why = take_gid(gid, place)) != NULL)
		wrong = why;
	if (home.n > 0 && (why = take_home(home, place)) != NULL)
		wrong = why;
	while (str_token(&fields, " ", &word))
		for (size_t i = 0; i < nitems(extra); i++) {
			struct str name = str_of(extra[i].name);

			if (!str_starts(word, name))
				continue;
			why = words[extra[i].word].take(str_from(word,
			    name.n), place);
			wrong = why != NULL ? why : wrong;
		}
	return wrong;
}

void
place_print(const struct user_place *p, struct buf *record)
{
	if (p->has_uid)
		buf_printf(record, " uid=%llu", (unsigned long long)p->uid);
	if (p->has_gid)
		buf_printf(record, " gid=%llu", (unsigned long long)p->gid);
	if (p->home.n > 0)
		buf_printf(record, " home=" STRF, STRV(p->home));
	if (p->mail.n > 0)
		buf_printf(record, " mail=" STRF, STRV(p->mail));
}
