/*
 * pool - threads for work that may block on the disk, out of sight.
 *
 * One mutex guards two lists: jobs to do and jobs done. What the callbacks of
 * one round bring is handed over together, behind them: who is woken finds
 * the mutex free. Threads are made while jobs find none idle, up to the limit,
 * and stay: as many again at a time as there are, so that a short burst in each
 * of many processes makes no thousands. Results come back through one eventfd, written only when the
 * list of done jobs was empty: a batch costs the loop one wake-up. Threads
 * take no signals.
 */
#include <sys/eventfd.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include "event/internal.h"
#include "sys/sys.h"

#define THREADS_MAX	64
#define GROW_MS		5	/* most jobs are over by then */
#define THREAD_STACK	((size_t)256 * 1024)

struct job {
	struct list	 link;
	int		(*work)(void *ctx);
	void		(*done)(void *ctx, int result);
	void		*ctx;
	int		 result;
};

struct pool {
	pthread_mutex_t	 mutex;
	pthread_cond_t	 wake;
	struct list	 todo, finished;	/* struct job */
	size_t		 idle;		/* threads that wait */
	size_t		 waiting;	/* jobs in todo */
	bool		 stop;
	/* From here on the loop's thread alone. */
	struct event	 hand_over;
	struct list	 fresh;		/* jobs of this round */
	size_t		 nfresh;
	unsigned	 limit, nthreads;
	pthread_t	 threads[THREADS_MAX];
	size_t		 busy;
	int		 fd;
	struct watch	*watch;
	bool		 told;
};

/* All errors of these calls are bugs. */
static void
must(int err, const char *what)
{
	if (err != 0)
		die("pool: %s: %s", what, strerror(err));
}

/* With the mutex held. True: the loop is to be woken, after it is let go. */
static bool
put_finished(struct pool *p, struct job *job)
{
	bool first = list_empty(&p->finished);

	list_append(&p->finished, &job->link);
	return first;
}

static struct job *
take_job(struct pool *p)
{
	struct job *job;

	if (list_empty(&p->todo))
		return NULL;
	job = container_of(p->todo.next, struct job, link);
	list_remove(&job->link);
	p->waiting--;
	return job;
}

static void
wake_loop(struct pool *p)
{
	const uint64_t one = 1;

	/* Full is impossible: it is written once between two reads. */
	if (write(p->fd, &one, sizeof(one)) != sizeof(one))
		die("pool: eventfd: %s", strerror(errno));
}

static void
lock(struct pool *p)
{
	must(pthread_mutex_lock(&p->mutex), "lock");
}

static void
unlock(struct pool *p)
{
	must(pthread_mutex_unlock(&p->mutex), "unlock");
}

/* Never a system call with the mutex held: others would queue up on it. */
static void *
thread_main(void *ctx)
{
	struct pool *p = ctx;
	struct job *job;
	bool first;

	lock(p);
	for (;;) {
		while ((job = take_job(p)) == NULL && !p->stop) {
			p->idle++;
			must(pthread_cond_wait(&p->wake, &p->mutex), "wait");
			p->idle--;
		}
		if (job == NULL)
			break;
		unlock(p);
		job->result = job->work(job->ctx);
		lock(p);
		first = put_finished(p, job);
		if (!first)
			continue;
		unlock(p);
		wake_loop(p);
		lock(p);
	}
	unlock(p);
	return NULL;
}

/* False where the system gives no more threads. */
static bool
add_thread(struct pool *p)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int err;

	sigfillset(&all);
	must(pthread_attr_init(&attr), "attributes");
	must(pthread_attr_setstacksize(&attr, THREAD_STACK), "stack size");
	must(pthread_sigmask(SIG_SETMASK, &all, &before), "signals");
	err = pthread_create(&p->threads[p->nthreads], &attr, thread_main, p);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL), "signals");
	must(pthread_attr_destroy(&attr), "attributes");
	if (err == 0) {
		p->nthreads++;
		return true;
	}
	if (!p->told)
		log_warn("pool: %u threads, no more: %s", p->nthreads,
		    strerror(err));
	p->told = true;
	return false;
}

static void
move_all(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *l = from->next;

		list_remove(l);
		list_append(to, l);
	}
}

