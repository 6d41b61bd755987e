/*
 * dsn - enhanced status codes and the delays of a delivery's log line.
 *
 * Pure. RFC 3463 2:
 *	status-code = class "." subject "." detail
 *	class = "2" / "4" / "5"
 *	subject = 1*3digit	detail = 1*3digit
 */
#include "dsn/dsn.h"

#define MILLION		1000000
#define SIG_DIGITS	2

static size_t
digits(struct str s, size_t at)
{
	size_t n = 0;

	while (n < 4 && at + n < s.n && s.p[at + n] >= '0' &&
	    s.p[at + n] <= '9')
		n++;
	return n;
}

size_t
dsn_status_length(struct str s)
{
	size_t subject, detail, n;

	if (s.n < 5 || (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5') ||
	    s.p[1] != '.')
		return 0;
	subject = digits(s, 2);
	if (subject == 0 || subject > 3 || 2 + subject >= s.n ||
	    s.p[2 + subject] != '.')
		return 0;
	detail = digits(s, 3 + subject);
	if (detail == 0 || detail > 3)
		return 0;
	n = 3 + subject + detail;
	if (n < s.n && s.p[n] != ' ' && s.p[n] != '\t')
		return 0;
	return n;
}

int
dsn_class(struct str status)
{
	return dsn_status_length(status) == 0 ? 0 : status.p[0] - '0';
}

/* One time as Postfix's format_tv writes it. */
static void
print_time(struct buf *b, int64_t us, unsigned decimals)
{
	const int64_t wid = 100;	/* 10 to the power of SIG_DIGITS */
	int64_t sec = us / MILLION, rest = us % MILLION, ures = MILLION;

	_Static_assert(SIG_DIGITS == 2, "wid");
	for (unsigned i = 0; i < decimals && ures > 1; i++)
		ures /= 10;
	if (sec > 0) {
		int64_t n = 1;

		while (sec >= n && n <= wid / 10)
			n *= 10;
		ures = MILLION / wid * n;
	} else {
		while (rest >= wid * ures)
			ures *= 10;
	}
	if (ures > 1)
		rest += ures / 2;
	if (rest >= MILLION) {
		sec++;
		rest -= MILLION;
	}
	buf_printf(b, "%lld", (long long)sec);
	if (rest < ures)
		return;
	buf_putc(b, '.');
	for (int64_t n = MILLION / 10; rest >= ures && n > 0; n /= 10) {
		buf_putc(b, (char)('0' + rest / n));
		rest %= n;
	}
}

static int64_t
delta(int64_t to, int64_t from)
{
	return to > from ? to - from : 0;
}

void
dsn_print_delays(struct buf *b, const struct dsn_delays *d)
{
	int64_t part[4] = { 0 };
	int64_t connected = d->connected_us != 0 ? d->connected_us :
	    d->start_us;

	if (d->active_us == 0) {
		part[0] = delta(d->done_us, d->arrival_us);
	} else if (d->start_us == 0) {
		part[0] = delta(d->active_us, d->arrival_us);
		part[1] = delta(d->done_us, d->active_us);
	} else {
		part[0] = delta(d->active_us, d->arrival_us);
		part[1] = delta(d->start_us, d->active_us);
		part[2] = delta(connected, d->start_us);
		part[3] = delta(d->done_us, connected);
	}
	buf_puts(b, "delay=");
	print_time(b, delta(d->done_us, d->arrival_us), d->decimals);
	for (size_t i = 0; i < nitems(part); i++) {
		buf_puts(b, i == 0 ? ", delays=" : "/");
		print_time(b, part[i], d->decimals);
	}
}
