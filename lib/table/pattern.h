/*
 * table/pattern - rules in order: what pcre, regexp and cidr tables share.
 *
 * pattern.c reads the rules and walks them; a kind reads one pattern and
 * tries it. prefilter.c leaves out those that can't match.
 */
#ifndef TABLE_PATTERN_H
#define TABLE_PATTERN_H
#include "table/internal.h"

#define PATTERN_GROUPS_MAX 100	/* $1 to $99 in a result */

enum pattern_match {
	PATTERN_HIT, PATTERN_MISS,
	PATTERN_NEVER,		/* not even when it is negated */
	PATTERN_FAULT		/* t->error tells */
};
struct pattern_groups {		/* offsets into the subject; n is at least 1 */
	struct { size_t from, to; } v[PATTERN_GROUPS_MAX];
	size_t n;
};

/* Where rules stand, for warnings. */
struct pattern_source {
	const char	*kind;		/* "pcre" */
	const char	*file;
	int		 line;
	bool		 in_if;		/* the pattern is that of an IF */
};
void	 pattern_warn(const struct pattern_source *, const char *fmt, ...)
	    PRINTF(2, 3);

struct pattern_kind {
	const char *name;
	bool	    has_groups;		/* $1 in results; no pattern is a host */
	/*
	 * Takes a pattern and its flags off *rest. NULL: a warning was given,
	 * the rule is left out.
	 */
	void	  *(*parse)(const struct pattern_source *, struct str *rest);
	void	   (*drop)(void *pattern);
	size_t	   (*groups)(const void *pattern); /* how many ( ) */
	/* Bytes that each subject has that it matches; "": unknown. */
	void	   (*literal)(const void *pattern, struct buf *out);
	/* Before a search; false: this subject has no answer. May be NULL. */
	bool	  (*look)(void *state, struct str subject);
	enum pattern_match (*match)(struct table *, void *state,
		    void *pattern, struct str subject,
		    struct pattern_groups *);
	/* What all patterns of a table share; may be NULL. */
	void	  *(*begin)(void);
	void	   (*end)(void *state);
};
/* The struct table_ops of every kind. */
bool	 pattern_open(struct table *, struct buf *why);
void	 pattern_close(struct table *);
enum found pattern_get(struct table *, struct str key, struct buf *value);

/* pcre.c, regexp.c, cidr.c */
extern const struct pattern_kind pcre_kind, regexp_kind, cidr_kind;

/*
 * "/text/flags": text between two delimiters; *rest stands at the flags.
 * False with a warning.
 */
bool	 pattern_split(const struct pattern_source *, struct str *rest,
	    struct str *text);
/*
 * The letters behind it, up to a blank or one of ends: each turns its bit in
 * *bits over. False with a warning.
 */
struct pattern_flag { char letter; uint32_t bit; };
bool	 pattern_flags(const struct pattern_source *, struct str *rest,
	    const char *ends, const struct pattern_flag *, size_t n,
	    uint32_t *bits);

/*
 * The longest run of bytes, in lower case, that each subject has which the
 * expression matches; out is empty where none is sure. posix: an extended
 * regular expression of regcomp(3), else one of pcre2pattern(3).
 */
void	 pattern_literal(struct str expression, bool posix, struct buf *out);

/* Which of n literals stand in a subject, in one pass. */
struct prefilter;
struct prefilter *prefilter_new(size_t n);
/* Number i; an empty or short one counts as always there. */
void	 prefilter_add(struct prefilter *, size_t i, struct str literal);
void	 prefilter_look(struct prefilter *, struct str subject);
bool	 prefilter_has(const struct prefilter *, size_t i);
void	 prefilter_free(struct prefilter **);

/* A result: text and $1 to $99. */
struct result;
/* NULL with a warning. *most: the highest number, 0 for none. */
struct result *result_parse(const struct pattern_source *, struct str,
	    size_t *most);
void	 result_print(const struct result *, struct str subject,
	    const struct pattern_groups *, struct buf *out);
void	 result_free(struct result **);
#endif
