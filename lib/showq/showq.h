/*
 * showq - the queue as Postfix's showq(8) lists it, written and read.
 *
 * Postfix 3.7's attribute protocol (attr_print0): names and values, each
 * ended by NUL; an empty name ends a list. First {protocol}; for each
 * message queue_name queue_id time size forced_expire sender, then for each
 * recipient recipient reason, then the end of that list; at last an empty
 * name. Parsers such as prometheus-postfix-exporter's read exactly this.
 */
#ifndef SHOWQ_SHOWQ_H
#define SHOWQ_SHOWQ_H
#include "queue/queue.h"

/* --- writing --- */
void		 showq_put_start(struct buf *);
void		 showq_put_end(struct buf *);
/*
 * A walk over the queue: maildrop, incoming, active, deferred, hold. It hands
 * out parts, which list some messages each. A message that moves meanwhile
 * may be seen twice; not at all only if it goes from deferred to active.
 */
struct showq_walk;
struct showq_part;
/* null_sender: what <> is shown as (empty_address_recipient). */
struct showq_walk *showq_walk_new(const struct queue *,
		    const char *null_sender);
void		 showq_walk_free(struct showq_walk **);
struct showq_part *showq_walk_next(struct showq_walk *); /* NULL: the end */
/* Reads on, with any thread; true: there is more after what it has now. */
bool		 showq_part_read(struct showq_part *) MUST_USE;
struct str	 showq_part_text(const struct showq_part *); /* what it has */
/* Of what was damaged it warns. */
void		 showq_part_free(struct showq_part **);

/* --- reading --- */
#define SHOWQ_VALUE_MAX 65536
struct showq_message {
	struct str queue_name, queue_id, sender;
	int64_t	   time_s, size;
	bool	   forced_expire;
};
struct showq_rcpt { struct str address, reason; };
/* Where more bytes come from: appends to buf; false at the end or a fault. */
struct showq_reader {
	bool	 (*more)(void *ctx, struct buf *);
	void	  *ctx;
	struct buf in;
	size_t	   at;			/* of in, what was read */
};
enum showq_item { SHOWQ_ITEM, SHOWQ_END, SHOWQ_BAD };
void		 showq_reader_init(struct showq_reader *,
		    bool (*more)(void *ctx, struct buf *), void *ctx);
void		 showq_reader_free(struct showq_reader *);
bool		 showq_read_start(struct showq_reader *) MUST_USE;
/* Strings are copied into the arena. END: no more messages. */
enum showq_item	 showq_read_message(struct showq_reader *, struct arena *,
		    struct showq_message *) MUST_USE;
/* END: that message has no more recipients. */
enum showq_item	 showq_read_rcpt(struct showq_reader *, struct arena *,
		    struct showq_rcpt *) MUST_USE;

/*
 * --- qshape's table: recipients by domain and age ---
 * Bucket i holds ages up to shape_edge_s(i), the last one all that is older:
 * edges are width, 2*width, 4*width ... or (linear) width, 2*width, 3*width.
 * qshape's defaults: 10 buckets, 300 s, not linear.
 */
#define SHAPE_BUCKETS_MAX 40
struct shape_row {
	struct str site;
	uint64_t   total, by_age[SHAPE_BUCKETS_MAX];
};
struct shape;
struct shape	*shape_new(unsigned nbuckets, int64_t width_s, bool linear);
void		 shape_free(struct shape **);
int64_t		 shape_edge_s(const struct shape *, unsigned bucket);
/* One recipient (or sender) more; site as it is to be shown. */
void		 shape_add(struct shape *, struct str site, int64_t age_s);
/* TOTAL, then most first. Good until the next call. */
const struct shape_row *shape_rows(struct shape *, size_t *n);
#endif
