/*
 * seccomp: filter.def becomes a BPF program. libseccomp lives here alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "priv/build.h"
#include "priv/internal.h"

enum { S = 1 << 0, C = 1 << 1, F = 1 << 2, M = 1 << 3, A = 1 << 4,
	N = 1 << 5, D = 1 << 6, P = 1 << 7 };
enum test { ANY, ARG0_IS, ARG1_IS, ARG2_IS, ARG4_IS, ARG0_HAS, ARG3_HAS,
	ARG2_LACKS, STREAM, SELF, ABSENT };

struct row {
	const char	*name;
	unsigned	 sets;
	enum test	 test;
	uint64_t	 value;
};

static const struct row rows[] = {
#define SYSCALL(name, sets, test, value) \
	{ #name, sets, test, (uint64_t)(value) },
#include "priv/filter.def"
#undef SYSCALL
};

static unsigned
set_of(enum priv_filter filter)
{
	switch (filter) {
	case FILTER_NONE:
	case FILTER_COMMAND:
		return (0);
	case FILTER_SOCKETS:
		return (S);
	case FILTER_CHANNELS:
		return (C);
	case FILTER_FILES:
		return (F);
	case FILTER_MAILBOX:
		return (M);
	case FILTER_AUTH:
		return (C | A);
	case FILTER_CONNECT:
		return (S | N);
	case FILTER_DNS:
		return (C | D);
	case FILTER_PAM:
		return (F | P);
	}
	return (0);
}

static int
add_masked(scmp_filter_ctx ctx, int nr, unsigned arg, uint64_t mask,
    uint64_t value)
{
	struct scmp_arg_cmp cmp = SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask,
	    value);

	return (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &cmp));
}

static int
add_equal(scmp_filter_ctx ctx, int nr, unsigned arg, uint64_t value)
{
	struct scmp_arg_cmp cmp = SCMP_CMP(arg, SCMP_CMP_EQ, value, 0);

	return (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &cmp));
}

/* socket() of that family, and of no other type. */
static int
add_stream(scmp_filter_ctx ctx, int nr, uint64_t family)
{
	const struct scmp_arg_cmp cmp[] = {
		SCMP_CMP(0, SCMP_CMP_EQ, family, 0),
		SCMP_CMP(1, SCMP_CMP_MASKED_EQ,
		    ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC), SOCK_STREAM),
	};

	return (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, nitems(cmp),
	    cmp));
}

/* 0 or a negative errno, as libseccomp has it. */
static int
add(scmp_filter_ctx ctx, const struct row *row)
{
	int nr = seccomp_syscall_resolve_name(row->name);

	if (nr < 0)		/* this architecture has no such call */
		return (0);
	switch (row->test) {
	case ANY:
		return (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0));
	case ABSENT:
		return (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0));
	case ARG0_IS:
		return (add_equal(ctx, nr, 0, row->value));
	case ARG1_IS:
		return (add_equal(ctx, nr, 1, row->value));
	case ARG2_IS:
		return (add_equal(ctx, nr, 2, row->value));
	case ARG4_IS:
		return (add_equal(ctx, nr, 4, row->value));
	case STREAM:
		return (add_stream(ctx, nr, row->value));
	case SELF:
		return (add_equal(ctx, nr, 0, (uint64_t)getpid()));
	case ARG0_HAS:
		return (add_masked(ctx, nr, 0, row->value, row->value));
	case ARG3_HAS:
		return (add_masked(ctx, nr, 3, row->value, row->value));
	case ARG2_LACKS:
		return (add_masked(ctx, nr, 2, row->value, 0));
	}
	return (-EINVAL);
}

/*
 * POSTERN_SECCOMP=kill makes a breach fatal; =off is for sanitizers, and for
 * instances that are not root's.
 */
static bool
is_wanted(uint32_t *action)
{
	const char *mode = getenv("POSTERN_SECCOMP");

	*action = SCMP_ACT_ERRNO(EPERM);
	if (mode == NULL)
		return (true);
	if (strcmp(mode, "kill") == 0)
		*action = SCMP_ACT_KILL_PROCESS;
	else if (strcmp(mode, "off") == 0 && POSTERN_TEST_BUILD)
		return (false);
	return (true);
}

void
priv_filter_load(enum priv_filter filter)
{
	unsigned set = set_of(filter);
	uint32_t action;
	scmp_filter_ctx ctx;
	int error = 0;

	if (set == 0 || !is_wanted(&action))
		return;
	ctx = seccomp_init(action);
	if (ctx == NULL)
		die("seccomp_init failed");
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; error == 0 && i < nitems(rows); i++)
		if (rows[i].sets & set) {
			error = add(ctx, &rows[i]);
			if (error != 0)
				die("seccomp: %s: %s", rows[i].name,
				    strerror(-error));
		}
	error = seccomp_load(ctx);
	if (error != 0)
		die("seccomp filter was not loaded: %s", strerror(-error));
	seccomp_release(ctx);
}

bool
priv_filter_allows(enum priv_filter filter, const char *syscall_name)
{
	unsigned set = set_of(filter);

	if (filter == FILTER_NONE || filter == FILTER_COMMAND)
		return (true);
	for (size_t i = 0; i < nitems(rows); i++)
		if ((rows[i].sets & set) != 0 && rows[i].test != ABSENT &&
		    strcmp(rows[i].name, syscall_name) == 0)
			return (true);
	return (false);
}
