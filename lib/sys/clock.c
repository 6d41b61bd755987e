/*
 * clock - wall time for stamps, steady time for waits, and random bytes.
 *
 * A test moves the wall clock with POSTERN_FAKE_CLOCK=+seconds (or -); a
 * setgid command ignores it (secure_getenv).
 */
#include <sys/random.h>
#include <errno.h>
#include <stdlib.h>
#include "sys/internal.h"

struct sys_room sys_room = { .log = { .fd = -1, .syslog_fd = -1 } };

static int64_t
fake_offset_us(void)
{
	const char *text = secure_getenv("POSTERN_FAKE_CLOCK");
	uint64_t seconds;
	bool back;

	if (text == NULL || *text == '\0')
		return 0;
	back = *text == '-';
	if (back || *text == '+')
		text++;
	if (!str_number(str_of(text), &seconds) ||
	    seconds > (uint64_t)INT32_MAX)
		die("POSTERN_FAKE_CLOCK: want +seconds or -seconds");
	return (int64_t)seconds * (back ? -1000000 : 1000000);
}

int64_t
clock_wall_us(void)
{
	struct timespec ts;

	if (!sys_room.clock_read) {
		sys_room.clock_read = true;
		sys_room.clock_offset_us = fake_offset_us();
	}
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		die("clock_gettime: %s", strerror(errno));
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 +
	    sys_room.clock_offset_us;
}

int64_t
clock_wall_s(void)
{
	return clock_wall_us() / 1000000;
}

int64_t
clock_steady_ms(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
		die("clock_gettime: %s", strerror(errno));
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
random_bytes(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			die("getrandom: %s", strerror(errno));
		at += got;
		n -= (size_t)got;
	}
}
