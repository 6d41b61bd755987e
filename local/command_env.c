/*
 * command_env - the environment of a command: EXTERNAL COMMAND DELIVERY of
 * local(8). What a sender chose goes through command_expansion_filter; no
 * shell ever reads it as text of a command.
 */
#include <paths.h>
#include <stdlib.h>
#include "local/local.h"

#define ENVIRONMENT_MAX	32768

static void
put(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, "%s=", name);
	buf_str(out, value);
	buf_putc(out, '\0');
}

void
command_exports(struct conf *conf, struct buf *out)
{
	struct str names = conf_get(conf, "export_environment"), item;

	while (conf_list_next(&names, &item)) {
		struct arena *arena = arena_new(65536);
		const char *value = NULL;

		if (str_chr(item, '=') < item.n) {
			buf_str(out, item);
			buf_putc(out, '\0');
		} else if ((value = getenv(arena_cstr(arena, item))) != NULL)
			put(out, arena_cstr(arena, item), str_of(value));
		else if (str_eq(item, STR("MAIL_CONFIG")))
			put(out, "MAIL_CONFIG", str_of(conf_dir(conf)));
		arena_free(&arena);
	}
	put(out, "PATH", STR(_PATH_DEFPATH));
}

/* A NAME=value whose value is censored; left out where it is empty. */
static void
censored(struct buf *out, const struct local *l, const char *name,
    struct str value)
{
	struct str filter = l->conf.command_expansion_filter;
	size_t at;

	if (value.n == 0)
		return;
	buf_printf(out, "%s=", name);
	at = out->n;
	buf_str(out, value);
	for (; at < out->n; at++)
		if (str_chr(filter, out->p[at]) == filter.n)
			out->p[at] = '_';
	buf_putc(out, '\0');
}

struct str
command_environment(const struct leaf *leaf)
{
	const struct place *p = &leaf->p;
	const struct recipient *r = leaf->x->recipient;
	const struct msg_deliver *d = &r->delivery->msg;
	const struct local *l = leaf->x->local;
	const struct { const char *name; struct str value; } all[] = {
		{ "HOME", p->rights.user.home },
		{ "LOGNAME", p->user }, { "USER", p->user },
		{ "SENDER", p->sender }, { "RECIPIENT", p->address },
		{ "LOCAL", p->local }, { "SHELL", p->rights.user.shell },
		{ "DOMAIN", p->domain }, { "EXTENSION", p->extension },
		{ "ORIGINAL_RECIPIENT", r->original.n > 0 ? r->original :
		    r->address },
		{ "ENVID", d->dsn_envid },
		{ "CLIENT_HOSTNAME", d->client_name },
		{ "CLIENT_ADDRESS", d->client_addr },
		{ "CLIENT_HELO", d->helo }, { "CLIENT_PROTOCOL", d->protocol },
		{ "SASL_METHOD", d->sasl_method },
		{ "SASL_SENDER", d->sasl_sender },
		{ "SASL_USERNAME", d->sasl_user },
	};
	struct str out;
	struct buf b;

	buf_init(&b, ENVIRONMENT_MAX);
	buf_str(&b, l->environment);
	if (p->sender.n == 0)		/* Postfix sets it to nothing */
		put(&b, "SENDER", STR(""));
	for (size_t i = 0; i < nitems(all); i++)
		censored(&b, l, all[i].name, all[i].value);
	out = arena_str(leaf->x->arena, buf_view(&b));
	buf_free(&b);
	return out;
}
