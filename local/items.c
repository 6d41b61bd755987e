/*
 * items - destinations of aliases(5), .forward and :include: files: one text
 * parted at commas.
 *
 *	item    = "|command" / /file / ~/file / :include:/file / \user
 *	        / address            ; RFC 5322 3.4, as the wild has it
 *
 * each perhaps in quotes: "|command with words", |"command with words",
 * "/file name". Pure. The agent runs it over what users wrote, local over
 * what alias tables say.
 */
#include "address/address.h"
#include "local/items.h"

#define INCLUDE	":include:"

/* The end of the item at the start of s: its comma, or s.n. */
static size_t
item_end(struct str s)
{
	size_t comments = 0;
	bool quoted = false, route = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 1 < s.n)
			i++;
		else if (c == '"' && comments == 0)
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '(')
			comments++;
		else if (c == ')' && comments > 0)
			comments--;
		else if (c == '<' && comments == 0)
			route = true;
		else if (c == '>' && comments == 0)
			route = false;
		else if (c == ',' && comments == 0 && !route)
			return i;
	}
	return s.n;
}

/* Quotes go, and within them a backslash before any byte. */
static struct str
unquote(struct str s, struct arena *arena)
{
	char *out = arena_alloc(arena, s.n + 1);
	bool quoted = false;
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"') {
			quoted = !quoted;
			continue;
		}
		if (quoted && s.p[i] == '\\' && i + 1 < s.n)
			i++;
		out[n++] = s.p[i];
	}
	return (struct str){ out, n };
}

/* Does a command, file or list stand in raw, quoted or not? */
static bool
is_special(struct str raw)
{
	if (raw.n > 0 && raw.p[0] == '"')
		raw = str_from(raw, 1);
	return str_starts(raw, STR("|")) || str_starts(raw, STR("/")) ||
	    str_starts(raw, STR("~")) ||
	    str_starts_nocase(raw, STR(INCLUDE));
}

/*
 * "/x"@example is an address, as far as RFC 5322 goes; so is "|x" <a@b>.
 * Quotes that begin an item must end it.
 */
static bool
quotes_whole(struct str raw)
{
	if (raw.p[0] != '"')
		return true;
	for (size_t i = 1; i < raw.n; i++) {
		if (raw.p[i] == '\\')
			i++;
		else if (raw.p[i] == '"')
			return i + 1 == raw.n;
	}
	return true;			/* the closing one is missing */
}

static bool
read_special(struct str raw, struct arena *arena, struct item *item)
{
	struct str s;

	if (!is_special(raw) || !quotes_whole(raw))
		return false;
	s = unquote(raw, arena);
	if (s.p[0] == '|') {
		item->kind = ITEM_COMMAND;
		item->value = str_trim(str_from(s, 1));
	} else if (s.p[0] == ':') {
		item->kind = ITEM_INCLUDE;
		item->value = str_trim(str_from(s, sizeof(INCLUDE) - 1));
	} else {
		item->kind = ITEM_FILE;
		item->value = s;
	}
	return true;
}

static bool
read_address(struct str raw, struct arena *arena, struct item *item)
{
	struct str addr;

	while (address_list_next(&raw, arena, &addr))
		if (addr.n > 0) {
			*item = (struct item){ ITEM_ADDRESS, addr };
			return true;
		}
	return false;
}

bool
items_next(struct str *rest, struct arena *arena, struct item *item)
{
	while (rest->n > 0) {
		size_t end = item_end(*rest);
		struct str raw = str_trim(str_first(*rest, end));

		*rest = str_from(*rest, end + 1);
		if (raw.n == 0 || memchr(raw.p, '\0', raw.n) != NULL)
			continue;
		if (read_special(raw, arena, item)) {
			if (item->value.n > 0)
				return true;
		} else if (raw.p[0] == '\\') {
			if (read_address(str_from(raw, 1), arena, item)) {
				item->kind = ITEM_USER;
				return true;
			}
		} else if (read_address(raw, arena, item))
			return true;
	}
	return false;
}

bool
items_line(struct str *text, struct str *line)
{
	while (text->n > 0) {
		size_t end = str_chr(*text, '\n');

		*line = str_trim(str_first(*text, end));
		*text = str_from(*text, end + 1);
		if (line->n > 0 && line->p[0] != '#')
			return true;
	}
	return false;
}
