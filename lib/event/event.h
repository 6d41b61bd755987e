/*
 * event - the loop: watches, timers, signals, streams, listeners, the pool.
 *
 * libevent (core) lives here and nowhere else. One loop a process, no
 * thread is ever seen by a callback: pool jobs run elsewhere, their done()
 * runs in the loop. A callback may free the very object that called it.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H
#include <sys/socket.h>
#include "base/base.h"

struct loop;
struct loop	*loop_new(void);
void		 loop_run(struct loop *);	/* until loop_stop */
void		 loop_stop(struct loop *);
void		 loop_free(struct loop **);
/*
 * fn runs after each round of events, before the loop sleeps; log_flush()
 * comes after all of them. The same fn and ctx are kept once. Processes with
 * a loop ignore SIGPIPE: a child that runs foreign commands sets it back.
 */
void		 loop_before_sleep(struct loop *, void (*fn)(void *), void *);
void		 loop_on_signal(struct loop *, int signo,
		    void (*fn)(void *ctx, int signo), void *ctx);

/* timer: one shot; fn may set it again. */
struct timer;
struct timer	*timer_new(struct loop *, void (*fn)(void *), void *ctx);
void		 timer_set(struct timer *, int64_t after_ms); /* re-arms */
void		 timer_cancel(struct timer *);
bool		 timer_is_set(const struct timer *);
void		 timer_free(struct timer **);

/* watch: a descriptor that is not a stream (a channel, a pipe). */
enum { WATCH_READ = 1, WATCH_WRITE = 2 };
struct watch;
struct watch	*watch_new(struct loop *, int fd,
		    void (*fn)(void *ctx, unsigned what), void *ctx);
void		 watch_want(struct watch *, unsigned what); /* 0: rest */
void		 watch_free(struct watch **);	/* fd stays open */

/*
 * stream: a connected socket or pipe, non-blocking. An idle stream holds no
 * buffer: input is read into one shared buffer and shown to on_input, which
 * returns how much it took; only what is left over is copied and shown again
 * with what follows. on_input is not called while paused; after a resume the
 * left-over is shown again at once (from the loop, not from the caller).
 */
#define STREAM_INPUT_MAX 65536	/* most that one on_input call shows */
struct stream;
struct stream_ops {
	size_t	(*on_input)(void *ctx, struct str in);
	/* Peer closed its side: left-over bytes were shown first. Once. */
	void	(*on_eof)(void *ctx);
	/* EMSGSIZE: STREAM_INPUT_MAX bytes wait and on_input took none. */
	void	(*on_error)(void *ctx, int err);
	void	(*on_timeout)(void *ctx);
	/*
	 * All output is written, after some had to wait for the socket:
	 * stream_unsent() was above 0 after an uncorked write or an uncork.
	 */
	void	(*on_drained)(void *ctx);
};
struct stream	*stream_new(struct loop *, int fd, const struct stream_ops *,
		    void *ctx);			/* owns fd; ops stay */
/* The same with what a listener accepted: two calls less. */
struct stream	*stream_accepted(struct loop *, int fd,
		    const struct stream_ops *, void *ctx);
void		 stream_pause(struct stream *, bool);
/* Queues what the socket does not take. Nothing after an error. */
void		 stream_write(struct stream *, struct str);
/*
 * Behind all output, n bytes of a file from offset at, by sendfile. fd stays
 * the caller's and open; nothing may be written before stream_unsent() is 0.
 * A file that ends before is an error (EIO). False, and nothing is done:
 * there is a filter, or no socket.
 */
bool		 stream_send_file(struct stream *, int fd, int64_t at,
		    uint64_t n) MUST_USE;
size_t		 stream_unsent(const struct stream *);
/*
 * Bytes received and not yet taken: what a client sent too early. Empty
 * within on_input, which sees them all; stream_drop_input() there drops all
 * that was shown, whatever on_input returns.
 */
struct str	 stream_leftover(const struct stream *);
void		 stream_drop_input(struct stream *);
/* on_timeout once after ms without a re-arm; 0 disarms. */
void		 stream_timeout(struct stream *, int64_t after_ms);
/* Corked output leaves as one write at the next uncork. */
void		 stream_cork(struct stream *, bool);
int		 stream_fd(const struct stream *);
/* Our side is done: the peer reads an end. Output must be written before. */
void		 stream_shut(struct stream *);
/* Closes now; output that was not written is gone. No more callbacks. */
void		 stream_free(struct stream **);

/*
 * filter: what stands between a stream and its socket (lib/tls). Set when
 * stream_unsent() is 0, also within on_input; input that was not taken, or
 * is just shown, is dropped, whatever it is.
 * First the stream calls begin() until it is done, and shows no input
 * meanwhile, paused or not; then read() and write() in place of the socket's.
 * All return -1 with errno; EAGAIN: *want is what to wait for, of WATCH_READ
 * and WATCH_WRITE, 0: stream_kick().
 */
struct stream_filter {
	int	(*begin)(void *ctx, unsigned *want);	/* 0: done */
	/* begin() is done, or failed with err: then free the stream. */
	void	(*begun)(void *ctx, int err);
	ssize_t	(*read)(void *ctx, char *p, size_t n, unsigned *want);
	ssize_t	(*write)(void *ctx, struct str, unsigned *want);
	/* Bytes wait inside that no event of the socket will tell of. */
	bool	(*pending)(void *ctx);
	void	(*shut)(void *ctx);	/* say the end to the peer */
	void	(*close)(void *ctx);	/* the stream goes: free ctx */
};
void		 stream_filter(struct stream *, const struct stream_filter *,
		    void *ctx);
/* What begin() waits for has come. */
void		 stream_kick(struct stream *);

/* listener: a few connections per wake-up; rests 100 ms on EMFILE. */
struct listener;
struct listener	*listener_new(struct loop *, int fd,
		    void (*on_accept)(void *ctx, int fd,
			const struct sockaddr_storage *), void *ctx);
void		 listener_pause(struct listener *, bool);
void		 listener_free(struct listener **);	/* closes fd */

/* pool: threads for what may block on the disk (fsync). */
struct pool;
struct pool	*pool_new(struct loop *, unsigned threads);
/* work() runs in a thread and touches only ctx; done() in the loop. */
void		 pool_run(struct pool *, int (*work)(void *ctx),
		    void (*done)(void *ctx, int result), void *ctx);
size_t		 pool_busy(const struct pool *);	/* not yet done */
void		 pool_free(struct pool **);		/* waits for all */
#endif
