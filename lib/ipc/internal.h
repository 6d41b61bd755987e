/*
 * ipc/internal - what the files of this room share.
 */
#ifndef IPC_INTERNAL_H
#define IPC_INTERNAL_H
#include "ipc/ipc.h"

/* Bounds for a peer that opens and never ends, or asks and never reads. */
#define IPC_TALKS_MAX	200000
#define IPC_UNSENT_MAX	((size_t)64 << 20)

/* In place of a descriptor that was sent and found no room here (EMFILE). */
#define FD_LOST		(-2)

/* --- message.c --- */
enum { OPENS = 1 << 0, ENDS = 1 << 1, SOLO = 1 << 2 };	/* of ipc.def */

unsigned	 ipc_flags(enum msg);
const char	*ipc_name(enum msg);
/* May `from` send this message to `to`? */
bool		 ipc_allowed(enum msg, enum role from, enum role to);
size_t		 ipc_frame_size(enum msg, const void *msg);
/* The descriptor that a message carries; -1: none. */
int		 ipc_fd(enum msg, const void *msg);
/* Closes the descriptor of a message that nobody wants. */
void		 ipc_drop(enum msg, void *msg);

/* Room for any message. */
union any_message {
#define MESSAGE(name, from, to, flags) struct msg_##name name;
#define TEXT(f)
#define NUM(f)
#define FD(f)
#define END(name)
#include "ipc/ipc.def"
#undef MESSAGE
#undef TEXT
#undef NUM
#undef FD
#undef END
};

/* --- channel.c and talk.c --- */
struct talk {
	struct list	 link;		/* in channel.talks, or going */
	struct talk	*next;		/* of its slot */
	struct channel	*channel;
	const struct talk_ops *ops;
	void		*ctx;
	int64_t		 deadline_ms;	/* steady clock; 0: none */
	uint32_t	 id;		/* counter << 1 | side that opened it */
	unsigned	 busy;		/* handlers that run on it */
	bool		 known;		/* the peer knows of it */
	bool		 ended;		/* the peer has done with it */
	bool		 going;		/* its on_gone is next */
	bool		 dead;		/* freed when no handler runs */
};

struct channel {
	struct loop	*loop;
	int		 fd;
	enum role	 self, peer;
	unsigned	 side;
	const struct channel_ops *ops;
	void		*ctx;
	struct watch	*watch;

	struct buf	 open;		/* the packet that gathers frames */
	int		 open_fd;	/* its descriptor, or -1 */
	struct list	 queue;		/* struct packet: the socket was full */
	size_t		 queued;	/* bytes in queue */
	struct list	 dirty;		/* in the room's list: open has some */

	struct list	 talks;
	struct talk	**slots;	/* by id; a power of two of them */
	size_t		 nslots, ntalks;
	uint32_t	 counter;	/* of the last talk opened here */
	struct timer	*timer;		/* for the earliest deadline */
	int64_t		 timer_due_ms;	/* 0: it rests */

	unsigned	 busy;		/* our own calls that run on it */
	bool		 high;		/* was above IPC_UNSENT_HIGH */
	bool		 broken;	/* cannot send; the end will be read */
	bool		 dead;		/* closed; its owner was or is told */
	bool		 released;	/* by its owner: free when unused */
	bool		 leaving;	/* the peer was told so */
	bool		 parted;	/* and has answered */
};

void	channel_hold(struct channel *);
void	channel_release(struct channel *);	/* may free it */
/* Puts a frame in the open packet, or drops it (and its descriptor). */
void	channel_put(struct channel *, enum msg, uint32_t talk,
	    const void *msg);
/* The peer broke the rules: says so, closes. */
void	channel_malformed(struct channel *, const char *what);

/* Takes a decoded frame to its handler. */
void	talk_dispatch(struct channel *, const struct frame *, void *msg);
void	talk_end_all(struct channel *, const char *why);
#endif
