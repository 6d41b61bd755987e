/*
 * clock - how old mail is, when the wall clock cannot be trusted.
 *
 * Waits run on the steady clock. The age of a message is by the wall clock,
 * which an administrator or a bad time server may set years ahead: without
 * care that would return the whole queue to its senders. So the wall clock
 * is compared with the steady one: a small difference is followed, a large
 * one is a jump, and mail from before it does not age by it. qmgr runs it.
 */
#include <inttypes.h>
#include "qmgr/qmgr.h"

#define JUMP_US		(600LL * 1000000)	/* more is no adjustment */

void
age_start(struct qmgr *q)
{
	q->wall0_us = clock_wall_us();
	q->steady0_ms = clock_steady_ms();
}

int64_t
age_s(struct qmgr *q, int64_t arrival_us)
{
	int64_t wall = clock_wall_us(), steady = clock_steady_ms();
	int64_t expect = q->wall0_us + (steady - q->steady0_ms) * 1000;
	int64_t ahead = wall - expect, age;

	if (ahead > JUMP_US || ahead < -JUMP_US) {
		log_warn("the clock jumped by %" PRId64 " seconds; mail that "
		    "is in the queue does not age by it", ahead / 1000000);
		q->jump_us = ahead + (q->jump_us > 0 ? q->jump_us : 0);
		q->jump_at_us = expect;
	}
	q->wall0_us = wall;
	q->steady0_ms = steady;
	age = wall - arrival_us;
	/* What arrived before a jump ahead is not that old. */
	if (q->jump_us > 0 && arrival_us <= q->jump_at_us && age > q->jump_us)
		age -= q->jump_us;
	return age > 0 ? age / 1000000 : 0;
}
