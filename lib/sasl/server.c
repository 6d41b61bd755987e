/*
 * server - one exchange of messages, by libsasl2.
 *
 * What libsasl2 2.1.28 gets wrong is kept from it: a step after an error can
 * return success, so there is none; SCRAM's first message is checked before
 * it is seen; a user who is not there has keys all the same.
 */
#include <sasl/sasl.h>
#include <sasl/saslplug.h>

#include "sasl/internal.h"
#include "sasl/login.h"
#include "sys/sys.h"

#define CB_LOGIN	0x7f01	/* our own: the struct login of a conn */
#define STEPS_MAX	8

struct login {
	const struct login_server *server;
	sasl_conn_t	*conn;
	sasl_callback_t	 callbacks[5];
	sasl_channel_binding_t binding;
	char		*mechanisms, *binding_bytes;
	char		 mechanism[64];
	const char	*scheme;	/* of its stored keys; NULL: no keys */
	char		 user[LOGIN_USER_MAX + 1];
	char		 password[PASSWORD_MAX + 1];
	size_t		 password_size;
	bool		 has_password, fault, over, began;
	unsigned	 steps;
	const char	*reason;
};

/* Mechanisms that need stored keys, and the plug-ins that we let in. */
static const struct { const char *mechanism, *scheme; } keyed[] = {
	{ "SCRAM-SHA-256", "SCRAM-SHA-256" },
	{ "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256" },
	{ "SCRAM-SHA-1", "SCRAM-SHA-1" },
	{ "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1" },
	{ "CRAM-MD5", "PLAIN" },
};
static const char *const plugins[] = { "libplain.", "liblogin.", "libscram.",
	"libcrammd5." };

static int	option(void *ctx, const char *plugin, const char *name,
		    const char **value, unsigned *n);
static int	may_load(void *ctx, const char *file, sasl_verify_type_t);
static int	on_log(void *ctx, int level, const char *text);
static int	on_password(sasl_conn_t *, void *ctx, const char *user,
		    const char *password, unsigned n, struct propctx *);
static int	plugin_init(const sasl_utils_t *, int max_version, int *version,
		    sasl_auxprop_plug_t **, const char *name);
static int	plugin_lookup(void *, sasl_server_params_t *, unsigned flags,
		    const char *user, unsigned n);
static enum login_step judge(struct login *, int result, const char *out,
		    unsigned n, struct buf *);
static enum login_step failed(struct login *, const char *reason);
static bool	set_facts(struct login *, const struct login_facts *);
static void	note_user(struct login *, struct str message);
static void	set_user(struct login *, struct str user);

int
(*login_proc(void (*fn)(void)))(void)
{
	union { void (*in)(void); int (*out)(void); } u = { .in = fn };

	return u.out;
}

static void
on_plugin(sasl_auxprop_plug_t *plug, sasl_info_callback_stage_t stage,
    void *ctx)
{
	bool *found = ctx;

	if (stage == SASL_INFO_LIST_MECH && plug != NULL)
		*found = true;
}

bool
login_start(bool with_sasldb)
{
	bool found = false;
	/* libsasl keeps the pointer: the callbacks have no state. */
	static const sasl_callback_t none = { SASL_CB_LIST_END, NULL, NULL };
	sasl_callback_t *cb = mem_new(4 * sizeof(*cb));
	int result;

	cb[0] = (sasl_callback_t){ SASL_CB_GETOPT, PROC(option), NULL };
	/* Its context is but a sign: sasldb's plug-in, too. */
	cb[1] = (sasl_callback_t){ SASL_CB_VERIFYFILE, PROC(may_load),
	    with_sasldb ? cb : NULL };
	cb[2] = (sasl_callback_t){ SASL_CB_LOG, PROC(on_log), NULL };
	cb[3] = none;
	/* Once: a plug-in that is added twice is asked twice. */
	result = sasl_auxprop_add_plugin("postern", plugin_init);
	if (result == SASL_OK)
		/* No name: no file of libsasl's is read. */
		result = sasl_server_init(cb, NULL);
	if (result != SASL_OK)
		die("libsasl does not start: %s",
		    sasl_errstring(result, NULL, NULL));
	if (with_sasldb)
		(void)auxprop_plugin_info("sasldb", on_plugin, &found);
	return found == with_sasldb;
}

