/*
 * postconf - shows and changes main.cf and master.cf (postconf(1)).
 *
 * Options, output and words are Postfix's. Runs as whoever calls it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "table/table.h"
#include "tls/tls.h"
#include "tools/postconf.h"

#define MEM_MAX (1u << 30)

/* Options by their bit, for messages. */
static const char *const option_names[] = {
	"-a", "-A", "-b", "-d", "-e", "-f", "-F", "-h", "-H", "-j", "-l",
	"-m", "-M", "-n", "-o", "-p", "-P", "-t", "-T", "-x", "-X", "-#",
	"-PP", "--manual",
};

/* At most one of each row; the first row are the major modes. */
static const unsigned one_of[] = {
	SHOW_SASL_SERVER | SHOW_SASL_CLIENT | BOUNCE_EXPAND | SHOW_LOCKS |
	    SHOW_TYPES | BOUNCE_DUMP | MAIN_PARAM | ANY_MASTER | SHOW_TLS,
	ALL_PARAMS | EDIT | COMMENT_OUT | EXCLUDE,
	SHOW_DEFAULTS | EDIT | SHOW_SET | COMMENT_OUT | EXCLUDE,
	FOLD | EDIT | COMMENT_OUT | EXCLUDE,
	EVALUATE | EDIT | COMMENT_OUT | EXCLUDE,
	OVERRIDE | SHOW_DEFAULTS | EDIT | COMMENT_OUT | EXCLUDE,
	HIDE_NAME | EDIT | COMMENT_OUT | EXCLUDE | HIDE_VALUE,
};

/* What may stand beside an option. */
static const struct { unsigned option, with; } goes_with[] = {
	{ SHOW_SASL_SERVER, 0 }, { SHOW_SASL_CLIENT, 0 },
	{ BOUNCE_EXPAND, 0 }, { SHOW_LOCKS, 0 }, { SHOW_TYPES, 0 },
	{ BOUNCE_DUMP, 0 }, { SHOW_TLS, 0 },
	{ MAIN_PARAM, EDIT | EXCLUDE | COMMENT_OUT | FOLD | HIDE_NAME |
	    EVALUATE | SHOW_DEFAULTS | SHOW_SET | OVERRIDE |
	    HIDE_VALUE | AS_JSON | MANUAL },
	{ MASTER_ENTRY, EDIT | EXCLUDE | COMMENT_OUT | FOLD | OVERRIDE |
	    EVALUATE | AS_JSON },
	{ MASTER_FIELD, EDIT | FOLD | HIDE_NAME | OVERRIDE | EVALUATE |
	    HIDE_VALUE | AS_JSON },
	{ MASTER_PARAM, EDIT | EXCLUDE | FOLD | HIDE_NAME | OVERRIDE |
	    EVALUATE | HIDE_VALUE | AS_JSON | ALL_PARAMS },
	{ ALL_PARAMS, FOLD | HIDE_NAME | OVERRIDE | EVALUATE | HIDE_VALUE |
	    AS_JSON | MASTER_PARAM },
	{ AS_JSON, MAIN_PARAM | ANY_MASTER | OVERRIDE | EVALUATE | SHOW_SET |
	    SHOW_DEFAULTS | ALL_PARAMS },
};

static const char *
list_options(struct arena *mem, unsigned mask)
{
	const char *out = "";

	for (size_t i = 0; i < nitems(option_names); i++)
		if ((mask & 1u << i) != 0)
			out = arena_printf(mem, "%s%s%s", out,
			    out[0] != '\0' ? " " : "", option_names[i]);
	return out;
}

static void
check_options(const struct postconf *pc)
{
	for (size_t i = 0; i < nitems(one_of); i++) {
		unsigned on = pc->mode & one_of[i];

		if ((on & (on - 1)) != 0)
			postconf_fatal("specify one of %s",
			    list_options(pc->mem, on));
	}
	for (size_t i = 0; i < nitems(goes_with); i++) {
		unsigned excess = pc->mode & ~(goes_with[i].option |
		    goes_with[i].with);

		if ((pc->mode & goes_with[i].option) != 0 && excess != 0)
			postconf_fatal("with option %s, do not specify %s",
			    list_options(pc->mem, goes_with[i].option),
			    list_options(pc->mem, excess));
	}
}

static unsigned
class_mask(const char *arg)
{
	static const struct { const char *name; unsigned mask; } classes[] = {
		{ "builtin", NAME_BUILTIN }, { "service", NAME_SERVICE },
		{ "user", NAME_USER }, { "all", NAME_ANY },
	};
	struct str rest = str_of(arg), one;
	unsigned mask = 0;

	while (conf_list_next(&rest, &one)) {
		size_t i = 0;

		while (i < nitems(classes) &&
		    !str_eq_nocase(one, str_of(classes[i].name)))
			i++;
		if (i == nitems(classes))
			postconf_fatal("unknown -C option value \"" STRF
			    "\" in \"%s\"", STRV(one), arg);
		mask |= classes[i].mask;
	}
	return mask;
}

