/*
 * checks - header_checks(5), body_checks(5): an action for each line.
 *
 * Asks the tables of a set of parameters (header_checks and its kin, or
 * smtp_header_checks and its), and reads what they answer. What an action
 * does is the caller's: cleanup and the SMTP client.
 */
#ifndef CHECKS_CHECKS_H
#define CHECKS_CHECKS_H
#include "conf/conf.h"
#include "mime/mime.h"

enum check_action {
#define ACTION(id, word, log, needs) CHECK_##id,
#include "checks/actions.def"
#undef ACTION
	CHECK__LAST
};
#define CHECK_BIT(action) (1u << (action))
/* Those that smtp_header_checks may ask for. */
#define CHECKS_OF_CLIENT (CHECK_BIT(CHECK_DUNNO) | CHECK_BIT(CHECK_OK) | \
	CHECK_BIT(CHECK_IGNORE) | CHECK_BIT(CHECK_STRIP) | \
	CHECK_BIT(CHECK_INFO) | CHECK_BIT(CHECK_WARN) | \
	CHECK_BIT(CHECK_PREPEND) | CHECK_BIT(CHECK_REPLACE))
#define CHECKS_ALL	(CHECK_BIT(CHECK__LAST) - 1)
#define CHECKS_FIXED	(1u << 31)	/* tables are TABLE_FIXED */

/* Names of the four parameters, in the order of enum mime_place. */
struct checks_names { const char *list[MIME_BODY + 1]; };
extern const struct checks_names checks_names;	/* header_checks, ... */

struct checks;
/*
 * Opens the tables; allowed: CHECK_BITs. Problems tell of what fails. Never
 * NULL; tables that fail to open answer RETRY.
 */
struct checks	*checks_open(struct conf *, const struct checks_names *,
		    unsigned allowed, struct problems *);
void		 checks_free(struct checks **);
/* Is there a table for that place? */
bool		 checks_wanted(const struct checks *, enum mime_place);

struct check_verdict {
	enum check_action action;
	struct str	  text;	/* behind the word; until the next question */
	const char	 *log;	/* "reject", "warning"; "" for none */
};
/*
 * FOUND: do that. NONE: leave the line (also DUNNO, and what is wrong in the
 * table, which is warned about). RETRY: a table failed, checks_error tells.
 * text: a field with CRLF folds, or a body line, without its last line end.
 * A field of a MIME header is looked up as MIME_PART wherever it stands.
 */
enum found	 checks_ask(struct checks *, enum mime_place, struct str text,
		    struct check_verdict *) MUST_USE;
const char	*checks_error(const struct checks *);
/* "header Subject: x" or "body x": for log lines; folds are LF. */
void		 checks_print(enum mime_place, struct str text, size_t max,
		    struct buf *out);
#endif
