/*
 * smtp - the SMTP client: many deliveries, one loop, no file. See smtp.h.
 */
#include "smtp/smtp.h"

int
main(int argc, char **argv)
{
	return smtp_main(ROLE_SMTP, argc, argv);
}
