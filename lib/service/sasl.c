/*
 * sasl - words for properties of SASL mechanisms: postconf(5),
 * smtpd_sasl_security_options and its kin.
 */
#include "service/service.h"

unsigned
service_sasl_options(struct service *service, const char *parameter,
    struct problems *p)
{
	static const struct { struct str word; unsigned bit; } words[] = {
		{ STR("noplaintext"), SASL_NO_PLAINTEXT },
		{ STR("noactive"), SASL_NO_ACTIVE },
		{ STR("nodictionary"), SASL_NO_DICTIONARY },
		{ STR("noanonymous"), SASL_NO_ANONYMOUS },
		{ STR("forward_secrecy"), SASL_NEED_FORWARD },
		{ STR("mutual_auth"), SASL_NEED_MUTUAL },
	};
	struct conf *conf = service_conf(service);
	struct str list = conf_get(conf, parameter), word;
	const char *file;
	unsigned bits = 0;
	int line = 0;
	size_t i;

	file = conf_where(conf, str_of(parameter), &line);
	while (conf_list_next(&list, &word)) {
		for (i = 0; i < nitems(words); i++)
			if (str_eq_nocase(word, words[i].word))
				break;
		if (i < nitems(words))
			bits |= words[i].bit;
		else
			problem_add(p, true, file, line,
			    "%s: unknown option: " STRF, parameter,
			    STRV(word));
	}
	return bits;
}
