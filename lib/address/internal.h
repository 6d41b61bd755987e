/*
 * address/internal - what the files of this room share.
 */
#ifndef ADDRESS_INTERNAL_H
#define ADDRESS_INTERNAL_H
#include "address/address.h"

/* An address while it is read: too long is sticky. */
struct draft {
	char	 p[ADDRESS_MAX];
	size_t	 n;
	bool	 full;
	bool	 bad;		/* held a control byte */
	bool	 hidden_at;	/* a quoted '@' stands in it */
};
void		 draft_putc(struct draft *, char);

bool		 byte_is_control(char);
/* One of RFC 5322 3.2.3's specials, the dot excepted, or a blank. */
bool		 byte_is_special(char);
/* As address_hostname_valid; utf8: labels may hold U-label bytes. */
bool		 hostname_valid(struct str, bool utf8);
#endif
