/*
 * priv, inside: the two sandboxes that priv_enter() closes last.
 */
#ifndef PRIV_INTERNAL_H
#define PRIV_INTERNAL_H
#include "priv/priv.h"

/* Dies where the filter can't be loaded. */
void	 priv_filter_load(enum priv_filter);
/* Denies what the kernel's Landlock can; false: this kernel has none. */
bool	 priv_landlock(enum priv_filter);
#endif
