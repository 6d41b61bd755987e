/*
 * postern user - the users who may log in: add, passwd, del, place, import ...
 *
 * All is written to the database of auth_users_database (lib/users), which
 * auth notices within a second. Passwords come from the terminal or, with
 * --stdin, from standard input: never from an argument, which ps(1) shows.
 */
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "table/table.h"
#include "tools/postern.h"
#include "users/users.h"

#define IMPORT_MAX	(64UL << 20)	/* bytes of a file */
#define GENERATED	20		/* letters, of 32: 100 bits */

struct user_command {
	struct postern	  *p;
	struct users_edit *edit;
	const char	  *name;
	char		 **words;	/* behind it */
	int		   nwords;
	bool		   from_stdin, generate;
	int		   added, weak, bad;
};

static int	add(struct user_command *);
static int	passwd(struct user_command *);
static int	del(struct user_command *);
static int	list(struct user_command *);
static int	import(struct user_command *);
static int	place(struct user_command *);
static int	enable(struct user_command *);
static int	disable(struct user_command *);

static const struct {
	const char *word;
	int	  (*fn)(struct user_command *);
	bool	    named, makes;	/* NAME; a database where there is none */
	const char *text;
} commands[] = {
	{ "add", add, true, true, "a user and a password" },
	{ "passwd", passwd, true, false, "another password" },
	{ "del", del, true, false, "the user is gone" },
	{ "place", place, true, false, "[uid=N] [gid=N] [home=DIR] "
	    "[mail=maildir:DIR]: where the user's mail is, for reading" },
	{ "list", list, false, false, "all users, and how their passwords "
	    "are stored" },
	{ "import", import, true, true, "users and stored passwords of a "
	    "passwd file, or of Dovecot's; - for standard input" },
	{ "disable", disable, true, false, "no login any more" },
	{ "enable", enable, true, false, "login again" },
};

static _Noreturn void
usage(void)
{
	fputs("usage: postern [-c config_dir] user command [--stdin | "
	    "--generate] [NAME]\n", stderr);
	for (size_t i = 0; i < nitems(commands); i++)
		fprintf(stderr, "  %-8s%-6s%s\n", commands[i].word,
		    commands[i].fn == import ? "FILE" :
		    commands[i].named ? "NAME" : "", commands[i].text);
	exit(EX_USAGE);
}

static void
need_name(struct user_command *c)
{
	if (!user_name_valid(str_of(c->name)))
		tool_fail(&c->p->tool, EX_USAGE, "%s: a user's name has 1 to "
		    "%d bytes, no blank and no colon", c->name,
		    USER_NAME_MAX);
}

/* One line of the terminal, not shown. */
static void
ask(struct user_command *c, const char *prompt, char *line, int size)
{
	struct termios shown, hidden;
	FILE *tty = fopen("/dev/tty", "r+");

	if (tty == NULL || tcgetattr(fileno(tty), &shown) != 0)
		tool_fail(&c->p->tool, EX_USAGE, "no terminal to ask for a "
		    "password: give --stdin or --generate");
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(tty, "%s: ", prompt);
	(void)tcsetattr(fileno(tty), TCSAFLUSH, &hidden);
	if (fgets(line, size, tty) == NULL)
		line[0] = '\0';
	(void)tcsetattr(fileno(tty), TCSAFLUSH, &shown);
	fputc('\n', tty);
	fclose(tty);
	line[strcspn(line, "\r\n")] = '\0';
}

static void
postern_generate(char out[GENERATED_MAX])
{
	/* No letters that look alike; groups that can be read out. */
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t bytes[GENERATED];
	size_t n = 0;

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < GENERATED; i++) {
		if (i > 0 && i % 5 == 0)
			out[n++] = '-';
		out[n++] = letters[bytes[i] & 31];
	}
	out[n] = '\0';
}

