/*
 * problem - what stands wrong in a configuration, and where.
 */
#include <stdarg.h>
#include <stdio.h>
#include "conf/conf.h"
#include "sys/sys.h"

#define TEXT_MAX 1024

void
problem_add(struct problems *ps, bool fatal, const char *file, int line,
    const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ps->v = mem_grow(ps->v, ps->n + 1, sizeof(*ps->v));
	ps->v[ps->n++] = (struct problem){
		.fatal = fatal,
		.file = mem_strdup(file == NULL ? "" : file),
		.line = line,
		.text = mem_strdup(text),
	};
}

void
problem_tell(const struct problem *p, struct buf *out)
{
	if (p->line > 0)
		buf_printf(out, "%s, line %d: ", p->file, p->line);
	buf_puts(out, p->text);
}

void
problems_print(const struct problems *ps, FILE *f)
{
	for (size_t i = 0; i < ps->n; i++) {
		const struct problem *p = &ps->v[i];

		fprintf(f, "%s: ", p->fatal ? "error" : "warning");
		if (p->file[0] != '\0' && p->line > 0)
			fprintf(f, "%s, line %d: ", p->file, p->line);
		else if (p->file[0] != '\0')
			fprintf(f, "%s: ", p->file);
		fprintf(f, "%s\n", p->text);
	}
}

void
problems_log(const struct problems *ps)
{
	for (size_t i = 0; i < ps->n; i++) {
		const struct problem *p = &ps->v[i];
		enum log_level level = p->fatal ? LL_ERROR : LL_WARN;

		if (p->file[0] != '\0' && p->line > 0)
			log_at(level, STR(""), "%s, line %d: %s", p->file,
			    p->line, p->text);
		else if (p->file[0] != '\0')
			log_at(level, STR(""), "%s: %s", p->file, p->text);
		else
			log_at(level, STR(""), "%s", p->text);
	}
}

bool
problems_fatal(const struct problems *ps)
{
	for (size_t i = 0; i < ps->n; i++)
		if (ps->v[i].fatal)
			return true;
	return false;
}

void
problems_free(struct problems *ps)
{
	for (size_t i = 0; i < ps->n; i++) {
		mem_free(ps->v[i].file);
		mem_free(ps->v[i].text);
	}
	mem_free(ps->v);
	*ps = (struct problems){ NULL, 0 };
}
