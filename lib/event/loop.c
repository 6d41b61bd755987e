/*
 * loop - one event_base a process, its hooks and signals, timers, watches.
 *
 * A round: wait for events, run their callbacks, run the hooks, hand out the
 * log, and only then sleep again. So what callbacks say to other processes
 * or to the log leaves gathered, once a round.
 */
#include <signal.h>
#include "event/internal.h"
#include "sys/sys.h"

#define LOG_AGAIN_MS	100	/* when its sink is asked again */

static void
on_libevent_fatal(int err)
{
	die("libevent: internal error %d", err);
}

/* The end of this round flushes. */
static void
on_log_again(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
}

struct loop *
loop_new(void)
{
	struct loop *loop = mem_new(sizeof(*loop));
	struct event_config *conf = event_config_new();

	event_set_fatal_callback(on_libevent_fatal);
	/* No thread but this one touches the base: no locks. */
	if (conf == NULL ||
	    event_config_set_flag(conf, EVENT_BASE_FLAG_NOLOCK) != 0 ||
	    (loop->base = event_base_new_with_config(conf)) == NULL)
		die("libevent: no event base");
	event_config_free(conf);
	list_init(&loop->hooks);
	list_init(&loop->signals);
	event_place(loop, &loop->log_again, -1, 0, on_log_again, NULL);
	loop->input = mem_new(STREAM_INPUT_MAX);
	/* Writing to a closed socket is an error code, not a death. */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die("signal: SIGPIPE");
	return loop;
}

/* What was said in this round, or before the first, leaves now. */
static void
end_round(struct loop *loop)
{
	static const struct timeval again = { .tv_usec = LOG_AGAIN_MS * 1000 };

	list_each(l, &loop->hooks) {
		struct hook *h = container_of(l, struct hook, link);

		h->fn(h->ctx);
	}
	log_flush();
	if (log_waiting() && event_add(&loop->log_again, &again) != 0)
		die("libevent: timer refused");
}

void
loop_run(struct loop *loop)
{
	end_round(loop);
	while (!loop->stop) {
		loop->round++;
		if (event_base_loop(loop->base,
		    EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) == -1)
			die("libevent: the loop failed");
		end_round(loop);
	}
	loop->stop = false;
}

void
loop_stop(struct loop *loop)
{
	loop->stop = true;
}

void
loop_free(struct loop **loop)
{
	struct loop *it = *loop;

	if (it == NULL)
		return;
	*loop = NULL;
	list_each(l, &it->hooks) {
		list_remove(l);
		mem_free(container_of(l, struct hook, link));
	}
	list_each(l, &it->signals) {
		struct signal_watch *s =
		    container_of(l, struct signal_watch, link);

		event_del(&s->event);
		list_remove(l);
		mem_free(s);
	}
	event_del(&it->log_again);
	event_base_free(it->base);
	mem_free(it->input);
	mem_free(it);
}

void
loop_before_sleep(struct loop *loop, void (*fn)(void *), void *ctx)
{
	struct hook *h;

	list_each(l, &loop->hooks) {
		h = container_of(l, struct hook, link);
		if (h->fn == fn && h->ctx == ctx)
			return;
	}
	h = mem_new(sizeof(*h));
	h->fn = fn;
	h->ctx = ctx;
	list_append(&loop->hooks, &h->link);
}

static void
on_signal(evutil_socket_t signo, short what, void *ctx)
{
	struct signal_watch *s = ctx;

	(void)what;
	s->fn(s->ctx, (int)signo);
}

void
loop_on_signal(struct loop *loop, int signo, void (*fn)(void *ctx, int signo),
    void *ctx)
{
	struct signal_watch *s = mem_new(sizeof(*s));

	s->fn = fn;
	s->ctx = ctx;
	event_place(loop, &s->event, signo, EV_SIGNAL | EV_PERSIST, on_signal,
	    s);
	event_want(&s->event, true);
	list_append(&loop->signals, &s->link);
}

void
event_place(struct loop *loop, struct event *event, int fd, short what,
    event_callback_fn fn, void *ctx)
{
	if (event_assign(event, loop->base, fd, what, fn, ctx) != 0)
		die("libevent: event refused");
}

void
event_want(struct event *event, bool on)
{
	if ((on ? event_add(event, NULL) : event_del(event)) != 0)
		die("libevent: event of descriptor %d: %s",
		    (int)event_get_fd(event), on ? "add" : "del");
}

/* --- timers --- */

struct timer {
	struct event	 event;
	void		(*fn)(void *);
	void		*ctx;
};

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct timer *t = ctx;

	(void)fd;
	(void)what;
	t->fn(t->ctx);
}

struct timer *
timer_new(struct loop *loop, void (*fn)(void *), void *ctx)
{
	struct timer *t = mem_new(sizeof(*t));

	t->fn = fn;
	t->ctx = ctx;
	event_place(loop, &t->event, -1, 0, on_timer, t);
	return t;
}

void
timer_set(struct timer *t, int64_t after_ms)
{
	struct timeval tv;

	if (after_ms < 0)
		after_ms = 0;
	tv.tv_sec = (time_t)(after_ms / 1000);
	tv.tv_usec = (suseconds_t)(after_ms % 1000 * 1000);
	if (event_add(&t->event, &tv) != 0)
		die("libevent: timer refused");
}

void
timer_cancel(struct timer *t)
{
	event_del(&t->event);
}

bool
timer_is_set(const struct timer *t)
{
	return event_pending(&t->event, EV_TIMEOUT, NULL) != 0;
}

void
timer_free(struct timer **t)
{
	if (*t == NULL)
		return;
	event_del(&(*t)->event);
	mem_free(*t);
	*t = NULL;
}

/* --- watches --- */

struct watch {
	struct loop	*loop;
	struct event	 event;
	unsigned	 wanted;
	int		 fd;
	void		(*fn)(void *ctx, unsigned what);
	void		*ctx;
};

static void
on_watch(evutil_socket_t fd, short what, void *ctx)
{
	struct watch *w = ctx;

	(void)fd;
	w->fn(w->ctx, ((what & EV_READ) != 0 ? WATCH_READ : 0u) |
	    ((what & EV_WRITE) != 0 ? WATCH_WRITE : 0u));
}

struct watch *
watch_new(struct loop *loop, int fd, void (*fn)(void *ctx, unsigned what),
    void *ctx)
{
	struct watch *w = mem_new(sizeof(*w));

	w->loop = loop;
	w->fd = fd;
	w->fn = fn;
	w->ctx = ctx;
	event_place(loop, &w->event, fd, EV_READ | EV_PERSIST, on_watch, w);
	return w;
}

void
watch_want(struct watch *w, unsigned what)
{
	int events = ((what & WATCH_READ) != 0 ? EV_READ : 0) |
	    ((what & WATCH_WRITE) != 0 ? EV_WRITE : 0);

	if (what == w->wanted)
		return;
	if (w->wanted != 0)
		event_want(&w->event, false);
	w->wanted = what;
	if (what == 0)
		return;
	event_place(w->loop, &w->event, w->fd, (short)(events | EV_PERSIST),
	    on_watch, w);
	event_want(&w->event, true);
}

void
watch_free(struct watch **w)
{
	if (*w == NULL)
		return;
	event_del(&(*w)->event);
	mem_free(*w);
	*w = NULL;
}
