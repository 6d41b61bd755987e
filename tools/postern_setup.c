/*
 * postern setup - a self-contained instance in a directory of its own.
 *
 * All it writes is written beside and renamed; main.cf comes last, so that
 * what was interrupted is no instance yet and a second run completes it. A
 * run over an instance adds domains and users and changes nothing else.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/table.h"
#include "tools/postern.h"

#define FILE_MAX	(1 << 22)
#define PORT_BASE	10000

struct words { const char **v; size_t n; };

struct setup {
	struct postern	*p;
	struct arena	*arena;
	const char	*dir;		/* absolute */
	const char	*hostname;
	int64_t		 port_base;
	struct words	 domains, users;
	struct owners	 owners;
	bool		 fresh;		/* no main.cf yet */
};

static void
add_word(struct words *w, const char *text)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i], text) == 0)
			return;
	w->v = mem_grow(w->v, w->n + 1, sizeof(*w->v));
	w->v[w->n++] = text;
}

static _Noreturn void
usage(void)
{
	fputs("usage: postern setup DIR [--hostname H] [--domain D]... "
	    "[--port-base N] [--user NAME]...\n", stderr);
	exit(EX_USAGE);
}

/* Letters, digits and what is no syntax of main.cf, a table or a path. */
static bool
is_plain(const char *text, const char *also)
{
	if (*text == '\0' || *text == '-' || *text == '.')
		return (false);
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) &&
		    strchr(also, *text) == NULL)
			return (false);
	return (true);
}

