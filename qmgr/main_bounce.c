/*
 * bounce - writes delivery reports and hands them to cleanup.
 *
 * qmgr sends a message's descriptor; what happened to whom is in its
 * journal. Runs as mail_owner, opens no file. RFC 3461, 3462, 3464.
 */
#include "qmgr/bounce.h"

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct bounce_conf, __VA_ARGS__)
#include "qmgr/params_bounce.def"
#undef PARAM
};

#define SERVER_MAX	500	/* bytes of its name in a notice */
#define NOTICE_MAX	4096	/* beside the script */
#define TEMPLATES_MAX ((size_t)16 << 20)	/* bytes of texts */

static bool
has_class(struct str classes, const char *name)
{
	struct str item;

	while (conf_list_next(&classes, &item))
		if (str_eq_nocase(item, str_of(name)))
			return true;
	return false;
}

/* The texts, as they will be sent. */
static void
load_templates(struct bounce *b, struct conf *conf, struct problems *problems)
{
	struct report_site *site = &b->site;

	if (b->arena == NULL)
		b->arena = arena_new(TEMPLATES_MAX);
	templates_load(&site->templates, conf, b->arena, problems);
	for (size_t k = 0; k < TEMPLATE__MAX; k++) {
		struct buf text;

		buf_init(&text, TEMPLATE_FILE_MAX);
		if (!template_expand(&site->templates, (enum template_kind)k,
		    conf, &text, problems) && !problems_fatal(problems))
			problem_add(problems, true, site->templates.file, 0,
			    "text too long");
		site->text[k] = arena_str(b->arena, buf_view(&text));
		buf_free(&text);
	}
}

static void
check(void *ctx, struct service *service, struct problems *problems)
{
	load_templates(ctx, service_conf(service), problems);
}

static void
configure(void *ctx, struct service *service)
{
	struct bounce *b = ctx;
	struct conf *conf = service_conf(service);
	struct str classes = conf_get(conf, "notify_classes");

	b->service = service;
	b->site.myhostname = conf_get(conf, "myhostname");
	b->site.maximal_queue_lifetime =
	    conf_number(conf, "maximal_queue_lifetime");
	b->site.bounce_size_limit = b->conf.bounce_size_limit;
	b->site.threaded = b->conf.enable_threaded_bounces;
	b->site.tls_optional = conf_bool(conf, "tls_required_enable");
	b->site.confirm_delay_cleared =
	    conf_bool(conf, "confirm_delay_cleared");
	b->notify_bounce = has_class(classes, "bounce");
	b->notify_2bounce = has_class(classes, "2bounce");
	b->notify_delay = has_class(classes, "delay");
	b->error_recipient = conf_get(conf, "error_notice_recipient");
	b->twobounce_recipient = conf_get(conf, "2bounce_notice_recipient");
	notices_init(&b->notices, service, b->arena);
	list_init(&b->requests);
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	if (id == MSG_report)
		request_new(ctx, talk);
	else
		talk_close(&talk);
}

/* What smtp or lmtp tells of a session: they may send no mail themselves. */
static void
tell_postmaster(struct bounce *b, enum role from, const struct msg_notice *m)
{
	struct str server = str_first(m->server, SERVER_MAX);
	struct buf subject, text;

	buf_init(&subject, NOTICE_MAX);
	buf_init(&text, NOTICE_MAX + IPC_CONTENT_MAX);
	buf_printf(&subject, "%s client: errors from " STRF,
	    from == ROLE_LMTP ? "LMTP" : "SMTP", STRV(server));
	buf_printf(&text, "Unexpected response from " STRF ".\r\n\r\n"
	    "Transcript of session follows.\r\n\r\n", STRV(server));
	buf_str(&text, str_first(m->script, IPC_CONTENT_MAX));
	notice_send(&b->notices, b->error_recipient, buf_view(&subject),
	    buf_view(&text));
	buf_free(&text);
	buf_free(&subject);
}

static void
on_solo(void *ctx, struct channel *from, enum msg id, const void *msg)
{
	if (id == MSG_notice)
		tell_postmaster(ctx, channel_peer(from), msg);
}

static void
on_drained(void *ctx, struct channel *ch)
{
	requests_resume(ctx, ch);
}

int
main(int argc, char **argv)
{
	struct bounce b = { 0 };
	const struct service_def def = {
		.role = ROLE_BOUNCE,
		.params = params, .nparams = nitems(params),
		.conf = &b.conf, .ctx = &b,
		.check = check, .open = configure, .on_talk = on_talk,
		.on_solo = on_solo, .on_drained = on_drained,
	};

	return service_main(&def, argc, argv);
}
