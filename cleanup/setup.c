/*
 * setup - what cleanup knows from the configuration: rules, tables, limits.
 *
 * Runs before privileges go; all that is asked of the configuration later is
 * kept here.
 */
#include <unistd.h>
#include "cleanup/cleanup.h"

const struct param cleanup_params[] = {
#define PARAM(type, name, preset, least, most, text) \
	PARAM_ROW(struct cleanup_conf, type, name, preset, least, most, text)
#include "cleanup/params.def"
#undef PARAM
};
const size_t cleanup_nparams = nitems(cleanup_params);

#define SCRATCH_MAX	(1 << 20)
#define MISSED_MAX	(10000 * QUEUE_ID_MAX)

static void
setup_queue(struct cleanup *c, struct conf *conf)
{
	char *spool = NULL;
	const char *bad;
	struct arena *arena = arena_new(65536);
	int err;

	spool = arena_cstr(arena, conf_get(conf, "queue_directory"));
	err = queue_open(&c->queue, spool, conf_get(conf, "hash_queue_names"),
	    (unsigned)conf_number(conf, "hash_queue_depth"), &bad);
	if (err != 0)
		die("open queue %s: %s: %s", spool, bad, strerror(err));
	if (c->queue.dir[Q_INCOMING] < 0 || c->queue.dir[Q_HOLD] < 0)
		die("open queue %s: incoming or hold is missing", spool);
	c->queue.long_ids = conf_bool(conf, "enable_long_queue_ids");
	c->queue.writer = (unsigned)getpid() & 7;
	arena_free(&arena);
}

static void
setup_rewrite(struct cleanup *c, struct conf *conf)
{
	c->local = (struct rewrite){
		.origin = conf_get(conf, "myorigin"),
		.domain = conf_get(conf, "mydomain"),
		.append_origin = conf_bool(conf, "append_at_myorigin"),
		.append_domain = conf_bool(conf, "append_dot_mydomain"),
		.swap_bangpath = conf_bool(conf, "swap_bangpath"),
		.percent_hack = conf_bool(conf, "allow_percent_hack"),
	};
}

static bool
lists(struct str list, struct str name)
{
	struct str item;

	while (conf_list_next(&list, &item))
		if (str_eq_nocase(item, name))
			return true;
	return false;
}

static void
setup_tables(struct cleanup *c, struct conf *conf)
{
	const char *dir = conf_dir(conf);
	struct buf why;

	buf_init(&why, 4096);
	c->virtual_alias = tables_open(conf_get(conf, "virtual_alias_maps"),
	    dir, TABLE_FOLD, &why);
	if (why.n > 0)
		log_error("virtual_alias_maps: %s", buf_cstr(&why));
	buf_clear(&why);
	c->mydestination = match_list_open(conf_get(conf, "mydestination"),
	    dir, 0, &why);
	if (why.n > 0)
		log_error("mydestination: %s", buf_cstr(&why));
	buf_free(&why);
	c->find = (struct find_conf){
		.delimiter = conf_get(conf, "recipient_delimiter"),
		.myorigin = c->local.origin, .local = c->mydestination };
	c->spread_extension = lists(conf_get(conf,
	    "propagate_unmatched_extensions"), STR("virtual"));
}

static void
setup_drops(struct cleanup *c)
{
	struct str list = c->conf.message_drop_headers, name;
	struct buf lower;

	buf_init(&lower, 4096);
	c->drop_others = map_new();
	while (conf_list_next(&list, &name)) {
		enum mime_header id = mime_header_find(name);

		if (id != MH__OTHER) {
			c->drop[id] = true;
			continue;
		}
		buf_clear(&lower);
		buf_str(&lower, name);
		lower_case(lower.p, lower.n);
		(void)map_set(c->drop_others, buf_view(&lower), c);
	}
	buf_free(&lower);
}

void
cleanup_setup(struct cleanup *c, struct conf *conf)
{
	setup_queue(c, conf);
	setup_rewrite(c, conf);
	setup_tables(c, conf);
	setup_drops(c);
	c->myhostname = conf_get(conf, "myhostname");
	c->mail_name = conf_get(conf, "mail_name");
	c->empty_address = conf_get(conf, "empty_address_recipient");
	c->size_max = conf_number(conf, "message_size_limit");
	c->minfree = conf_number(conf, "queue_minfree");
	if (c->minfree == 0)
		c->minfree = c->size_max + c->size_max / 2;
	c->hops_max = conf_number(conf, "hopcount_limit");
	c->line_max = conf_number(conf, "line_length_limit");
	buf_init(&c->scratch, SCRATCH_MAX);
	buf_init(&c->missed, MISSED_MAX);
	list_init(&c->early);
	c->early_ids = map_new();
}

void
cleanup_end(struct cleanup *c)
{
	tables_free(&c->virtual_alias);
	match_list_free(&c->mydestination);
	map_free(&c->drop_others);
	buf_free(&c->scratch);
	buf_free(&c->missed);
	map_free(&c->early_ids);
	timer_free(&c->early_timer);
	timer_free(&c->spare_timer);
	queue_spares_drop(&c->queue);
	queue_close(&c->queue);
}
