/*
 * probe - the sender of address probes: address_verify_sender, with a part
 * that changes with time where address_verify_sender_ttl says so. Postfix's
 * verify_sender_addr(3): digits of base 31 without vowels.
 */
#include "address/address.h"
#include "route/internal.h"

#define BASE 31

static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZ";

void
probe_sender_read(struct conf *conf, struct arena *arena,
    struct probe_sender *p)
{
	struct str sender = conf_get(conf, "address_verify_sender");

	*p = (struct probe_sender){ .ttl_s = conf_number(conf,
	    "address_verify_sender_ttl") };
	if (sender.n == 0 || str_eq(sender, STR("<>")))
		return;
	p->local = arena_str(arena, address_local(sender));
	p->domain = arena_str(arena, address_domain(sender).n > 0 ?
	    address_domain(sender) : conf_get(conf, "myorigin"));
}

void
probe_sender_print(const struct probe_sender *p, int64_t now_s,
    struct buf *out)
{
	char text[16];
	size_t n = 0;
	uint64_t epoch;

	if (p->local.n == 0)
		return;
	buf_str(out, p->local);
	if (p->ttl_s > 0) {
		epoch = (uint64_t)(now_s / p->ttl_s);
		do {
			text[n++] = digits[epoch % BASE];
			epoch /= BASE;
		} while (epoch > 0 && n < sizeof(text));
		while (n > 0)
			buf_putc(out, text[--n]);
	}
	buf_putc(out, '@');
	buf_str(out, p->domain);
}

/* False: not a number of that base. */
static bool
read_epoch(struct str s, int64_t *epoch)
{
	const char *at;

	*epoch = 0;
	if (s.n == 0 || s.n > 12)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		at = s.p[i] == '\0' ? NULL : strchr(digits, s.p[i]);
		if (at == NULL)
			return false;
		*epoch = *epoch * BASE + (at - digits);
	}
	return true;
}

bool
probe_sender_is(const struct probe_sender *p, struct str address,
    int64_t now_s)
{
	struct str local = address_local(address);
	int64_t theirs, ours;

	if (p->local.n == 0)
		return false;
	if (!str_eq_nocase(address_domain(address), p->domain) ||
	    !str_starts_nocase(local, p->local))
		return false;
	local = str_from(local, p->local.n);
	if (p->ttl_s <= 0)
		return local.n == 0;
	ours = now_s / p->ttl_s;
	return read_epoch(local, &theirs) && theirs >= ours - 1 &&
	    theirs <= ours + 1;
}
