/*
 * message - every message as bytes and back, by ipc.def.
 *
 * A frame, in this machine's byte order (both ends are the same build, and
 * nothing in a frame is believed all the same):
 *
 *	u32 message, u32 talk, u32 bytes that follow, fields
 *	TEXT: u32 length, bytes    NUM: u64    FD: u32 1 or 0 (none)
 */
#include <inttypes.h>
#include <limits.h>
#include "ipc/internal.h"
#include "sys/sys.h"

#define HEAD_SIZE	12
#define PRINT_TEXT_MAX	200

enum field_type { F_END, F_TEXT, F_NUM, F_FD };
struct field { enum field_type type; const char *name; size_t at; };

/* One function per message, so that a row can say offsetof(self, f). */
#define MESSAGE(name, from, to, flags) \
	static const struct field * \
	fields_##name(void) \
	{ \
		typedef struct msg_##name self; \
		static const struct field f[] = {
#define TEXT(f)	{ F_TEXT, #f, offsetof(self, f) },
#define NUM(f)	{ F_NUM, #f, offsetof(self, f) },
#define FD(f)	{ F_FD, #f, offsetof(self, f) },
#define END(name) \
			{ F_END, NULL, offsetof(self, end_of_message) } \
		}; \
		return f; \
	}
#include "ipc/ipc.def"
#undef MESSAGE
#undef TEXT
#undef NUM
#undef FD
#undef END

static const struct field *
fields_none(void)
{
	static const struct field f[] = { { F_END, NULL, 0 } };

	return f;
}

/* What ipc.def says in its columns: sets of roles. */
#define FROM(role)	(1u << ROLE_##role)
#define TO(role)	(1u << ROLE_##role)
#define TO_ALL		(((1u << ROLE__MAX) - 1) & ~FROM(MASTER))
#define TO_DELIVERY	(TO(LOCAL) | TO(VIRTUAL) | TO(ERROR) | TO(DISCARD) | \
			TO(SMTP) | TO(LMTP) | TO(PIPE))
#define TO_FRONTS	(1u << 30)	/* of READER rows */
#define TO_WORKERS	(1u << 31)
#define FROM_ALL	TO_ALL
#define FROM_DELIVERY	TO_DELIVERY
#define FROM_FRONTS	TO_FRONTS
#define FROM_WORKERS	TO_WORKERS
_Static_assert(ROLE__MAX < 30, "a set of roles is 32 bits");

