/*
 * maildrop - what a program hands in: sendmail's stream and maildrop/ files.
 *
 * sendmail writes it to postdrop, postdrop writes the same to maildrop/ID,
 * pickup reads it. Both readers treat every byte as hostile.
 *
 *   file    := "PSTRNMD1" sender *attr *rcpt *content commit
 *   frame   := type:u16 length:u32 crc32c:u32 bytes         (big-endian)
 *   sender  := internal form, "" is <>
 *   rcpt    := notify:u32 internal form        (DSN_NOTIFY_ bits of ipc.h)
 *   attr    := name "=" value, one of maildrop_attrs
 *   content := at least one byte; lines end in LF, of any length
 *   commit  := bytes of content:u64 recipients:u32 crc32c of all crcs:u32
 *
 * crc32c is of type, length and bytes. Envelope text holds no control byte.
 */
#ifndef MAILDROP_MAILDROP_H
#define MAILDROP_MAILDROP_H
#include "base/base.h"

#define MAILDROP_HEAD		10	/* of a frame */
#define MAILDROP_FRAME_MAX	65536	/* bytes in a frame */
#define MAILDROP_VALUE_MAX	1000	/* an address, an attribute's value */
#define MAILDROP_RCPTS_MAX	200000
#define MAILDROP_NAME_MAX	32

enum maildrop_type { MD_SENDER = 1, MD_RCPT, MD_ATTR, MD_CONTENT, MD_COMMIT };

struct maildrop_frame {
	enum maildrop_type type;
	struct str text;	/* sender, rcpt, attr's value, content */
	struct str name;	/* attr */
	uint32_t   notify;	/* rcpt */
};

/*
 * Names of attributes: full_name; encoding (7bit, 8bit); dsn_envid; dsn_ret
 * (full, hdrs); rewrite (local, remote); trace (verify, record); extract
 * (yes: recipients are in the headers); smtputf8 (yes); verp (two delimiters).
 */
bool		 maildrop_attr_known(struct str name);

/* --- writing --- */
struct maildrop_writer {
	struct buf *out;	/* frames are appended here */
	uint64_t    content;
	uint32_t    rcpts, crc;
};
void		 maildrop_begin(struct maildrop_writer *, struct buf *out);
void		 maildrop_put(struct maildrop_writer *, enum maildrop_type,
		    struct str);	/* sender, content */
void		 maildrop_put_rcpt(struct maildrop_writer *, struct str,
		    uint32_t notify);
void		 maildrop_put_attr(struct maildrop_writer *, const char *name,
		    struct str value);
void		 maildrop_commit(struct maildrop_writer *);

/* --- reading --- */
enum maildrop_result {
	MAILDROP_FRAME,		/* *frame is filled; text points into *in */
	MAILDROP_MORE,		/* *in holds less than a frame */
	MAILDROP_END,		/* the commit frame: all is whole */
	MAILDROP_BAD,		/* why says what */
};
struct maildrop_reader {
	unsigned    stage;
	uint64_t    content;
	uint32_t    rcpts, crc;
	const char *why;
};
/* Takes the next frame off *in. A zeroed reader stands at the start. */
enum maildrop_result maildrop_read(struct maildrop_reader *, struct str *in,
		    struct maildrop_frame *) MUST_USE;

/* May stand in an envelope: no control byte, at most MAILDROP_VALUE_MAX. */
bool		 maildrop_text_ok(struct str);
/*
 * A name for a new file: time, then what nobody can guess. It is a queue id
 * of the short form.
 */
void		 maildrop_name(char name[MAILDROP_NAME_MAX]);
#endif
