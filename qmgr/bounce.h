/*
 * bounce - what the parts of the bounce daemon share.
 */
#ifndef QMGR_BOUNCE_H
#define QMGR_BOUNCE_H
#include "qmgr/report.h"
#include "service/notice.h"
#include "service/service.h"

struct bounce_conf {
#define PARAM PARAM_MEMBER
#include "qmgr/params_bounce.def"
#undef PARAM
};

struct bounce {
	struct bounce_conf conf;
	struct service	*service;
	struct arena	*arena;			/* of texts */
	struct report_site site;
	struct notices	 notices;		/* whose sender reports have, too */
	struct str	 twobounce_recipient;	/* 2bounce_notice_recipient */
	bool		 notify_bounce, notify_2bounce, notify_delay;
	struct str	 error_recipient;
	struct list	 requests;
};

/* Takes qmgr's talk over: its first message is a report. */
void		 request_new(struct bounce *, struct talk *);
/* cleanup reads again. */
void		 requests_resume(struct bounce *, struct channel *);
#endif
