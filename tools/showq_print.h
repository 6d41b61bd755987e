/*
 * showq_print - the queue as mailq and postqueue -j show it.
 */
#ifndef TOOLS_SHOWQ_PRINT_H
#define TOOLS_SHOWQ_PRINT_H
#include "showq/showq.h"

enum showq_print {
	PRINT_OK,
	PRINT_MALFORMED,	/* the listing is not what showq writes */
	PRINT_PIPE,		/* nobody reads any more: fine */
	PRINT_ERROR,		/* of standard output; errno */
};
enum showq_print showq_print_mailq(struct showq_reader *, bool long_ids);
enum showq_print showq_print_json(struct showq_reader *);
#endif
