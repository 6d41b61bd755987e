/*
 * verdict - entries of the cache of probed addresses, and how long they hold:
 * the rules of Postfix's verify(8).
 */
#include "conf/conf.h"
#include "lookup/verify.h"

bool
verdict_read(struct str s, struct verdict *v)
{
	uint64_t part[3];
	size_t colon;

	for (size_t i = 0; i < nitems(part); i++) {
		colon = str_chr(s, ':');
		if (colon == s.n || !str_number(str_first(s, colon),
		    &part[i]) || part[i] > INT32_MAX * 1000LL)
			return false;
		s = str_from(s, colon + 1);
	}
	if (part[0] > VERIFY_TODO || (part[1] == 0 && part[2] == 0))
		return false;
	*v = (struct verdict){ (enum verify_status)part[0], (int64_t)part[1],
		(int64_t)part[2], s };
	return true;
}

/* Some agent's words: no control bytes, no end. */
void
verdict_print(const struct verdict *v, struct buf *out)
{
	struct str text = str_first(v->text, VERIFY_TEXT_MAX);

	buf_printf(out, "%d:%lld:%lld:", (int)v->status,
	    (long long)v->probed_s, (long long)v->updated_s);
	for (size_t i = 0; i < text.n; i++)
		buf_putc(out, (unsigned char)text.p[i] < ' ' ||
		    text.p[i] == 0x7f ? '?' : text.p[i]);
}

bool
verdict_expired(const struct verify_conf *conf, const struct verdict *v,
    int64_t now_s)
{
	int64_t for_s = v->status == VERIFY_OK ?
	    conf->address_verify_positive_expire_time :
	    conf->address_verify_negative_expire_time;

	return now_s - v->probed_s > VERIFY_PROBE_S &&
	    v->updated_s + for_s < now_s;
}

bool
verdict_stale(const struct verify_conf *conf, const struct verdict *v,
    int64_t now_s)
{
	int64_t for_s = v->status == VERIFY_OK ?
	    conf->address_verify_positive_refresh_time :
	    conf->address_verify_negative_refresh_time;

	return now_s - v->probed_s > VERIFY_PROBE_S &&
	    v->updated_s + for_s < now_s;
}
