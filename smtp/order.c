/*
 * order - which address is tried first. Pure: chance is passed in.
 *
 * RFC 5321 5.1: by preference, those of equal preference at random; of SRV
 * records also by weight (RFC 2782: each is a rank of its own). Then
 * Postfix's smtp_address_preference, and smtp_balance_inet_protocols: where
 * only so many are tried, both protocols have a chance.
 */
#include "smtp/smtp.h"

static void
swap(struct address *a, struct address *b)
{
	struct address t = *a;

	*a = *b;
	*b = t;
}

static void
shuffle(struct address *v, size_t n, const struct order *o)
{
	for (size_t i = n; i > 1; i--)
		swap(&v[i - 1], &v[o->random(o->ctx, (unsigned)i)]);
}

/* Stable, and small: DNS_RECORDS_MAX hosts of a few addresses each. */
static void
sort(struct address *v, size_t n, int first)
{
	for (size_t i = 1; i < n; i++) {
		struct address a = v[i];
		size_t j = i;

		while (j > 0 && (v[j - 1].rank > a.rank ||
		    (v[j - 1].rank == a.rank &&
		    a.ss.ss_family == first &&
		    v[j - 1].ss.ss_family != first))) {
			v[j] = v[j - 1];
			j--;
		}
		v[j] = a;
	}
}

/* Brings one of the family that has none among the first limit to their end. */
static void
balance(struct address *v, size_t n, size_t limit)
{
	size_t at = limit;

	if (limit < 2 || n <= limit)
		return;
	for (size_t i = 1; i < limit; i++)
		if (v[i].ss.ss_family != v[0].ss.ss_family)
			return;
	while (at < n && v[at].ss.ss_family == v[0].ss.ss_family)
		at++;
	if (at < n)
		swap(&v[limit - 1], &v[at]);
}

void
order_addresses(struct address *v, size_t n, const struct order *o)
{
	if (o->randomize)
		shuffle(v, n, o);
	sort(v, n, o->first);
	if (o->balance && o->first == 0)
		balance(v, n, o->limit);
}

/* --- SRV --- */

/* Stable: by priority, those without weight first (RFC 2782). */
static void
sort_hosts(struct order_host *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct order_host h = v[i];
		size_t j = i;

		while (j > 0 && (v[j - 1].preference > h.preference ||
		    (v[j - 1].preference == h.preference &&
		    v[j - 1].weight > 0 && h.weight == 0))) {
			v[j] = v[j - 1];
			j--;
		}
		v[j] = h;
	}
}

/* RFC 2782: one after another, each with a chance by its weight. */
static void
draw(struct order_host *v, size_t n, const struct order *o)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += v[i].weight;
	for (size_t i = 0; i + 1 < n; i++) {
		unsigned ticket = o->random(o->ctx, sum + 1);
		unsigned running = v[i].weight;
		size_t k = i;
		struct order_host drawn;

		while (running < ticket)
			running += v[++k].weight;
		drawn = v[k];
		memmove(&v[i + 1], &v[i], (k - i) * sizeof(*v));
		v[i] = drawn;
		sum -= drawn.weight;
	}
}

void
order_hosts(struct order_host *v, size_t n, const struct order *o)
{
	size_t from = 0;

	for (size_t i = n; i > 1; i--) {
		size_t k = o->random(o->ctx, (unsigned)i);
		struct order_host h = v[i - 1];

		v[i - 1] = v[k];
		v[k] = h;
	}
	sort_hosts(v, n);
	for (size_t i = 1; i <= n; i++)
		if (i == n || v[i].preference != v[from].preference) {
			draw(v + from, i - from, o);
			from = i;
		}
}
