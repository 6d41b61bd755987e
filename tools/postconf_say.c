/*
 * postconf_say - fatal errors and warnings, in Postfix's form.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "sys/sys.h"
#include "tools/postconf.h"

#define MESSAGE_MAX 8192

static void PRINTF(2, 0)
say(const char *level, const char *fmt, va_list ap)
{
	char text[MESSAGE_MAX];
	struct buf out;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	buf_init(&out, 4 * MESSAGE_MAX);
	log_escape(str_of(text), &out);
	fflush(stdout);
	fprintf(stderr, "postconf: %s: %s\n", level, buf_cstr(&out));
	buf_free(&out);
}

void
postconf_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("fatal", fmt, ap);
	va_end(ap);
	exit(1);
}

void
postconf_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("warning", fmt, ap);
	va_end(ap);
}
