/*
 * host - defaults that the machine decides: myhostname, mydomain, mynetworks.
 *
 * Postfix: get_hostname(3), mynetworks(3), own_inet_addr(3).
 */
#include <sys/socket.h>
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>
#include "conf/internal.h"

#define NETWORKS_MAX 65536

static struct str
my_hostname(struct conf *c)
{
	char name[HOST_NAME_MAX + 1] = "";
	struct str domain = STR("localdomain");

	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		return STR("localhost.localdomain");
	if (strchr(name, '.') != NULL)
		return arena_str(c->mem, str_of(name));
	if (conf_setting(c, STR("mydomain")) != NULL)
		domain = conf_get(c, "mydomain");
	return str_of(arena_printf(c->mem, "%s." STRF, name, STRV(domain)));
}

static struct str
my_domain(struct conf *c)
{
	struct str host = conf_get(c, "myhostname");
	size_t dot = str_chr(host, '.');

	return dot < host.n ? str_from(host, dot + 1) : STR("localdomain");
}

enum style { STYLE_CLASS, STYLE_SUBNET, STYLE_HOST };

/* How many leading bits of addr make up its network. */
static unsigned
prefix_length(const struct sockaddr *addr, const struct sockaddr *mask,
    enum style style)
{
	const uint8_t *m;
	uint32_t ip;
	unsigned bits = 0, n;

	if (addr->sa_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)addr;
		const struct sockaddr_in *k = (const void *)mask;

		ip = ntohl(a->sin_addr.s_addr);
		if (style == STYLE_HOST)
			return 32;
		if (style == STYLE_CLASS)
			return IN_CLASSA(ip) ? 8 : IN_CLASSB(ip) ? 16 :
			    IN_CLASSC(ip) ? 24 : 4;
		m = (const uint8_t *)&k->sin_addr;
		n = 4;
	} else {
		const struct sockaddr_in6 *k = (const void *)mask;

		if (style == STYLE_HOST)
			return 128;
		m = (const uint8_t *)&k->sin6_addr;
		n = 16;
	}
	while (bits < n * 8 && (m[bits / 8] & (0x80 >> bits % 8)) != 0)
		bits++;
	return bits;
}

static void
clear_host_bits(uint8_t *p, size_t n, unsigned bits)
{
	for (size_t i = 0; i < n; i++) {
		if (bits >= 8) {
			bits -= 8;
		} else {
			p[i] &= (uint8_t)(0xff00 >> bits);
			bits = 0;
		}
	}
}

static void
add_network(struct buf *out, const struct ifaddrs *i, enum style style)
{
	char text[INET6_ADDRSTRLEN], item[INET6_ADDRSTRLEN + 8];
	unsigned bits = prefix_length(i->ifa_addr, i->ifa_netmask, style);
	struct str have, rest = buf_view(out);

	if (i->ifa_addr->sa_family == AF_INET) {
		struct in_addr a =
		    ((const struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;

		clear_host_bits((uint8_t *)&a, sizeof(a), bits);
		inet_ntop(AF_INET, &a, text, sizeof(text));
		(void)snprintf(item, sizeof(item), "%s/%u", text, bits);
	} else {
		struct in6_addr a = ((const struct sockaddr_in6 *)(void *)
		    i->ifa_addr)->sin6_addr;

		clear_host_bits((uint8_t *)&a, sizeof(a), bits);
		inet_ntop(AF_INET6, &a, text, sizeof(text));
		(void)snprintf(item, sizeof(item), "[%s]/%u", text, bits);
	}
	while (str_token(&rest, " ", &have))
		if (str_eq(have, str_of(item)))
			return;
	if (out->n > 0)
		buf_putc(out, ' ');
	buf_puts(out, item);
}

static bool
same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)a)->
		    sin_addr.s_addr == ((const struct sockaddr_in *)
		    (const void *)b)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->
	    sin6_addr, &((const struct sockaddr_in6 *)(const void *)b)->
	    sin6_addr, sizeof(struct in6_addr)) == 0;
}

