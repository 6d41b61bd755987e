/*
 * postlog - write lines to the mail log, for scripts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/service.h"
#include "tools/tool.h"

#define USAGE "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] " \
	"[-v] [text]"
#define LINE_BYTES	4096

static enum log_level
read_level(struct tool *t, const char *name)
{
	static const struct { const char *name; enum log_level level; } v[] = {
		{ "info", LL_INFO }, { "warn", LL_WARN },
		{ "warning", LL_WARN }, { "error", LL_ERROR },
		{ "err", LL_ERROR }, { "fatal", LL_FATAL },
		{ "crit", LL_FATAL }, { "panic", LL_PANIC },
	};

	for (size_t i = 0; i < nitems(v); i++)
		if (str_eq_nocase(str_of(name), str_of(v[i].name)))
			return v[i].level;
	tool_fail(t, EX_FAILED, "bad severity: \"%s\"", name);
}

static void
log_words(enum log_level level, char **words)
{
	struct buf line;

	buf_init(&line, 1 << 20);
	for (; *words != NULL; words++) {
		if (line.n > 0)
			buf_putc(&line, ' ');
		buf_puts(&line, *words);
	}
	log_at(level, STR(""), STRF, STRV(buf_view(&line)));
	buf_free(&line);
}

static void
log_input(enum log_level level)
{
	char line[LINE_BYTES];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct str s = str_of(line);

		if (s.n > 0 && s.p[s.n - 1] == '\n')
			s.n--;
		log_at(level, STR(""), STRF, STRV(s));
	}
}

int
main(int argc, char **argv)
{
	const char *dir = NULL, *tag = NULL, *priority = "info";
	enum log_level level;
	struct tool t;
	int c;

	tool_start(&t, "postlog");
	opterr = 0;
	while ((c = getopt(argc, argv, "c:ip:t:v")) != -1)
		switch (c) {
		case 'c': dir = optarg; break;
		case 'i': break;
		case 'v': t.verbose++; break;
		case 'p': priority = optarg; break;
		case 't': tag = optarg; break;
		default: tool_fail(&t, EX_FAILED, USAGE);
		}
	tool_conf(&t, dir, EX_FAILED);
	level = read_level(&t, priority);
	if (tag != NULL) {		/* the tag stands alone, as given */
		conf_override(t.conf, STR("syslog_name"), STR(""));
		service_log_open(t.conf, tag, true);
	}
	if (optind < argc)
		log_words(level, argv + optind);
	else
		log_input(level);
	log_flush();
	exit(EX_OK);
}
