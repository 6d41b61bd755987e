/*
 * filter - smtp_dns_reply_filter and its kin: records that a table's IGNORE
 * makes as if they were not there. postconf(5).
 */
#include <arpa/inet.h>

#include "dns/internal.h"
#include "sys/sys.h"

#define LINE_MAX_BYTES	65536	/* TXT, in its longest form */

/* "mx.example. 3600 IN MX 10 host.example." */
static void
print_record(struct str name, const struct dns_record *r, struct buf *out)
{
	const char *type = dns_type_name(r->type);
	char ip[INET6_ADDRSTRLEN];

	buf_printf(out, STRF ". %u IN %s ", STRV(name), r->ttl_s,
	    type != NULL ? type : "?");
	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		if (inet_ntop(r->type == DNS_A ? AF_INET : AF_INET6, r->data.p,
		    ip, sizeof(ip)) != NULL)
			buf_puts(out, ip);
		break;
	case DNS_MX:
		buf_printf(out, "%u " STRF ".", r->preference, STRV(r->data));
		break;
	case DNS_SRV:
		buf_printf(out, "%u %u %u " STRF ".", r->preference, r->weight,
		    r->port, STRV(r->data));
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		buf_printf(out, STRF ".", STRV(r->data));
		break;
	case DNS_TXT:
		buf_str(out, r->data);
		break;
	case DNS_TLSA:
		buf_printf(out, "%u %u %u ", r->usage, r->selector,
		    r->matching);
		for (size_t i = 0; i < r->data.n; i++)
			buf_printf(out, "%02x", (unsigned char)r->data.p[i]);
		break;
	}
}

/* FOUND: ignore it. */
static enum found
ignored(struct tables *filter, const char *title, struct str line)
{
	struct buf action;
	enum found found;

	buf_init(&action, TABLE_VALUE_MAX);
	found = tables_get(filter, line, &action);
	if (found == RETRY)
		log_warn("%s: %s", title, tables_error(filter));
	else if (found == FOUND && !str_eq_nocase(str_trim(buf_view(&action)),
	    STR("ignore"))) {
		log_warn("%s: unknown DNS filter action: \"" STRF "\"", title,
		    STRV(buf_view(&action)));
		found = RETRY;
	} else if (found == FOUND)
		log_info("ignoring DNS RR: " STRF, STRV(line));
	buf_free(&action);
	return found;
}

bool
dns_null_mx(const struct dns_answer *a)
{
	return a->found == FOUND && a->n == 1 &&
	    a->records[0].type == DNS_MX && a->records[0].data.n == 0;
}

void
dns_filter(struct tables *filter, const char *title,
    const struct dns_answer *a, struct arena *arena, struct dns_answer *out)
{
	struct dns_record *kept;
	enum found found = NONE;
	struct buf line;
	size_t n = 0;

	*out = *a;
	if (a->found != FOUND || tables_empty(filter) || dns_null_mx(a))
		return;
	kept = arena_alloc(arena, a->n * sizeof(*kept));
	buf_init(&line, LINE_MAX_BYTES);
	for (size_t i = 0; i < a->n && found != RETRY; i++) {
		buf_clear(&line);
		print_record(a->name, &a->records[i], &line);
		found = ignored(filter, title, buf_view(&line));
		if (found == NONE)
			kept[n++] = a->records[i];
	}
	buf_free(&line);
	out->records = kept;
	out->n = n;
	if (found != RETRY && n > 0)
		return;
	out->found = RETRY;
	out->filtered = found != RETRY;
	out->n = 0;
	out->why = str_of(arena_printf(arena, "Error looking up name=" STRF
	    " type=%s: %s", STRV(a->name), dns_type_name(a->records[0].type),
	    found == RETRY ? "Invalid DNS reply filter syntax" :
	    "DNS reply filter drops all results"));
}
