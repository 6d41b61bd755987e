/*
 * idna - domains in the form that DNS has (RFC 5890 2.3.2.1): A-labels.
 * libidn2 lives here alone.
 */
#include <idn2.h>

#include "address/internal.h"

bool
address_domain_ascii(struct str domain, struct buf *out)
{
	char text[ADDRESS_MAX + 1], *ascii = NULL;
	bool plain = true;
	int error;

	for (size_t i = 0; i < domain.n; i++)
		plain = plain && (unsigned char)domain.p[i] < 0x80;
	if (plain) {
		for (size_t i = 0; i < domain.n; i++) {
			char c = domain.p[i];

			buf_putc(out, c >= 'A' && c <= 'Z' ?
			    (char)(c - 'A' + 'a') : c);
		}
		return true;
	}
	if (domain.n > ADDRESS_MAX || !utf8_valid(domain) ||
	    memchr(domain.p, '\0', domain.n) != NULL)
		return false;
	memcpy(text, domain.p, domain.n);
	text[domain.n] = '\0';
	/* RFC 5891 5: as Postfix, nontransitional. */
	error = idn2_to_ascii_8z(text, &ascii,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (error == IDN2_OK)
		buf_puts(out, ascii);
	idn2_free(ascii);
	return error == IDN2_OK;
}
