/*
 * builtin - the words of delivery reports: Postfix's own, since people and
 * programs know them (bounce(5)).
 */
#include "template/template.h"

#define FAILURE_TEXT \
	"This is the mail system at host $myhostname.\n" \
	"\n" \
	"I'm sorry to have to inform you that your message could not\n" \
	"be delivered to one or more recipients. It's attached below.\n" \
	"\n" \
	"For further assistance, please send mail to postmaster.\n" \
	"\n" \
	"If you do so, please include this problem report. You can\n" \
	"delete your own text from the attached returned message.\n" \
	"\n" \
	"                   The mail system"

#define HASHES \
	"####################################################################"
#define DELAY_TEXT \
	"This is the mail system at host $myhostname.\n" \
	"\n" \
	HASHES "\n" \
	"# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #" \
	"\n" HASHES "\n" \
	"\n" \
	"Your message could not be delivered for more than " \
	    "$delay_warning_time_hours hour(s).\n" \
	"It will be retried until it is $maximal_queue_lifetime_days " \
	    "day(s) old.\n" \
	"\n" \
	"For further assistance, please send mail to postmaster.\n" \
	"\n" \
	"If you do so, please include this problem report. You can\n" \
	"delete your own text from the attached returned message.\n" \
	"\n" \
	"                   The mail system"

#define SUCCESS_TEXT \
	"This is the mail system at host $myhostname.\n" \
	"\n" \
	"Your message was successfully delivered to the destination(s)\n" \
	"listed below. If the message was delivered to mailbox you will\n" \
	"receive no further notifications. Otherwise you may still receive\n" \
	"notifications of mail delivery errors from other systems.\n" \
	"\n" \
	"                   The mail system"

#define VERIFY_TEXT \
	"This is the mail system at host $myhostname.\n" \
	"\n" \
	"Enclosed is the mail delivery report that you requested.\n" \
	"\n" \
	"                   The mail system"

static const struct {
	const char *name, *subject, *postmaster_subject, *text;
} builtin[TEMPLATE__MAX] = {
	[TEMPLATE_FAILURE] = { "failure",
	    "Undelivered Mail Returned to Sender",
	    "Postmaster Copy: Undelivered Mail", FAILURE_TEXT },
	[TEMPLATE_DELAY] = { "delay", "Delayed Mail (still being retried)",
	    "Postmaster Warning: Delayed Mail", DELAY_TEXT },
	[TEMPLATE_SUCCESS] = { "success", "Successful Mail Delivery Report",
	    "", SUCCESS_TEXT },
	[TEMPLATE_VERIFY] = { "verify", "Mail Delivery Status Report", "",
	    VERIFY_TEXT },
};

void
templates_builtin(struct templates *t, bool obsolete_from)
{
	t->file = "[built-in]";
	for (size_t i = 0; i < TEMPLATE__MAX; i++)
		t->v[i] = (struct template){
			.name = builtin[i].name,
			.charset = STR("us-ascii"),
			.from = obsolete_from ?
			    STR("MAILER-DAEMON (Mail Delivery System)") :
			    STR("Mail Delivery System <MAILER-DAEMON>"),
			.subject = str_of(builtin[i].subject),
			.postmaster_subject =
			    str_of(builtin[i].postmaster_subject),
			.text = str_of(builtin[i].text) };
}
