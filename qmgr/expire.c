/*
 * expire - mail that is too old, or that postsuper -e was asked to return.
 *
 * The group's x bit of a queue file asks (postsuper.1). Words are Postfix's.
 * qmgr runs it.
 */
#include <sys/stat.h>
#include "address/address.h"
#include "qmgr/qmgr.h"

/*
 * Too old? A message that nobody tried for longer than any back-off (we were
 * down, or the clock was set meanwhile) gets one round more.
 */
static bool
is_expired(struct message *m)
{
	const struct qmgr_conf *c = &m->q->conf;
	int64_t life = m->msg.sender.n > 0 ? c->maximal_queue_lifetime :
	    c->bounce_queue_lifetime;
	int64_t silence = 2 * c->maximal_backoff_time;

	if (age_s(m->q, m->msg.arrival_us) < life)
		return false;
	if (silence < life)
		silence = life;
	return age_s(m->q, m->tried_s > 0 ? m->tried_s * 1000000 :
	    m->msg.arrival_us) <= silence;
}

bool
expire_asked(struct message *m)
{
	struct stat st;
	int fd = message_rw_fd(m);

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_mode & S_IXGRP;
}

void
expire_result(struct message *m, uint32_t i)
{
	const struct queue_rcpt r = m->msg.rcpts[i];

	if (r.status != RCPT_DEFERRED) {
		result_defer(m, i, STR("4.7.0"),
		    STR("message is administratively expired"));
		return;
	}
	result_set(m, i, &(struct result){ .status = DEFERRED, .dsn = r.dsn,
	    .text = r.text, .remote_mta = r.remote_mta,
	    .diagnostic = r.diagnostic, .transport = r.transport });
}

bool
expire(struct message *m)
{
	const char *how = m->forced || expire_asked(m) ? "force-expired" :
	    is_expired(m) ? "expired" : NULL;
	struct buf from;

	if (how == NULL)
		return false;
	buf_init(&from, 4 * ADDRESS_MAX);
	address_quote_822(m->msg.sender, &from);
	log_mail(str_of(m->msg.id), "from=<" STRF ">, status=%s, "
	    "returned to sender", STRV(buf_view(&from)), how);
	buf_free(&from);
	m->nunwritten = 0;		/* sent ones follow again below */
	for (size_t i = 0; i < m->msg.nrcpts; i++) {
		struct queue_rcpt *r = &m->msg.rcpts[i];

		if (r->status == RCPT_DEFERRED)
			r->status = RCPT_BOUNCED;
		if (r->status == RCPT_BOUNCED || r->status == RCPT_SENT)
			m->unwritten[m->nunwritten++] = (uint32_t)i;
	}
	return true;
}
