/*
 * queue - queue files and the directories they stand in. DESIGN 4.
 *
 * One message is one file: head, body, headers, envelope, journal. It is in
 * one directory; moves are rename(2). cleanup writes it, qmgr schedules it.
 *
 *   file  := head body headers envelope journal
 *   head  := QUEUE_HEAD_SIZE bytes: magic "PSTRNQ01", fields, CRC32C
 *   body  := content after the empty line, CRLF, dots not stuffed
 *   headers := header fields and the empty line, CRLF
 *   envelope := frames of record.def, the last one COMMIT
 *   journal := frames of record.def, appended
 *   frame := type:u16 length:u32 crc32c:u32 bytes, big-endian
 *
 * 250 waits for fsync of a file whose COMMIT frame is in place, which holds the
 * CRC of body and headers. A file without one was never acknowledged.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H
#include <sys/stat.h>
#include "base/base.h"

#define QUEUE_HEAD_SIZE	256
#define QUEUE_ID_MAX	32
#define QUEUE_ENVELOPE_MAX (1ULL << 30)	/* bytes that a reader accepts */

enum queue_dir { Q_MAILDROP, Q_INCOMING, Q_ACTIVE, Q_DEFERRED, Q_HOLD,
	Q_CORRUPT, Q__MAX };
extern const char *const queue_dir_names[Q__MAX];

enum queue_result {
	QUEUE_OK,
	QUEUE_GONE,	/* no such file */
	QUEUE_TORN,	/* no COMMIT: never acknowledged */
	QUEUE_BAD,	/* damaged: to corrupt/ */
	QUEUE_LOCKED,	/* its writer is alive */
	QUEUE_RETRY,	/* a local fault; errno tells */
};

struct queue {			/* directories, opened before privileges go */
	int	 root;
	int	 dir[Q__MAX];	/* -1: not there */
	unsigned hashed;	/* bit per queue_dir: hash_queue_names */
	unsigned depth;		/* hash_queue_depth */
	bool	 long_ids;	/* enable_long_queue_ids */
	unsigned writer;	/* distinguishes writers of one moment, 0..7 */
	bool	 dir_sync;	/* this file system wants fsync of directories */
	int64_t	 last_us;	/* of the newest id */
	struct queue_spare *spare; /* emptied files for new messages */
	unsigned nspares;
};
/* hash_names: "deferred, defer". 0 or errno; *bad names the directory. */
int	 queue_open(struct queue *, const char *spool, struct str hash_names,
	    unsigned depth, const char **bad) MUST_USE;
void	 queue_close(struct queue *);
bool	 queue_id_valid(struct str id);		/* of either form, no path */
/* A fresh id: upper-case hex of the microsecond and the writer, or long. */
void	 queue_id_new(struct queue *, char id[QUEUE_ID_MAX]);
/* openat in the right (hashed) place; fd or -1 with errno. */
int	 queue_open_file(const struct queue *, enum queue_dir, const char *id,
	    int flags, mode_t mode);
/* Rename, _as from that name; never over an existing file. 0 or errno. */
int	 queue_move_as(const struct queue *, const char *name,
	    enum queue_dir from, const char *id, enum queue_dir to) MUST_USE;
int	 queue_move(const struct queue *, const char *id, enum queue_dir from,
	    enum queue_dir to) MUST_USE;
int	 queue_remove(const struct queue *, enum queue_dir, const char *id)
	    MUST_USE;
/* Removes what queue_judge called torn, if it still is so under its lock: a
 * writer may just have begun. QUEUE_OK: it is gone; else nothing was done. */
enum queue_result queue_remove_torn(const struct queue *, enum queue_dir,
	    const char *id) MUST_USE;
/* Removes it, unless a writer holds it (EWOULDBLOCK). 0 or errno. */
int	 queue_remove_left(const struct queue *, enum queue_dir,
	    const char *id) MUST_USE;
/* To the place that hash_queue_names wants. 0: moved; EEXIST: it is there. */
int	 queue_tidy(const struct queue *, enum queue_dir, const char *id)
	    MUST_USE;
void	 queue_prune(const struct queue *, enum queue_dir); /* empty folders */
int	 queue_stat(const struct queue *, enum queue_dir, const char *id,
	    struct stat *) MUST_USE;	/* 0 or errno */
/*
 * A walk over the ids in a directory; in each folder of it by inode, which is
 * quickest to look at. A file that moves meanwhile may be named or not.
 */
struct queue_walk;
struct queue_walk *queue_walk_new(const struct queue *, enum queue_dir);
const char *queue_walk_next(struct queue_walk *); /* NULL: that was all */
int	 queue_walk_error(const struct queue_walk *); /* 0 or errno, so far */
void	 queue_walk_free(struct queue_walk **);
/* Where is it? Q__MAX: nowhere. */
enum queue_dir queue_find(const struct queue *, const char *id);
/* fn returns false to stop. Names that are no queue ids are passed by. */
int	 queue_scan(const struct queue *, enum queue_dir,
	    bool (*fn)(void *ctx, const char *id), void *ctx);

/* --- what a file holds --- */
struct queue_rcpt {
	struct str address;	/* internal form, as rewritten */
	struct str original;	/* as the client gave it; "" if same */
	struct str dsn_orcpt;	/* "rfc822;..." or "" */
	unsigned   dsn_notify;	/* DSN_NOTIFY_ bits */
	/* from the journal: */
	unsigned   status, tries;	/* enum rcpt_state */
	int64_t	   tried_s;	/* last attempt */
	struct str dsn, text, remote_mta, diagnostic, action, transport;
};
/* In dsn_notify: an alias, here for its sender to hear of it; is sent. */
#define QUEUE_NOTIFY_EXPANDED (1U << 4)
enum rcpt_state { RCPT_TODO, RCPT_DEFERRED, RCPT_SENT, RCPT_BOUNCED,
	RCPT_REPORTED };	/* reported: bounced, and its report is queued */

