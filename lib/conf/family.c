/*
 * family - parameters named after a service of master.cf:
 * <transport>_destination_concurrency_limit and its kin (postconf(5)).
 */
#include <inttypes.h>
#include "conf/internal.h"

static const struct { const char *suffix, *fallback; } families[] = {
	{ "_recipient_limit", "default_recipient_limit" },
	{ "_extra_recipient_limit", "default_extra_recipient_limit" },
	{ "_recipient_refill_limit", "default_recipient_refill_limit" },
	{ "_recipient_refill_delay", "default_recipient_refill_delay" },
	{ "_delivery_slot_cost", "default_delivery_slot_cost" },
	{ "_delivery_slot_loan", "default_delivery_slot_loan" },
	{ "_delivery_slot_discount", "default_delivery_slot_discount" },
	{ "_minimum_delivery_slots", "default_minimum_delivery_slots" },
	{ "_initial_destination_concurrency",
	    "initial_destination_concurrency" },
	{ "_destination_concurrency_limit",
	    "default_destination_concurrency_limit" },
	{ "_destination_recipient_limit",
	    "default_destination_recipient_limit" },
	{ "_destination_concurrency_positive_feedback",
	    "default_destination_concurrency_positive_feedback" },
	{ "_destination_concurrency_negative_feedback",
	    "default_destination_concurrency_negative_feedback" },
	{ "_destination_concurrency_failed_cohort_limit",
	    "default_destination_concurrency_failed_cohort_limit" },
	{ "_destination_rate_delay", "default_destination_rate_delay" },
	{ "_transport_rate_delay", "default_transport_rate_delay" },
	{ "_time_limit", "command_time_limit" },
};

bool
conf_family_next(size_t *i, const char **suffix, const char **fallback)
{
	if (*i >= nitems(families))
		return false;
	*suffix = families[*i].suffix;
	*fallback = families[(*i)++].fallback;
	return true;
}

const char *
family_fallback(struct str suffix)
{
	if (suffix.n > 0 && suffix.p[0] == '_')
		suffix = str_from(suffix, 1);
	for (size_t i = 0; i < nitems(families); i++)
		if (str_eq(suffix, str_of(families[i].suffix + 1)))
			return families[i].fallback;
	return NULL;
}

/* The name under which the value stands: the transport's, or the default. */
static const char *
family_name(struct conf *c, struct str transport, const char *suffix)
{
	const char *fallback = family_fallback(str_of(suffix));
	char *name = arena_printf(c->mem, STRF "%s%s", STRV(transport),
	    suffix[0] == '_' ? "" : "_", suffix);

	if (conf_setting(c, str_of(name)) != NULL ||
	    param_find(str_of(name)) != NULL || fallback == NULL)
		return name;
	return fallback;
}

struct str
conf_family_text(struct conf *c, struct str transport, const char *suffix)
{
	return conf_get(c, family_name(c, transport, suffix));
}

int64_t
conf_family(struct conf *c, struct str transport, const char *suffix,
    struct problems *ps)
{
	const char *fallback = family_fallback(str_of(suffix));
	const char *name = family_name(c, transport, suffix), *file;
	const struct param_known *k = fallback == NULL ? NULL :
	    param_find(str_of(fallback));
	struct str text = conf_get(c, name);
	int64_t v = 0;
	int line = 0;

	if (k != NULL && value_parse(k->type, k->preset, text, &v))
		return v;
	if (k == NULL && value_parse(P_COUNT, "", text, &v))
		return v;
	if (ps != NULL) {
		file = conf_where(c, str_of(name), &line);
		problem_add(ps, true, file, line, "bad %s configuration: %s "
		    "= " STRF, k != NULL && (k->type == P_TIME ||
		    k->type == P_DELAY) ? "time" : "numerical", name, STRV(text));
	}
	return k != NULL ? conf_number(c, fallback) : 0;
}
