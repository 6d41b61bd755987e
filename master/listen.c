/*
 * listen - which sockets the plan asks for: inet lines of master.cf on the
 * addresses of inet_interfaces, and the UNIX sockets of commands.
 *
 * A socket is known by its name ("127.0.0.1:25"). What is open already and
 * still wanted is kept, so that a reload never refuses a client.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

#include "master/master.h"

/* Where commands of users and of root reach daemons; public/ is setgid's. */
static const struct {
	const char *name, *service;
	enum role   role;
} unix_sockets[] = {
	{ "public/pickup", "pickup", ROLE_PICKUP },
	{ "public/qmgr", "qmgr", ROLE_QMGR },
	{ "public/showq", "showq", ROLE_SHOWQ },
};

static struct socket_entry *
find(struct master *m, const char *name)
{
	list_each(l, &m->sockets) {
		struct socket_entry *e = container_of(l, struct socket_entry,
		    link);

		if (strcmp(e->name, name) == 0)
			return (e);
	}
	return (NULL);
}

static void
take(struct master *m, const char *name, const char *service, enum role role,
    int fd)
{
	struct socket_entry *e = mem_new(sizeof(*e));

	e->name = mem_strdup(name);
	e->service = mem_strdup(service);
	e->role = role;
	e->fd = fd;
	e->wanted = true;
	list_append(&m->sockets, &e->link);
}

static void
drop(struct socket_entry *e)
{
	list_remove(&e->link);
	fd_close(&e->fd);
	mem_free(e->name);
	mem_free(e->service);
	mem_free(e);
}

/* Kept where its owner is the same; a service renamed takes it over. */
static bool
keep(struct master *m, const char *name, const char *service, enum role role)
{
	struct socket_entry *e = find(m, name);

	if (e == NULL)
		return (false);
	if (strcmp(e->service, service) != 0) {
		mem_free(e->service);
		e->service = mem_strdup(service);
	}
	e->role = role;
	e->wanted = true;
	return (true);
}

static void
print_address(const struct sockaddr *sa, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(out, size, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		const struct sockaddr_in *in = (const void *)sa;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, ntohs(in->sin_port));
	}
}

static void
listen_one(struct master *m, const struct service *s,
    const struct addrinfo *ai, const char *file, struct problems *problems)
{
	char name[INET6_ADDRSTRLEN + 10];
	int fd;

	print_address(ai->ai_addr, name, sizeof(name));
	if (keep(m, name, s->name, s->role))
		return;
	fd = root_listen_inet(ai->ai_addr, ai->ai_addrlen);
	if (fd >= 0) {
		take(m, name, s->name, s->role, fd);
		return;
	}
	if (errno == EAFNOSUPPORT || (errno == EADDRNOTAVAIL &&
	    ai->ai_family == AF_INET6))
		return;			/* a machine without IPv6 */
	problem_add(problems, true, file, s->line, "cannot listen on %s: %s%s",
	    name, strerror(errno), errno == EADDRINUSE ?
	    "; another program listens there: stop it, or change the port" :
	    errno == EACCES ? "; ports below 1024 need root" : "");
}

/* host "" is every address. Names are asked of getaddrinfo at last. */
static void
listen_host(struct master *m, const struct service *s, struct str host,
    const char *port, struct problems *problems)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE,
		.ai_socktype = SOCK_STREAM }, *list = NULL;
	struct str protocols = conf_get(m->plan->conf, "inet_protocols");
	char file[4096], text[256];
	int error;

	snprintf(file, sizeof(file), "%s/master.cf", conf_dir(m->plan->conf));
	if (str_eq(protocols, STR("ipv4")))
		hints.ai_family = AF_INET;
	else if (str_eq(protocols, STR("ipv6")))
		hints.ai_family = AF_INET6;
	snprintf(text, sizeof(text), STRF, STRV(str_first(host, 255)));
	error = getaddrinfo(host.n == 0 ? NULL : text, port, &hints, &list);
	if (error != 0) {
		problem_add(problems, true, file, s->line, "%s port %s: %s",
		    host.n == 0 ? "all addresses" : text, port,
		    gai_strerror(error));
		return;
	}
	for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		if (ai->ai_family == AF_INET || ai->ai_family == AF_INET6)
			listen_one(m, s, ai, file, problems);
	freeaddrinfo(list);
}

