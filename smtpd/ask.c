/*
 * ask - a question to another process in the midst of an evaluation.
 *
 * The rule says what to send and what the answer means; waiting for the
 * process, its deadline and its death are here.
 */
#include "address/address.h"
#include "smtpd/access.h"

#define PEER_WAIT_MS 10000	/* for the process to (re)start */

static void on_channel(void *ctx, struct channel *);
static void on_answer(void *ctx, struct talk *, enum msg, const void *);
static void on_gone(void *ctx, struct talk *, const char *why);

static void on_records(void *ctx, const struct dns_answer *);
static void on_dns(void *ctx, const struct dns_answer *);
static void send_table(struct check *, struct talk *);
static enum step take_table(struct check *, const void *msg);
static enum step lost_table(struct check *);
static void send_local(struct check *, struct talk *);
static enum step take_local(struct check *, const void *msg);
static enum step lost_local(struct check *);

static const struct talk_ops talk_ops = { on_answer, on_gone };
static const struct question table_question = { send_table, take_table,
	lost_table };
static const struct question local_question = { send_local, take_local,
	lost_local };

enum step
check_ask(struct check *c, const struct question *question)
{
	return check_ask_role(c, ROLE_LOOKUP, question);
}

enum step
check_ask_role(struct check *c, enum role role,
    const struct question *question)
{
	struct service *service = c->s->smtpd->service;
	struct wait_peer *w;

	c->question = question;
	c->ask_role = role;
	w = service_wait_peer(service, role, STR(""), PEER_WAIT_MS,
	    on_channel, c);
	if (w != NULL)		/* else it was called, and has asked */
		c->waiting = w;
	return WAITS;
}

static void
on_channel(void *ctx, struct channel *ch)
{
	struct check *c = ctx;
	struct session *s = c->s;

	c->waiting = NULL;
	if (ch == NULL) {
		on_gone(c, NULL, "does not answer");
		return;
	}
	s->ask = talk_open(ch, &talk_ops, c);
	talk_deadline(s->ask, s->smtpd->conf.ipc_timeout * 1000);
	c->question->send(c, s->ask);
}

static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct check *c = ctx;

	(void)t;
	(void)id;
	c->s->ask = NULL;
	check_resume(c, c->question->answer(c, msg));
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct check *c = ctx;

	(void)t;
	log_warn("%s: %s", role_name(c->ask_role), why);
	c->s->ask = NULL;
	check_resume(c, c->question->lost(c));
}

/* --- resolve --- */

static struct str
ascii_name(struct check *c, struct str name)
{
	struct buf ascii;

	buf_init(&ascii, DNS_NAME_MAX);
	if (address_domain_ascii(name, &ascii) && !ascii.full)
		name = arena_str(c->arena, buf_view(&ascii));
	buf_free(&ascii);
	return name;
}

enum step
check_dns(struct check *c, enum dns_type type, struct str name,
    dns_step *then)
{
	c->dns_then = then;
	c->dns_type = type;
	c->dns = dns_ask(c->s->smtpd->service, type, ascii_name(c, name),
	    on_records, c);
	return WAITS;
}

enum step
check_dns_host(struct check *c, struct str name, dns_step *then)
{
	c->dns_then = then;
	c->dns = dns_ask_host(c->s->smtpd->service, ascii_name(c, name),
	    DNS_HOSTS_FIRST, on_dns, c);
	return WAITS;
}

/* smtpd_dns_reply_filter; native lookups have none. */
static void
on_records(void *ctx, const struct dns_answer *all)
{
	struct check *c = ctx;
	struct dns_answer few;

	dns_filter(c->s->smtpd->dns_filter, "smtpd_dns_reply_filter", all,
	    c->arena, &few);
	on_dns(c, &few);
}

static void
on_dns(void *ctx, const struct dns_answer *a)
{
	struct check *c = ctx;

	c->dns = NULL;
	check_resume(c, c->dns_then(c, a));
}

/* --- a table --- */

enum step
check_table(struct check *c, struct str table, enum access_kind kind,
    struct str subject, enum step (*then)(struct check *,
    const struct msg_access_answer *))
{
	c->table = table;
	c->table_kind = kind;
	c->table_subject = subject;
	c->table_then = then;
	return check_ask(c, &table_question);
}

static void
send_table(struct check *c, struct talk *t)
{
	/* A certificate is looked up, then its key. */
	struct str second = c->table_kind == ACCESS_EXACT ?
	    tls_info(c->s->tls)->key_print : c->s->addr;

	talk_send(t, MSG_access_ask, &(struct msg_access_ask){
	    .tables = c->table, .kind = c->table_kind,
	    .subject = c->table_subject, .subject_addr = second,
	    .service = str_of(service_name(c->s->smtpd->service)) });
}

static enum step
take_table(struct check *c, const void *msg)
{
	const struct msg_access_answer *m = msg;

	if (m->found != FOUND && m->found != NONE) {
		log_warn(STRF " lookup error for \"" STRF "\"",
		    STRV(c->table), STRV(c->table_subject));
		if (m->error.n > 0)
			log_warn(STRF, STRV(m->error));
	}
	return c->table_then(c, m);
}

static enum step
lost_table(struct check *c)
{
	return c->table_then(c,
	    &(struct msg_access_answer){ .found = RETRY });
}

/* --- is that ours --- */

enum step
check_local(struct check *c, struct str domain,
    enum step (*then)(struct check *, enum found))
{
	c->local_then = then;
	c->table_subject = domain;
	return check_ask(c, &local_question);
}

static void
send_local(struct check *c, struct talk *t)
{
	struct str address = str_of(arena_printf(c->arena, "postmaster@" STRF,
	    STRV(c->table_subject)));

	talk_send(t, MSG_address_ask, &(struct msg_address_ask){
	    .address = address,
	    .service = str_of(service_name(c->s->smtpd->service)) });
}

static enum step
take_local(struct check *c, const void *msg)
{
	const struct msg_address_answer *m = msg;

	if (m->recipient.n == 0)
		return c->local_then(c, RETRY);
	return c->local_then(c, m->class == CLASS_LOCAL ? FOUND : NONE);
}

static enum step
lost_local(struct check *c)
{
	return c->local_then(c, RETRY);
}