struct queue_attr { struct str name, value; };	/* client_name, encoding ... */

struct queue_message {
	char	   id[QUEUE_ID_MAX];
	int64_t	   arrival_us;
	uint64_t   size;	/* message size, headers and body */
	uint64_t   body_off, body_len, header_off, header_len;
	uint64_t   envelope_off, envelope_len, journal_off;
	unsigned   flags;	/* QMF_ */
	struct str sender, dsn_envid;
	unsigned   dsn_ret;
	struct queue_attr *attrs;
	size_t	   nattrs;
	struct queue_rcpt *rcpts;
	size_t	   nrcpts;
	int64_t	   warned_s;	/* delay warning sent, 0: not */
};
enum {
	QMF_HAS_DOTS = 1 << 0,	/* some body line begins with a dot */
	QMF_8BIT = 1 << 1, QMF_SMTPUTF8 = 1 << 2, QMF_BOUNCE = 1 << 3,
	QMF_VERIFY = 1 << 4, QMF_TRACE = 1 << 5, QMF_TLS_OPTIONAL = 1 << 8,
	QMF_PROBE = 1 << 7,	/* with VERIFY: the result is for verify */
	QMF_LONG_LINES = 1 << 6, /* a body line of more than 998 bytes */
};
struct str queue_attr(const struct queue_message *, const char *name);
#define QUEUE_VERP "verp_delimiters"
struct str queue_verp(const struct queue_message *);	/* "": no VERP */

/*
 * Reads head, envelope and journal; strings live in the arena, whose limit
 * must allow for some 8 times the envelope. A torn tail of the journal is
 * left out, and cut off where fd may write (qmgr alone opens so). content:
 * also checks the CRC of the content. LOCKED: a writer holds it.
 */
enum queue_result queue_read(int fd, struct arena *, bool content,
	    struct queue_message *) MUST_USE;
/* The same without content, of one there; stat of fd. Fewer calls where no
 * writer can hold it (deferred/, hold/): for those who look at very many. */
enum queue_result queue_read_in(enum queue_dir, int fd, const struct stat *,
	    struct arena *, struct queue_message *) MUST_USE;
void	 queue_read_ahead(int fd, const struct stat *);	/* begun; no wait */
/* Of a file of that name: a head of another id is BAD, but in incoming/ TORN:
 * never acknowledged, be it whole or not. */
enum queue_result queue_judge(enum queue_result, enum queue_dir,
	    const char *id, const struct queue_message *);
/* queue_read from bytes: head and envelope region (no journal). */
enum queue_result queue_parse(struct str head_and_envelope, struct arena *,
	    struct queue_message *) MUST_USE;

/* --- writing: cleanup --- */
struct queue_writer;
/* Makes incoming/ID (or hold/ID), locked against scans. NULL with errno. */
struct queue_writer *queue_writer_new(struct queue *, enum queue_dir);
const char *queue_writer_id(const struct queue_writer *);
/* What it is called: an old id, until it is given its own, before the sync. */
const char *queue_writer_file(const struct queue_writer *);
int	 queue_writer_name(struct queue_writer *) MUST_USE;
/* Body bytes, in order. Held in memory up to 64 KiB, then written. */
int	 queue_write_body(struct queue_writer *, struct str) MUST_USE;
/* Writes headers, envelope, COMMIT and head: all but the sync. fields of msg
 * used: arrival, sender, dsn, attrs, rcpts, flags. 0 or errno. */
int	 queue_write_rest(struct queue_writer *, struct str headers,
	    const struct queue_message *msg) MUST_USE;
/* To another directory (HOLD), before the sync. 0 or errno. */
int	 queue_writer_move(struct queue_writer *, enum queue_dir) MUST_USE;
/* Blocks: fsync. Run it in the pool. 0 or errno: this copy is then bad. */
int	 queue_writer_sync(struct queue_writer *) MUST_USE;
/* Head and envelope as written: for the offer. */
struct str queue_writer_envelope(const struct queue_writer *);
/* A descriptor of the file, for somebody else; -1 with errno. */
int	 queue_writer_dup(const struct queue_writer *);
/* Kept: the file stays, its descriptor is returned (yours, unlocked). */
int	 queue_writer_keep(struct queue_writer **);
/* Done with: every recipient has it, and nobody reads it. Emptied and kept in
 * incoming/ for a next message (spare.c), or unlinked. */
void	 queue_writer_recycle(struct queue_writer **);
/* Unlinks what is kept. Call it when no mail has come for a while. */
void	 queue_spares_drop(struct queue *);
void	 queue_writer_drop(struct queue_writer **); /* unlinked */

/* --- the journal: qmgr --- */
struct queue_event {
	size_t	   rcpt;	/* index; QUEUE_WHOLE for the message */
	unsigned   status;	/* enum rcpt_state, or JOURNAL_WARNED */
	int64_t	   time_s;
	struct str dsn, text, remote_mta, diagnostic, action, transport;
};
#define QUEUE_WHOLE	SIZE_MAX
#define JOURNAL_WARNED	64	/* delay warning sent */
/*
 * One write of all frames at the end of the file, which changes its mtime.
 * 0 or errno: then nothing of it is left in the file. No O_APPEND on fd.
 */
int	 queue_journal(int fd, const struct queue_event *, size_t n) MUST_USE;
/* What a qmgr that leaves still has in hand, until fd is closed. */
int	 queue_hold(int fd) MUST_USE;	/* 0 or errno */
bool	 queue_is_held(int fd);		/* by another */
#endif