static void
listen_interfaces(struct master *m, const struct service *s, const char *port,
    struct problems *problems)
{
	struct str rest = conf_get(m->plan->conf, "inet_interfaces"), item;

	while (conf_list_next(&rest, &item)) {
		if (str_eq(item, STR("all")))
			listen_host(m, s, STR(""), port, problems);
		else if (str_eq(item, STR("loopback-only"))) {
			listen_host(m, s, STR("127.0.0.1"), port, problems);
			listen_host(m, s, STR("::1"), port, problems);
		} else {
			if (item.n > 2 && item.p[0] == '[')
				item = str_first(str_from(item, 1),
				    item.n - 2);
			listen_host(m, s, item, port, problems);
		}
	}
}

/* known_tcp_ports: "lmtp=24, smtp=25, smtps=submissions=465". */
static bool
known_port(struct conf *conf, struct str name, char port[32])
{
	struct str rest = conf_get(conf, "known_tcp_ports"), item, part, last;
	bool is_it;

	while (conf_list_next(&rest, &item)) {
		is_it = false;
		last = STR("");
		while (str_token(&item, "=", &part)) {
			is_it |= str_eq(part, name);
			last = part;
		}
		if (is_it && !str_eq(last, name)) {
			snprintf(port, 32, STRF, STRV(str_first(last, 31)));
			return (true);
		}
	}
	return (false);
}

/* "smtp", "10025", "127.0.0.1:10025", "[::1]:smtp", "mail.example:25". */
static void
listen_service(struct master *m, const struct service *s,
    struct problems *problems)
{
	struct str name = str_of(s->name), host, port_name;
	size_t colon = str_rchr(name, ':');
	char port[32];

	host = colon < name.n ? str_first(name, colon) : STR("");
	port_name = colon < name.n ? str_from(name, colon + 1) : name;
	if (!known_port(m->plan->conf, port_name, port))
		snprintf(port, sizeof(port), STRF,
		    STRV(str_first(port_name, 31)));
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_first(str_from(host, 1), host.n - 2);
	if (host.n == 0)
		listen_interfaces(m, s, port, problems);
	else
		listen_host(m, s, host, port, problems);
}

static void
listen_path(struct master *m, const char *name, const char *service,
    enum role role, struct problems *problems)
{
	int fd;

	if (keep(m, name, service, role))
		return;
	fd = root_listen_unix(m->spool_fd, name, 0666);
	if (fd < 0)
		problem_add(problems, true, NULL, 0, "%s/%s: %s",
		    m->plan->spool, name, strerror(errno));
	else
		take(m, name, service, role, fd);
}

static void
listen_unix(struct master *m, struct problems *problems)
{
	struct str auth = conf_get(m->plan->conf, "auth_socket");
	char name[100];

	for (size_t i = 0; i < nitems(unix_sockets); i++)
		listen_path(m, unix_sockets[i].name, unix_sockets[i].service,
		    unix_sockets[i].role, problems);
	if (auth.n == 0)
		return;
	/* One name in a directory whose mode says who may connect. */
	if ((!str_starts(auth, STR("private/")) &&
	    !str_starts(auth, STR("public/"))) || auth.n >= sizeof(name) ||
	    str_rchr(auth, '/') != str_chr(auth, '/') ||
	    auth.p[str_chr(auth, '/') + 1] == '.') {
		problem_add(problems, true, NULL, 0, "auth_socket: say "
		    "private/NAME or public/NAME");
		return;
	}
	snprintf(name, sizeof(name), STRF, STRV(auth));
	listen_path(m, name, "auth", ROLE_AUTH, problems);
}

void
listen_check(struct master *m, struct problems *problems)
{
	list_each(l, &m->plan->services) {
		struct service *s = container_of(l, struct service, link);

		if (s->is_inet)
			listen_service(m, s, problems);
	}
}

void
plan_listen(struct master *m, struct problems *problems)
{
	list_each(l, &m->sockets)
		container_of(l, struct socket_entry, link)->wanted = false;
	listen_check(m, problems);
	listen_unix(m, problems);
	list_each(l, &m->sockets) {
		struct socket_entry *e = container_of(l, struct socket_entry,
		    link);

		if (!e->wanted)
			drop(e);
	}
}

void
sockets_close(struct master *m)
{
	list_each(l, &m->sockets)
		drop(container_of(l, struct socket_entry, link));
}
