/*
 * own - address literals that are this machine: user@[192.0.2.1].
 *
 * inet_interfaces and proxy_interfaces, once when a router is made; RFC 5321
 * 4.1.3 gives the form.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

#include "address/address.h"
#include "route/internal.h"

static void	add_sockaddr(const struct sockaddr *, struct buf *list);
static void	add_all(bool loopback_only, struct buf *list,
		    struct problems *);
static void	add_name(struct str name, struct buf *list,
		    struct problems *);
static void	print_literal(int family, const void *ip, struct buf *);

void
own_literals(struct conf *conf, struct buf *list, struct problems *problems)
{
	static const char *const parameters[] = { "inet_interfaces",
	    "proxy_interfaces" };

	for (size_t i = 0; i < nitems(parameters); i++) {
		struct str rest = conf_get(conf, parameters[i]), item;

		while (conf_list_next(&rest, &item)) {
			if (str_eq_nocase(item, STR("all")))
				add_all(false, list, problems);
			else if (str_eq_nocase(item, STR("loopback-only")))
				add_all(true, list, problems);
			else
				add_name(item, list, problems);
		}
	}
}

struct str
own_literal_form(struct str domain, struct arena *arena)
{
	struct str text;
	struct buf form;
	uint8_t ip[16];
	int family;

	if (domain.n == 0 || domain.p[0] != '[' ||
	    !address_literal(domain, &text))
		return domain;
	family = ip_parse(text, ip);
	if (family == 0)
		return domain;
	buf_init(&form, 128);
	print_literal(family, ip, &form);
	domain = arena_str(arena, buf_view(&form));
	buf_free(&form);
	return domain;
}

static void
add_all(bool loopback_only, struct buf *list, struct problems *problems)
{
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) != 0) {
		problem_add(problems, false, NULL, 0, "the addresses of this "
		    "machine can't be listed: %s", strerror(errno));
		return;
	}
	for (i = all; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0 ||
		    (loopback_only && (i->ifa_flags & IFF_LOOPBACK) == 0))
			continue;
		add_sockaddr(i->ifa_addr, list);
	}
	freeifaddrs(all);
}

static void
add_name(struct str name, struct buf *list, struct problems *problems)
{
	struct addrinfo hint = { .ai_socktype = SOCK_STREAM }, *all, *i;
	struct str text;
	char host[256];
	uint8_t ip[16];
	int family, err;

	if (name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = (struct str){ name.p + 1, name.n - 2 };
	text = name;
	if (str_starts_nocase(text, STR("ipv6:")))
		text = str_from(text, 5);
	family = ip_parse(text, ip);
	if (family != 0) {
		buf_putc(list, ' ');
		print_literal(family, ip, list);
		return;
	}
	snprintf(host, sizeof(host), STRF, STRV(name));
	err = getaddrinfo(host, NULL, &hint, &all);
	if (err != 0) {
		problem_add(problems, false, NULL, 0, "inet_interfaces: host "
		    "not found: %s: %s", host, gai_strerror(err));
		return;
	}
	for (i = all; i != NULL; i = i->ai_next)
		add_sockaddr(i->ai_addr, list);
	freeaddrinfo(all);
}

static void
add_sockaddr(const struct sockaddr *sa, struct buf *list)
{
	const void *p = sa;

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = p;

		buf_putc(list, ' ');
		print_literal(AF_INET, &in->sin_addr, list);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = p;

		buf_putc(list, ' ');
		print_literal(AF_INET6, &in6->sin6_addr, list);
	}
}

/* "[192.0.2.1]", "[ipv6:2001:db8::1]". */
static void
print_literal(int family, const void *ip, struct buf *out)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(family, ip, text, sizeof(text)) == NULL)
		return;
	buf_printf(out, "[%s%s]", family == AF_INET6 ? "ipv6:" : "", text);
}