struct login *
login_new(const struct login_server *server, const struct login_facts *f)
{
	struct login *l = mem_new(sizeof(*l));
	int result;

	l->server = server;
	l->mechanisms = mem_strdup(f->mechanisms);
	l->reason = "authentication failure";
	l->callbacks[0] = (sasl_callback_t){ SASL_CB_GETOPT, PROC(option), l };
	l->callbacks[1] = (sasl_callback_t){ SASL_CB_LOG, PROC(on_log), l };
	l->callbacks[2] = (sasl_callback_t){ SASL_CB_SERVER_USERDB_CHECKPASS,
	    PROC(on_password), l };
	l->callbacks[3] = (sasl_callback_t){ CB_LOGIN, PROC(may_load), l };
	l->callbacks[4] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	/* flags 0: SMTP has no data in its success reply (RFC 4954 4). */
	result = sasl_server_new(f->service, f->hostname, f->realm, f->server,
	    f->client, l->callbacks, 0, &l->conn);
	if (result != SASL_OK || !set_facts(l, f)) {
		log_error("libsasl: %s", sasl_errstring(result, NULL, NULL));
		login_free(&l);
	}
	return l;
}

static bool
set_facts(struct login *l, const struct login_facts *f)
{
	static const struct { unsigned ours, theirs; } bits[] = {
		{ LOGIN_NO_PLAINTEXT, SASL_SEC_NOPLAINTEXT },
		{ LOGIN_NO_ACTIVE, SASL_SEC_NOACTIVE },
		{ LOGIN_NO_DICTIONARY, SASL_SEC_NODICTIONARY },
		{ LOGIN_NO_ANONYMOUS, SASL_SEC_NOANONYMOUS },
		{ LOGIN_NEED_FORWARD, SASL_SEC_FORWARD_SECRECY },
		{ LOGIN_NEED_MUTUAL, SASL_SEC_MUTUAL_AUTH },
	};
	sasl_security_properties_t props = { 0 };	/* no layers */
	sasl_ssf_t ssf = f->tls_bits;

	for (size_t i = 0; i < nitems(bits); i++)
		if (f->refused & bits[i].ours)
			props.security_flags |= bits[i].theirs;
	if (sasl_setprop(l->conn, SASL_SEC_PROPS, &props) != SASL_OK ||
	    sasl_setprop(l->conn, SASL_SSF_EXTERNAL, &ssf) != SASL_OK)
		return false;
	if (f->external != NULL && f->external[0] != '\0' &&
	    sasl_setprop(l->conn, SASL_AUTH_EXTERNAL, f->external) != SASL_OK)
		return false;
	if (f->binding.n == 0)
		return true;
	l->binding_bytes = mem_new(f->binding.n);
	memcpy(l->binding_bytes, f->binding.p, f->binding.n);
	l->binding.name = "tls-exporter";	/* RFC 9266 */
	l->binding.data = (const void *)l->binding_bytes;
	l->binding.len = f->binding.n;
	return sasl_setprop(l->conn, SASL_CHANNEL_BINDING, &l->binding) ==
	    SASL_OK;
}

void
login_free(struct login **lp)
{
	struct login *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	sasl_dispose(&l->conn);
	mem_free(l->mechanisms);
	mem_free(l->binding_bytes);
	password_wipe(l, sizeof(*l));
	mem_free(l);
}

bool
login_mechanisms(struct login *l, struct buf *out)
{
	const char *list = NULL;
	struct str rest, name, seen, before;
	bool twice;

	/* SASL_NOMECH: none is left, which is an answer. */
	if (sasl_listmech(l->conn, NULL, "", " ", "", &list, NULL, NULL) !=
	    SASL_OK)
		return true;
	/* libsasl may name one twice that also exists as -PLUS. */
	rest = str_of(list);
	while (str_token(&rest, " ", &name)) {
		seen = buf_view(out);
		twice = false;
		while (str_token(&seen, " ", &before))
			twice |= str_eq(before, name);
		if (!twice)
			buf_printf(out, "%s" STRF, out->n > 0 ? " " : "",
			    STRV(name));
	}
	return !out->full;
}

enum login_step
login_first(struct login *l, struct str mechanism, const struct str *initial,
    struct buf *out)
{
	const char *data = NULL;
	unsigned n = 0;
	int result;

