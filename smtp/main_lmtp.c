/*
 * lmtp - the LMTP client: smtp under another name, with parameters of its own.
 */
#include "smtp/smtp.h"

int
main(int argc, char **argv)
{
	return smtp_main(ROLE_LMTP, argc, argv);
}
