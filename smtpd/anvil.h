/*
 * anvil - counts of each (service, client): open connections, and events in
 * the present time unit. Pure: the caller says what time it is.
 */
#ifndef SMTPD_ANVIL_H
#define SMTPD_ANVIL_H
#include "base/base.h"
#include "ipc/ipc.h"

#define ANVIL_EVENTS	(CLIENT_TLS + 1)
#define ANVIL_NAME_MAX	512	/* "service:client"; longer are not counted */

struct anvil;
struct anvil_counts { uint64_t connections, rate; };

struct anvil	*anvil_new(int64_t unit_s, size_t clients_max);
void		 anvil_free(struct anvil **);
/*
 * Counts an event that the process `holder` (any pointer that stands for it)
 * reports. Where there is no room: as if it were the client's first.
 */
struct anvil_counts anvil_event(struct anvil *, const void *holder,
		    enum client_event, struct str service, struct str client,
		    int64_t now_s);
/* A connection that this holder reported is over. */
void		 anvil_gone(struct anvil *, const void *holder,
		    struct str service, struct str client, int64_t now_s);
/* The holder died: so did all its connections. */
void		 anvil_holder_gone(struct anvil *, const void *holder,
		    int64_t now_s);
/* Forgets clients without connection that were quiet for a time unit. */
void		 anvil_expire(struct anvil *, int64_t now_s);
size_t		 anvil_clients(const struct anvil *);
/* Logs the peaks since the last time, as anvil(8) does. */
void		 anvil_report(struct anvil *);
#endif