	if (l->over || l->began || mechanism.n >= sizeof(l->mechanism) ||
	    mechanism.n == 0)
		return failed(l, "no mechanism available");
	l->began = true;
	for (size_t i = 0; i < mechanism.n; i++) {
		char c = mechanism.p[i];

		l->mechanism[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	for (size_t i = 0; i < nitems(keyed); i++)
		if (strcmp(l->mechanism, keyed[i].mechanism) == 0)
			l->scheme = keyed[i].scheme;
	if (initial != NULL && initial->n > LOGIN_MESSAGE_MAX)
		return failed(l, "message is too long");
	if (initial != NULL && str_starts(str_of(l->mechanism), STR("SCRAM-"))) {
		if (!scram_first_is_sane(*initial))
			return failed(l, "bad protocol / cancel");
		note_user(l, *initial);
	}
	/* Absent is NULL; empty ("=") is a pointer to nothing. */
	result = sasl_server_start(l->conn, l->mechanism, initial == NULL ?
	    NULL : initial->n > 0 ? initial->p : "", initial == NULL ? 0 :
	    (unsigned)initial->n, &data, &n);
	return judge(l, result, data, n, out);
}

enum login_step
login_next(struct login *l, struct str in, struct buf *out)
{
	const char *data = NULL;
	unsigned n = 0;
	int result;

	if (l->over || !l->began)
		return failed(l, l->reason);
	if (in.n > LOGIN_MESSAGE_MAX || ++l->steps > STEPS_MAX)
		return failed(l, "message is too long");
	if (l->steps == 1 && l->user[0] == '\0' &&
	    str_starts(str_of(l->mechanism), STR("SCRAM-"))) {
		if (!scram_first_is_sane(in))
			return failed(l, "bad protocol / cancel");
		note_user(l, in);
	}
	/* RFC 2195 2: the name, a blank, the digest. */
	if (strcmp(l->mechanism, "CRAM-MD5") == 0)
		set_user(l, str_first(in, str_rchr(in, ' ')));
	result = sasl_server_step(l->conn, in.n > 0 ? in.p : "",
	    (unsigned)in.n, &data, &n);
	return judge(l, result, data, n, out);
}

/* Anything but OK and CONTINUE is the end: never step after an error. */
static enum login_step
judge(struct login *l, int result, const char *data, unsigned n,
    struct buf *out)
{
	const void *who = NULL;

	if (result == SASL_CONTINUE && !l->over) {
		buf_clear(out);
		buf_add(out, data, n);
		return out->full ? failed(l, "message is too long") :
				   LOGIN_CHALLENGE;
	}
	l->over = true;
	if (l->fault || result == SASL_FAIL || result == SASL_NOMEM ||
	    result == SASL_TRYAGAIN || result == SASL_UNAVAIL) {
		l->reason = "temporary failure";
		return LOGIN_FAULT;
	}
	if (result == SASL_NOMECH)
		return failed(l, "no mechanism available");
	if (result == SASL_BADPROT)
		return failed(l, "bad protocol / cancel");
	/* SASL_NOUSER and all else read alike. */
	if (result != SASL_OK ||
	    sasl_getprop(l->conn, SASL_USERNAME, &who) != SASL_OK ||
	    who == NULL || strlen(who) > LOGIN_USER_MAX)
		return failed(l, "authentication failure");
	/* Whose password it is, is who logs in. */
	if (l->has_password)
		return strcmp(who, l->user) == 0 ? LOGIN_PASSWORD :
		    failed(l, "authentication failure");
	memcpy(l->user, who, strlen(who) + 1);
	return LOGIN_DONE;
}

static enum login_step
failed(struct login *l, const char *reason)
{
	l->over = true;
	l->reason = reason;
	return LOGIN_FAILED;
}

struct str
login_user(const struct login *l)
{
	return str_of(l->user);
}

struct str
login_password(const struct login *l)
{
	return (struct str){ l->password, l->password_size };
}

const char *
login_reason(const struct login *l)
{
	return l->reason;
}

/* Who it says it is, for the log and for those who count. */
static void
set_user(struct login *l, struct str user)
{
	user = str_first(user, LOGIN_USER_MAX);
	if (user.n > 0)
		memcpy(l->user, user.p, user.n);
	l->user[user.n] = '\0';
}

/* RFC 5802 5.1: n=user, with =2C for a comma and =3D for an equals sign. */
static void
note_user(struct login *l, struct str message)
{
	size_t at = 0, n = 0;

	while (at + 3 < message.n && memcmp(message.p + at, ",n=", 3) != 0)
		at++;
	for (at += 3; at < message.n && message.p[at] != ',' &&
	    n < LOGIN_USER_MAX; at++) {
		if (message.p[at] == '=' && at + 2 < message.n) {
			l->user[n++] = message.p[at + 1] == '2' ? ',' : '=';
			at += 2;
		} else
			l->user[n++] = message.p[at];
	}
	l->user[n] = '\0';
}

/* --- what libsasl asks --- */

/* ctx is a login, or NULL while libsasl starts. */
static int
option(void *ctx, const char *plugin, const char *name, const char **value,
    unsigned *n)
{
	static const char *const options[][2] = {
		{ "pwcheck_method", "auxprop" },
		{ "auxprop_plugin", "postern" }, { "log_level", "1" },
	};
	struct login *l = ctx;

	(void)plugin;
	if (l != NULL && strcmp(name, "mech_list") == 0) {
		*value = l->mechanisms;
		if (n != NULL)
			*n = (unsigned)strlen(*value);
		return SASL_OK;
	}
	for (size_t i = 0; i < nitems(options); i++)
		if (strcmp(name, options[i][0]) == 0) {
			*value = options[i][1];
			if (n != NULL)
				*n = (unsigned)strlen(*value);
			return SASL_OK;
		}
	return SASL_FAIL;
}

/* libsasl would load every file of its directory. ctx: sasldb's, too. */
static int
may_load(void *ctx, const char *file, sasl_verify_type_t type)
{
	const char *slash = strrchr(file, '/');

	if (type != SASL_VRFY_PLUGIN)
		return SASL_OK;
	file = slash != NULL ? slash + 1 : file;
	if (ctx != NULL && strncmp(file, "libsasldb.", 10) == 0)
		return SASL_OK;
	for (size_t i = 0; i < nitems(plugins); i++)
		if (strncmp(file, plugins[i], strlen(plugins[i])) == 0)
			return SASL_OK;
	return SASL_CONTINUE;
}

/* SASL_LOG_PASS would name passwords. */
static int
on_log(void *ctx, int level, const char *text)
{
	(void)ctx;
	if (level == SASL_LOG_ERR || level == SASL_LOG_WARN)
		log_debug("libsasl: %s", text);
	return SASL_OK;
}

static int
on_password(sasl_conn_t *conn, void *ctx, const char *user,
    const char *password, unsigned n, struct propctx *props)
{
	struct login *l = ctx;

	(void)conn;
	(void)props;
	if (strlen(user) > LOGIN_USER_MAX || n > PASSWORD_MAX)
		return SASL_BADAUTH;
	memcpy(l->user, user, strlen(user) + 1);
	memcpy(l->password, password, n);
	l->password[n] = '\0';
	l->password_size = n;
	l->has_password = true;
	return SASL_OK;		/* so far: judge() says LOGIN_PASSWORD */
}

static int
plugin_init(const sasl_utils_t *utils, int max_version, int *version,
    sasl_auxprop_plug_t **plugin, const char *name)
{
	sasl_auxprop_plug_t *p = mem_new(sizeof(*p));

	(void)utils;
	(void)name;
	if (max_version < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	p->name = mem_strdup("postern");
	p->auxprop_lookup = plugin_lookup;
	*version = SASL_AUXPROP_PLUG_VERSION;
	*plugin = p;
	return SASL_OK;
}

/* "ITER,salt,stored,server" as libsasl reads it. */
static void
put_keys(struct str credential, struct buf *value)
{
	struct scram s;

	if (!scram_parse(credential, &s))
		return;
	buf_printf(value, STRF "$%llu:" STRF "$" STRF ":" STRF, STRV(s.name),
	    (unsigned long long)s.iterations, STRV(s.salt), STRV(s.stored),
	    STRV(s.server));
}

static int
supply(struct login *l, sasl_server_params_t *params, const char *property,
    struct str user)
{
	struct buf credential, value;
	int result = SASL_FAIL;
	bool good;

	buf_init(&credential, CREDENTIAL_MAX);
	buf_init(&value, CREDENTIAL_MAX);
	good = l->server->secret(l->server->ctx, l->scheme, user, &credential);
	if (good && strcmp(l->scheme, "PLAIN") == 0)
		good = password_plain(buf_view(&credential), &value);
	else if (good)
		put_keys(buf_view(&credential), &value);
	if (good)
		result = params->utils->prop_set(params->propctx, property,
		    value.p, (int)value.n);
	else
		l->fault = true;
	password_wipe(credential.p, credential.n);
	password_wipe(value.p, value.n);
	buf_free(&credential);
	buf_free(&value);
	return result;
}

static int
plugin_lookup(void *glob, sasl_server_params_t *params, unsigned flags,
    const char *user, unsigned n)
{
	const struct propval *want;
	sasl_callback_ft found = NULL;
	void *ctx = NULL;
	struct login *l;
	const char *property;

	(void)glob;
	if (flags & SASL_AUXPROP_AUTHZID ||
	    params->utils->getcallback(params->utils->conn, CB_LOGIN, &found,
	    &ctx) != SASL_OK || ctx == NULL)
		return SASL_OK;
	l = ctx;
	if (l->scheme == NULL)
		return SASL_OK;
	property = strcmp(l->scheme, "PLAIN") == 0 ? "*userPassword" :
						     "*authPassword";
	want = params->utils->prop_get(params->propctx);
	for (; want != NULL && want->name != NULL; want++)
		if (strcmp(want->name, property) == 0 &&
		    want->values == NULL)
			return supply(l, params, property,
			    (struct str){ user, n });
	return SASL_OK;
}
