/*
 * talk - the conversations on a channel: numbers, handlers, deadlines, ends.
 *
 * A talk's number is counter << 1 | side, so both ends may open talks without
 * asking. A frame of a talk that is no longer known here is late, not wrong:
 * our close and the peer's last words crossed. Handlers may close any talk,
 * their own included; memory stays until the handler has returned.
 */
#include "ipc/internal.h"
#include "sys/sys.h"

#define SLOTS_LEAST	16
#define LATE_MS		1	/* talks opened on a dead channel end then */

static void	on_timer(void *ctx);

static struct talk **
slot_of(struct channel *ch, uint32_t id)
{
	return &ch->slots[(id >> 1) & (ch->nslots - 1)];
}

static struct talk *
find(struct channel *ch, uint32_t id)
{
	struct talk *t;

	if (ch->nslots == 0)
		return NULL;
	for (t = *slot_of(ch, id); t != NULL; t = t->next)
		if (t->id == id)
			return t;
	return NULL;
}

static void
grow_slots(struct channel *ch)
{
	size_t n = ch->nslots == 0 ? SLOTS_LEAST : ch->nslots * 2;

	mem_free(ch->slots);
	ch->slots = mem_new(n * sizeof(struct talk *));
	ch->nslots = n;
	list_each(l, &ch->talks) {
		struct talk *t = container_of(l, struct talk, link);

		t->next = *slot_of(ch, t->id);
		*slot_of(ch, t->id) = t;
	}
}

static struct talk *
add(struct channel *ch, uint32_t id)
{
	struct talk *t = mem_new(sizeof(*t));

	if (ch->ntalks >= ch->nslots)
		grow_slots(ch);
	t->channel = ch;
	t->id = id;
	t->next = *slot_of(ch, id);
	*slot_of(ch, id) = t;
	list_append(&ch->talks, &t->link);
	ch->ntalks++;
	return t;
}

/* Forgets a talk; its memory stays while a handler runs on it. */
static void
forget(struct talk *t)
{
	struct channel *ch = t->channel;
	struct talk **at = slot_of(ch, t->id);

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	list_remove(&t->link);
	ch->ntalks--;
	t->dead = true;
	if (t->busy == 0)
		mem_free(t);
}

static void
hold(struct talk *t)
{
	t->busy++;
}

/* False: a handler closed it. */
static bool
release(struct talk *t)
{
	t->busy--;
	if (t->dead && t->busy == 0) {
		mem_free(t);
		return false;
	}
	return !t->dead;
}

static void
tell_close(struct talk *t)
{
	if (t->known && !t->ended)
		channel_put(t->channel, MSG__CLOSE, t->id, NULL);
	t->ended = true;
}

/* Its end that it did not ask for. */
static void
end(struct talk *t, const char *why)
{
	t->ended = true;
	t->going = false;
	hold(t);
	if (t->ops != NULL && t->ops->on_gone != NULL)
		t->ops->on_gone(t->ctx, t, why);
	if (release(t))
		forget(t);
}

/* Those that go stand in front; handlers may open and close others. */
static void
end_going(struct channel *ch, const char *why)
{
	channel_hold(ch);
	while (!list_empty(&ch->talks)) {
		struct talk *t = container_of(ch->talks.next, struct talk,
		    link);

		if (!t->going)
			break;
		if (!ch->dead)
			tell_close(t);
		end(t, why);
	}
	channel_release(ch);
}

void
talk_end_all(struct channel *ch, const char *why)
{
	list_each(l, &ch->talks)
		container_of(l, struct talk, link)->going = true;
	end_going(ch, why);
}

/* --- in --- */

static void
deliver(struct talk *t, const struct frame *frame)
{
	bool ends = (ipc_flags(frame->id) & ENDS) != 0;

	if (ends)
		t->ended = true;
	t->deadline_ms = 0;
	hold(t);
	t->ops->on_message(t->ctx, t, frame->id, frame->msg);
	if (release(t) && ends)
		forget(t);
}

/* The peer opens a talk: whose is it to be? */
static void
opened(struct channel *ch, const struct frame *frame, void *msg)
{
	struct talk *t;

	if ((frame->talk & 1) == ch->side || find(ch, frame->talk) != NULL ||
	    ch->ntalks >= IPC_TALKS_MAX) {
		ipc_drop(frame->id, msg);
		channel_malformed(ch, ch->ntalks >= IPC_TALKS_MAX ?
		    "too many talks" : "a talk of that number exists");
		return;
	}
	t = add(ch, frame->talk);
	t->known = true;
	hold(t);
	if (ch->ops->on_talk != NULL)
		ch->ops->on_talk(ch->ctx, ch, t, frame->id);
	if (!release(t)) {
		ipc_drop(frame->id, msg);
		return;
	}
	if (t->ops != NULL) {
		deliver(t, frame);
		return;
	}
	ipc_drop(frame->id, msg);
	talk_close(&t);
}

