/*
 * postmap_main - the options of postmap and postalias, and what they start.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/sys.h"
#include "tools/postmap.h"

static struct conf *load(const char *dir);
static void	read_options(struct job *, int argc, char **argv,
		    const char **dir);
static void	option(struct job *, int c);
static void	one_action(const struct job *);
static void	check_options(const struct job *);
static bool	delete_all(const struct job *, char **args, int n);

int
postmap_main(const struct tool *tool, int argc, char **argv)
{
	struct job job = { .tool = tool, .fold = true, .utf8 = true,
	    .nul = true, .as_owner = true, .keep_mode = true };
	struct log_conf log = { .syslog_name = "postfix",
	    .program = tool->name, .hostname = "", .facility = 2 << 3,
	    .to_stderr = true };
	const char *dir = NULL;
	struct conf *conf;
	bool ok = true;

	log_open(&log);
	log_verbose(getenv("MAIL_VERBOSE") != NULL);
	read_options(&job, argc, argv, &dir);
	conf = load(dir);
	job.default_type = conf_get(conf, "default_database_type");
	job.utf8 = job.utf8 && conf_bool(conf, "smtputf8_enable");
	argv += optind;
	argc -= optind;
	if (argc == 0)
		postmap_fatal("%s", tool->usage);
	if (job.remove != NULL)
		ok = delete_all(&job, argv, argc);
	else if (job.ask != NULL)
		ok = postmap_query(&job, argv, argc);
	else if (job.list)
		postmap_list(&job, argv[0]);
	else
		for (int i = 0; i < argc; i++)
			postmap_build(&job, argv[i]);
	log_flush();
	conf_free(&conf);
	if (fflush(stdout) != 0)
		postmap_fatal("write to standard output failed");
	return ok ? 0 : 1;
}

static struct conf *
load(const char *dir)
{
	struct problems problems = { 0 };
	struct conf *conf = conf_load(dir, &problems);
	struct buf why;

	buf_init(&why, 4096);
	for (size_t i = 0; i < problems.n; i++)
		if (problems.v[i].fatal && why.n == 0)
			problem_tell(&problems.v[i], &why);
	if (why.n > 0)
		postmap_fatal("%s", buf_cstr(&why));
	problems_free(&problems);
	buf_free(&why);
	return conf;
}

void
postmap_fatal(const char *fmt, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, 8192);
	va_start(ap, fmt);
	text.n = 0;
	if (buf_space(&text, 4096) != NULL) {
		int n = vsnprintf(text.p, 4096, fmt, ap);

		text.n = n < 0 ? 0 : n < 4096 ? (size_t)n : 4095;
	}
	va_end(ap);
	log_at(LL_FATAL, STR(""), STRF, STRV(buf_view(&text)));
	log_flush();
	exit(1);
}

char *
postmap_spec(const struct job *job, const char *arg)
{
	struct buf spec;
	char *copy;

	buf_init(&spec, 8192);
	if (strchr(arg, ':') == NULL)
		buf_printf(&spec, STRF ":", STRV(job->default_type));
	buf_puts(&spec, arg);
	copy = mem_strdup(buf_cstr(&spec));
	buf_free(&spec);
	return copy;
}

static void
read_options(struct job *job, int argc, char **argv, const char **dir)
{
	int c;

	opterr = 0;
	while ((c = getopt(argc, argv, job->tool->options)) != -1) {
		switch (c) {
		case 'c':
			*dir = optarg;
			break;
		case 'd':
			one_action(job);
			job->remove = optarg;
			break;
		case 'q':
			one_action(job);
			job->ask = optarg;
			break;
		case 'i':
			one_action(job);
			job->update = true;
			break;
		case 's':
			one_action(job);
			job->list = true;
			break;
		case '?':
			postmap_fatal("%s", job->tool->usage);
		default:
			option(job, c);
		}
	}
	check_options(job);
}

/* Those that only say how. */
static void
option(struct job *job, int c)
{
	switch (c) {
	case 'b': job->body = true; break;
	case 'h': job->headers = true; break;
	case 'm': job->mime = true; break;
	case 'f': job->fold = false; break;
	case 'F': job->values_are_files = true; break;
	case 'j': job->json = true; break;
	case 'n': job->nul = false; break;
	case 'N': job->nul = true; break;
	case 'o': job->as_owner = false; break;
	case 'p': job->keep_mode = false; break;
	case 'r': job->duplicates = DUP_REPLACE; break;
	case 'w': job->duplicates = DUP_IGNORE; break;
	case 'u': job->utf8 = false; break;
	case 'U': job->force_utf8 = true; break;
	case 'v': log_verbose(true); break;
	}
}

static void
one_action(const struct job *job)
{
	if (job->update || job->list || job->ask != NULL ||
	    job->remove != NULL)
		postmap_fatal("specify only one of -d -i -q or -s");
}

static void
check_options(const struct job *job)
{
	if (job->json && !job->list && job->ask == NULL)
		postmap_fatal("option -j requires -q or -s");
	if ((job->headers || job->body || job->mime) &&
	    (job->ask == NULL || strcmp(job->ask, "-") != 0))
		postmap_fatal("specify -b -h or -m only with \"-q -\"");
	if (job->mime && !job->headers && !job->body)
		log_warn("ignoring -m option without -b or -h");
}

static bool
delete_all(const struct job *job, char **args, int n)
{
	bool found = false;
	struct buf key;

	if (strcmp(job->remove, "-") != 0) {
		for (int i = 0; i < n; i++)
			found |= postmap_delete(job, args[i],
			    str_of(job->remove));
		return found;
	}
	buf_init(&key, ENTRY_MAX);
	while (postmap_read_key(&key)) {
		for (int i = 0; i < n; i++)
			found |= postmap_delete(job, args[i], buf_view(&key));
	}
	buf_free(&key);
	return found;
}
