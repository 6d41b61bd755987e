/*
 * smtp - the SMTP client. Not yet: it takes nothing.
 */
#include "service/service.h"

int
main(int argc, char **argv)
{
	const struct service_def def = { .role = ROLE_SMTP };

	return service_main(&def, argc, argv);
}
