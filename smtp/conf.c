/*
 * conf - pairs.def as the parameter tables of smtp and of lmtp.
 */
#include "smtp/smtp.h"

#define ROW(type, member, name, preset, least, most, text) \
	{ P_##type, name, preset, least, most, text, \
	    offsetof(struct smtp_conf, member) },

const struct param smtp_params[] = {
#define PAIR(type, member, sname, lname, spreset, lpreset, least, most, text) \
	ROW(type, member, #sname, spreset, least, most, text)
#define TWIN(type, name, preset, least, most, text) \
	ROW(type, name, "smtp_" #name, preset, least, most, text)
#define SAME(type, name, preset, least, most, text) \
	ROW(type, name, #name, preset, least, most, text)
#define ALONE(type, member, name, preset, least, most, text) \
	ROW(type, member, #name, preset, least, most, text)
#define OTHER_ALONE(type, member, name, preset, least, most, text)
#include "smtp/pairs.def"
#undef PAIR
#undef TWIN
#undef SAME
#undef ALONE
#undef OTHER_ALONE
};
const size_t smtp_nparams = nitems(smtp_params);

const struct param lmtp_params[] = {
#define PAIR(type, member, sname, lname, spreset, lpreset, least, most, text) \
	ROW(type, member, #lname, lpreset, least, most, text)
#define TWIN(type, name, preset, least, most, text) \
	ROW(type, name, "lmtp_" #name, preset, least, most, text)
#define SAME(type, name, preset, least, most, text) \
	ROW(type, name, #name, preset, least, most, text)
#define ALONE(type, member, name, preset, least, most, text)
#define OTHER_ALONE(type, member, name, preset, least, most, text) \
	ROW(type, member, #name, preset, least, most, text)
#include "smtp/pairs.def"
#undef PAIR
#undef TWIN
#undef SAME
#undef ALONE
#undef OTHER_ALONE
};
const size_t lmtp_nparams = nitems(lmtp_params);
