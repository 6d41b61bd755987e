/* loop_rig - an event loop run for a while by a test. */
#ifndef LOOP_RIG_H
#define LOOP_RIG_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "event/event.h"

static void
rig_stop(void *ctx)
{
	loop_stop(ctx);
}

/* Rounds for ms: all that was to be said is said. */
static void
rig_run(struct loop *loop, int64_t ms)
{
	struct timer *t = timer_new(loop, rig_stop, loop);

	timer_set(t, ms);
	loop_run(loop);
	assert_false(timer_is_set(t));
	timer_free(&t);
}
#endif
