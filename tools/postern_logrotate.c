/*
 * postern logrotate - what `postfix logrotate' does: the log file gets its
 * date as a suffix, all daemons open a new one, the old one is compressed.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tools/postern.h"

#define SUFFIX_MAX	256
#define LAST_WORDS_S	1	/* for who still writes to the old one */

/* "maillog.20261127-200000" */
static char *
dated_name(struct postern *p, const char *path)
{
	const char *format = tool_param(&p->tool, "maillog_file_rotate_suffix");
	time_t now = time(NULL);
	char suffix[SUFFIX_MAX];
	struct stat st;
	struct tm tm;
	char *name;

	if (localtime_r(&now, &tm) == NULL ||
	    strftime(suffix, sizeof(suffix), format, &tm) == 0 ||
	    strchr(suffix, '/') != NULL)
		tool_fail(&p->tool, EX_CONFIG, "maillog_file_rotate_suffix: no "
		    "date format of a file name: %s", format);
	name = arena_printf(p->tool.arena, "%s.%s", path, suffix);
	if (lstat(name, &st) == 0)
		tool_fail(&p->tool, EX_CANTCREAT, "%s: there is such a file",
		    name);
	return name;
}

static void
compress(struct postern *p, const char *name)
{
	const char *program = tool_param(&p->tool, "maillog_file_compressor");
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execlp(program, program, name, (char *)NULL);
		fprintf(stderr, "postern: %s: %s\n", program, strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		tool_fail(&p->tool, EX_SOFTWARE, "%s %s: failed; the file "
		    "stays as it is", program, name);
}

int
postern_logrotate(struct postern *p)
{
	static const char *const needed[] = { "maillog_file",
		"maillog_file_compressor", "maillog_file_rotate_suffix" };
	const char *path;
	char *name;

	postern_conf(p);
	for (size_t i = 0; i < nitems(needed); i++)
		if (*tool_param(&p->tool, needed[i]) == '\0')
			tool_fail(&p->tool, EX_CONFIG, "%s is empty: there is "
			    "no log file to rotate", needed[i]);
	path = tool_param(&p->tool, "maillog_file");
	if (strncmp(path, "/dev/", 5) == 0)
		tool_fail(&p->tool, EX_CONFIG, "not rotating %s", path);
	name = dated_name(p, path);
	/* What stops a reload shall not have moved the log. */
	if (postern_is_running(p) && postern_check(p) != 0)
		tool_fail(&p->tool, EX_CONFIG, "not rotated: correct the above "
		    "first");
	if (rename(path, name) != 0)
		tool_fail(&p->tool, EX_CANTCREAT, "rename %s: %s", path,
		    strerror(errno));
	if (postern_is_running(p)) {
		(void)postern_reload(p);
		sleep(LAST_WORDS_S);
	}
	compress(p, name);
	return 0;
}