static void
get_password(struct user_command *c, char *line, int size)
{
	char again[PASSWORD_MAX + 2];

	if (c->generate) {
		postern_generate(line);
		printf("%s\n", line);
	} else if (c->from_stdin) {
		if (fgets(line, size, stdin) == NULL)
			line[0] = '\0';
		line[strcspn(line, "\r\n")] = '\0';
	} else {
		ask(c, "Password", line, size);
		ask(c, "Again", again, sizeof(again));
		if (strcmp(line, again) != 0)
			tool_fail(&c->p->tool, EX_DATAERR,
			    "these are two passwords");
		password_wipe(again, sizeof(again));
	}
	if (line[0] == '\0')
		tool_fail(&c->p->tool, EX_DATAERR, "the password is empty");
}

/* All that auth_user_schemes names. */
static void
make_record(struct postern *p, struct str password, struct buf *record)
{
	struct str list = str_of(tool_param(&p->tool, "auth_user_schemes"));
	struct str scheme;

	while (conf_list_next(&list, &scheme)) {
		if (record->n > 0)
			buf_putc(record, ' ');
		if (!password_make(arena_cstr(p->tool.arena, scheme),
		    password, record))
			tool_fail(&p->tool, EX_CONFIG, "auth_user_schemes: "
			    "can't make " STRF, STRV(scheme));
	}
	if (record->n == 0)
		tool_fail(&p->tool, EX_CONFIG, "auth_user_schemes is empty");
}

/* The words of a record that are credentials, or those that are not. */
static void
keep_words(struct str record, bool credentials, struct buf *out)
{
	struct str word;

	while (str_token(&record, " ", &word))
		if (record_is_credential(word) == credentials) {
			if (out->n > 0)
				buf_putc(out, ' ');
			buf_str(out, word);
		}
}

static void
set_record(struct user_command *c, struct str name, struct buf *record)
{
	if (record->full)
		tool_fail(&c->p->tool, EX_DATAERR, STRF ": is too long",
		    STRV(name));
	users_edit_set(c->edit, name, buf_view(record));
	buf_free(record);
}

static void
set_password(struct user_command *c)
{
	char line[PASSWORD_MAX + 2];
	struct buf record;

	get_password(c, line, sizeof(line));
	buf_init(&record, USER_RECORD_MAX);
	make_record(c->p, str_of(line), &record);
	password_wipe(line, sizeof(line));
	keep_words(users_edit_get(c->edit, str_of(c->name)), false, &record);
	set_record(c, str_of(c->name), &record);
}

static int
add(struct user_command *c)
{
	need_name(c);
	if (users_edit_get(c->edit, str_of(c->name)).n > 0)
		tool_fail(&c->p->tool, EX_DATAERR, "%s: is there already; "
		    "postern user passwd sets another password", c->name);
	set_password(c);
	return (0);
}

static void
need_user(struct user_command *c)
{
	need_name(c);
	if (users_edit_get(c->edit, str_of(c->name)).n == 0)
		tool_fail(&c->p->tool, EX_NOUSER, "%s: there is no such user",
		    c->name);
}

static int
passwd(struct user_command *c)
{
	need_user(c);
	set_password(c);
	return (0);
}

static int
del(struct user_command *c)
{
	need_user(c);
	users_edit_set(c->edit, str_of(c->name), STR(""));
	return (0);
}

static void
set_flag(struct user_command *c, bool off)
{
	struct str old, word;
	struct buf record;

	need_user(c);
	old = users_edit_get(c->edit, str_of(c->name));
	buf_init(&record, USER_RECORD_MAX);
	while (str_token(&old, " ", &word)) {
		if (str_eq(word, STR(USER_DISABLED)))
			continue;
		if (record.n > 0)
			buf_putc(&record, ' ');
		buf_str(&record, word);
	}
	if (off)
		buf_puts(&record, " " USER_DISABLED);
	set_record(c, str_of(c->name), &record);
}

