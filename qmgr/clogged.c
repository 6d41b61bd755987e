/*
 * clogged - warns when one destination fills much of the active queue.
 *
 * Postfix's words and threshold (a fifth of qmgr_message_active_limit), with
 * what may help. Once in qmgr_clog_warn_time for a destination, and only
 * with helpful_warnings. qmgr runs it.
 */
#include "qmgr/qmgr.h"

static void
advise(const struct qmgr *q, const struct dest *d)
{
	const struct transport *t = d->transport;
	unsigned most = window_most(&t->limits);

	if (most > 0 && most <= d->busy + 1) {
		log_warn("you may need to increase the main.cf %s"
		    "_destination_concurrency_limit from %u", t->name, most);
	} else if (schedule_dests(q->schedule) > 1) {
		log_warn("you may need a separate master.cf transport for %s",
		    d->nexthop);
	} else {
		log_warn("you may need to reduce %s connect and helo timeouts",
		    t->name);
		log_warn("so that it quickly skips unavailable hosts");
		log_warn("you may need to increase the main.cf "
		    "minimal_backoff_time and maximal_backoff_time");
		log_warn("so that less time is wasted on undeliverable mail");
		log_warn("you may need to increase the master.cf %s process "
		    "limit", t->name);
	}
}

void
clogged_check(struct qmgr *q, struct dest *d)
{
	int64_t every = q->conf.qmgr_clog_warn_time * 1000, now;

	if (!q->conf.helpful_warnings || every <= 0 || (int64_t)d->njobs <=
	    q->conf.qmgr_message_active_limit / 5)
		return;
	now = clock_steady_ms();
	if (d->warned_ms != 0 && now - d->warned_ms < every)
		return;
	d->warned_ms = now;
	log_warn("mail for %s is using up %u of %zu active queue entries",
	    d->nexthop, d->njobs, q->nmessages);
	if (d->njobs * 10 < q->nmessages * 9)
		log_warn("this may slow down other mail deliveries");
	advise(q, d);
	log_warn("please avoid flushing the whole queue when you have");
	log_warn("lots of deferred mail, that is bad for performance");
	log_warn("to turn off these warnings specify: "
	    "qmgr_clog_warn_time = 0");
}
