/*
 * tlskey_files - which keys and certificates main.cf and master.cf name, and
 * their bytes, read while we are root: keys are often root's alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "address/address.h"
#include "auth/tlskey.h"
#include "sys/sys.h"
#include "table/table.h"

#define PEM_MAX		(1 << 18)	/* bytes of one file */
#define NAMES_MAX	10000		/* server names of one site */

static struct source *
source_new(struct site *site, const char *where, struct str name)
{
	struct source *s = mem_new(sizeof(*s));

	s->where = where;
	s->file = conf_where(site->conf, str_of(where), &s->line);
	s->name = name.n > 0 ? mem_copy(name) : NULL;
	buf_init(&s->key_pem, PEM_MAX);
	buf_init(&s->cert_pem, PEM_MAX);
	list_append(&site->sources, &s->link);
	return s;
}

/* Reads one; what can't be read is a problem, and an empty text. */
static void
read_pem(struct tlskey *t, struct source *s, const char *path, struct buf *out,
    struct problems *p)
{
	int err = file_read(AT_FDCWD, path, PEM_MAX, out);

	watch_file(t, path);
	if (err == 0)
		return;
	buf_clear(out);
	problem_add(p, service_checks(t->service), s->file, s->line,
	    "%s: %s: %s", s->where, path, strerror(err));
}

static void
read_pair(struct tlskey *t, struct source *s, struct problems *p)
{
	read_pem(t, s, s->cert_path, &s->cert_pem, p);
	if (strcmp(s->cert_path, s->key_path) == 0)
		buf_str(&s->key_pem, buf_view(&s->cert_pem));
	else
		read_pem(t, s, s->key_path, &s->key_pem, p);
}

/* "none", as in Postfix, is no file. */
static struct str
file_of(struct site *site, const char *name)
{
	struct str value = conf_get(site->conf, name);

	return str_eq(value, STR("none")) ? STR("") : value;
}

/* The three pairs, where chain_files names nothing: as Postfix has it. */
static void
read_pairs(struct tlskey *t, struct site *site, const char *const names[][2],
    struct problems *p)
{
	for (size_t i = 0; names[i][0] != NULL; i++) {
		struct str cert = file_of(site, names[i][0]);
		struct source *s;

		if (cert.n == 0)
			continue;
		s = source_new(site, names[i][0], STR(""));
		s->cert_path = mem_copy(cert);
		s->key_path = mem_copy(file_of(site, names[i][1]));
		read_pair(t, s, p);
	}
}

/* Keys and chains, one after another: each key begins a new one. */
static void
split_chains(struct site *site, const char *where, struct str name,
    struct str text)
{
	struct source *s = NULL;
	struct str line;
	bool in_key = false;

	while (text.n > 0) {
		size_t n = str_chr(text, '\n');

		line = str_first(text, n + 1);
		text = str_from(text, n + 1);
		if (str_starts(line, STR("-----BEGIN "))) {
			in_key = memmem(line.p, line.n, "PRIVATE KEY", 11) !=
			    NULL;
			if (in_key || s == NULL)
				s = source_new(site, where, name);
		}
		if (s != NULL)
			buf_str(in_key ? &s->key_pem : &s->cert_pem, line);
	}
}

static void
read_chain_files(struct tlskey *t, struct site *site, const char *where,
    struct str list, struct problems *p)
{
	struct buf all, one;
	struct source at = { .where = where };
	struct str item;

	buf_init(&all, 4 * PEM_MAX);
	buf_init(&one, PEM_MAX);
	at.file = conf_where(site->conf, str_of(where), &at.line);
	while (conf_list_next(&list, &item)) {
		char *path = mem_copy(item);

		buf_clear(&one);
		read_pem(t, &at, path, &one, p);
		buf_str(&all, buf_view(&one));
		buf_putc(&all, '\n');
		mem_free(path);
	}
	split_chains(site, where, STR(""), buf_view(&all));
	buf_free(&all);
	buf_free(&one);
}

/* --- by server name --- */

struct walk { struct tlskey *t; struct site *site; size_t n; bool bad; };

static bool
on_entry(void *ctx, struct str key, struct str value)
{
	struct walk *w = ctx;
	struct buf pem;

	buf_init(&pem, 4 * PEM_MAX);
	w->bad |= !base64_decode(str_trim(value), &pem) ||
	    ++w->n > NAMES_MAX;
	if (!w->bad)
		split_chains(w->site, "tls_server_sni_maps", key,
		    buf_view(&pem));
	buf_free(&pem);
	return !w->bad;
}

/*
 * Tables made by postmap -F: base64 of the files. Each is read whole now,
 * since nothing can be opened later.
 */
static void
read_maps(struct tlskey *t, struct site *site, struct problems *p)
{
	struct str list = conf_get(site->conf, "tls_server_sni_maps"), item;
	struct walk w = { .t = t, .site = site };
	const char *file, *wrong;
	struct table *table;
	struct buf why;
	int line = 0;

	file = conf_where(site->conf, STR("tls_server_sni_maps"), &line);
	buf_init(&why, 4096);
	while (conf_list_next(&list, &item)) {
		buf_clear(&why);
		wrong = NULL;
		table = table_open(item, conf_dir(site->conf), TABLE_FOLD,
		    &why);
		if (table == NULL)
			wrong = buf_cstr(&why);
		else if (table_each(table, on_entry, &w) != FOUND)
			wrong = "this type of table can't be listed: use "
			    "lmdb, cdb or texthash, or "
			    "tls_server_sni_directory";
		if (w.bad)
			wrong = "a value is no base64 of keys and "
			    "certificates; make it with postmap -F";
		if (wrong != NULL)
			problem_add(p, service_checks(t->service), file, line,
			    "tls_server_sni_maps: " STRF ": %s", STRV(item),
			    wrong);
		else
			watch_table(t, item);
		table_free(&table);
	}
	buf_free(&why);
}

