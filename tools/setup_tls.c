/*
 * setup_tls - TLS for a new instance: a certificate of its own making, and
 * the listeners where users hand in mail.
 *
 * Self-signed is enough for other mail servers, which do not look (RFC 7435);
 * users' programs ask once. A real one goes in its place, or beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tls/tls.h"
#include "tools/postern.h"

#define DAYS		3650
#define PEM_MAX		65536

bool
setup_certificate(struct postern *p, const char *path, const char *hostname)
{
	struct buf pem, why;
	int err;

	if (access(path, F_OK) == 0)
		return false;
	buf_init(&pem, PEM_MAX);
	buf_init(&why, 1000);
	if (!tls_make_certificate(hostname, DAYS, &pem, &why))
		tool_fail(&p->tool, EX_SOFTWARE, "%s: %s", path,
		    buf_cstr(&why));
	err = file_replace(AT_FDCWD, path, buf_view(&pem), 0600);
	if (err != 0)
		tool_fail(&p->tool, EX_CANTCREAT, "%s: %s", path,
		    strerror(err));
	explicit_bzero(pem.p, pem.n);
	buf_free(&pem);
	buf_free(&why);
	printf("made %s: a key and a self-signed certificate for %s\n", path,
	    hostname);
	return true;
}

void
setup_tls_main(struct buf *b, const char *path)
{
	buf_printf(b, "\n# Key and certificate: put a real one in place of it, "
	    "or name its files here.\n# A change is noticed; no reload is "
	    "needed.\nsmtpd_tls_chain_files = %s\n"
	    "# TLS for whoever wants it, from others and to others.\n"
	    "smtpd_tls_security_level = may\n"
	    "smtp_tls_security_level = may\n"
	    "smtpd_tls_protocols = >=TLSv1.2\n"
	    "smtpd_tls_mandatory_protocols = >=TLSv1.2\n"
	    "# Ciphers with a digest of their own are older ones.\n"
	    "smtpd_tls_exclude_ciphers = SHA1, SHA256, SHA384, ARIA, CAMELLIA, "
	    "AESCCM, DHE\n"
	    "smtpd_tls_mandatory_exclude_ciphers = "
	    "$smtpd_tls_exclude_ciphers\n"
	    "tls_preempt_cipherlist = yes\n"
	    "smtpd_tls_loglevel = 1\n"
	    "smtp_tls_loglevel = 1\n"
	    "smtpd_tls_received_header = yes\n"
	    "# No password without TLS.\n"
	    "smtpd_tls_auth_only = yes\n", path);
}

/* RFC 6409 and RFC 8314: for users, who log in. */
void
setup_tls_master(struct buf *b, const char *host, int64_t port_base)
{
	static const struct { int port; const char *name, *tls; } at[] = {
		{ 587, "submission", "smtpd_tls_security_level=encrypt" },
		{ 465, "submissions", "smtpd_tls_wrappermode=yes" },
	};

	for (size_t i = 0; i < nitems(at); i++)
		buf_printf(b, "%s:%lld inet n - n - - smtpd\n"
		    "    -o syslog_name=postfix/%s\n"
		    "    -o %s\n"
		    "    -o smtpd_sasl_auth_enable=yes\n"
		    "    -o smtpd_sasl_authenticated_header=yes\n"
		    "    -o smtpd_client_restrictions=\n"
		    "    -o smtpd_helo_restrictions=\n"
		    "    -o smtpd_sender_restrictions=\n"
		    "    -o smtpd_relay_restrictions=permit_sasl_authenticated,"
		    "reject\n"
		    "    -o smtpd_recipient_restrictions="
		    "permit_sasl_authenticated,reject\n"
		    "    -o local_header_rewrite_clients=static:all\n"
		    "    -o smtpd_reject_unlisted_recipient=no\n",
		    host, (long long)(port_base + at[i].port), at[i].name,
		    at[i].tls);
}
