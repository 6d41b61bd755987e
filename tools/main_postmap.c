/*
 * postmap - builds, asks and changes lookup tables: postmap(1).
 */
#include "tools/postmap.h"

int
main(int argc, char **argv)
{
	static const struct tool tool = {
		.name = "postmap",
		.options = "bc:d:fFhijmnNopq:rsuUvw",
		.usage = "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] "
		    "[-d key] [-q key] [map_type:]file...",
	};

	return postmap_main(&tool, argc, argv);
}
