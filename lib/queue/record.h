/*
 * record - the frames of a queue file: structs and wire form. The room's own.
 */
#ifndef QUEUE_RECORD_H
#define QUEUE_RECORD_H
#include "base/base.h"

#define FRAME_HEAD	10	/* type:u16 length:u32 crc32c:u32 */

enum record {
#define RECORD(name, number) REC_##name = number,
#define TEXT(f)
#define NUM(f)
#define END(name)
#include "queue/record.def"
#undef RECORD
#undef TEXT
#undef NUM
#undef END
};

#define RECORD(name, number) struct rec_##name {
#define TEXT(f)		struct str f;
#define NUM(f)		uint64_t f;
#define END(name)	};
#include "queue/record.def"
#undef RECORD
#undef TEXT
#undef NUM
#undef END

union rec_any {
#define RECORD(name, number) struct rec_##name name;
#define TEXT(f)
#define NUM(f)
#define END(name)
#include "queue/record.def"
#undef RECORD
#undef TEXT
#undef NUM
#undef END
};

/* The whole file's content up to the journal, as the head tells it. */
struct queue_head {
	char	   id[32];
	uint64_t   arrival_us, flags, size;
	uint64_t   body_len, header_len, envelope_len;
};
void		 head_encode(const struct queue_head *, char out[]);
enum head_check { HEAD_OK, HEAD_EMPTY, HEAD_BAD };
enum head_check	 head_decode(const char in[], struct queue_head *) MUST_USE;

/* Appends one frame. */
void		 record_encode(enum record, const void *rec, struct buf *);
/*
 * Takes one frame off *in; TEXT points into it. False, and *in unchanged,
 * where no whole and undamaged frame of a known type stands there.
 */
bool		 record_decode(struct str *in, enum record *, union rec_any *)
		    MUST_USE;
/* Passes over one frame, unread: what it says that it is. */
bool		 record_skip(struct str *in, unsigned *number) MUST_USE;
/* Bytes of a commit frame: all are of one size. */
size_t		 record_commit_size(void);
/* No NUL, CR or LF: may be an address, a reply, an attribute. */
bool		 record_text_clean(struct str);
#endif