/* NAME.pem, or a directory NAME as certbot has them. */
static void
read_named(struct tlskey *t, struct site *site, const char *dir,
    const char *entry, struct problems *p)
{
	struct str name = str_of(entry);
	struct source *s;
	struct buf path;
	struct buf pem;

	buf_init(&path, 4096);
	buf_init(&pem, PEM_MAX);
	if (str_ends_nocase(name, STR(".pem"))) {
		struct source at = { .where = "tls_server_sni_directory" };

		name = str_first(name, name.n - 4);
		buf_printf(&path, "%s/%s", dir, entry);
		if (address_hostname_valid(name)) {
			read_pem(t, &at, buf_cstr(&path), &pem, p);
			split_chains(site, at.where, name, buf_view(&pem));
		}
	} else if (address_hostname_valid(name)) {
		buf_printf(&path, "%s/%s/fullchain.pem", dir, entry);
		if (file_read(AT_FDCWD, buf_cstr(&path), PEM_MAX, &pem) == 0) {
			s = source_new(site, "tls_server_sni_directory", name);
			s->cert_path = mem_copy(buf_view(&path));
			buf_clear(&path);
			buf_printf(&path, "%s/%s/privkey.pem", dir, entry);
			s->key_path = mem_copy(buf_view(&path));
			read_pair(t, s, p);
		}
	}
	buf_free(&path);
	buf_free(&pem);
}

static void
read_directory(struct tlskey *t, struct site *site, struct problems *p)
{
	static const char where[] = "tls_server_sni_directory";
	char *path = mem_copy(conf_get(site->conf, where));
	const struct dirent *e;
	const char *file;
	size_t n = 0;
	int line = 0;
	DIR *dir;

	if (*path == '\0') {
		mem_free(path);
		return;
	}
	file = conf_where(site->conf, str_of(where), &line);
	dir = opendir(path);
	if (dir == NULL)
		problem_add(p, service_checks(t->service), file, line,
		    "%s: %s: %s", where, path, strerror(errno));
	while (dir != NULL && n++ < NAMES_MAX && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			read_named(t, site, path, e->d_name, p);
	if (dir != NULL)
		closedir(dir);
	watch_directory(t, path);
	mem_free(path);
}

/* --- sites --- */

static void
read_own(struct tlskey *t, struct site *site, const char *chain_files,
    const char *const pairs[][2], struct problems *p)
{
	struct str chains = conf_get(site->conf, chain_files);

	if (chains.n > 0)
		read_chain_files(t, site, chain_files, chains, p);
	else
		read_pairs(t, site, pairs, p);
}

static void
read_site(struct tlskey *t, struct site *site, struct problems *p)
{
	static const char *const server[][2] = {
		{ "smtpd_tls_cert_file", "smtpd_tls_key_file" },
		{ "smtpd_tls_eccert_file", "smtpd_tls_eckey_file" },
		{ "smtpd_tls_dcert_file", "smtpd_tls_dkey_file" },
		{ NULL, NULL }
	};
	static const char *const smtp[][2] = {
		{ "smtp_tls_cert_file", "smtp_tls_key_file" },
		{ "smtp_tls_eccert_file", "smtp_tls_eckey_file" },
		{ "smtp_tls_dcert_file", "smtp_tls_dkey_file" },
		{ NULL, NULL }
	};
	static const char *const lmtp[][2] = {
		{ "lmtp_tls_cert_file", "lmtp_tls_key_file" },
		{ "lmtp_tls_eccert_file", "lmtp_tls_eckey_file" },
		{ "lmtp_tls_dcert_file", "lmtp_tls_dkey_file" },
		{ NULL, NULL }
	};

	if (strcmp(site->side, "smtp") == 0)
		read_own(t, site, "smtp_tls_chain_files", smtp, p);
	else if (strcmp(site->side, "lmtp") == 0)
		read_own(t, site, "lmtp_tls_chain_files", lmtp, p);
	if (strcmp(site->side, "smtpd") != 0)
		return;
	read_own(t, site, "smtpd_tls_chain_files", server, p);
	read_maps(t, site, p);
	read_directory(t, site, p);
}

static struct site *
key_site_new(struct tlskey *t, struct str service, const char *side,
    struct conf *conf)
{
	struct site *s = mem_new(sizeof(*s));

	s->service = service;
	s->side = side;
	s->conf = conf;
	list_init(&s->sources);
	s->names = map_new();
	list_append(&t->sites, &s->link);
	return s;
}

void
key_files_read(struct tlskey *t, struct conf *main_cf, struct problems *p)
{
	static const char *const sides[] = { "smtpd", "smtp", "lmtp" };
	struct master_cf services = { 0 };
	struct conf *conf;

	for (size_t i = 0; i < nitems(sides); i++)
		read_site(t, key_site_new(t, STR(""), sides[i], main_cf), p);
	if (!master_cf_load(main_cf, &services, p))
		return;
	for (size_t i = 0; i < services.n; i++) {
		const struct master_entry *e = &services.v[i];

		for (size_t k = 0; e->noverrides > 0 && k < nitems(sides);
		    k++) {
			if (!str_eq(e->command, str_of(sides[k])))
				continue;
			conf = conf_load(conf_dir(main_cf), p);
			conf_override(conf, STR("service_name"), e->name);
			for (size_t o = 0; o < e->noverrides; o++)
				conf_override(conf, e->overrides[o].name,
				    e->overrides[o].value);
			read_site(t, key_site_new(t, e->name, sides[k], conf), p);
		}
	}
}
