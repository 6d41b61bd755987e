/*
 * pass - a recipient that another transport delivers: mailbox_transport,
 * fallback_transport and their tables. deliver_pass() of Postfix. The other
 * agent writes the log line; its result becomes ours.
 */
#include <errno.h>
#include <fcntl.h>
#include "local/local.h"

#define PASS_MS		3600000	/* for the other to answer */

struct pass {
	struct leaf	  *leaf;
	struct str	   name, nexthop;
	struct talk	  *talk;
	bool		   have;	/* a result came */
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops ops = { on_message, on_gone };

static void
put_off(struct pass *p, const char *why)
{
	log_at(LL_WARN, p->leaf->x->recipient->delivery->msg.queue_id,
	    "transport " STRF ": %s", STRV(p->name), why);
	leaf_done(p->leaf, DEFERRED, STR("4.3.0"),
	    "mail transport unavailable");
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct pass *p = ctx;
	const struct msg_rcpt_result *m = msg;

	(void)talk;
	if (id == MSG_rcpt_result) {
		if (!p->have)
			deliver_take(p->leaf->x->recipient, m);
		p->have = true;
		return;
	}
	p->talk = NULL;			/* deliver_done */
	if (p->have)
		leaf_drop(p->leaf);
	else
		put_off(p, "no result came");
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct pass *p = ctx;

	(void)talk;
	p->talk = NULL;
	if (p->have)
		leaf_drop(p->leaf);
	else
		put_off(p, why);
}

/* Roles that deliver: a service of that name is one of them. */
static struct channel *
find(struct service *service, struct str name)
{
	static const enum role roles[] = { ROLE_LMTP, ROLE_PIPE, ROLE_SMTP,
		ROLE_VIRTUAL, ROLE_ERROR, ROLE_DISCARD, ROLE_LOCAL };

	for (size_t i = 0; i < nitems(roles); i++) {
		struct channel *ch = service_peer(service, roles[i], name);

		if (ch != NULL)
			return ch;
	}
	return NULL;
}

static void
request(struct pass *p, struct channel *channel, int fd)
{
	const struct recipient *r = p->leaf->x->recipient;
	struct msg_deliver m = r->delivery->msg;

	m.nexthop = p->nexthop;
	m.rcpt_count = 1;
	m.sender = p->leaf->p.sender;
	m.queue_file = fd;
	p->talk = talk_open(channel, &ops, p);
	talk_deadline(p->talk, PASS_MS);
	talk_send(p->talk, MSG_deliver, &m);
	talk_send(p->talk, MSG_deliver_rcpt, &(struct msg_deliver_rcpt){
	    .index = 0, .address = p->leaf->p.address,
	    .original = r->original.n > 0 ? r->original :
	    str_eq(r->address, p->leaf->p.address) ? STR("") : r->address,
	    .dsn_orcpt = r->dsn_orcpt, .dsn_notify = r->dsn_notify });
}

void
pass_on(struct leaf *leaf, struct str transport)
{
	struct pass *p = arena_alloc(leaf->x->arena, sizeof(*p));
	size_t colon = str_chr(transport, ':');
	const struct delivery *d = leaf->x->recipient->delivery;
	struct channel *channel;
	int fd;

	p->leaf = leaf;
	p->name = str_first(transport, colon);
	p->nexthop = str_from(transport, colon + 1);
	if (p->nexthop.n == 0)
		p->nexthop = d->msg.nexthop;
	if (str_eq(p->name, str_of(service_name(leaf->x->local->service)))) {
		put_off(p, "mail would loop back to this service");
		return;
	}
	channel = find(leaf->x->local->service, p->name);
	if (channel == NULL) {
		put_off(p, "no process to deliver");
		return;
	}
	fd = fcntl(d->msg.queue_file, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		put_off(p, strerror(errno));
	else
		request(p, channel, fd);
}
