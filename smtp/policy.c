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
	(void)s;
	return false;
}
