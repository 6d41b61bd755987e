/*
 * client - what smtp and lmtp may ask: tables that their own parameters name,
 * trust anchors that a policy there names, and connections to UNIX sockets that the configuration sends mail to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lookup/lookup.h"
#include "sys/sys.h"
#include "table/table.h"

#define ANCHORS_MAX	(1 << 20)	/* bytes of a file of them */

/* Parameters whose tables may be asked for, by either client. */
static const char *const maps[] = {
	"smtp_discard_ehlo_keyword_address_maps",
	"lmtp_discard_lhlo_keyword_address_maps",
	"smtp_pix_workaround_maps", "lmtp_pix_workaround_maps",
	"smtp_tls_policy_maps", "lmtp_tls_policy_maps",
	"smtp_tls_per_site", "lmtp_tls_per_site",
};
/* Parameters that may name a UNIX socket of a mailbox server or filter. */
static const char *const ways[] = {
	"virtual_transport", "local_transport", "relay_transport",
	"default_transport", "mailbox_transport", "fallback_transport",
	"content_filter", "lmtp_fallback_relay",
};

static void	read_anchors(struct arena *, struct msg_map_answer *);
static bool	may_connect(struct lookup *, struct arena *,
		    const struct msg_unix_ask *);

void
client_open(struct site *s, struct problems *problems)
{
	struct buf why;

	s->maps = map_new();
	buf_init(&why, 2000);
	for (size_t i = 0; i < nitems(maps); i++) {
		struct str list = conf_get(s->conf, maps[i]);
		int line = 0;
		const char *file;

		if (list.n == 0)
			continue;
		buf_clear(&why);
		map_set(s->maps, str_of(maps[i]), tables_open(list,
		    conf_dir(s->conf), TABLE_FOLD, &why));
		file = conf_where(s->conf, str_of(maps[i]), &line);
		if (why.n > 0)
			problem_add(problems, true, file, line, "%s: %s",
			    maps[i], buf_cstr(&why));
	}
	buf_free(&why);
}

void
client_close(struct site *s)
{
	struct str name;
	void *value;
	size_t pos = 0;

	while (s->maps != NULL && map_next(s->maps, &pos, &name, &value)) {
		struct tables *ts = value;

		tables_free(&ts);
	}
	map_free(&s->maps);
}

void
answer_map(struct site *s, struct arena *arena, const struct msg_map_ask *ask,
    struct msg_map_answer *answer)
{
	struct tables *ts = map_get(s->maps, ask->parameter);
	struct buf value;

	*answer = (struct msg_map_answer){ .found = NONE };
	if (ts == NULL) {
		log_warn("a table is asked for by the name " STRF
		    ", which has none: refused", STRV(ask->parameter));
		answer->found = RETRY;
		answer->error = STR("no such table in the configuration");
		return;
	}
	buf_init(&value, IPC_CONTENT_MAX);
	if (ask->kind == MAP_ADDRESS)
		answer->found = tables_find_address(ts,
		    router_find_conf(s->router), FIND_DEFAULT, ask->key,
		    &value, NULL);
	else
		answer->found = tables_get(ts, ask->key, &value);
	if (answer->found == FOUND && value.full) {
		answer->found = RETRY;
		answer->error = STR("an answer is too long");
	} else if (answer->found == FOUND)
		answer->value = arena_str(arena, buf_view(&value));
	else if (answer->found == RETRY)
		answer->error = arena_str(arena, str_of(tables_error(ts)));
	buf_free(&value);
	if (ask->kind == MAP_ANCHORS && answer->found == FOUND)
		read_anchors(arena, answer);
}

/* --- trust anchors --- */