static const char *
need_plain(struct setup *s, const char *text, const char *also,
    const char *what)
{
	char *low = arena_cstr(s->arena, str_of(text));

	if (!is_plain(text, also))
		tool_fail(&s->p->tool, EX_USAGE, "%s \"%s\": letters, digits "
		    "and %s alone, please", what, text, also);
	for (char *c = low; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return (low);
}

static void
parse(struct setup *s, int argc, char **argv)
{
	static const struct option options[] = {
		{ "hostname", required_argument, NULL, 'h' },
		{ "domain", required_argument, NULL, 'd' },
		{ "port-base", required_argument, NULL, 'p' },
		{ "user", required_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t n;
	int c;

	s->port_base = -1;
	optind = 0;		/* begins anew: "setup" was no option */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 'h')
			s->hostname = need_plain(s, optarg, ".-",
			    "--hostname");
		else if (c == 'd')
			add_word(&s->domains, need_plain(s, optarg, ".-",
			    "--domain"));
		else if (c == 'u')
			add_word(&s->users, need_plain(s, optarg, "._-@",
			    "--user"));
		else if (c == 'p' && str_number(str_of(optarg), &n) &&
		    n <= 60000)
			s->port_base = (int64_t)n;
		else
			usage();
	if (optind + 1 != argc)
		usage();
	s->dir = argv[optind];
}

/* --- what is there, what is missing --- */

/* Lines of a file; none where there is no file. */
static struct str
read_lines(struct setup *s, const char *path)
{
	struct buf b;
	struct str out;
	int error;

	buf_init(&b, FILE_MAX);
	error = file_read(AT_FDCWD, path, FILE_MAX, &b);
	if (error != 0 && error != ENOENT)
		tool_fail(&s->p->tool, EX_OSERR, "%s: %s", path,
		    strerror(error));
	out = arena_str(s->arena, buf_view(&b));
	buf_free(&b);
	return (out);
}

static void
write_file(struct setup *s, const char *path, struct str text)
{
	int error = file_replace(AT_FDCWD, path, text, 0644);

	if (error != 0)
		tool_fail(&s->p->tool, EX_CANTCREAT, "%s: %s", path,
		    strerror(error));
}

static const char *
path_of(struct setup *s, const char *name)
{
	return (arena_printf(s->arena, "%s/%s", s->dir, name));
}

/*
 * A directory, of this owner (root's instances) and mode. What is there
 * already keeps both, unless it is not its owner's.
 */
static void
make_dir(struct setup *s, const char *name, mode_t mode, bool of_mail)
{
	const char *path = path_of(s, name);
	bool made = mkdir(path, mode) == 0;
	struct stat st;
	int fd;

	if (!made && errno != EEXIST)
		tool_fail(&s->p->tool, EX_CANTCREAT, "%s: %s", path,
		    strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		tool_fail(&s->p->tool, EX_CANTCREAT, "%s: %s", path,
		    strerror(errno));
	if (made && fchmod(fd, mode) != 0)
		tool_fail(&s->p->tool, EX_OSERR, "%s: %s", path,
		    strerror(errno));
	if (of_mail && st.st_uid != s->owners.mail_uid && geteuid() == 0 &&
	    fchown(fd, s->owners.mail_uid, s->owners.mail_gid) != 0)
		tool_fail(&s->p->tool, EX_OSERR, "%s: %s", path,
		    strerror(errno));
	fd_close(&fd);
}

static void
make_top(struct setup *s)
{
	int error = file_make_dirs(s->dir, 0755);
	char full[PATH_MAX];
	struct stat st;

	if (error != 0)
		tool_fail(&s->p->tool, EX_CANTCREAT, "%s: %s", s->dir,
		    strerror(error));
	if (realpath(s->dir, full) == NULL || stat(full, &st) != 0)
		tool_fail(&s->p->tool, EX_CANTCREAT, "%s: %s", s->dir,
		    strerror(errno));
	if (!is_plain(full, "/._-+@"))
		tool_fail(&s->p->tool, EX_USAGE, "%s: a path of letters, "
		    "digits and /._-+@ alone, please: it goes into main.cf",
		    full);
	s->dir = arena_cstr(s->arena, str_of(full));
	if (geteuid() == 0 && (st.st_mode & 0011) != 0011) {
		if (chmod(full, st.st_mode | 0755) != 0)
			tool_fail(&s->p->tool, EX_OSERR, "%s: %s", full,
			    strerror(errno));
		printf("set %s to mode 0755: the daemons' users pass "
		    "through it\n", full);
	}
}

/* The daemons' users must get down to DIR. */
static void
warn_of_parents(struct setup *s)
{
	char *path = arena_cstr(s->arena, str_of(s->dir)), *slash;
	struct stat st;

	if (geteuid() != 0)
		return;
	while ((slash = strrchr(path, '/')) != NULL && slash != path) {
		*slash = '\0';
		if (stat(path, &st) == 0 && (st.st_mode & 0001) == 0)
			tool_warn(&s->p->tool, "%s has mode %04o: user %s "
			    "cannot pass through it; chmod o+x %s", path,
			    st.st_mode & 07777, s->owners.mail_user, path);
	}
}

static void
default_names(struct setup *s)
{
	char name[256] = "localhost";
	struct str host;
	size_t dot;

	if (s->hostname == NULL) {
		if (gethostname(name, sizeof(name) - 1) != 0)
			tool_warn(&s->p->tool, "gethostname: %s",
			    strerror(errno));
		s->hostname = strchr(name, '.') != NULL ?
		    need_plain(s, name, ".-", "hostname") :
		    arena_printf(s->arena, "%s.localdomain",
		    need_plain(s, name, ".-", "hostname"));
	}
	if (s->domains.n > 0)
		return;
	host = str_of(s->hostname);
	dot = str_chr(host, '.');
	add_word(&s->domains, dot + 1 < host.n ?
	    arena_cstr(s->arena, str_from(host, dot + 1)) : "localdomain");
}

/* --- tables --- */

/* Is there a line that begins with this key? */
static bool
has_key(struct str lines, struct str key)
{
	struct str line, word;

	while (str_token(&lines, "\n", &line))
		if (str_token(&line, " \t:", &word) &&
		    str_eq_nocase(word, key))
			return (true);
	return (false);
}

struct rows { struct str old; struct buf new; };

static void
rows_begin(struct setup *s, struct rows *t, const char *name,
    const char *comment)
{
	t->old = read_lines(s, path_of(s, name));
	buf_init(&t->new, FILE_MAX);
	buf_str(&t->new, t->old);
	if (t->old.n == 0)
		buf_puts(&t->new, comment);
	else if (t->old.p[t->old.n - 1] != '\n')
		buf_putc(&t->new, '\n');
}

static void
row_put(struct rows *t, const char *key, const char *gap,
    const char *value)
{
	if (!has_key(t->old, str_of(key)))
		buf_printf(&t->new, "%s%s%s\n", key, gap, value);
}

static void
rows_end(struct setup *s, struct rows *t, const char *name)
{
	if (!str_eq(t->old, buf_view(&t->new))) {
		write_file(s, path_of(s, name), buf_view(&t->new));
		printf("%s %s/%s\n", t->old.n == 0 ? "made" : "added to",
		    s->dir, name);
	}
	buf_free(&t->new);
}

static void
write_domains(struct setup *s)
{
	struct rows t;
	struct str rest, line, word;

	rows_begin(s, &t, "etc/domains", "# Domains of virtual mailboxes, "
	    "one a line (virtual_mailbox_domains).\n");
	for (size_t i = 0; i < s->domains.n; i++)
		row_put(&t, s->domains.v[i], "", "");
	rest = arena_str(s->arena, buf_view(&t.new));
	rows_end(s, &t, "etc/domains");
	/* All that there are now: make_dir() for each is harmless. */
	while (str_token(&rest, "\n", &line))
		if (str_token(&line, " \t", &word) && word.p[0] != '#')
			make_dir(s, arena_printf(s->arena, "mail/" STRF,
			    STRV(word)), 0700, true);
}

static void
add_mailbox(struct setup *s, struct rows *t, const char *user,
    const char *domain)
{
	static const char *const parts[] = { "", "/tmp", "/new", "/cur" };

	for (size_t i = 0; i < nitems(parts); i++)
		make_dir(s, arena_printf(s->arena, "mail/%s/%s%s", domain,
		    user, parts[i]), 0700, true);
	row_put(t, arena_printf(s->arena, "%s@%s", user, domain), "\t",
	    arena_printf(s->arena, "%s/%s/", domain, user));
}

static void
write_mailboxes(struct setup *s)
{
	struct rows t;

	rows_begin(s, &t, "etc/vmailbox", "# Virtual mailboxes: address, "
	    "Maildir below virtual_mailbox_base.\n");
	for (size_t u = 0; u < s->users.n; u++) {
		struct str user = str_of(s->users.v[u]);
		size_t at = str_rchr(user, '@');

		if (at < user.n) {
			add_mailbox(s, &t, arena_cstr(s->arena,
			    str_first(user, at)), user.p + at + 1);
			continue;
		}
		for (size_t d = 0; d < s->domains.n; d++)
			add_mailbox(s, &t, user.p, s->domains.v[d]);
	}
	rows_end(s, &t, "etc/vmailbox");
}

/* The first mailbox there is gets the postmaster's mail. */
static const char *
first_mailbox(struct setup *s)
{
	struct str rest = read_lines(s, path_of(s, "etc/vmailbox")), line,
	    word;

	while (str_token(&rest, "\n", &line))
		if (str_token(&line, " \t", &word) && word.p[0] != '#')
			return (arena_cstr(s->arena, word));
	return (NULL);
}

static void
write_virtual(struct setup *s)
{
	static const char *const names[] = { "postmaster", "abuse", "root" };
	const char *first = first_mailbox(s);
	struct rows t;

	rows_begin(s, &t, "etc/virtual", "# Addresses that stand for others "
	    "(virtual_alias_maps).\n");
	for (size_t d = 0; first != NULL && d < s->domains.n; d++)
		for (size_t i = 0; i < nitems(names); i++)
			row_put(&t, arena_printf(s->arena, "%s@%s",
			    names[i], s->domains.v[d]), "\t", first);
	rows_end(s, &t, "etc/virtual");
}

/* aliases(5) as a table, without what postalias(1) is for. */
static void
compile_aliases(struct setup *s)
{
	struct str rest = read_lines(s, path_of(s, "etc/aliases")), line, key;
	const char *spec = arena_printf(s->arena, "lmdb:%s/etc/aliases",
	    s->dir);
	struct table_maker *maker;
	struct buf why;
	bool there;
	bool good;

	buf_init(&why, 4096);
	maker = table_make(str_of(spec), 0644, &why);
	good = maker != NULL;
	while (good && str_token(&rest, "\n", &line)) {
		size_t colon = str_chr(line, ':');

		key = str_trim(str_first(line, colon));
		if (colon < line.n && key.p[0] != '#')
			good = table_put(maker, key, str_trim(
			    str_from(line, colon + 1)), &there, &why);
	}
	if (!good || !table_finish(&maker, &why))
		tool_fail(&s->p->tool, EX_CANTCREAT, "%s: %s", spec,
		    buf_cstr(&why));
	buf_free(&why);
}

static void
write_aliases(struct setup *s)
{
	const char *first = first_mailbox(s);
	struct rows t;

	if (read_lines(s, path_of(s, "etc/aliases")).n > 0)
		return;			/* the administrator's, and postalias's */
	rows_begin(s, &t, "etc/aliases", "# Aliases of this machine's own "
	    "users; run newaliases after a change.\n");
	row_put(&t, "mailer-daemon", ": ", "postmaster");
	row_put(&t, "postmaster", ": ", "root");
	if (first != NULL)
		row_put(&t, "root", ": ", first);
	rows_end(s, &t, "etc/aliases");
	compile_aliases(s);
}

/* --- main.cf, master.cf --- */

/* A line that says what it is, then the parameter. */
static void
put(struct buf *b, const char *comment, const char *name, const char *value)
{
	buf_printf(b, "# %s\n%s = %s\n", comment, name, value);
}

static const char *
local_domains(struct setup *s)
{
	for (size_t i = 0; i < s->domains.n; i++)
		if (strcmp(s->domains.v[i], s->hostname) == 0)
			return ("localhost.$mydomain, localhost");
	return ("$myhostname, localhost.$mydomain, localhost");
}

static void
put_places(struct setup *s, struct buf *b)
{
	put(b, "The queue.", "queue_directory", path_of(s, "spool"));
	put(b, "What daemons remember.", "data_directory",
	    path_of(s, "data"));
	put(b, "Log lines go here instead of to syslog.", "maillog_file",
	    path_of(s, "log/mail.log"));
	put(b, "Where maillog_file may be.", "maillog_file_prefixes",
	    arena_printf(s->arena, "%s, /dev/stdout", path_of(s, "log")));
	put(b, "Who may read the log.", "maillog_file_permissions", "0644");
	put(b, "Who owns the queue; who talks to the network; who keeps "
	    "secrets.", "mail_owner", s->owners.queue);
	buf_printf(b, "postern_net_user = %s\npostern_auth_user = %s\n"
	    "postern_pam_user = %s\n", s->owners.net, s->owners.auth,
	    s->owners.pam);
	put(b, "The group of postdrop and postqueue.", "setgid_group",
	    s->owners.group);
}

static void
put_mail(struct setup *s, struct buf *b)
{
	char number[32];

	put(b, "Domains whose mail is for users of this machine.",
	    "mydestination", local_domains(s));
	put(b, "Aliases of those users, and what newaliases builds.",
	    "alias_maps", arena_printf(s->arena, "lmdb:%s",
	    path_of(s, "etc/aliases")));
	buf_puts(b, "alias_database = $alias_maps\n");
	put(b, "Domains of virtual mailboxes, one a line.",
	    "virtual_mailbox_domains", path_of(s, "etc/domains"));
	put(b, "Which addresses have one, and where.",
	    "virtual_mailbox_maps", arena_printf(s->arena, "texthash:%s",
	    path_of(s, "etc/vmailbox")));
	put(b, "Where mailboxes are.", "virtual_mailbox_base",
	    path_of(s, "mail"));
	snprintf(number, sizeof(number), "static:%u",
	    (unsigned)s->owners.mail_uid);
	put(b, "The user and group who own them.", "virtual_uid_maps",
	    number);
	buf_printf(b, "virtual_gid_maps = static:%u\n",
	    (unsigned)s->owners.mail_gid);
	if (s->owners.mail_uid < 100)
		buf_printf(b, "virtual_minimum_uid = %u\n",
		    (unsigned)s->owners.mail_uid);
	put(b, "Addresses that stand for others.", "virtual_alias_maps",
	    arena_printf(s->arena, "texthash:%s", path_of(s, "etc/virtual")));
}

static void
write_main_cf(struct setup *s)
{
	struct buf b;

	buf_init(&b, FILE_MAX);
	buf_printf(&b, "# Made by postern setup. Parameters: postconf(5); what "
	    "is not here has its\n# default. After a change: postern -c %s "
	    "reload\n\n", path_of(s, "etc"));
	put(&b, "The release whose defaults this file was written for.",
	    "compatibility_level", "3.6");
	put(&b, "This machine's name in mail.", "myhostname", s->hostname);
	put(&b, "The domain of addresses without one.", "myorigin",
	    s->domains.v[0]);
	put(&b, "Listen on this machine's own address alone.",
	    "inet_interfaces", "127.0.0.1");
	put(&b, "Clients that may send to anywhere.", "mynetworks",
	    "127.0.0.0/8, [::1]/128");
	put(&b, "user+folder is user's mail.", "recipient_delimiter", "+");
	buf_putc(&b, '\n');
	put_places(s, &b);
	buf_putc(&b, '\n');
	put_mail(s, &b);
	setup_tls_main(&b, path_of(s, "etc/tls.pem"));
	write_file(s, path_of(s, "etc/main.cf"), buf_view(&b));
	printf("made %s\n", path_of(s, "etc/main.cf"));
	buf_free(&b);
}

static void
write_master_cf(struct setup *s)
{
	static const struct { const char *name, *command; } transports[] = {
		{ "smtp", "smtp" }, { "relay", "smtp" }, { "lmtp", "lmtp" },
		{ "local", "local" }, { "virtual", "virtual" },
		{ "error", "error" }, { "retry", "error" },
		{ "discard", "discard" },
	};
	struct buf b;

	buf_init(&b, FILE_MAX);
	buf_puts(&b, "# Made by postern setup. Listeners and transports; "
	    "master(5).\n# service type private unpriv chroot wakeup maxproc "
	    "command\n");
	buf_printf(&b, "127.0.0.1:%lld inet n - n - - smtpd\n",
	    (long long)s->port_base + 25);
	setup_tls_master(&b, "127.0.0.1", s->port_base);
	for (size_t i = 0; i < nitems(transports); i++)
		buf_printf(&b, "%s unix - - n - - %s\n", transports[i].name,
		    transports[i].command);
	write_file(s, path_of(s, "etc/master.cf"), buf_view(&b));
	printf("made %s\n", path_of(s, "etc/master.cf"));
	buf_free(&b);
}

/* An instance keeps what it has; new words on the command line are added. */
static void
read_instance(struct setup *s)
{
	struct str rest, line, word;

	s->fresh = access(path_of(s, "etc/main.cf"), F_OK) != 0;
	if (s->fresh)
		return;
	if (s->hostname != NULL || s->port_base >= 0)
		printf("%s stays as it is: change names and ports there\n",
		    path_of(s, "etc/main.cf"));
	if (s->domains.n > 0)
		return;
	rest = read_lines(s, path_of(s, "etc/domains"));
	while (str_token(&rest, "\n", &line))
		if (str_token(&line, " \t", &word) && word.p[0] != '#')
			add_word(&s->domains, arena_cstr(s->arena, word));
}

/* Whoever has a mailbox may log in, with its address. */
static void
make_logins(struct setup *s)
{
	size_t room = s->users.n * s->domains.n + 1, n = 0;
	struct login_made *logins = mem_new(room * sizeof(*logins));

	for (size_t u = 0; u < s->users.n; u++) {
		if (strchr(s->users.v[u], '@') != NULL) {
			logins[n++].name = s->users.v[u];
			continue;
		}
		for (size_t d = 0; d < s->domains.n; d++)
			logins[n++].name = arena_printf(s->arena, "%s@%s",
			    s->users.v[u], s->domains.v[d]);
	}
	if (postern_logins(s->p, logins, n))
		printf("\nlogins for mail clients; passwords are shown this "
		    "once:\n");
	for (size_t i = 0; i < n; i++)
		if (logins[i].password[0] != '\0')
			printf("  user %s  password %s\n", logins[i].name,
			    logins[i].password);
	mem_free(logins);
	if (s->fresh)
		printf("  host 127.0.0.1 (%s)\n  port %lld with STARTTLS, or "
		    "%lld with TLS from the first byte\n  from elsewhere: set "
		    "inet_interfaces, and the addresses in master.cf\n\n",
		    s->hostname, (long long)s->port_base + 587,
		    (long long)s->port_base + 465);
}

static void
print_next(struct setup *s)
{
	struct str me = str_of(s->p->argv0);
	struct str bin = str_first(me, str_rchr(me, '/') < me.n ?
	    str_rchr(me, '/') + 1 : 0);
	const char *first = first_mailbox(s);

	if (s->fresh && s->users.n == 0)
		printf("mail from users: port %lld with STARTTLS, %lld with "
		    "TLS from the first byte\n", (long long)s->port_base + 587,
		    (long long)s->port_base + 465);
	printf("mailboxes are in %s/mail/DOMAIN/NAME/\n\nnext:\n", s->dir);
	if (first == NULL)
		printf("  %s setup %s --user NAME\n", s->p->argv0, s->dir);
	printf("  %s -c %s/etc %s\n", s->p->argv0, s->dir, s->fresh ?
	    "start" : "reload	(start, where it does not run)");
	if (first != NULL)
		printf("  echo hello | " STRF "sendmail -C %s/etc %s\n",
		    STRV(bin), s->dir, first);
	printf("  tail %s/log/mail.log\n", s->dir);
}

int
postern_setup(struct postern *p, int argc, char **argv)
{
	static const struct { const char *name; mode_t mode; } dirs[] = {
		{ "etc", 0755 }, { "spool", 0755 }, { "data", 0700 },
		{ "mail", 0755 }, { "log", 0755 },
	};
	struct setup s = { .p = p, .arena = p->tool.arena };

	parse(&s, argc, argv);
	owners_find(p, &s.owners);
	make_top(&s);
	read_instance(&s);
	default_names(&s);
	if (s.port_base < 0)
		s.port_base = PORT_BASE;
	for (size_t i = 0; i < nitems(dirs); i++)
		make_dir(&s, dirs[i].name, dirs[i].mode, false);
	write_domains(&s);
	for (size_t u = 0; u < s.users.n; u++) {
		const char *at = strrchr(s.users.v[u], '@');

		if (at != NULL && !has_key(read_lines(&s, path_of(&s,
		    "etc/domains")), str_of(at + 1)))
			tool_fail(&p->tool, EX_USAGE, "--user %s: add "
			    "--domain %s", s.users.v[u], at + 1);
	}
	write_mailboxes(&s);
	write_virtual(&s);
	write_aliases(&s);
	if (access(path_of(&s, "etc/master.cf"), F_OK) != 0)
		write_master_cf(&s);
	if (s.fresh) {
		(void)setup_certificate(p, path_of(&s, "etc/tls.pem"),
		    s.hostname);
		write_main_cf(&s);
	}
	warn_of_parents(&s);
	/* sendmail takes mail for a system that never started, too. */
	p->dir = path_of(&s, "etc");
	postern_conf(p);
	if (!postern_run_master(p, "-s"))
		return (1);
	if (s.users.n > 0)
		make_logins(&s);
	print_next(&s);
	return (0);
}