static void
solo(struct channel *ch, enum msg id, void *msg)
{
	if (id == MSG__LEAVING) {
		if (ch->ops->on_leaving != NULL)
			ch->ops->on_leaving(ch->ctx, ch);
		channel_put(ch, MSG__HEARD, 0, NULL);
	} else if (id == MSG__HEARD)
		ch->parted = true;
	else if (ch->ops->on_solo != NULL)
		ch->ops->on_solo(ch->ctx, ch, id, msg);
	else
		ipc_drop(id, msg);
}

void
talk_dispatch(struct channel *ch, const struct frame *frame, void *msg)
{
	unsigned flags = ipc_flags(frame->id);
	struct talk *t;

	if ((flags & SOLO) != 0) {
		solo(ch, frame->id, msg);
		return;
	}
	if ((flags & OPENS) != 0) {
		opened(ch, frame, msg);
		return;
	}
	t = find(ch, frame->talk);
	if (t == NULL || t->ops == NULL)
		ipc_drop(frame->id, msg);
	else if (frame->id == MSG__CLOSE)
		end(t, "closed by peer");
	else
		deliver(t, frame);
}

/* --- deadlines --- */

static void
arm(struct channel *ch, int64_t due_ms, int64_t now_ms)
{
	if (ch->timer == NULL)
		ch->timer = timer_new(ch->loop, on_timer, ch);
	if (ch->timer_due_ms != 0 && ch->timer_due_ms <= due_ms)
		return;
	ch->timer_due_ms = due_ms;
	timer_set(ch->timer, due_ms - now_ms);
}

/*
 * One timer for all talks, set to a time not after the earliest deadline:
 * most talks are over long before, and cost it nothing.
 */
static void
on_timer(void *ctx)
{
	struct channel *ch = ctx;
	int64_t now = clock_steady_ms();
	int64_t next = INT64_MAX;

	ch->timer_due_ms = 0;
	if (ch->dead) {
		talk_end_all(ch, "channel is closed");
		return;
	}
	list_each(l, &ch->talks) {
		struct talk *t = container_of(l, struct talk, link);

		if (t->deadline_ms == 0)
			continue;
		if (t->deadline_ms > now) {
			if (t->deadline_ms < next)
				next = t->deadline_ms;
			continue;
		}
		t->going = true;
		list_remove(l);
		list_prepend(&ch->talks, l);
	}
	if (next != INT64_MAX)
		arm(ch, next, now);
	end_going(ch, "deadline");
}

void
talk_deadline(struct talk *t, int64_t ms)
{
	int64_t now;

	t->deadline_ms = 0;
	if (ms <= 0 || t->channel->dead)
		return;
	now = clock_steady_ms();
	t->deadline_ms = now + ms;
	arm(t->channel, t->deadline_ms, now);
}

/* --- out --- */

struct talk *
talk_open(struct channel *ch, const struct talk_ops *ops, void *ctx)
{
	struct talk *t;
	uint32_t id;

	do {
		ch->counter = (ch->counter + 1) & INT32_MAX;
		id = ch->counter << 1 | ch->side;
	} while (ch->counter == 0 || find(ch, id) != NULL);
	t = add(ch, id);
	t->ops = ops;
	t->ctx = ctx;
	if (ch->dead) {		/* ends from the loop, as a late one does */
		int64_t now = clock_steady_ms();

		t->ended = true;
		arm(ch, now + LATE_MS, now);
	}
	return t;
}

void
talk_set(struct talk *t, const struct talk_ops *ops, void *ctx)
{
	t->ops = ops;
	t->ctx = ctx;
}

void
talk_send(struct talk *t, enum msg id, const void *msg)
{
	unsigned flags = ipc_flags(id);
	struct channel *ch = t->channel;

	if (t->ended || t->dead) {
		int fd = ipc_fd(id, msg);

		fd_close(&fd);
		return;
	}
	if (((flags & OPENS) != 0) == t->known || (flags & SOLO) != 0)
		die("ipc: %s out of place in a talk", ipc_name(id));
	t->known = true;
	channel_put(ch, id, t->id, msg);
	if ((flags & ENDS) == 0)
		return;
	channel_hold(ch);
	t->ended = true;
	forget(t);
	channel_release(ch);
}

void
talk_close(struct talk **talk)
{
	struct talk *t = *talk;
	struct channel *ch;

	if (t == NULL)
		return;
	*talk = NULL;
	if (t->dead)
		return;
	ch = t->channel;
	channel_hold(ch);
	tell_close(t);
	forget(t);
	channel_release(ch);
}

struct channel *
talk_channel(const struct talk *t)
{
	return t->channel;
}