/* What is said takes the place of all that was said before. */
static int
place(struct user_command *c)
{
	struct user_place p = { 0 };
	struct buf record;
	const char *why;
	struct str old;

	need_user(c);
	for (int i = 0; i < c->nwords; i++) {
		why = place_word(str_of(c->words[i]), &p);
		if (why != NULL)
			tool_fail(&c->p->tool, EX_USAGE, "%s: %s",
			    c->words[i], why);
	}
	old = users_edit_get(c->edit, str_of(c->name));
	buf_init(&record, USER_RECORD_MAX);
	keep_words(old, true, &record);
	place_print(&p, &record);
	if (record_has_flag(old, USER_DISABLED))
		buf_puts(&record, " " USER_DISABLED);
	set_record(c, str_of(c->name), &record);
	return (0);
}

static int
enable(struct user_command *c)
{
	set_flag(c, false);
	return (0);
}

static int
disable(struct user_command *c)
{
	set_flag(c, true);
	return (0);
}

static void
print_user(void *ctx, struct str name, struct str record)
{
	struct str word, text, scheme;

	(void)ctx;
	printf(STRF, STRV(name));
	while (str_token(&record, " ", &word)) {
		scheme = password_scheme(word, &text);
		printf(" " STRF, STRV(record_is_credential(word) ? scheme :
		    word));
	}
	putchar('\n');
}

static int
list(struct user_command *c)
{
	users_edit_each(c->edit, print_user, NULL);
	return (0);
}

/* --- import --- */

/* A password in the clear is stored as we store them. */
static void
import_credential(struct user_command *c, struct str name,
    struct str credential, const struct user_place *p)
{
	struct str text, scheme = password_scheme(credential, &text);
	struct buf record;

	buf_init(&record, USER_RECORD_MAX);
	if (str_eq_nocase(scheme, STR("PLAIN")) ||
	    str_eq_nocase(scheme, STR("CLEARTEXT")) ||
	    str_eq_nocase(scheme, STR("CLEAR")))
		make_record(c->p, text, &record);
	else {
		buf_str(&record, credential);
		c->weak += password_is_weak(credential);
	}
	place_print(p, &record);
	set_record(c, name, &record);
	c->added++;
}

/*
 * "user:{SCHEME}text:..." or "user:crypt:..." (passwd(5), shadow(5), Dovecot's
 * passwd-file, with uid, gid, home, userdb_mail), or "user {SCHEME}text" (a
 * table's source).
 */
static void
import_line(struct user_command *c, int number, struct str line)
{
	size_t end = str_chr(line, ':'), blank = str_chr(line, ' ');
	struct str name, credential, rest = { NULL, 0 };
	const char *why = NULL, *wrong;
	struct user_place p;

	if (blank < end)
		end = blank;
	name = str_first(line, end);
	credential = str_trim(str_from(line, end + 1));
	if (blank != end) {
		size_t colon = str_chr(credential, ':');

		rest = str_from(credential, colon + 1);
		credential = str_first(credential, colon);
	}
	if (!user_name_valid(name))
		why = "not a user's name";
	else if (credential.n == 0 || credential.p[0] == '!' ||
	    credential.p[0] == '*' || str_eq(credential, STR("x")))
		why = "no password: left out";
	else if (str_chr(credential, ' ') < credential.n)
		why = "a blank in the stored password";
	else
		why = password_refusal(credential);
	if (why == NULL) {
		wrong = passwd_place(rest, &p);
		if (wrong != NULL)
			tool_warn(&c->p->tool, "line %d: " STRF ": may log "
			    "in, but not all of where the mail is was taken: "
			    "%s", number, STRV(name), wrong);
		import_credential(c, name, credential, &p);
		return;
	}
	c->bad++;
	tool_warn(&c->p->tool, "line %d: " STRF ": %s", number, STRV(name),
	    why);
}

