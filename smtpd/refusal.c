/*
 * refusal - a refusal as it leaves: smtpd_reject_filter_maps may put another
 * in its place, smtpd_reject_footer and its maps say more below it,
 * soft_bounce makes it one for now.
 *
 * postconf(5).
 */
#include "conf/syntax.h"
#include "dsn/dsn.h"
#include "smtpd/smtpd.h"

#define REFUSAL_MAX	8192	/* with its footer */
#define REFUSAL_MEMORY	65536

struct footing { const struct session *s; struct arena *arena; };

/* False: there is none, or (which is no reason to say nothing) no answer. */
static bool
ask(struct tables *tables, const char *what, struct str key, struct buf *out)
{
	if (tables_empty(tables))
		return false;
	switch (tables_get(tables, key, out)) {
	case FOUND:
		return out->n > 0;
	case NONE:
		return false;
	case RETRY:
		break;
	}
	log_warn("%s: %s", what, tables_error(tables));
	return false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A refusal in one line, whose enhanced code is of its class. */
static bool
is_refusal(struct str text)
{
	return text.n > 4 && (text.p[0] == '4' || text.p[0] == '5') &&
	    is_digit(text.p[1]) && is_digit(text.p[2]) && text.p[3] == ' ' &&
	    (!is_digit(text.p[4]) || text.p[4] == text.p[0]) &&
	    str_chr(text, '\n') == text.n;
}

static void
filter(struct session *s, struct buf *text)
{
	const struct transaction *tx = s->tx;
	struct str id = tx != NULL && tx->queue_id.n > 0 ? tx->queue_id :
							   STR("NOQUEUE");
	struct buf other;

	buf_init(&other, TABLE_VALUE_MAX);
	if (ask(s->smtpd->reject_filter, "smtpd_reject_filter_maps",
	    buf_view(text), &other)) {
		if (is_refusal(buf_view(&other)) && other.n < REFUSAL_MAX / 2) {
			log_mail(id, "reply filter in: %s", buf_cstr(text));
			log_mail(id, "reply filter out: %s", buf_cstr(&other));
			buf_clear(text);
			buf_str(text, buf_view(&other));
		} else
			log_at(LL_WARN, id, "ignoring invalid reject filter "
			    "result: %s", buf_cstr(&other));
	}
	buf_free(&other);
}

static bool
look(void *ctx, struct str name, struct str *value, bool *raw)
{
	const struct footing *f = ctx;

	return names_look(f->s, f->arena, name, value, raw);
}

/*
 * The template's lines, parted by "\\n", each behind a copy of the code; a
 * "\\c" at its start lets the first go on where the text ends. False, with
 * the text as it was: it is no template.
 */
static bool
append(struct footing *f, struct str template, struct buf *text)
{
	struct expander expander = { .ctx = f, .lookup = look };
	size_t was = text->n, dsn;
	struct str code = arena_str(f->arena, buf_view(text)), part;
	bool goes_on = str_starts(template, STR("\\c"));
	const char *end;

	dsn = dsn_status_length(str_from(code, 4));
	if (goes_on)
		template = str_from(template, 2);
	do {
		end = memmem(template.p, template.n, "\\n", 2);
		part = str_first(template, end != NULL ?
		    (size_t)(end - template.p) : template.n);
		template = str_from(template, part.n + 2);
		if (!goes_on) {
			buf_printf(text, "\n" STRF " ",
			    STRV(str_first(code, 3)));
			if (dsn > 0)
				buf_printf(text, STRF " ",
				    STRV(str_first(str_from(code, 4), dsn)));
		}
		goes_on = false;
		if (expand_text(&expander, part, text) == EXPAND_ERROR ||
		    text->full) {
			text->n = was;
			text->full = false;
			return false;
		}
	} while (end != NULL);
	return true;
}

static void
add_footer(struct session *s, struct buf *text)
{
	struct footing f = { s, NULL };
	struct str template = s->smtpd->conf.smtpd_reject_footer;
	struct buf found;

	if (template.n == 0 && tables_empty(s->smtpd->reject_footers))
		return;
	f.arena = arena_new(REFUSAL_MEMORY);
	buf_init(&found, TABLE_VALUE_MAX);
	if (ask(s->smtpd->reject_footers, "smtpd_reject_footer_maps",
	    buf_view(text), &found))
		template = buf_view(&found);
	if (template.n > 0 && !append(&f, template, text))
		log_warn("bad reject footer template: " STRF, STRV(template));
	buf_free(&found);
	arena_free(&f.arena);
}

void
refusal_soften(const struct smtpd *d, char *line, size_t n)
{
	if (!d->soft_bounce || n < 4 || line[0] != '5')
		return;
	line[0] = '4';
	if (n > 5 && line[4] == '5' && line[5] == '.')
		line[4] = '4';
}

void
refusal_print(struct session *s, struct str text, struct buf *out)
{
	size_t at, next;

	buf_init(out, REFUSAL_MAX);
	buf_str(out, text);
	filter(s, out);
	add_footer(s, out);
	for (at = 0; at < out->n; at = next) {
		next = at + str_chr(str_from(buf_view(out), at), '\n') + 1;
		refusal_soften(s->smtpd, out->p + at, out->n - at);
		if (next < out->n && out->n > at + 3)
			out->p[at + 3] = '-';
	}
}
