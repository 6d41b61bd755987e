/*
 * login_sender - who may send as whom by sendmail: local_login_sender_maps.
 */
#ifndef TOOLS_LOGIN_SENDER_H
#define TOOLS_LOGIN_SENDER_H
#include "tools/tool.h"

/*
 * May that user send as this sender ("": the empty one)? RETRY: a table
 * failed, *why tells.
 */
enum found	 login_sender_find(struct tool *, uid_t, struct str sender,
		    struct buf *why) MUST_USE;
/*
 * "ann ann@example.com @example.com <> *": does one of these fit? Extensions
 * of the sender do not count; null_key stands for the empty one. Pure.
 */
bool		 login_sender_fits(struct str patterns, struct str sender,
		    struct str delimiters, struct str null_key);
#endif