static const struct {
	const char	*name;
	unsigned	 from, to, flags;
	size_t		 size;
	const struct field *(*fields)(void);
} messages[] = {
	{ "close", 0, 0, 0, 0, fields_none },
	{ "leaving", 0, 0, SOLO, 0, fields_none },
	{ "heard", 0, 0, SOLO, 0, fields_none },
#define MESSAGE(name, from, to, flags) \
	{ #name, from, to, flags, sizeof(struct msg_##name), fields_##name },
#define TEXT(f)
#define NUM(f)
#define FD(f)
#define END(name)
#include "ipc/ipc.def"
#undef MESSAGE
#undef TEXT
#undef NUM
#undef FD
#undef END
};
_Static_assert(nitems(messages) == MSG__MAX, "a row for each message");

const char *
role_name(enum role role)
{
	static const char *const names[] = {
#define PROCESS(role, program, ...) #program,
#define READER(front, worker)
#include "priv/process.def"
#undef PROCESS
#undef READER
	};

	return (size_t)role < nitems(names) ? names[role] : "unknown";
}

/* READER rows; the last is nobody's. */
static const struct { enum role front, worker; } readers[] = {
#define PROCESS(role, ...)
#define READER(front, worker) { ROLE_##front, ROLE_##worker },
#include "priv/process.def"
#undef PROCESS
#undef READER
	{ ROLE__MAX, ROLE__MAX }
};

enum role
role_worker(enum role front)
{
	size_t i = 0;

	while (readers[i].front != front && readers[i].front != ROLE__MAX)
		i++;
	return readers[i].worker;
}

bool
role_is_worker(enum role role)
{
	size_t i = 0;

	while (readers[i].worker != role && readers[i].worker != ROLE__MAX)
		i++;
	return readers[i].worker != ROLE__MAX;
}

static bool
is_one_of(enum role role, unsigned set)
{
	return (set & 1u << role) != 0 ||
	    ((set & TO_FRONTS) != 0 && role_worker(role) != ROLE__MAX) ||
	    ((set & TO_WORKERS) != 0 && role_is_worker(role));
}

unsigned
ipc_flags(enum msg id)
{
	return messages[id].flags;
}

const char *
ipc_name(enum msg id)
{
	return messages[id].name;
}

bool
ipc_allowed(enum msg id, enum role from, enum role to)
{
	if (id <= MSG__HEARD)
		return ipc_speaks(from, to) || ipc_speaks(to, from);
	return is_one_of(from, messages[id].from) &&
	    is_one_of(to, messages[id].to);
}

bool
ipc_speaks(enum role a, enum role b)
{
	for (size_t i = MSG__HEARD + 1; i < nitems(messages); i++)
		if (ipc_allowed((enum msg)i, a, b))
			return true;
	return false;
}

size_t
ipc_message_max(void)
{
	size_t most = sizeof(uint64_t);

	for (size_t i = 0; i < nitems(messages); i++)
		if (messages[i].size > most)
			most = messages[i].size;
	return most;
}

/* --- fields: a message's bytes are read and set through memcpy --- */

static struct str
text_at(const void *msg, const struct field *f)
{
	struct str s;

	memcpy(&s, (const char *)msg + f->at, sizeof(s));
	return s;
}

static uint64_t
num_at(const void *msg, const struct field *f)
{
	uint64_t v;

	memcpy(&v, (const char *)msg + f->at, sizeof(v));
	return v;
}

static int
fd_at(const void *msg, const struct field *f)
{
	int fd;

	memcpy(&fd, (const char *)msg + f->at, sizeof(fd));
	return fd;
}

static void
set_fd(void *msg, const struct field *f, int fd)
{
	memcpy((char *)msg + f->at, &fd, sizeof(fd));
}

int
ipc_fd(enum msg id, const void *msg)
{
	const struct field *f = messages[id].fields();

	for (; f->type != F_END; f++)
		if (f->type == F_FD)
			return fd_at(msg, f);
	return -1;
}

void
ipc_drop(enum msg id, void *msg)
{
	const struct field *f = messages[id].fields();

	for (; f->type != F_END; f++) {
		if (f->type == F_FD) {
			int fd = fd_at(msg, f);

			fd_close(&fd);
			set_fd(msg, f, -1);
		}
	}
}

void
ipc_keep(enum msg id, void *msg, struct arena *arena)
{
	const struct field *f = messages[id].fields();

	for (; f->type != F_END; f++) {
		if (f->type == F_TEXT) {
			struct str s = arena_str(arena, text_at(msg, f));

			memcpy((char *)msg + f->at, &s, sizeof(s));
		}
	}
}

size_t
ipc_frame_size(enum msg id, const void *msg)
{
	const struct field *f = messages[id].fields();
	size_t n = HEAD_SIZE;

	for (; f->type != F_END; f++) {
		if (f->type == F_TEXT)
			n += sizeof(uint32_t) + text_at(msg, f).n;
		else
			n += f->type == F_NUM ? sizeof(uint64_t) :
			    sizeof(uint32_t);
	}
	return n;
}

static char *
put_u32(char *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

void
ipc_encode(enum msg id, uint32_t talk, const void *msg, struct buf *out,
    int *fd)
{
	const struct field *f = messages[id].fields();
	size_t size = ipc_frame_size(id, msg);
	char *at = size > UINT32_MAX ? NULL : buf_space(out, size);

	*fd = -1;
	if (at == NULL) {
		out->full = true;
		return;
	}
	out->n += size;
	at = put_u32(at, (uint32_t)id);
	at = put_u32(at, talk);
	at = put_u32(at, (uint32_t)(size - HEAD_SIZE));
	for (; f->type != F_END; f++) {
		if (f->type == F_TEXT) {
			struct str s = text_at(msg, f);

			at = put_u32(at, (uint32_t)s.n);
			if (s.n > 0)
				memcpy(at, s.p, s.n);
			at += s.n;
		} else if (f->type == F_NUM) {
			memcpy(at, (const char *)msg + f->at,
			    sizeof(uint64_t));
			at += sizeof(uint64_t);
		} else {
			*fd = fd_at(msg, f);
			at = put_u32(at, *fd == -1 ? 0 : 1);
		}
	}
}

/* --- decoding --- */

static bool
get_u32(struct str *in, uint32_t *v)
{
	if (in->n < sizeof(*v))
		return false;
	memcpy(v, in->p, sizeof(*v));
	*in = str_from(*in, sizeof(*v));
	return true;
}

static bool
get_text(struct str *in, struct str *s)
{
	uint32_t n;

	if (!get_u32(in, &n) || n > in->n)
		return false;
	*s = str_first(*in, n);
	*in = str_from(*in, n);
	return true;
}

static bool
get_field(const struct field *f, struct str *in, int *fd, void *out)
{
	char *at = (char *)out + f->at;
	struct str s;
	uint32_t has;

	switch (f->type) {
	case F_TEXT:
		if (!get_text(in, &s))
			return false;
		memcpy(at, &s, sizeof(s));
		return true;
	case F_NUM:
		if (in->n < sizeof(uint64_t))
			return false;
		memcpy(at, in->p, sizeof(uint64_t));
		*in = str_from(*in, sizeof(uint64_t));
		return true;
	case F_FD:
		/* Says it has one, and one came; or neither. */
		if (!get_u32(in, &has) || has > 1 || (has == 1 && *fd == -1))
			return false;
		if (has == 1) {
			set_fd(out, f, *fd == FD_LOST ? -1 : *fd);
			*fd = -1;
		}
		return true;
	case F_END:
		break;
	}
	return false;
}

/* No descriptor yet, so that ipc_drop() is safe at any moment. */
static void
clear_message(enum msg id, void *out)
{
	const struct field *f = messages[id].fields();

	memset(out, 0, messages[id].size);
	for (; f->type != F_END; f++)
		if (f->type == F_FD)
			set_fd(out, f, -1);
}

bool
ipc_decode(enum role from, enum role self, struct str *packet, int *fd,
    struct frame *frame, void *out, size_t out_size)
{
	const struct field *f;
	uint32_t id, talk;
	struct str in;

	assert(out_size >= ipc_message_max());
	if (!get_u32(packet, &id) || !get_u32(packet, &talk) ||
	    !get_text(packet, &in))
		return false;
	if (id >= MSG__MAX || !ipc_allowed((enum msg)id, from, self))
		return false;
	/* Outside every talk: number 0; within one: never. */
	if (((messages[id].flags & SOLO) != 0) != (talk == 0))
		return false;
	*frame = (struct frame){ (enum msg)id, talk, out };
	clear_message(frame->id, out);
	f = messages[id].fields();
	for (; f->type != F_END; f++)
		if (!get_field(f, &in, fd, out))
			break;
	if (f->type == F_END && in.n == 0)
		return true;
	ipc_drop(frame->id, out);
	return false;
}

void
ipc_print(enum msg id, const void *msg, struct buf *out)
{
	const struct field *f = messages[id].fields();

	buf_puts(out, messages[id].name);
	for (; f->type != F_END; f++) {
		buf_printf(out, " %s=", f->name);
		if (f->type == F_TEXT)
			log_escape(str_first(text_at(msg, f), PRINT_TEXT_MAX),
			    out);
		else if (f->type == F_NUM)
			buf_printf(out, "%" PRIu64, num_at(msg, f));
		else
			buf_printf(out, "%d", fd_at(msg, f));
	}
}
