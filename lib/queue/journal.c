/*
 * journal - what became of each recipient, appended to the queue file.
 *
 * One write per call. It is not synced: losing the last frames in a crash
 * means one more attempt, no less. Run by qmgr, the only writer.
 */
#include <sys/stat.h>
#include <errno.h>
#include <unistd.h>
#include "queue/internal.h"
#include "queue/record.h"
#include "sys/sys.h"

static void
put_event(const struct queue_event *e, struct buf *out)
{
	struct rec_event rec = {
		.rcpt = e->rcpt == QUEUE_WHOLE ? UINT64_MAX : e->rcpt,
		.status = e->status, .time_s = (uint64_t)e->time_s,
		.dsn = e->dsn, .text = e->text, .remote_mta = e->remote_mta,
		.diagnostic = e->diagnostic, .action = e->action,
		.transport = e->transport };

	record_encode(REC_event, &rec, out);
}

int
queue_journal(int fd, const struct queue_event *events, size_t n)
{
	struct stat st;
	struct buf out;
	int err = 0;

	if (fstat(fd, &st) != 0)
		return errno;
	buf_init(&out, QUEUE_ENVELOPE_MAX);
	for (size_t i = 0; i < n; i++)
		put_event(&events[i], &out);
	err = out.full ? EFBIG : fd_pwrite_all(fd, out.p, out.n, st.st_size);
	/* Half a frame would hide all that follow. */
	if (err != 0 && ftruncate(fd, st.st_size) != 0)
		err = errno;
	buf_free(&out);
	return err;
}