static int
import(struct user_command *c)
{
	const char *path = strcmp(c->name, "-") == 0 ? "/dev/stdin" : c->name;
	struct str rest, line;
	struct buf text;
	int number = 0, error;

	buf_init(&text, IMPORT_MAX);
	error = file_read(AT_FDCWD, path, IMPORT_MAX, &text);
	if (error != 0)
		tool_fail(&c->p->tool, EX_NOINPUT, "%s: %s", c->name,
		    strerror(error));
	rest = buf_view(&text);
	while (rest.n > 0) {
		size_t end = str_chr(rest, '\n');

		line = str_trim(str_first(rest, end));
		rest = str_from(rest, end + 1);
		number++;
		if (line.n > 0 && line.p[0] != '#')
			import_line(c, number, line);
	}
	password_wipe(text.p, text.n);
	buf_free(&text);
	printf("%d users imported, %d lines left out\n", c->added, c->bad);
	if (c->weak > 0)
		tool_warn(&c->p->tool, "%d of them have weak hashes: have "
		    "these passwords changed", c->weak);
	return (c->bad > 0 ? 1 : 0);
}

/* --- the command --- */

static gid_t
auth_group(struct postern *p)
{
	struct passwd *pw;

	if (geteuid() != 0)
		return ((gid_t)-1);
	pw = getpwnam(tool_param(&p->tool, "postern_auth_user"));
	return (pw != NULL ? pw->pw_gid : (gid_t)-1);
}

static struct users_edit *
begin(struct postern *p, bool make)
{
	struct users_edit *edit;
	struct buf why;

	password_warm_up();
	buf_init(&why, 4096);
	edit = users_edit_begin(str_of(tool_param(&p->tool,
	    "auth_users_database")), p->dir, make, &why);
	if (edit == NULL)
		tool_fail(&p->tool, EX_CANTCREAT, "%s", buf_cstr(&why));
	buf_free(&why);
	return (edit);
}

static void
commit(struct postern *p, struct users_edit *edit)
{
	struct buf why;

	buf_init(&why, 4096);
	if (!users_edit_commit(&edit, auth_group(p), &why))
		tool_fail(&p->tool, EX_CANTCREAT, "%s", buf_cstr(&why));
	buf_free(&why);
}

bool
postern_logins(struct postern *p, struct login_made *logins, size_t n)
{
	struct users_edit *edit = begin(p, true);
	struct buf record;
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		struct str name = str_of(logins[i].name);

		if (users_edit_get(edit, name).n > 0)
			continue;
		any = true;
		postern_generate(logins[i].password);
		buf_init(&record, USER_RECORD_MAX);
		make_record(p, str_of(logins[i].password), &record);
		users_edit_set(edit, name, buf_view(&record));
		buf_free(&record);
	}
	if (any)
		commit(p, edit);
	else
		users_edit_abandon(&edit);
	return (any);
}

int
postern_user(struct postern *p, int argc, char **argv)
{
	struct user_command c = { .p = p };
	size_t i = 0;
	int status;

	postern_conf(p);
	for (argv++, argc--; argc > 0; argc--, argv++) {
		if (strcmp(argv[0], "--stdin") == 0)
			c.from_stdin = true;
		else if (strcmp(argv[0], "--generate") == 0)
			c.generate = true;
		else if (i == 0) {
			while (i < nitems(commands) &&
			    strcmp(argv[0], commands[i].word) != 0)
				i++;
			if (i++ == nitems(commands))
				usage();
		} else if (c.name == NULL)
			c.name = argv[0];
		else if (commands[i - 1].fn == place) {
			c.words = argv;
			c.nwords = argc;
			break;
		} else
			usage();
	}
	if (i-- == 0 || commands[i].named != (c.name != NULL))
		usage();
	c.edit = begin(p, commands[i].makes);
	status = commands[i].fn(&c);
	if (commands[i].fn == list)
		users_edit_abandon(&c.edit);
	else
		commit(p, c.edit);
	return (status);
}
