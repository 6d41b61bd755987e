/*
 * sys - files, descriptors, clock, random, log: the machine's small hands.
 *
 * Blocking calls on local files only. Errors are errno values.
 */
#ifndef SYS_SYS_H
#define SYS_SYS_H
#include <time.h>
#include "base/base.h"

/* clock: wall time for stamps, steady time for waits. */
int64_t		 clock_wall_us(void);		/* since 1970 */
int64_t		 clock_wall_s(void);
int64_t		 clock_steady_ms(void);
/* Tests move the wall clock: POSTERN_FAKE_CLOCK=+seconds at start. */

void		 random_bytes(void *, size_t);

/* descriptors */
int		 fd_nonblock(int fd);		/* 0 or errno */
/* The socket's buffers: before connect(), or of one that listens. */
int		 fd_window(int fd, int64_t bytes);	/* 0 or errno */
int		 fd_cloexec(int fd, bool on);
void		 fd_close(int *fd);		/* -1 is fine, leaves -1 */
void		 fd_close_from(int lowest);	/* all open ones above */
/* All bytes or errno. Regular files and blocking pipes only. */
int		 fd_write_all(int fd, const void *, size_t) MUST_USE;
int		 fd_pwrite_all(int fd, const void *, size_t, off_t) MUST_USE;
/* Bytes read (short at end of file), or -1 with errno. */
ssize_t		 fd_pread_all(int fd, void *, size_t, off_t) MUST_USE;

/* All to their defaults, none blocked: before execve(2) of another program. */
void		 signals_reset(void);
/* "READY=1", "STOPPING=1" ...: to systemd, where it started us (Type=notify) */
void		 notify_manager(const char *state);

/* files */
/* The whole file, at most max bytes (EFBIG). 0 or errno. */
int		 file_read(int dir, const char *path, size_t max,
		    struct buf *out) MUST_USE;
/* New file beside path, written, synced, renamed, directory synced. */
int		 file_replace(int dir, const char *path, struct str text,
		    mode_t mode) MUST_USE;
int		 file_make_dirs(const char *path, mode_t mode) MUST_USE;
/*
 * A local fault (EIO ENOSPC EDQUOT EMFILE ENFILE ENOMEM EROFS ESTALE ...):
 * always temporary, never a reason to bounce. DESIGN 4.
 */
bool		 errno_is_local_fault(int err);
/* getpwnam_r(3): these say that there is no such user (mypwnam_err()). */
bool		 errno_is_no_user(int err);

/*
 * log: one event, one line of printable UTF-8. Everything is escaped on its
 * way out: C0, C1, bidi controls and bad UTF-8 become '?'. Lines are kept
 * until log_flush(), which the event loop calls before it sleeps and die()
 * before it aborts; at most LOG_PENDING_MAX bytes wait. Never blocks: what
 * syslog or a pipe will not take is dropped and counted in a later line.
 */
enum log_level { LL_DEBUG, LL_INFO, LL_WARN, LL_ERROR, LL_FATAL, LL_PANIC };
enum log_format { LOG_TEXT, LOG_JSON };
enum log_stamp { STAMP_TRADITIONAL, STAMP_RFC3339 };
#define LOG_PENDING_MAX 65536

struct log_conf {
	const char	*syslog_name;	/* "postfix", "postfix/submission" */
	const char	*program;	/* "smtpd" */
	const char	*hostname;	/* stamped into file lines */
	int		 facility;	/* LOG_MAIL of syslog(3) */
	enum log_format	 format;
	enum log_stamp	 stamp;
	bool		 to_stderr;	/* tools: "program: text" as well */
};
void		 log_open(const struct log_conf *);	/* copies */
/* Lines go to fd (append, or a pipe) instead of syslog; -1: to syslog. */
void		 log_to_fd(int fd);
/* qid: the queue id that stands before the text; empty for none. */
void		 log_at(enum log_level, struct str qid, const char *fmt, ...)
		    PRINTF(3, 4);
#define log_info(...)	log_at(LL_INFO, STR(""), __VA_ARGS__)
#define log_warn(...)	log_at(LL_WARN, STR(""), __VA_ARGS__)
#define log_error(...)	log_at(LL_ERROR, STR(""), __VA_ARGS__)
#define log_debug(...)	log_at(LL_DEBUG, STR(""), __VA_ARGS__)
#define log_mail(qid, ...) log_at(LL_INFO, (qid), __VA_ARGS__)
void		 log_verbose(bool on);		/* lets LL_DEBUG through */
void		 log_flush(void);
/* Lines wait that the sink did not take: flush again in a while. */
bool		 log_waiting(void);
/*
 * syslogd was replaced, and this process cannot connect to its new socket:
 * lines wait until log_to_fd() with one of log_syslog(), from who can.
 */
bool		 log_lost(void);
/* A datagram socket to /dev/log, or -1: nobody is there. */
int		 log_syslog(void);
/* The escaper alone: what a log line would show of s. Also for replies. */
void		 log_escape(struct str s, struct buf *out);
#endif
