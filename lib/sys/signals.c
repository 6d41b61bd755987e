/*
 * signals - as a program finds them at login.
 */
#include <signal.h>
#include "sys/sys.h"

void
signals_reset(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}
