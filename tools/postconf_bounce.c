/*
 * postconf_bounce - -b and -t: texts of delivery reports, as they will be
 * sent and as a template file has them.
 */
#include <stdio.h>
#include "template/template.h"
#include "tools/postconf.h"

static void
report_problems(const struct problems *ps)
{
	for (size_t i = 0; i < ps->n; i++) {
		const struct problem *p = &ps->v[i];
		const char *gap = p->line > 0 ? ", line " : "";
		char line[32] = "";

		if (p->line > 0)
			snprintf(line, sizeof(line), "%d", p->line);
		if (p->fatal)
			postconf_fatal("%s%s%s: %s", p->file, gap, line,
			    p->text);
		postconf_warn("%s%s%s: %s", p->file, gap, line, p->text);
	}
}

void
show_templates(struct postconf *pc, const char *file)
{
	struct problems problems = { NULL, 0 };
	struct templates templates;
	struct buf out;

	if (file != NULL)
		conf_override(pc->conf, STR("bounce_template_file"),
		    str_of(file));
	templates_load(&templates, pc->conf, pc->mem, &problems);
	report_problems(&problems);
	problems_free(&problems);
	buf_init(&out, 8 * TEMPLATE_FILE_MAX);
	for (size_t i = 0; i < TEMPLATE__MAX; i++) {
		const struct template *t = &templates.v[i];
		bool raw = (pc->mode & BOUNCE_DUMP) != 0;

		buf_printf(&out, raw ? "%s_template = <<EOF\n" :
		    "expanded_%s_text = <<EOF\n", t->name);
		if (raw)
			template_print(t, &out);
		else
			(void)template_expand(&templates,
			    (enum template_kind)i, pc->conf, &out, &problems);
		report_problems(&problems);
		buf_printf(&out, "EOF\n%s", i + 1 < TEMPLATE__MAX ? "\n" : "");
	}
	fwrite(out.p, 1, out.n, stdout);
	buf_free(&out);
	problems_free(&problems);
}
