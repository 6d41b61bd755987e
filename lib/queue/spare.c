/*
 * spare - queue files that are done with, kept for the next messages.
 *
 * Making a file and deleting it costs more than all else that is done to the
 * file of a small message (on ext4 without a journal by far: it passes over
 * inodes that were deleted lately, one by one). A spare stands in incoming/,
 * locked by its cleanup, its head wiped: to every reader it is a file in
 * writing, and when its cleanup dies it is a torn one, which goes.
 *
 * It keeps its name, an old message's, while a new one is written into it and
 * delivered early: a rename searches the folder four times. A file in
 * incoming/ whose head has another id than its name was never acknowledged:
 * before that it is synced, and before that it is given its name. Run by
 * cleanup.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "queue/internal.h"
#include "sys/sys.h"

#define SPARE_SIZE_MAX	65536	/* larger files are not kept */

struct queue_spare {
	char	 name[QUEUE_ID_MAX];
	int	 fd;
};

bool
queue_spare_keep(struct queue *q, const char *name, int fd)
{
	static const char blank[QUEUE_HEAD_SIZE];
	struct queue_spare *s;

	if (q->nspares == QUEUE_SPARES || (q->hashed & 1U << Q_INCOMING) != 0)
		return false;
	/* From here on it is no message, whoever looks. */
	if (fd_pwrite_all(fd, blank, sizeof(blank), 0) != 0)
		return false;
	if (q->spare == NULL)
		q->spare = mem_new(QUEUE_SPARES * sizeof(*q->spare));
	s = &q->spare[q->nspares++];
	memcpy(s->name, name, sizeof(s->name));
	s->fd = fd;
	return true;
}

static void
drop(struct queue *q, struct queue_spare *s)
{
	int err = queue_remove(q, Q_INCOMING, s->name);

	if (err != 0 && err != ENOENT)
		log_warn("remove spare %s: %s", s->name, strerror(err));
	fd_close(&s->fd);
}

int
queue_spare_take(struct queue *q, char name[QUEUE_ID_MAX], uint64_t *size)
{
	while (q->nspares > 0) {
		struct queue_spare *s = &q->spare[--q->nspares];
		struct stat st;

		/* Has somebody removed it? qmgr may have made it longer. */
		if (fstat(s->fd, &st) == 0 && st.st_nlink > 0 &&
		    st.st_size <= SPARE_SIZE_MAX) {
			memcpy(name, s->name, sizeof(s->name));
			*size = (uint64_t)st.st_size;
			return s->fd;
		}
		drop(q, s);
	}
	return -1;
}

void
queue_spares_drop(struct queue *q)
{
	while (q->nspares > 0)
		drop(q, &q->spare[--q->nspares]);
	mem_free(q->spare);
	q->spare = NULL;
}