_Noreturn static void
usage(void)
{
	postconf_fatal("usage: postconf [-a (server SASL types)] [-A (client "
	    "SASL types)] [-b (bounce templates)] [-c config_dir] "
	    "[-C param_class] [-d (parameter defaults)] "
	    "[-e (edit configuration)] [-f (fold lines)] "
	    "[-F (master.cf fields)] [-h (no names)] [-H (no values)] "
	    "[-j (streaming JSON)] [-l (lock types)] [-m (map types)] "
	    "[-M (master.cf)] [-n (non-default parameters)] "
	    "[-o name=value (override parameter value)] "
	    "[-p (main.cf, default)] [-P (master.cf parameters)] [-q (quiet)] "
	    "[-t (bounce templates)] "
	    "[-T compile-version|run-version|public-key-algorithms] "
	    "[-v (verbose)] [-x (expand parameter values)] [-X (exclude)] "
	    "[-# (comment-out)] [name...]");
}

static void
parse_options(struct postconf *pc, int argc, char **argv,
    struct words *overrides)
{
	static const struct { int letter; unsigned bit; } plain[] = {
		{ 'a', SHOW_SASL_SERVER }, { 'A', SHOW_SASL_CLIENT },
		{ 'b', BOUNCE_EXPAND }, { 'd', SHOW_DEFAULTS }, { 'e', EDIT },
		{ 'f', FOLD }, { 'F', MASTER_FIELD }, { 'h', HIDE_NAME },
		{ 'H', HIDE_VALUE }, { 'j', AS_JSON }, { 'l', SHOW_LOCKS },
		{ 'm', SHOW_TYPES }, { 'M', MASTER_ENTRY }, { 'n', SHOW_SET },
		{ 'p', MAIN_PARAM }, { 'P', MASTER_PARAM },
		{ 't', BOUNCE_DUMP }, { 'T', SHOW_TLS }, { 'x', EVALUATE },
		{ 'X', EXCLUDE },
		{ '#', COMMENT_OUT }, { 'Y', MANUAL },
	};
	int c;

	while ((c = getopt(argc, argv,
	    "aAbc:C:deEfFhHjlmMno:pPqtT:vxXY#")) != -1) {
		if (c == '?')
			usage();
		if (c == 'c')
			pc->dir = optarg;
		if (c == 'q')
			pc->quiet = true;
		if (c == 'C')
			pc->classes = class_mask(optarg);
		if (c == 'P' && (pc->mode & MASTER_PARAM) != 0)
			pc->mode |= ALL_PARAMS;
		if (c == 'T' && (pc->mode & SHOW_TLS) != 0)
			postconf_fatal("At most one -T <mode> option may be "
			    "specified");
		if (c == 'T')
			pc->tls_mode = optarg;
		if (c == 'o') {
			pc->mode |= OVERRIDE;
			words_insert(overrides, overrides->n, str_of(optarg));
		}
		for (size_t i = 0; i < nitems(plain); i++)
			if (plain[i].letter == c)
				pc->mode |= plain[i].bit;
	}
	if ((pc->mode & one_of[0]) == 0)
		pc->mode |= MAIN_PARAM;
	if ((pc->mode & (MAIN_PARAM | ANY_MASTER)) != 0 &&
	    argv[optind] != NULL && strchr(argv[optind], '=') != NULL)
		pc->mode |= EDIT;
	check_options(pc);
	if ((pc->mode & EDIT) != 0 && argv[optind] == NULL)
		postconf_fatal("-e requires name=value argument");
}

