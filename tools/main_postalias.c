/*
 * postalias - builds, asks and changes alias tables: postalias(1).
 */
#include "tools/postmap.h"

int
main(int argc, char **argv)
{
	static const struct tool tool = {
		.name = "postalias",
		.options = "c:d:fijnNopq:rsuvw",
		.usage = "usage: postalias [-Nfinoprsuvw] [-c config_dir] "
		    "[-d key] [-q key] [map_type:]file...",
		.aliases = true,
	};

	return postmap_main(&tool, argc, argv);
}
