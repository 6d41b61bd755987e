/*
 * smtpd_transcript - the class of each reply that is an error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtpd/smtpd.h"

static void
test_class(void **state)
{
	static const struct { const char *line; unsigned class; } t[] = {
		{ "250 2.0.0 Ok", 0 }, { "354 End data", 0 }, { "", 0 },
		{ "220 mx ESMTP", 0 },
		{ "500 5.5.2 Error: bad syntax", NOTE_PROTOCOL },
		{ "503 5.5.1 Error: nested MAIL command", NOTE_PROTOCOL },
		{ "501 Syntax: EHLO hostname", NOTE_PROTOCOL },
		{ "554 5.7.1 <a@b>: Relay access denied", NOTE_POLICY },
		{ "550 5.1.1 <a@b>: Recipient address rejected", NOTE_POLICY },
		{ "421 4.7.0 mx Error: too many errors", NOTE_POLICY },
		{ "452 4.3.1 Insufficient system storage", NOTE_RESOURCE },
		{ "451 4.3.0 Error: queue file write error", NOTE_SOFTWARE },
		{ "451 4.3.0 <a@b>: Temporary lookup failure", NOTE_DATA },
		{ "451 4.3.5 Server configuration error", NOTE_SOFTWARE },
		{ "552 5.3.4 Error: message file too big", NOTE_BOUNCE },
		{ "554 5.4.0 Error: too many hops", NOTE_BOUNCE },
		{ "5", 0 }, { "550", 0 }, { "550 ", NOTE_PROTOCOL },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		assert_int_equal(transcript_class(str_of(t[i].line)),
		    t[i].class);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_class) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