static bool
is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)a)->
		    sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)
	    (const void *)a)->sin6_addr);
}

/* Is the interface's address one of those a name of the list stands for? */
static bool
name_has(struct conf *c, struct str name, const struct sockaddr *addr)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *all = NULL;
	bool found = false;

	if (name.n > 1 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = str_first(str_from(name, 1), name.n - 2);
	if (getaddrinfo(arena_cstr(c->mem, name), NULL, &want, &all) != 0)
		return false;
	for (struct addrinfo *a = all; a != NULL && !found; a = a->ai_next)
		found = (a->ai_family == AF_INET || a->ai_family == AF_INET6)
		    && same_address(a->ai_addr, addr);
	freeaddrinfo(all);
	return found;
}

static bool
is_ours(struct conf *c, struct str list, const struct ifaddrs *i)
{
	struct str name;

	if ((i->ifa_flags & IFF_UP) == 0 || i->ifa_netmask == NULL)
		return false;
	if (str_eq(list, STR("all")))
		return true;
	if (str_eq(list, STR("loopback-only")))
		return is_loopback(i->ifa_addr);
	while (conf_list_next(&list, &name))
		if (name_has(c, name, i->ifa_addr))
			return true;
	return false;
}

static bool
uses_family(struct str protocols, int family)
{
	struct str one;

	while (conf_list_next(&protocols, &one))
		if (str_eq_nocase(one, STR("all")) || str_eq_nocase(one,
		    family == AF_INET ? STR("ipv4") : STR("ipv6")))
			return true;
	return false;
}

static struct str
my_networks(struct conf *c)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct str style = conf_get(c, "mynetworks_style");
	struct str list = conf_get(c, "inet_interfaces");
	struct str protocols = conf_get(c, "inet_protocols");
	struct ifaddrs *all = NULL;
	struct buf out;
	struct str result;
	enum style s = str_eq_nocase(style, STR("class")) ? STYLE_CLASS :
	    str_eq_nocase(style, STR("subnet")) ? STYLE_SUBNET : STYLE_HOST;

	if (s == STYLE_HOST && !str_eq_nocase(style, STR("host")) &&
	    c->problems != NULL)
		problem_add(c->problems, true, NULL, 0, "bad "
		    "mynetworks_style value: " STRF ": say class, subnet or "
		    "host", STRV(style));
	if (getifaddrs(&all) != 0)
		return STR("127.0.0.0/8 [::1]/128");
	buf_init(&out, NETWORKS_MAX);
	for (size_t f = 0; f < nitems(families); f++)
		for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
			if (i->ifa_addr != NULL &&
			    i->ifa_addr->sa_family == families[f] &&
			    uses_family(protocols, families[f]) &&
			    is_ours(c, list, i))
				add_network(&out, i, s);
	freeifaddrs(all);
	result = arena_str(c->mem, buf_view(&out));
	buf_free(&out);
	return result;
}

static const struct host_row {
	const char	*name;
	struct str	(*compute)(struct conf *);
	const char	*meanwhile;	/* for who asks while it is computed */
} rows[] = {
	{ "myhostname", my_hostname, "localhost" },
	{ "mydomain", my_domain, "localdomain" },
	{ "mynetworks", my_networks, "" },
};

/* myhostname = host.$mydomain leads back here: then the stand-in counts. */
bool
host_default(struct conf *c, struct str name, struct str *out)
{
	for (unsigned i = 0; i < nitems(rows); i++) {
		if (!str_eq(name, str_of(rows[i].name)))
			continue;
		if ((c->computing & 1u << i) != 0) {
			*out = str_of(rows[i].meanwhile);
			return true;
		}
		c->computing |= 1u << i;
		*out = rows[i].compute(c);
		c->computing &= ~(1u << i);
		return true;
	}
	return false;
}
