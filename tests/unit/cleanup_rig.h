/*
 * cleanup_rig - a cleanup with a queue of its own, and a look at the files it
 * writes: what the tests of cleanup share.
 */
#ifndef CLEANUP_RIG_H
#define CLEANUP_RIG_H
#include <sys/stat.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "cleanup/cleanup.h"
#include "sys/sys.h"

struct fixture {
	char		 dir[64];
	struct conf	*conf;
	struct cleanup	 c;
};

static int
rig_begin(void **state, const char *main_cf)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct problems problems = { 0 };
	char path[128];
	FILE *out;

	setenv("TZ", "UTC0", 1);
	strcpy(f->dir, "/tmp/cleanup-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (int d = 0; d < Q__MAX; d++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir,
		    queue_dir_names[d]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof(path), "%s/main.cf", f->dir);
	out = fopen(path, "w");
	fprintf(out, "%squeue_directory = %s\n", main_cf, f->dir);
	fclose(out);
	f->conf = conf_load(f->dir, &problems);
	problems_print(&problems, stderr);
	assert_non_null(f->conf);
	conf_fill(f->conf, cleanup_params, cleanup_nparams, &f->c.conf,
	    &problems);
	cleanup_check(&f->c, f->conf, &problems);
	problems_print(&problems, stderr);
	assert_false(problems_fatal(&problems));
	problems_free(&problems);
	cleanup_open(&f->c, f->conf);
	*state = f;
	return 0;
}

static int
rig_end(void **state)
{
	struct fixture *f = *state;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", f->dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	cleanup_end(&f->c);
	conf_free(&f->conf);
	free(f);
	return 0;
}

/* Header and body as they stand in m's queue file, which goes. */
static void
rig_take(struct fixture *f, struct mail *m, struct buf *all)
{
	struct arena *arena = arena_new(1 << 24);
	struct queue_message q;
	char id[QUEUE_ID_MAX] = "";
	int fd = queue_writer_keep(&m->writer);

	memcpy(id, m->id.p, m->id.n);
	assert_int_equal(queue_read(fd, arena, true, &q), QUEUE_OK);
	assert_int_equal(fd_pread_all(fd, buf_space(all, (size_t)q.size),
	    (size_t)q.header_len, (off_t)q.header_off), q.header_len);
	assert_int_equal(fd_pread_all(fd, all->p + q.header_len,
	    (size_t)q.body_len, (off_t)q.body_off), q.body_len);
	all->n = (size_t)q.size;
	close(fd);
	assert_int_equal(queue_remove(&f->c.queue, Q_INCOMING, id), 0);
	arena_free(&arena);
}
#endif