static void
run_done(struct pool *p)
{
	struct list all;

	list_init(&all);
	lock(p);
	move_all(&p->finished, &all);
	unlock(p);
	while (!list_empty(&all)) {
		struct job *job = container_of(all.next, struct job, link);

		list_remove(&job->link);
		p->busy--;
		job->done(job->ctx, job->result);
		mem_free(job);
	}
}

static void
on_eventfd(void *ctx, unsigned what)
{
	struct pool *p = ctx;
	uint64_t count;

	(void)what;
	/* Before the list is taken: what comes after writes again. */
	if (read(p->fd, &count, sizeof(count)) != sizeof(count) &&
	    errno != EAGAIN && errno != EINTR)
		die("pool: eventfd: %s", strerror(errno));
	run_done(p);
}

/* No thread at all: late is better than never. */
static void
run_here(struct pool *p)
{
	struct job *job;

	while ((job = take_job(p)) != NULL) {
		job->result = job->work(job->ctx);
		if (put_finished(p, job))
			wake_loop(p);
	}
}

/* For jobs that find no thread idle; soon again, if these are not enough. */
static void
grow(struct pool *p, size_t lacking)
{
	static const struct timeval soon = { .tv_usec = GROW_MS * 1000 };
	unsigned most = 2 * p->nthreads + 2;

	if (most > p->limit)
		most = p->limit;
	for (; lacking > 0 && p->nthreads < most; lacking--)
		if (!add_thread(p))
			return;
	if (lacking > 0 && p->nthreads < p->limit &&
	    event_add(&p->hand_over, &soon) != 0)
		die("libevent: timer refused");
}

static void
hand_over(struct pool *p)
{
	size_t wake, lacking;

	lock(p);
	move_all(&p->fresh, &p->todo);
	p->waiting += p->nfresh;
	wake = p->idle < p->nfresh ? p->idle : p->nfresh;
	lacking = p->waiting > p->idle ? p->waiting - p->idle : 0;
	unlock(p);
	p->nfresh = 0;
	while (wake-- > 0)
		must(pthread_cond_signal(&p->wake), "signal");
	grow(p, lacking);
	if (p->nthreads == 0)
		run_here(p);
}

static void
on_hand_over(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	hand_over(ctx);
}

struct pool *
pool_new(struct loop *loop, unsigned threads)
{
	struct pool *p = mem_new(sizeof(*p));

	assert(threads > 0);
	p->limit = threads < THREADS_MAX ? threads : THREADS_MAX;
	list_init(&p->fresh);
	list_init(&p->todo);
	list_init(&p->finished);
	mem_one_heap();
	must(pthread_mutex_init(&p->mutex, NULL), "mutex");
	must(pthread_cond_init(&p->wake, NULL), "condition");
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->fd == -1)
		die("pool: eventfd: %s", strerror(errno));
	p->watch = watch_new(loop, p->fd, on_eventfd, p);
	watch_want(p->watch, WATCH_READ);
	event_place(loop, &p->hand_over, -1, 0, on_hand_over, p);
	return p;
}

void
pool_run(struct pool *p, int (*work)(void *ctx),
    void (*done)(void *ctx, int result), void *ctx)
{
	struct job *job = mem_new(sizeof(*job));

	job->work = work;
	job->done = done;
	job->ctx = ctx;
	p->busy++;
	list_append(&p->fresh, &job->link);
	if (p->nfresh++ == 0)		/* runs when the others have run */
		event_active(&p->hand_over, 0, 0);
}

size_t
pool_busy(const struct pool *p)
{
	return p->busy;
}

void
pool_free(struct pool **pool)
{
	struct pool *p = *pool;

	if (p == NULL)
		return;
	*pool = NULL;
	hand_over(p);
	(void)event_del(&p->hand_over);
	lock(p);
	p->stop = true;
	unlock(p);
	must(pthread_cond_broadcast(&p->wake), "broadcast");
	for (unsigned i = 0; i < p->nthreads; i++)
		must(pthread_join(p->threads[i], NULL), "join");
	run_done(p);
	watch_free(&p->watch);
	fd_close(&p->fd);
	must(pthread_cond_destroy(&p->wake), "condition");
	must(pthread_mutex_destroy(&p->mutex), "mutex");
	mem_free(p);
}
