/*
 * log - events become lines, lines wait for the end of the loop's round.
 *
 * log_at() formats into a small stack buffer, escapes, and appends a line to
 * the pending ones; log_sink.c hands them out. Fatal and panic leave at once.
 * The process id is that of log_open(): a child that forks without exec
 * opens the log anew.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "sys/internal.h"

static void
copy_name(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s", name != NULL ? name : "");
}

/* die() comes here with its text before it aborts. */
static void
on_die(const char *text)
{
	log_at(LL_FATAL, STR(""), "%s", text);
}

static void
flush_at_exit(void)
{
	log_flush();
}

void
log_open(const struct log_conf *conf)
{
	struct log_room *log = &sys_room.log;
	bool again = log->is_open;

	log_flush();
	snprintf(log->tag, sizeof(log->tag), "%s%s%s",
	    conf->syslog_name != NULL ? conf->syslog_name : "",
	    conf->syslog_name != NULL && *conf->syslog_name != '\0' ? "/" : "",
	    conf->program);
	copy_name(log->program, sizeof(log->program), conf->program);
	copy_name(log->host, sizeof(log->host), conf->hostname);
	log->pid = (int)getpid();
	log->facility = conf->facility;
	log->format = conf->format;
	log->stamp = conf->stamp;
	log->to_stderr = conf->to_stderr;
	log->stamp_second = INT64_MIN;
	if (!again) {
		buf_init(&log->pending, LOG_PENDING_MAX);
		log->is_open = true;
		tzset();	/* before a chroot hides /etc/localtime */
		die_hook(on_die);
		if (atexit(flush_at_exit) != 0)
			die("atexit: no memory");
	}
	log_sink_open(log);
}

void
log_verbose(bool on)
{
	sys_room.log.verbose = on;
}

/* Commands say it to the person as well: "postsuper: text". */
static void
tell_stderr(struct log_room *log, enum log_level level, struct str qid,
    struct str text)
{
	struct buf line;

	buf_init(&line, LOG_LINE_MAX);
	if (log->program[0] != '\0')
		buf_printf(&line, "%s: ", log->program);
	log_put_text(level, qid, text, &line);
	buf_putc(&line, '\n');
	if (fd_write_all(2, line.p, line.n) != 0)
		line.n = 0;	/* nobody is left to tell */
	buf_free(&line);
}

static void
emit(struct log_room *log, enum log_level level, struct str qid,
    struct str text)
{
	struct buf line;

	buf_init(&line, LOG_LINE_MAX);
	log_line(log, level, qid, text, &line);
	if (log->pending.n + line.n > LOG_PENDING_MAX)
		log_sink_flush(log);
	if (log->pending.n + line.n > LOG_PENDING_MAX)
		log->dropped++;
	else
		buf_str(&log->pending, buf_view(&line));
	buf_free(&line);
}

void
log_at(enum log_level level, struct str qid, const char *fmt, ...)
{
	struct log_room *log = &sys_room.log;
	char raw[LOG_TEXT_MAX + 1];
	struct buf text, id;
	va_list ap;
	int n;

	if (level == LL_DEBUG && !log->verbose)
		return;
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if (n > LOG_TEXT_MAX)
		n = LOG_TEXT_MAX;
	buf_init(&id, LOG_QID_MAX);
	buf_init(&text, LOG_TEXT_MAX);
	log_escape(str_first(qid, LOG_QID_MAX), &id);
	log_escape((struct str){ raw, (size_t)n }, &text);
	if (!log->is_open || log->to_stderr)
		tell_stderr(log, level, buf_view(&id), buf_view(&text));
	if (log->is_open)
		emit(log, level, buf_view(&id), buf_view(&text));
	buf_free(&text);
	buf_free(&id);
	if (level >= LL_FATAL)
		log_flush();
}

bool
log_waiting(void)
{
	return sys_room.log.pending.n > 0 && !sys_room.log.lost;
}

bool
log_lost(void)
{
	return sys_room.log.lost;
}

void
log_flush(void)
{
	struct log_room *log = &sys_room.log;

	if (log->pending.n > 0 || log->dropped > 0)
		log_sink_flush(log);
}
