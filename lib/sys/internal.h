/*
 * sys/internal - what the files of this room share.
 *
 * struct sys_room is the one file-scope state that the house allows here: a
 * log line and a time stamp are wanted everywhere, and die() must find the
 * log without being told. All of it is set at start (log_open) and used by
 * the loop's thread alone.
 */
#ifndef SYS_INTERNAL_H
#define SYS_INTERNAL_H
#include "sys/sys.h"

/* A line at most: PIPE_BUF, so that one write to a pipe is whole or not. */
#define LOG_LINE_MAX	4096
#define LOG_TEXT_MAX	2000	/* of one event; the rest is cut, as Postfix */
#define LOG_QID_MAX	64

enum log_sink { SINK_SYSLOG, SINK_FILE, SINK_PIPE, SINK_STREAM };

struct log_room {
	bool		 is_open, verbose;
	char		 tag[160];	/* "postfix/submission/smtpd" */
	char		 program[64];
	char		 host[256];
	int		 pid;
	int		 facility;
	enum log_format	 format;
	enum log_stamp	 stamp;
	bool		 to_stderr;
	enum log_sink	 sink;
	int		 fd;		/* of the sink; -1: none */
	int		 syslog_fd;	/* kept while lines go to a file */
	bool		 lost;		/* syslog: not to be found from here */
	struct buf	 pending;	/* whole lines, each ended by \n */
	uint64_t	 dropped;	/* lines lost since the last notice */
	int64_t		 stamp_second;	/* what follows is of that one */
	char		 traditional[32], iso[32], zone[8];
};

struct sys_room {
	bool		 clock_read;	/* POSTERN_FAKE_CLOCK was looked at */
	int64_t		 clock_offset_us;
	struct log_room	 log;
};
extern struct sys_room sys_room;

/*
 * log_line.c: appends a line in the form that sink and format ask for; and
 * "warning: QID: text" alone. qid and text are escaped already.
 */
void	log_line(struct log_room *, enum log_level, struct str qid,
	    struct str text, struct buf *out);
void	log_put_text(enum log_level, struct str qid, struct str text,
	    struct buf *out);
/* log_sink.c: hands out what is pending; never blocks. */
void	log_sink_open(struct log_room *);
void	log_sink_flush(struct log_room *);
#endif
