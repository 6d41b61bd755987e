/*
 * match - lists of domains, hosts and networks: match_list of Postfix.
 *
 * The first pattern that fits decides; "!" before it turns the answer round.
 * /file stands for the patterns in it, type:name for the keys of a table.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "address/address.h"
#include "conf/conf.h"
#include "sys/sys.h"
#include "table/internal.h"

#define FILE_MAX	(4 << 20)	/* bytes of a /file */
#define NESTED_MAX	10		/* files in files */
#define NAME_MAX_BYTES	1024		/* a longer name matches nothing */

struct pattern {
	bool	      yes;	/* false: "!" */
	struct table *table;	/* or text, folded */
	struct str    text;
	bool	      broken;	/* a file that could not be read */
};
struct match_list {
	struct arena   *memory;
	struct pattern *v;
	size_t		n;
	unsigned	flags;
	const char     *conf_dir;
	struct buf	name, value;
};

static void	  add_all(struct match_list *, struct str list, bool yes,
		    unsigned depth, struct buf *why);
static void	  add_file(struct match_list *, struct str path, bool yes,
		    unsigned depth, struct buf *why);
static struct pattern *add(struct match_list *, bool yes);
static bool	  is_bad_net(struct str net);
static bool	  names_table(struct str item);
static struct str folded(struct match_list *, struct str name);
static enum found match_name(struct match_list *, const struct pattern *,
		    struct str name);
static enum found match_table(struct match_list *, struct table *,
		    struct str name);
static enum found match_addr(struct match_list *, const struct pattern *,
		    struct str addr);
static bool	  is_below(struct str name, struct str parent);

struct match_list *
match_list_open(struct str list, const char *conf_dir, unsigned flags,
    struct buf *why)
{
	struct match_list *m = mem_new(sizeof(*m));

	m->memory = arena_new(SIZE_MAX);
	m->flags = flags;
	m->conf_dir = conf_dir;
	buf_init(&m->name, NAME_MAX_BYTES * TABLE_FOLD_GROWTH);
	buf_init(&m->value, TABLE_VALUE_MAX);
	add_all(m, list, true, 0, why);
	return m;
}

unsigned
match_parent(struct conf *conf, const char *parameter)
{
	struct str list = conf_get(conf, "parent_domain_matches_subdomains");
	struct str item;

	while (conf_list_next(&list, &item))
		if (str_eq_nocase(item, str_of(parameter)))
			return MATCH_PARENT;
	return 0;
}

void
match_list_free(struct match_list **mp)
{
	struct match_list *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n; i++)
		table_free(&m->v[i].table);
	mem_free(m->v);
	arena_free(&m->memory);
	buf_free(&m->name);
	buf_free(&m->value);
	mem_free(m);
}

enum found
match_list_domain(struct match_list *m, struct str name)
{
	if (m == NULL || name.n == 0 || name.n > NAME_MAX_BYTES)
		return NONE;
	name = folded(m, name);
	for (size_t i = 0; i < m->n; i++) {
		enum found found = match_name(m, &m->v[i], name);

		if (found == FOUND)
			return m->v[i].yes ? FOUND : NONE;
		if (found == RETRY)
			return RETRY;
	}
	return NONE;
}

enum found
match_list_addr(struct match_list *m, struct str name, struct str addr)
{
	if (m == NULL || name.n > NAME_MAX_BYTES)
		return NONE;
	name = folded(m, name);
	for (size_t i = 0; i < m->n; i++) {
		enum found found = name.n == 0 ? NONE :
		    match_name(m, &m->v[i], name);

		if (found == NONE)
			found = match_addr(m, &m->v[i], addr);
		if (found == FOUND)
			return m->v[i].yes ? FOUND : NONE;
		if (found == RETRY)
			return RETRY;
	}
	return NONE;
}

static void
add_all(struct match_list *m, struct str list, bool yes, unsigned depth,
    struct buf *why)
{
	struct str item;

	while (conf_list_next(&list, &item)) {
		bool sense = yes;
		struct pattern *p;

		for (; item.n > 0 && item.p[0] == '!'; item = str_from(item, 1))
			sense = !sense;
		if (item.n == 0) {
			buf_printf(why, "%sno pattern after '!'",
			    why->n > 0 ? "; " : "");
			continue;
		}
		if (item.p[0] == '/') {
			add_file(m, item, sense, depth, why);
			continue;
		}
		p = add(m, sense);
		if (names_table(item)) {
			struct buf one;

			buf_init(&one, 2000);
			/* Names are folded here, tables when they are made. */
			p->table = table_open_lazy(item, m->conf_dir,
			    m->flags & MATCH_FIXED ? TABLE_FIXED : 0,
			    &one);
			if (one.n > 0)
				buf_printf(why, "%s%s", why->n > 0 ? "; " : "",
				    buf_cstr(&one));
			buf_free(&one);
			continue;
		}
		p->text = arena_str(m->memory, folded(m, item));
		if (is_bad_net(p->text)) {
			buf_printf(why, "%sbad net/mask pattern: " STRF,
			    why->n > 0 ? "; " : "", STRV(item));
			p->broken = true;
		}
	}
}

