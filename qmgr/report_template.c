/*
 * report_template - the words of delivery reports: Postfix's own, since
 * people and programs know them (bounce(5)). bounce runs it.
 */
#include "qmgr/report.h"

#define FROM "Mail Delivery System <MAILER-DAEMON>"

static const char *const failure[] = {
	"This is the mail system at host $myhostname.",
	"",
	"I'm sorry to have to inform you that your message could not",
	"be delivered to one or more recipients. It's attached below.",
	"",
	"For further assistance, please send mail to postmaster.",
	"",
	"If you do so, please include this problem report. You can",
	"delete your own text from the attached returned message.",
	"",
	"                   The mail system",
	NULL
};

static const char *const delay[] = {
	"This is the mail system at host $myhostname.",
	"",
	"####################################################################",
	"# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #",
	"####################################################################",
	"",
	"Your message could not be delivered for more than "
	    "$delay_warning_time_hours hour(s).",
	"It will be retried until it is $maximal_queue_lifetime_days "
	    "day(s) old.",
	"",
	"For further assistance, please send mail to postmaster.",
	"",
	"If you do so, please include this problem report. You can",
	"delete your own text from the attached returned message.",
	"",
	"                   The mail system",
	NULL
};

static const char *const success[] = {
	"This is the mail system at host $myhostname.",
	"",
	"Your message was successfully delivered to the destination(s)",
	"listed below. If the message was delivered to mailbox you will",
	"receive no further notifications. Otherwise you may still receive",
	"notifications of mail delivery errors from other systems.",
	"",
	"                   The mail system",
	NULL
};

static const char *const verify[] = {
	"This is the mail system at host $myhostname.",
	"",
	"Enclosed is the mail delivery report that you requested.",
	"",
	"                   The mail system",
	NULL
};

static const struct report_template templates[] = {
	[REPORT_FAILURE] = { FROM, "Undelivered Mail Returned to Sender",
	    "Postmaster Copy: Undelivered Mail", "Undelivered ", failure },
	[REPORT_DELAY] = { FROM, "Delayed Mail (still being retried)",
	    "Postmaster Warning: Delayed Mail", "Undelivered ", delay },
	[REPORT_SUCCESS] = { FROM, "Successful Mail Delivery Report",
	    "Successful Mail Delivery Report", "", success },
	[REPORT_VERIFY] = { FROM, "Mail Delivery Status Report",
	    "Mail Delivery Status Report", "", verify },
};

const struct report_template *
report_template(enum report_kind kind)
{
	return &templates[kind];
}
