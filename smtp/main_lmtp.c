/*
 * lmtp - the LMTP client. Not yet: it takes nothing.
 */
#include "service/service.h"

int
main(int argc, char **argv)
{
	const struct service_def def = { .role = ROLE_LMTP };

	return service_main(&def, argc, argv);
}
