/*
 * syntax - the words of main.cf and master.cf: logical lines, name = value,
 * { grouped } words, $name expansion. Pure: text in, text out.
 */
#ifndef CONF_SYNTAX_H
#define CONF_SYNTAX_H
#include "base/base.h"

/*
 * Logical lines (postconf(5)): a line that starts with white space continues
 * the one before; comments and blank lines may stand between. Set rest and
 * zero the others.
 */
struct lines {
	struct str	 rest;
	int		 line;		/* of the last physical line read */
	int		 first;		/* where the logical line began */
	bool		 orphan;	/* starts with white space: skip, warn */
	bool		 nul;		/* has a NUL inside */
};
bool		 lines_next(struct lines *, struct buf *logical);

/* "name = value": NULL, or Postfix's words for what is wrong. */
const char	*split_name_value(struct str, struct str *name,
		    struct str *value);
/* Next word between blanks; blanks within { } don't part it. */
bool		 word_next(struct str *rest, const char *blanks,
		    struct str *word);
/* The inside of "{ text }", trimmed; false where braces don't match. */
bool		 word_unwrap(struct str word, struct str *inside);
/*
 * The same of a word that begins with {, blanks kept. False: *why gets
 * Postfix's words, *inside what there is.
 */
bool		 word_open(struct str word, struct str *inside,
		    struct buf *why);
bool		 is_blank(char c);	/* isspace(3) of the C locale */
struct str	 blank_trim(struct str);	/* without them at both ends */

/* $name expansion as mac_expand of Postfix does it. */
enum lookup_mode { LOOKUP_USE, LOOKUP_TEST };
struct expander {
	void	*ctx;
	/* False: no such name. *raw: take the value without expanding it. */
	bool	(*lookup)(void *ctx, struct str name, struct str *value,
		    bool *raw);
	void	(*error)(void *ctx, const char *text);	/* may be NULL */
	bool	 scan;		/* visit all names, evaluate nothing */
};
enum expanded { EXPAND_OK, EXPAND_UNDEFINED, EXPAND_ERROR };
/* UNDEFINED: some $name has no value and counts as empty. */
enum expanded	 expand_text(const struct expander *, struct str text,
		    struct buf *out);
/* "3.10" and its kin as a number that compares right; false: bad form. */
bool		 compat_level(struct str, int64_t *level);
#endif
