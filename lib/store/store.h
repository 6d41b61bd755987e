/*
 * store - writes mail into a mailbox: Maildir, mbox, MMDF, MH, for one uid.
 *
 * Runs in the agent, which is that uid: no path is trusted further than the
 * uid reaches. Nothing here blocks the loop: what touches the disk runs in
 * the pool, locks are tried again by timers. Memory does not grow with the
 * message; at most running_max deliveries work at once, the rest wait.
 *
 * Durable order, Maildir: write tmp/NAME, fsync, rename into new/, fsync
 * new/ (one sync serves all renames that came before it; where a name can't
 * overtake the bytes, these are only waited for: ordered.c). mbox: dotlock,
 * fcntl lock, append, fsync, and fsync of the directory of a new file; on
 * any error the file is cut back to its old length.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H
#include "event/event.h"
#include "ipc/ipc.h"

struct store_conf {
	struct loop *loop;
	struct pool *pool;
	const char  *hostname;		/* right part of Maildir names */
	unsigned     lock_attempts;	/* deliver_lock_attempts */
	int64_t	     lock_delay_ms;	/* deliver_lock_delay */
	int64_t	     stale_lock_s;	/* stale_lock_time */
	bool	     strict_owner;	/* strict_mailbox_ownership */
	size_t	     running_max;	/* deliveries that work at once */
	size_t	     waiting_max;	/* more than these wait: DEFERRED */
	size_t	     maildirs_max;	/* directories that are kept open */
};

struct store;
struct store	*store_new(const struct store_conf *);
/* Only when no delivery runs. */
void		 store_free(struct store **);
size_t		 store_busy(const struct store *);

/*
 * Writes job's message; copies job and owns its descriptor. done is called
 * once, perhaps at once: SENT when the mail is on stable storage; BOUNCED
 * only where the mailbox would outgrow size_max (5.2.2); all else that goes
 * wrong is DEFERRED. Texts are Postfix's, without the words that local(8)
 * and virtual(8) put before them.
 */
struct store_delivery;
void		 store_deliver(struct store *, const struct msg_store *job,
		    void (*done)(void *ctx, const struct msg_store_done *),
		    void *ctx);

/* --- locks of mailbox files, for postlock too --- */

/*
 * Makes dir/name, which is unlinked to unlock; an old one, and one of a dead
 * process of ours, is taken away first. 0; EEXIST: somebody holds it; errno.
 */
int		 store_dotlock(int dir, const char *name, int64_t stale_s,
		    int *fd) MUST_USE;
/* A lock on all of the file; false: somebody else has one, or errno. */
bool		 store_fcntl_lock(int fd) MUST_USE;

/* --- pure parts, for tests and fuzz targets --- */

/* How far a text was taken: line start, lines seen. Begins as zeros. */
struct store_text {
	bool	 quote_from;	/* mbox: "From " at a line start gets '>' */
	bool	 quote_mmdf;	/* MMDF: the same for a separator */
	bool	 in_line;	/* the last byte put out was no LF */
	uint64_t lines;		/* LFs put out */
};
#define STORE_MMDF_LINE	"\1\1\1\1"	/* before and behind each message */
/* The most bytes that n bytes of input become. */
#define STORE_TEXT_MAX(n) ((n) + (n) / 5 + 1)
/*
 * CRLF becomes LF; a CR or LF by itself stays. Returns how much of in was
 * taken: all when last, else all but at most 5 bytes. out has room for
 * STORE_TEXT_MAX(in.n); *n is what was put there.
 */
size_t		 store_text(struct store_text *, struct str in, bool last,
		    char *out, size_t *n);
/*
 * The lines before the header: "From " (mbox alone), Return-Path,
 * X-Original-To, Delivered-To; the latter two where they are not empty.
 */
void		 store_prefix(const struct msg_store *, int64_t now_s,
		    struct buf *out);
/* No empty name, NUL or ".." component; relative where base is set. */
bool		 store_path_valid(struct str base, struct str path);
#endif
