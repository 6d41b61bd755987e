/*
 * template - the texts of delivery reports: bounce(5). Postfix's own, or
 * those of bounce_template_file. For bounce and for postconf -b, -t.
 */
#ifndef TEMPLATE_TEMPLATE_H
#define TEMPLATE_TEMPLATE_H
#include "conf/conf.h"

/* In the order in which postconf shows them. */
enum template_kind { TEMPLATE_FAILURE, TEMPLATE_DELAY, TEMPLATE_SUCCESS,
	TEMPLATE_VERIFY, TEMPLATE__MAX };

struct template {
	const char	*name;		/* "failure" */
	struct str	 charset, from, subject;
	struct str	 postmaster_subject;	/* "": as subject */
	struct str	 text;		/* lines, LF between them */
	bool		 is_8bit;
};
struct templates {
	struct template	 v[TEMPLATE__MAX];
	const char	*file;		/* where they come from, for messages */
};
#define TEMPLATE_FILE_MAX ((size_t)1 << 20)

/* obsolete_from: header_from_format = obsolete. */
void		 templates_builtin(struct templates *, bool obsolete_from);
/*
 * Puts those of a template file in place; what stays as it was, and why, is
 * a problem. Strings are looks at text, which must live as long. Fatal
 * problems: what it means can't be known.
 */
void		 templates_parse(struct templates *, struct str text,
		    const char *file, struct problems *);
/* Built in, then bounce_template_file, read into the arena. */
void		 templates_load(struct templates *, struct conf *,
		    struct arena *, struct problems *);
/*
 * Appends the text with main.cf's values, each line ended by LF. False: a
 * fatal problem says why.
 */
bool		 template_expand(const struct templates *, enum template_kind,
		    struct conf *, struct buf *, struct problems *);
/* Appends it as a template file has it: headers, empty line, text. */
void		 template_print(const struct template *, struct buf *);
#endif
