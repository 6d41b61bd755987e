/*
 * pam - is this the password, by PAM's modules? May take any time, and run
 * code of strangers: for a process of its own.
 */
#ifndef PAM_PAM_H
#define PAM_PAM_H
#include "password/password.h"

struct pam_question {
	const char *service;
	const char *directory;	/* of the service's file; "": PAM's own */
	const char *user;
	const char *password;
	const char *client;	/* address for PAM_RHOST; "": unknown */
};
/*
 * Right: the modules took the password and the account may log in now. why:
 * what they said otherwise, for the log; static text.
 */
enum password_verdict pam_check(const struct pam_question *,
		    const char **why) MUST_USE;
#endif
