/*
 * policy - what must be so before a server may have mail: TLS, a login.
 *
 * on_hello has read the server's offer. The states for it (STARTTLS, AUTH)
 * have rows in session.c's table; when all is done, hello_over().
 */
#include "smtp/smtp.h"

bool
policy_next(struct session *s)
{
	return starttls_next(s) || login_next(s);
}

/* One of them is done: the next, or the mail. */
void
policy_go(struct session *s)
{
	if (!policy_next(s))
		hello_over(s);
}
