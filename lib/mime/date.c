/*
 * date - dates of header fields.
 *
 *   date-time := [day-name ","] day month year hour ":" minute
 *                [":" second] zone                       RFC 5322 3.3
 *   obsolete: two-digit years, zone names, comments, blanks   RFC 5322 4.3
 */
#include <stdlib.h>
#include <time.h>
#include "mime/mime.h"

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static const struct { const char *name; int hours; } zones[] = {
	{ "UT", 0 }, { "GMT", 0 }, { "UTC", 0 }, { "Z", 0 }, { "EST", -5 },
	{ "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 },
	{ "MDT", -6 }, { "PST", -8 }, { "PDT", -7 },
};

void
mime_date_print(int64_t when_s, struct buf *out)
{
	time_t when = (time_t)when_s;
	struct tm tm = { 0 };
	long minutes;

	localtime_r(&when, &tm);
	minutes = tm.tm_gmtoff / 60;
	buf_printf(out, "%.3s, %2d %.3s %d %02d:%02d:%02d %c%02ld%02ld",
	    days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    minutes < 0 ? '-' : '+', labs(minutes) / 60,
	    labs(minutes) % 60);
	if (tm.tm_zone != NULL && tm.tm_zone[0] != '\0')
		buf_printf(out, " (%s)", tm.tm_zone);
}

static bool
take_char(struct str *s, char c)
{
	mime_skip_cfws(s);
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

static bool
take_number(struct str *s, size_t least, size_t most, int *out, size_t *digits)
{
	size_t n = 0;

	mime_skip_cfws(s);
	*out = 0;
	while (n < s->n && n < most && s->p[n] >= '0' && s->p[n] <= '9')
		*out = *out * 10 + s->p[n++] - '0';
	*s = str_from(*s, n);
	if (digits != NULL)
		*digits = n;
	return n >= least;
}

static struct str
take_word(struct str *s)
{
	struct str word;
	size_t n = 0;

	mime_skip_cfws(s);
	while (n < s->n && ((s->p[n] | 32) >= 'a' && (s->p[n] | 32) <= 'z'))
		n++;
	word = str_first(*s, n);
	*s = str_from(*s, n);
	return word;
}

/* 0 to n - 1 of three-letter names; n: none. */
static int
find_name(const char *names, int n, struct str word)
{
	for (int i = 0; i < n; i++)
		if (str_eq_nocase(word, (struct str){ names + 3 * i, 3 }))
			return i;
	return n;
}

static bool
take_zone(struct str *s, int *offset_s)
{
	struct str word;
	int hhmm, sign = 1;

	*offset_s = 0;
	mime_skip_cfws(s);
	if (s->n > 0 && (s->p[0] == '+' || s->p[0] == '-')) {
		sign = s->p[0] == '-' ? -1 : 1;
		*s = str_from(*s, 1);
		if (!take_number(s, 4, 4, &hhmm, NULL) || hhmm % 100 > 59)
			return false;
		*offset_s = sign * (hhmm / 100 * 3600 + hhmm % 100 * 60);
		return true;
	}
	word = take_word(s);
	for (size_t i = 0; i < nitems(zones); i++)
		if (str_eq_nocase(word, str_of(zones[i].name)))
			*offset_s = zones[i].hours * 3600;
	return word.n > 0;	/* an unknown name is -0000: RFC 5322 4.3 */
}

/* Days since 1970-01-01 of the Gregorian calendar; month from 0. */
static int64_t
days_since_epoch(int year, int month, int day)
{
	int64_t y = year - (month < 2), era = y / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 1 ? -2 : 10)) + 2) / 5 +
	    day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	    of_year - 719468;
}

static bool
take_day(struct str *s, int64_t *day_number)
{
	int day, month, year;
	size_t digits;

	if (take_word(s).n > 0)
		(void)take_char(s, ',');
	if (!take_number(s, 1, 2, &day, NULL))
		return false;
	month = find_name(months, 12, take_word(s));
	if (!take_number(s, 2, 4, &year, &digits))
		return false;
	if (digits == 2)		/* RFC 5322 4.3 */
		year += year < 50 ? 2000 : 1900;
	else if (digits == 3)
		year += 1900;
	if (day < 1 || day > 31 || month == 12 || year < 1900)
		return false;
	*day_number = days_since_epoch(year, month, day);
	return true;
}

bool
mime_date_parse(struct str s, int64_t *when_s)
{
	int hour, minute, second = 0, offset_s;
	int64_t day;

	if (!take_day(&s, &day))
		return false;
	if (!take_number(&s, 1, 2, &hour, NULL) || !take_char(&s, ':') ||
	    !take_number(&s, 1, 2, &minute, NULL))
		return false;
	if (take_char(&s, ':') && !take_number(&s, 1, 2, &second, NULL))
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	if (!take_zone(&s, &offset_s))
		offset_s = 0;
	*when_s = day * 86400 + hour * 3600 + minute * 60 + second - offset_s;
	return true;
}