/* "192.0.2.1/24": bits of the host are set; "1.2.3.4/33". */
static bool
is_bad_net(struct str net)
{
	uint8_t any[16] = { 0 };
	bool valid = true;

	if (str_chr(net, '/') < net.n)
		(void)ip_in_net(any, AF_INET, net, &valid);
	return !valid;
}

static void
add_file(struct match_list *m, struct str path, bool yes, unsigned depth,
    struct buf *why)
{
	struct buf text, line;
	int next = 1, at, err;
	struct str rest;

	buf_init(&text, FILE_MAX);
	buf_init(&line, FILE_MAX);
	err = depth >= NESTED_MAX ? ELOOP : file_read(AT_FDCWD,
	    arena_cstr(m->memory, path), FILE_MAX, &text);
	if (err != 0) {
		buf_printf(why, "%sopen file " STRF ": %s",
		    why->n > 0 ? "; " : "", STRV(path), strerror(err));
		add(m, yes)->broken = true;
	}
	rest = buf_view(&text);
	while (err == 0 && table_next_line(&rest, &next, &at, &line))
		add_all(m, buf_view(&line), yes, depth + 1, why);
	buf_free(&text);
	buf_free(&line);
}

static struct pattern *
add(struct match_list *m, bool yes)
{
	m->v = mem_grow(m->v, m->n + 1, sizeof(struct pattern));
	m->v[m->n] = (struct pattern){ .yes = yes };
	return &m->v[m->n++];
}

/* "type:name", but neither "[2001:db8::]/32" nor "2001:db8::1". */
static bool
names_table(struct str item)
{
	size_t colon = str_chr(item, ':');
	uint8_t ip[16];

	if (colon == item.n || item.p[0] == '[')
		return false;
	return ip_parse(str_first(item, str_chr(item, '/')), ip) == 0;
}

/* In lower case; good until the next call. */
static struct str
folded(struct match_list *m, struct str name)
{
	buf_clear(&m->name);
	table_fold(name, &m->name);
	return buf_view(&m->name);
}

static enum found
match_name(struct match_list *m, const struct pattern *p, struct str name)
{
	if (p->broken)
		return RETRY;
	if (p->table != NULL)
		return match_table(m, p->table, name);
	if (str_eq(name, p->text))
		return FOUND;
	if ((m->flags & MATCH_WHOLE) != 0)
		return NONE;
	if ((m->flags & MATCH_PARENT) != 0)
		return is_below(name, p->text) ? FOUND : NONE;
	if (p->text.p[0] != '.' || name.n <= p->text.n)
		return NONE;
	return str_eq(str_from(name, name.n - p->text.n), p->text) ? FOUND :
	    NONE;
}

/* The name and, in tables of whole keys, the domains above it. */
static enum found
match_table(struct match_list *m, struct table *t, struct str name)
{
	enum found found;

	for (;;) {
		size_t dot;

		found = table_get(t, name, &m->value);
		if (found != NONE || (m->flags & MATCH_WHOLE) != 0 ||
		    t->type == NULL || (t->traits & WHOLE_KEYS) == 0)
			break;
		dot = 1 + str_chr(str_from(name, 1), '.');
		if (dot >= name.n)
			break;
		name = str_from(name, dot +
		    ((m->flags & MATCH_PARENT) != 0 ? 1 : 0));
		if (name.n == 0)
			break;
	}
	if (found == RETRY)
		log_warn("%s", table_error(t));
	return found;
}

static enum found
match_addr(struct match_list *m, const struct pattern *p, struct str addr)
{
	uint8_t ip[16];
	int family = ip_parse(addr, ip);
	bool valid = true;

	if (p->broken)
		return RETRY;
	if (family == 0)
		return NONE;
	if (p->table != NULL) {
		enum found found = table_get(p->table, addr, &m->value);

		if (found == RETRY)
			log_warn("%s", table_error(p->table));
		return found;
	}
	if (str_eq_nocase(addr, p->text))
		return FOUND;
	if (ip_in_net(ip, family, p->text, &valid))
		return FOUND;
	return NONE;
}

static bool
is_below(struct str name, struct str parent)
{
	return name.n > parent.n && parent.n > 0 &&
	    name.p[name.n - parent.n - 1] == '.' &&
	    str_eq(str_from(name, name.n - parent.n), parent);
}
