/*
 * lookup - answers smtpd's questions about addresses and access tables.
 *
 * Runs as mail_owner with FILTER_FILES; opens its tables before it becomes
 * that. A reload replaces it.
 */
#include "lookup/lookup.h"
#include "service/service.h"

#define ANSWER_MEMORY	(4 << 20)	/* bytes for one question */

static void	open_tables(void *ctx, struct service *, struct problems *);
static void	on_talk(void *ctx, struct talk *, enum msg);
static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);

static const struct talk_ops talk_ops = {
	.on_message = on_message, .on_gone = on_gone,
};

int
main(int argc, char **argv)
{
	struct lookup lookup = { 0 };
	const struct service_def def = {
		.role = ROLE_LOOKUP,
		.ctx = &lookup,
		.check = open_tables,
		.on_talk = on_talk,
	};

	return service_main(&def, argc, argv);
}

/* A table that can't be opened stops a check; else it answers RETRY. */
static void
open_tables(void *ctx, struct service *service, struct problems *problems)
{
	struct problems found = { 0 };

	sites_open(ctx, service_conf(service), &found);
	for (size_t i = 0; i < found.n; i++)
		problem_add(problems, service_checks(service) &&
		    found.v[i].fatal, found.v[i].file, found.v[i].line, "%s",
		    found.v[i].text);
	problems_free(&found);
}

static void
on_talk(void *ctx, struct talk *talk, enum msg msg)
{
	(void)msg;
	talk_set(talk, &talk_ops, ctx);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct lookup *l = ctx;
	struct arena *arena = arena_new(ANSWER_MEMORY);

	if (id == MSG_address_ask) {
		const struct msg_address_ask *ask = msg;
		struct msg_address_answer answer;

		answer_address(site_find(l, ask->service), arena, ask,
		    &answer);
		talk_send(talk, MSG_address_answer, &answer);
	} else if (id == MSG_access_ask) {
		const struct msg_access_ask *ask = msg;
		struct msg_access_answer answer;

		answer_access(site_find(l, ask->service), arena, ask,
		    &answer);
		talk_send(talk, MSG_access_answer, &answer);
	} else if (id == MSG_map_ask) {
		const struct msg_map_ask *ask = msg;
		struct msg_map_answer answer;

		answer_map(site_find(l, ask->service), arena, ask, &answer);
		talk_send(talk, MSG_map_answer, &answer);
	} else if (id == MSG_unix_ask) {
		struct msg_unix_answer answer;

		answer_unix(l, arena, msg, &answer);
		talk_send(talk, MSG_unix_answer, &answer);
	} else
		talk_close(&talk);
	arena_free(&arena);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	(void)ctx;
	(void)talk;
	(void)why;
}
