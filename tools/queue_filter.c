/*
 * queue_filter - options of postern queue, and the messages that they mean.
 */
#include "address/address.h"
#include "conf/conf.h"
#include "tools/queue_filter.h"

static const char *const names[] = { "sender", "recipient", "domain",
	"reason", "older", "younger", "size", "queue" };

void
queue_filter_init(struct queue_filter *f)
{
	*f = (struct queue_filter){ .older_s = -1, .younger_s = -1,
		.size_least = -1, .size_most = -1 };
}

bool
queue_filter_knows(struct str name)
{
	for (size_t i = 0; i < nitems(names); i++)
		if (str_eq(name, str_of(names[i])))
			return true;
	return false;
}

bool
queue_filter_is_open(const struct queue_filter *f)
{
	return f->sender.n == 0 && f->recipient.n == 0 && f->domain.n == 0 &&
	    f->reason.n == 0 && f->older_s < 0 && f->younger_s < 0 &&
	    f->size_least < 0 && f->size_most < 0 && f->dirs == 0;
}

/* "1000", "10k": at least; "-10k": at most. */
static const char *
set_size(struct queue_filter *f, struct str v)
{
	static const char letters[] = "kMG";
	bool most = str_starts(v, STR("-"));
	int64_t bytes, unit = 1;

	if (most || str_starts(v, STR("+")))
		v = str_from(v, 1);
	for (size_t i = 0; i < sizeof(letters) - 1; i++)
		if (v.n > 0 && v.p[v.n - 1] == letters[i])
			unit = (int64_t)1 << 10 * (i + 1);
	if (unit > 1)
		v.n--;
	if (!conf_parse_size(v, &bytes) ||
	    __builtin_mul_overflow(bytes, unit, &bytes))
		return "want a number of bytes, such as 100k or -5000";
	if (most)
		f->size_most = bytes;
	else
		f->size_least = bytes;
	return NULL;
}

static const char *
set_queues(struct queue_filter *f, struct str v)
{
	struct str one;

	while (str_token(&v, ", ", &one)) {
		int d = 0;

		while (d < Q__MAX && !str_eq(one, str_of(queue_dir_names[d])))
			d++;
		if (d == Q__MAX || d == Q_CORRUPT || d == Q_MAILDROP)
			return "want incoming, active, deferred or hold";
		f->dirs |= 1U << d;
	}
	return f->dirs != 0 ? NULL : "want the name of a queue";
}

const char *
queue_filter_set(struct queue_filter *f, struct str name, struct str value)
{
	static const char bad_time[] = "want a time, such as 30m, 2h or 5d";
	const struct { const char *name; struct str *to; } texts[] = {
		{ "sender", &f->sender }, { "recipient", &f->recipient },
		{ "domain", &f->domain }, { "reason", &f->reason },
	};

	for (size_t i = 0; i < nitems(texts); i++)
		if (str_eq(name, str_of(texts[i].name))) {
			*texts[i].to = value;
			return value.n > 0 ? NULL : "want a text";
		}
	if (str_eq(name, STR("older")))
		return conf_parse_time(value, 's', &f->older_s) ? NULL :
		    bad_time;
	if (str_eq(name, STR("younger")))
		return conf_parse_time(value, 's', &f->younger_s) ? NULL :
		    bad_time;
	if (str_eq(name, STR("size")))
		return set_size(f, value);
	return set_queues(f, value);
}

bool
queue_rcpt_waits(const struct queue_rcpt *r)
{
	return r->status == RCPT_TODO || r->status == RCPT_DEFERRED;
}

/* "<>", "@domain" or an address. */
static bool
is_address(struct str want, struct str addr)
{
	if (str_eq(want, STR("<>")))
		return addr.n == 0;
	if (str_starts(want, STR("@")))
		return str_eq_nocase(str_from(want, 1), address_domain(addr));
	return str_eq_nocase(want, addr);
}

static bool
contains_nocase(struct str s, struct str part)
{
	for (; s.n >= part.n; s = str_from(s, 1))
		if (str_starts_nocase(s, part))
			return true;
	return false;
}

static bool
rcpt_matches(const struct queue_filter *f, const struct queue_rcpt *r)
{
	if (!queue_rcpt_waits(r))
		return false;
	if (f->recipient.n > 0 && !is_address(f->recipient, r->address) &&
	    !is_address(f->recipient, r->original))
		return false;
	if (f->domain.n > 0 && !str_eq_nocase(f->domain,
	    address_domain(r->address)))
		return false;
	return f->reason.n == 0 || contains_nocase(r->text, f->reason);
}

bool
queue_filter_match(const struct queue_filter *f, enum queue_dir dir,
    const struct queue_message *m, int64_t now_s)
{
	int64_t age = now_s - m->arrival_us / 1000000;
	bool any = f->recipient.n == 0 && f->domain.n == 0 &&
	    f->reason.n == 0;

	if (f->dirs != 0 && !(f->dirs & 1U << dir))
		return false;
	if (f->sender.n > 0 && !is_address(f->sender, m->sender))
		return false;
	if ((f->older_s >= 0 && age < f->older_s) ||
	    (f->younger_s >= 0 && age >= f->younger_s))
		return false;
	if ((f->size_least >= 0 && m->size < (uint64_t)f->size_least) ||
	    (f->size_most >= 0 && m->size > (uint64_t)f->size_most))
		return false;
	for (size_t i = 0; !any && i < m->nrcpts; i++)
		any = rcpt_matches(f, &m->rcpts[i]);
	return any;
}