/* Certificates and public keys alone: a table may name a file by mistake. */
static void
take_blocks(struct str text, struct buf *out)
{
	static const struct str wanted[] = { STR("CERTIFICATE-----"),
		STR("X509 CERTIFICATE-----"), STR("PUBLIC KEY-----") };
	bool in = false, begins;
	struct str line;

	while (str_token(&text, "\r\n", &line)) {
		begins = str_starts(line, STR("-----BEGIN "));
		for (size_t i = 0; begins && !in && i < nitems(wanted); i++)
			in = str_eq(str_trim(str_from(line, 11)), wanted[i]);
		if (in) {
			buf_str(out, line);
			buf_putc(out, '\n');
		}
		in = in && !str_starts(line, STR("-----END "));
	}
}

/* The files that a TLS policy names, in place of the policy. */
static void
read_anchors(struct arena *arena, struct msg_map_answer *answer)
{
	struct str rest = answer->value, word;
	struct buf text, out;
	int error = 0;

	buf_init(&out, IPC_CONTENT_MAX);
	while (error == 0 && conf_list_next(&rest, &word)) {
		if (word.n > 2 && word.p[0] == '{')
			word = str_trim((struct str){ word.p + 1, word.n - 2 });
		if (!str_starts_nocase(word, STR("tafile")))
			continue;
		word = str_trim(str_from(word, str_chr(word, '=') + 1));
		buf_init(&text, ANCHORS_MAX);
		error = file_read(AT_FDCWD, arena_cstr(arena, word),
		    ANCHORS_MAX, &text);
		if (error == 0)
			take_blocks(buf_view(&text), &out);
		buf_free(&text);
		if (error == 0 && out.full)
			error = EFBIG;
		if (error == 0)
			continue;
		answer->found = RETRY;
		answer->error = str_of(arena_printf(arena, STRF ": %s",
		    STRV(word), strerror(error)));
	}
	answer->value = error == 0 ? arena_str(arena, buf_view(&out)) : STR("");
	buf_free(&out);
}

/* --- UNIX sockets --- */

static int
dial(struct site *s, struct str path, int *fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct str queue = conf_get(s->conf, "queue_directory");
	int n;

	n = path.p[0] == '/' ?
	    snprintf(to.sun_path, sizeof(to.sun_path), STRF, STRV(path)) :
	    snprintf(to.sun_path, sizeof(to.sun_path), STRF "/" STRF,
	    STRV(queue), STRV(path));
	if (n < 0 || (size_t)n >= sizeof(to.sun_path))
		return ENAMETOOLONG;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return errno;
	if (connect(*fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return 0;
	n = errno;
	fd_close(fd);
	return n;
}

void
answer_unix(struct lookup *l, struct arena *arena,
    const struct msg_unix_ask *ask, struct msg_unix_answer *answer)
{
	*answer = (struct msg_unix_answer){ .socket = -1 };
	if (ask->path.n == 0 || !may_connect(l, arena, ask)) {
		log_warn("lmtp asks for a connection to " STRF
		    ", where no mail goes: refused", STRV(ask->path));
		answer->err = EACCES;
		return;
	}
	answer->err = (uint64_t)dial(&l->sites[0], ask->path,
	    &answer->socket);
}

/* Is "unix:path" a word of that text? */
static bool
names(struct str text, struct str path)
{
	struct str word;

	while (str_token(&text, ", \t\r\n", &word)) {
		size_t at = word.n;

		/* "unix:x", "lmtp:unix:x" */
		for (size_t i = 0; i + 5 <= word.n && at == word.n; i++)
			if (memcmp(word.p + i, "unix:", 5) == 0)
				at = i + 5;
		if (at < word.n && str_eq(str_from(word, at), path))
			return true;
	}
	return false;
}

static bool
may_connect(struct lookup *l, struct arena *arena,
    const struct msg_unix_ask *ask)
{
	struct route route;
	struct str why;

	for (size_t i = 0; i < l->nsites; i++)
		for (size_t w = 0; w < nitems(ways); w++)
			if (names(conf_get(l->sites[i].conf, ways[w]),
			    ask->path))
				return true;
	return router_resolve(l->sites[0].router, arena, ask->recipient,
	    ask->sender, &route, &why) == FOUND &&
	    names(route.nexthop, ask->path);
}
