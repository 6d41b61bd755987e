/*
 * notice - mail to postmaster about a session that went wrong
 * (notify_classes): Postfix's smtpd_chat_notify() and smtp_chat_notify().
 *
 * That is no important mail: what can't be sent at once is not sent, and the
 * log says so. It comes from double_bounce_sender: nobody reports on it.
 */
#ifndef SERVICE_NOTICE_H
#define SERVICE_NOTICE_H
#include "service/service.h"

struct notices {
	struct service	*service;
	struct str	 sender;	/* double_bounce_sender, with @myorigin */
	struct str	 mail_name;
	size_t		 under_way;
};

/* Strings last as long as arena and service_conf() do. */
void	 notices_init(struct notices *, struct service *, struct arena *);
/*
 * The mail is "Subject: mail_name subject", then text: whole lines with
 * CRLF.
 */
void	 notice_send(struct notices *, struct str recipient, struct str subject,
	    struct str text);
#endif
