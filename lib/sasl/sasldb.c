/*
 * sasldb - passwords of Cyrus SASL's own database, in the clear.
 *
 * Its form is the plug-in's affair (Berkeley DB, GDBM), so the plug-in reads
 * it. The library has no call for that alone; but a login by EXTERNAL, which
 * nobody made, looks up what was requested of its user.
 */
#include <fcntl.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <unistd.h>

#include "sasl/internal.h"
#include "sasl/login.h"
#include "sys/sys.h"

#define PROPERTY	"userPassword"

static int
option(void *ctx, const char *plugin, const char *name, const char **value,
    unsigned *n)
{
	(void)plugin;
	if (strcmp(name, "sasldb_path") == 0)
		*value = ctx;
	else if (strcmp(name, "auxprop_plugin") == 0)
		*value = "sasldb";
	else if (strcmp(name, "mech_list") == 0)
		*value = "EXTERNAL";
	else if (strcmp(name, "log_level") == 0)
		*value = "1";
	else
		return SASL_FAIL;
	if (n != NULL)
		*n = (unsigned)strlen(*value);
	return SASL_OK;
}

/* The plug-in takes what it can't open for an empty database. */
static bool
is_readable(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0;

	fd_close(&fd);
	return good;
}

static enum found
look_up(sasl_conn_t *conn, const char *user, struct buf *password)
{
	const char *names[] = { PROPERTY, NULL }, *out = NULL;
	const struct propval *p = NULL;
	unsigned n = 0;

	if (sasl_auxprop_request(conn, names) != SASL_OK ||
	    sasl_setprop(conn, SASL_AUTH_EXTERNAL, user) != SASL_OK)
		return RETRY;
	switch (sasl_server_start(conn, "EXTERNAL", "", 0, &out, &n)) {
	case SASL_OK:
		break;
	case SASL_NOUSER:
		return NONE;
	default:
		return RETRY;
	}
	for (p = prop_get(sasl_auxprop_getctx(conn)); p != NULL &&
	    p->name != NULL; p++)
		if (strcmp(p->name, PROPERTY) == 0 && p->values != NULL &&
		    p->values[0] != NULL) {
			buf_puts(password, p->values[0]);
			return FOUND;
		}
	return NONE;
}

enum found
sasldb_find(const char *path, const char *realm, struct str user,
    struct buf *password)
{
	union { const char *in; void *out; } u = { .in = path };
	const sasl_callback_t callbacks[] = {
		{ SASL_CB_GETOPT, PROC(option), u.out },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	sasl_conn_t *conn = NULL;
	enum found found = RETRY;
	char *name;

	if (user.n == 0 || user.n > LOGIN_USER_MAX || !is_readable(path))
		return user.n == 0 || user.n > LOGIN_USER_MAX ? NONE : RETRY;
	name = mem_copy(user);
	if (sasl_server_new("sasldb", realm, NULL, NULL, NULL, callbacks, 0,
	    &conn) == SASL_OK)
		found = look_up(conn, name, password);
	sasl_dispose(&conn);
	mem_free(name);
	return found;
}