/* main.cf and -o, as pairs; a broken file is fatal. */
static void
read_main(struct postconf *pc, const struct words *overrides)
{
	struct problems ps = { NULL, 0 };
	struct str name, value;
	const char *why;
	size_t at = 0;

	conf_free(&pc->conf);
	pc->conf = conf_load(pc->dir, &ps);
	for (size_t i = 0; i < ps.n; i++) {
		if (!ps.v[i].fatal)
			postconf_warn("%s, line %d: %s", ps.v[i].file,
			    ps.v[i].line, ps.v[i].text);
		else if (ps.v[i].line == 0)
			postconf_fatal("%s", ps.v[i].text);
		else
			postconf_fatal("%s, line %d: %s", ps.v[i].file,
			    ps.v[i].line, ps.v[i].text);
	}
	problems_free(&ps);
	for (size_t i = 0; i < overrides->n; i++) {
		why = split_name_value(overrides->v[i], &name, &value);
		if (why != NULL)
			postconf_fatal("invalid parameter override: " STRF
			    ": %s", STRV(overrides->v[i]), why);
		conf_override(pc->conf, name, value);
	}
	while (conf_each(pc->conf, &at, &name, &value))
		pairs_set(&pc->set, name, value);
	if (pairs_get(&pc->set, STR("config_directory")) == NULL)
		pairs_set(&pc->set, STR("config_directory"), str_of(pc->dir));
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
show_types(void)
{
	size_t n;
	const char *const *types = table_types(&n);
	const char **sorted = mem_new((n + 1) * sizeof(*sorted));

	for (size_t i = 0; i < n; i++)
		sorted[i] = types[i];
	qsort(sorted, n, sizeof(*sorted), by_text);
	for (size_t i = 0; i < n; i++)
		puts(sorted[i]);
	mem_free(sorted);
}

static void
show_tls(const char *mode)
{
	if (strcmp(mode, "compile-version") == 0) {
		puts(tls_version(true));
	} else if (strcmp(mode, "run-version") == 0) {
		puts(tls_version(false));
	} else if (strcmp(mode, "public-key-algorithms") == 0) {
		puts("ecdsa\ned25519\nrsa");
	} else {
		postconf_warn("unknown 'postconf -T' mode: %s", mode);
		exit(1);
	}
}

static void
run_master(struct postconf *pc, char **args, const struct words *overrides)
{
	master_read(pc, true);
	read_main(pc, overrides);
	names_builtin(pc);
	names_service(pc);
	names_user(pc);
	if ((pc->mode & MASTER_FIELD) != 0)
		show_fields(pc, args);
	else if ((pc->mode & MASTER_PARAM) != 0)
		show_params(pc, args);
	else
		show_entries(pc, args);
	if (!pc->quiet)
		warn_master(pc);
}

static void
run_main(struct postconf *pc, char **args, const struct words *overrides)
{
	bool defaults = (pc->mode & SHOW_DEFAULTS) != 0;

	if (!defaults)
		read_main(pc, overrides);
	names_builtin(pc);
	if ((pc->mode & MANUAL) != 0) {
		show_manual(pc);
		return;
	}
	master_read(pc, false);
	names_service(pc);
	if (!defaults)
		names_user(pc);
	show_main(pc, args);
	if (!defaults && !pc->quiet) {
		warn_main(pc);
		warn_master(pc);
	}
}

static void
run(struct postconf *pc, char **args, const struct words *overrides)
{
	if ((pc->mode & (BOUNCE_EXPAND | BOUNCE_DUMP)) != 0) {
		read_main(pc, overrides);
		if (args[0] != NULL && args[1] != NULL)
			postconf_fatal("options -b and -t require at most one "
			    "template file");
		show_templates(pc, args[0]);
		return;
	}
	if ((pc->mode & (SHOW_SASL_SERVER | SHOW_SASL_CLIENT)) != 0) {
		puts((pc->mode & SHOW_SASL_SERVER) != 0 ? "cyrus\ndovecot" :
		    "cyrus");
		return;
	}
	if ((pc->mode & SHOW_TLS) != 0) {
		show_tls(pc->tls_mode);
		return;
	}
	if ((pc->mode & SHOW_LOCKS) != 0) {
		puts("flock\nfcntl\ndotlock");
		return;
	}
	if ((pc->mode & SHOW_TYPES) != 0) {
		show_types();
		return;
	}
	if ((pc->mode & (EDIT | COMMENT_OUT | EXCLUDE)) != 0) {
		if (args[0] == NULL)
			postconf_fatal("missing service argument");
		if ((pc->mode & ANY_MASTER) != 0)
			edit_master(pc, args);
		else
			edit_main(pc, args);
	} else if ((pc->mode & ANY_MASTER) != 0) {
		run_master(pc, args, overrides);
	} else {
		run_main(pc, args, overrides);
	}
}

static void
finish(struct postconf *pc)
{
	for (size_t i = 0; i < pc->nentries; i++)
		entry_free(&pc->entries[i]);
	mem_free(pc->entries);
	mem_free(pc->set.v);
	mem_free(pc->classes_used.v);
	mem_free(pc->clients.v);
	mem_free(pc->list);
	map_free(&pc->names);
	conf_free(&pc->conf);
	arena_free(&pc->mem);
}

int
main(int argc, char **argv)
{
	struct postconf pc = { .classes = NAME_ANY };
	struct words overrides = { NULL, 0 };

	umask(022);
	pc.mem = arena_new(MEM_MAX);
	pc.names = map_new();
	parse_options(&pc, argc, argv, &overrides);
	pc.conf = conf_empty(pc.dir);
	pc.dir = arena_cstr(pc.mem, str_of(conf_dir(pc.conf)));
	run(&pc, argv + optind, &overrides);
	warn_end(&pc);
	mem_free(overrides.v);
	finish(&pc);
	if (fflush(stdout) != 0 || ferror(stdout))
		postconf_fatal("write output: %s", strerror(errno));
	return 0;
}
