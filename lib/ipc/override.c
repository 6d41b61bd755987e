/*
 * override - receive_override_options: what the door asks cleanup to leave.
 */
#include "ipc/ipc.h"

static const struct { const char *word; uint64_t flags; } words[] = {
	{ "no_address_mappings", MAIL_NO_REWRITE | MAIL_NO_BCC },
	{ "no_header_body_checks", MAIL_NO_CHECKS },
	{ "no_milters", 0 },		/* there are none */
	{ "no_unknown_recipient_checks", 0 },
};

bool
mail_overrides(struct str list, uint64_t *flags, bool *unlisted,
    struct str *bad)
{
	struct str word;

	*flags = 0;
	*unlisted = false;
	while (str_token(&list, ", \t\r\n", &word)) {
		size_t i = 0;

		while (i < nitems(words) &&
		    !str_eq_nocase(word, str_of(words[i].word)))
			i++;
		*bad = word;
		if (i == nitems(words))
			return false;
		*flags |= words[i].flags;
		*unlisted = *unlisted || i == nitems(words) - 1;
	}
	return true;
}
