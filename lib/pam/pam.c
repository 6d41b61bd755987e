/*
 * pam - one conversation with PAM, in which the password is all we know.
 *
 * Root never logs in: whoever guesses its password shall not learn so here.
 * A module that maps the name to another is refused, since who is logged in
 * would be the name that the client gave.
 */
#include <pwd.h>
#include <security/pam_appl.h>

#include "pam/pam.h"

#define MESSAGES_MAX	32	/* of one turn */

static int	converse(int n, const struct pam_message **,
		    struct pam_response **, void *ctx);
static void	no_delay(int status, unsigned us, void *ctx);
static int	ask(pam_handle_t *, const struct pam_question *);
static bool	is_same(pam_handle_t *, const char *user);
static enum password_verdict verdict_of(int status);

enum password_verdict
pam_check(const struct pam_question *q, const char **why)
{
	/* PAM's type is not const; it is only handed back to converse(). */
	union { const struct pam_question *in; void *out; } u = { .in = q };
	struct pam_conv conv = { converse, u.out };
	const struct passwd *pw;
	pam_handle_t *h = NULL;
	int status;

	status = pam_start_confdir(q->service, q->user, &conv,
	    q->directory[0] != '\0' ? q->directory : NULL, &h);
	if (status == PAM_SUCCESS)
		status = ask(h, q);
	*why = pam_strerror(h, status);
	if (status == PAM_SUCCESS && !is_same(h, q->user)) {
		status = PAM_PERM_DENIED;
		*why = "a module changed the name";
	}
	pw = status == PAM_SUCCESS ? getpwnam(q->user) : NULL;
	if (pw != NULL && pw->pw_uid == 0) {
		status = PAM_PERM_DENIED;
		*why = "root does not log in";
	}
	if (h != NULL)
		(void)pam_end(h, status);
	return verdict_of(status);
}

static int
ask(pam_handle_t *h, const struct pam_question *q)
{
	union { void (*in)(int, unsigned, void *); const void *out; } delay =
	    { .in = no_delay };
	int status = PAM_SUCCESS;

	if (q->client[0] != '\0')
		status = pam_set_item(h, PAM_RHOST, q->client);
	/* auth answers late by itself, and all alike. */
	if (status == PAM_SUCCESS)
		status = pam_set_item(h, PAM_FAIL_DELAY, delay.out);
	if (status == PAM_SUCCESS)
		status = pam_authenticate(h, PAM_SILENT |
		    PAM_DISALLOW_NULL_AUTHTOK);
	if (status == PAM_SUCCESS)
		status = pam_acct_mgmt(h, PAM_SILENT);
	return status;
}

static void
no_delay(int status, unsigned us, void *ctx)
{
	(void)status;
	(void)us;
	(void)ctx;
}

static bool
is_same(pam_handle_t *h, const char *user)
{
	const void *name = NULL;

	return pam_get_item(h, PAM_USER, &name) == PAM_SUCCESS &&
	    name != NULL && strcmp(name, user) == 0;
}

/* The answers are freed by PAM. */
static int
converse(int n, const struct pam_message **msg, struct pam_response **out,
    void *ctx)
{
	const struct pam_question *q = ctx;
	struct pam_response *r;

	if (n < 1 || n > MESSAGES_MAX)
		return PAM_CONV_ERR;
	r = mem_new((size_t)n * sizeof(*r));
	for (int i = 0; i < n; i++)
		if (msg[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			r[i].resp = mem_strdup(q->password);
		else if (msg[i]->msg_style == PAM_PROMPT_ECHO_ON)
			r[i].resp = mem_strdup(q->user);
	*out = r;
	return PAM_SUCCESS;
}

static enum password_verdict
verdict_of(int status)
{
	switch (status) {
	case PAM_SUCCESS:
		return PASSWORD_RIGHT;
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
	case PAM_PERM_DENIED:
	case PAM_CRED_INSUFFICIENT:
	case PAM_CRED_EXPIRED:
	case PAM_SYSTEM_ERR:	/* how pam_exec says that its program said no */
		return PASSWORD_WRONG;
	}
	return PASSWORD_FAULT;
}
