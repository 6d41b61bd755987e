/*
 * pipe_expand - the words of a pipe(8) command. A word that names something
 * of a recipient becomes as many words as there are recipients. What stands
 * in an address is never expanded, split or seen by a shell. Pure.
 */
#include <stdio.h>
#include "address/address.h"
#include "local/macro.h"
#include "local/pipe.h"

enum { M_RECIPIENT, M_ORIGINAL, M_USER, M_EXTENSION, M_MAILBOX, M_DOMAIN,
	M_OF_RECIPIENT,		/* the above belong to one */
	M_SENDER = M_OF_RECIPIENT, M_NEXTHOP, M_SIZE, M_QUEUE_ID, M_ENVID,
	M_CLIENT_ADDRESS, M_CLIENT_HELO, M_CLIENT_HOSTNAME, M_CLIENT_PORT,
	M_CLIENT_PROTOCOL, M_SASL_METHOD, M_SASL_SENDER, M_SASL_USERNAME,
	M_ALL };

static const char *const names[M_ALL] = { "recipient", "original_recipient",
	"user", "extension", "mailbox", "domain", "sender", "nexthop",
	"size", "queue_id", "envid", "client_address", "client_helo",
	"client_hostname", "client_port", "client_protocol", "sasl_method",
	"sasl_sender", "sasl_username" };

static struct str
folded(struct str s, size_t from, size_t to, struct arena *arena)
{
	char *p = arena_cstr(arena, s);

	for (size_t i = from; i < to; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
	return (struct str){ p, s.n };
}

static struct str
quoted(struct str addr, struct arena *arena)
{
	struct str out;
	struct buf b;

	buf_init(&b, 4 * ADDRESS_MAX);
	address_quote_822(addr, &b);
	out = arena_str(arena, buf_view(&b));
	buf_free(&b);
	return out;
}

/* As the flags h, u and (whole addresses alone) q will have it. */
static struct str
morphed(struct str addr, uint64_t flags, struct arena *arena)
{
	size_t at;

	if ((flags & PIPE_QUOTE) != 0)
		addr = quoted(addr, arena);
	at = str_rchr(addr, '@');
	if ((flags & PIPE_FOLD_USER) != 0)
		addr = folded(addr, 0, at, arena);
	if ((flags & PIPE_FOLD_HOST) != 0)
		addr = folded(addr, at, addr.n, arena);
	return addr;
}

/* "" has an address: no name without a value. */
static struct str
present(struct str s)
{
	return s.p != NULL ? s : STR("");
}

static void
set_message(struct macro *v, const struct pipe_args *a,
    const struct msg_deliver *m, struct arena *arena)
{
	struct str sender = m->sender.n > 0 ? m->sender : a->null_sender;
	const struct { int at; struct str value; } all[] = {
		{ M_SENDER, sender.n > 0 && (a->flags & PIPE_QUOTE) != 0 ?
		    quoted(sender, arena) : sender },
		{ M_NEXTHOP, (a->flags & PIPE_FOLD_HOST) != 0 ?
		    folded(m->nexthop, 0, m->nexthop.n, arena) : m->nexthop },
		{ M_SIZE, str_of(arena_printf(arena, "%llu",
		    (unsigned long long)m->size)) },
		{ M_QUEUE_ID, m->queue_id }, { M_ENVID, m->dsn_envid },
		{ M_CLIENT_ADDRESS, m->client_addr },
		{ M_CLIENT_HELO, m->helo },
		{ M_CLIENT_HOSTNAME, m->client_name },
		{ M_CLIENT_PORT, m->client_port },
		{ M_CLIENT_PROTOCOL, m->protocol },
		{ M_SASL_METHOD, m->sasl_method },
		{ M_SASL_SENDER, m->sasl_sender },
		{ M_SASL_USERNAME, m->sasl_user },
	};

	for (size_t i = 0; i < nitems(all); i++)
		v[all[i].at].value = present(all[i].value);
}

static void
set_recipient(struct macro *v, const struct pipe_args *a,
    struct str delimiter, const struct recipient *r, struct arena *arena)
{
	uint64_t fold = a->flags & (PIPE_FOLD_HOST | PIPE_FOLD_USER);
	struct str plain = morphed(r->address, fold, arena);
	struct str local = address_local(plain), extension = STR("");

	v[M_RECIPIENT].value = morphed(r->address, a->flags, arena);
	v[M_ORIGINAL].value = morphed(r->original.n > 0 ? r->original :
	    r->address, a->flags, arena);
	v[M_MAILBOX].value = present(local);
	v[M_DOMAIN].value = present(address_domain(plain));
	v[M_USER].value = present(delimiter.n == 0 ? local :
	    address_split(local, delimiter, &extension));
	v[M_EXTENSION].value = present(extension);
}

/* One word as often as it must be; false: a macro makes no sense. */
static bool
add_word(struct buf *out, struct macro *v, struct str word, bool again,
    struct arena *arena, bool *of_recipient)
{
	struct str text;
	uint64_t used;

	if (macro_expand(v, M_ALL, word, STR(""), arena, &text, &used) !=
	    MACRO_OK)
		return false;
	*of_recipient = (used & ((UINT64_C(1) << M_OF_RECIPIENT) - 1)) != 0;
	if (again && !*of_recipient)
		return true;
	if (memchr(text.p, '\0', text.n) != NULL)
		return false;
	buf_str(out, text);
	buf_putc(out, '\0');
	return true;
}

enum found
pipe_expand(const struct pipe_args *a, const struct pipe_message *m,
    struct recipient *const *rcpts, size_t n, struct arena *arena,
    struct str *out)
{
	struct macro v[M_ALL];
	struct buf b;
	enum found found = FOUND;

	for (size_t i = 0; i < M_ALL; i++)
		v[i] = (struct macro){ names[i], STR("") };
	set_message(v, a, m->msg, arena);
	buf_init(&b, PIPE_WORDS_MAX);
	for (size_t w = 0; found == FOUND && w < a->argc; w++) {
		bool more = true;

		for (size_t i = 0; found == FOUND && more && i < n; i++) {
			set_recipient(v, a, m->delimiter, rcpts[i], arena);
			if (!add_word(&b, v, str_of(a->argv[w]), i > 0,
			    arena, &more))
				found = NONE;
		}
		if (found == NONE)
			*out = str_of(a->argv[w]);
	}
	if (found == FOUND && b.full)
		found = RETRY;
	if (found == FOUND)
		*out = arena_str(arena, buf_view(&b));
	buf_free(&b);
	return found;
}
