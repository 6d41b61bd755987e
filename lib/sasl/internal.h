/*
 * sasl, inside.
 */
#ifndef SASL_LIB_INTERNAL_H
#define SASL_LIB_INTERNAL_H

/* libsasl calls what it knows the type of by the number beside it. */
int		(*login_proc(void (*)(void)))(void);
#define PROC(fn)	login_proc((void (*)(void))(fn))
#endif
