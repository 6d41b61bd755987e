/*
 * login_sender - local_login_sender_maps: postdrop asks it, with the rights
 * of the user who sends and of the group postdrop.
 */
#include <pwd.h>
#include <stdio.h>

#include "address/address.h"
#include "table/table.h"
#include "tools/login_sender.h"

#define NAME_MAX_BYTES	64	/* "uid:4294967295", a login name */
#define ADDRESS_BYTES	8192

/* By comma or blank, but not within quotes: "a b"@example.com. */
static bool
next_pattern(struct str *rest, struct str *pattern)
{
	bool quoted = false;
	size_t n = 0;

	while (rest->n > 0 && strchr(", \t\r\n", rest->p[0]) != NULL)
		*rest = str_from(*rest, 1);
	while (n < rest->n && (quoted ||
	    strchr(", \t\r\n", rest->p[n]) == NULL)) {
		if (rest->p[n] == '\\' && n + 1 < rest->n)
			n++;
		else if (rest->p[n] == '"')
			quoted = !quoted;
		n++;
	}
	*pattern = str_first(*rest, n);
	*rest = str_from(*rest, n);
	return n > 0;
}

/* "ann+x@example.com" as tables have it: ann@example.com. */
static void
print_plain(struct str sender, struct str delimiters, struct buf *out)
{
	struct str local = address_local(sender), extension, user;
	struct buf plain;

	user = address_split(local, delimiters, &extension);
	buf_init(&plain, ADDRESS_BYTES);
	buf_str(&plain, user);
	buf_str(&plain, str_from(sender, local.n));
	address_quote_822(buf_view(&plain), out);
	buf_free(&plain);
}

bool
login_sender_fits(struct str patterns, struct str sender,
    struct str delimiters, struct str null_key)
{
	size_t at = str_rchr(sender, '@');
	bool fits = false;
	struct str pattern;
	struct buf plain;

	buf_init(&plain, ADDRESS_BYTES);
	print_plain(sender, delimiters, &plain);
	while (!fits && next_pattern(&patterns, &pattern)) {
		if (pattern.p[0] == '@')
			fits = at < sender.n && str_eq_nocase(pattern,
			    str_from(sender, at));
		else if (str_eq(pattern, STR("*")))
			fits = true;
		else if (str_eq_nocase(pattern, null_key))
			fits = sender.n == 0;
		else
			fits = !plain.full && str_eq_nocase(pattern,
			    buf_view(&plain));
	}
	buf_free(&plain);
	return fits;
}

enum found
login_sender_find(struct tool *t, uid_t uid, struct str sender,
    struct buf *why)
{
	struct str list = conf_get(t->conf, "local_login_sender_maps");
	const struct passwd *user = getpwuid(uid);
	char name[NAME_MAX_BYTES];
	struct tables *maps;
	struct buf patterns;
	enum found found;

	if (str_eq(list, STR("static:*")))
		return FOUND;
	snprintf(name, sizeof(name), "uid:%lu", (unsigned long)uid);
	maps = tables_open(list, conf_dir(t->conf), TABLE_FOLD, why);
	buf_init(&patterns, TABLE_VALUE_MAX);
	found = why->n > 0 ? RETRY : tables_get(maps,
	    str_of(user != NULL ? user->pw_name : name), &patterns);
	if (found == RETRY && why->n == 0)
		buf_puts(why, tables_error(maps));
	if (found == FOUND && !login_sender_fits(buf_view(&patterns), sender,
	    conf_get(t->conf, "recipient_delimiter"), conf_get(t->conf,
	    "empty_address_local_login_sender_maps_lookup_key")))
		found = NONE;
	buf_free(&patterns);
	tables_free(&maps);
	return found;
}
