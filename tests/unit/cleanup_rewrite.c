/*
 * cleanup_rewrite: canonical(5), masquerading, copies: which addresses of a
 * message become what, by main.cf.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "cleanup/cleanup.h"

static const char common[] =
    "compatibility_level = 3.6\n"
    "myhostname = mail.example.org\n"
    "mydomain = example.org\n"
    "myorigin = example.org\n"
    "mydestination = example.org\n"
    "recipient_delimiter = +\n";

struct row {
	const char *what, *conf;
	const char *sender, *rcpt, *header;	/* From and To */
	const char *to;		/* "sender > recipients | header" */
	uint64_t    flags;
};

#define MAPS "inline:{ {joe@example.org=Joe.Doe@x.net}, {ann=ann.one}," \
    " {@old.example=@new.example}, {\"q r\"@x.net=\"s t\"@x.net}," \
    " {tag@x.net=box@x.net}, {loop1@x.net=loop2@x.net}," \
    " {loop2@x.net=loop1@x.net}, {many@x.net=1@x.net, 2@x.net}," \
    " {two@x.net=three@x.net}, {three@x.net=four@x.net} }"

static const struct row rows[] = {
	{ "nothing set", "", "joe", "ann", "joe",
	    "joe@example.org > ann@example.org | joe@example.org", 0 },
	{ "everywhere", "canonical_maps = " MAPS "\n", "joe", "ann",
	    "Joe <joe>", "Joe.Doe@x.net > ann.one@example.org | "
	    "Joe <Joe.Doe@x.net>", 0 },
	{ "a name of the local domain alone", "canonical_maps = " MAPS "\n",
	    "ann@other.net", "ann@example.org", "ann@other.net",
	    "ann@other.net > ann.one@example.org | ann@other.net", 0 },
	{ "@domain keeps the name", "canonical_maps = " MAPS "\n",
	    "a+b@old.example", "c@old.example", "d (x) @ old.example",
	    "a+b@new.example > c@new.example | d@new.example", 0 },
	{ "quotes", "canonical_maps = " MAPS "\n", "q r@x.net", "r",
	    "\"q r\"@x.net", "s t@x.net > r@example.org | \"s t\"@x.net", 0 },
	{ "extensions go along", "canonical_maps = " MAPS "\n",
	    "tag+e@x.net", "tag+f@x.net", "tag+g@x.net",
	    "box+e@x.net > box+f@x.net | box+g@x.net", 0 },
	{ "unless they shall not", "canonical_maps = " MAPS "\n"
	    "propagate_unmatched_extensions = virtual\n",
	    "tag+e@x.net", "tag+f@x.net", "tag+g@x.net",
	    "box@x.net > box@x.net | box@x.net", 0 },
	{ "again and again", "canonical_maps = " MAPS "\n", "two@x.net",
	    "two@x.net", "two@x.net",
	    "four@x.net > four@x.net | four@x.net", 0 },
	{ "the first of many", "canonical_maps = " MAPS "\n", "many@x.net",
	    "many@x.net", "many@x.net", "1@x.net > 1@x.net | 1@x.net", 0 },
	{ "a ring", "canonical_maps = " MAPS "\n", "loop1@x.net", "a", "a",
	    "4.3.0", 0 },
	{ "a ring in a header", "canonical_maps = " MAPS "\n", "a", "a",
	    "b, loop1@x.net, c", "4.3.0", 0 },
	{ "a table that fails", "canonical_maps = fail:x\n", "a", "b", "c",
	    "4.3.0", 0 },
	{ "no_address_mappings", "canonical_maps = " MAPS "\n"
	    "always_bcc = c@x.net\nsender_bcc_maps = static:d@x.net\n",
	    "joe", "ann", "joe",
	    "joe@example.org > ann@example.org | joe@example.org",
	    MAIL_NO_REWRITE | MAIL_NO_BCC },
	{ "sender_canonical_maps", "sender_canonical_maps = " MAPS "\n",
	    "joe", "joe", "joe",
	    "Joe.Doe@x.net > joe@example.org | Joe.Doe@x.net", 0 },
	{ "recipient_canonical_maps", "recipient_canonical_maps = " MAPS "\n",
	    "joe", "joe", "joe",
	    "joe@example.org > Joe.Doe@x.net | joe@example.org", 0 },
	{ "classes", "canonical_maps = " MAPS "\n"
	    "canonical_classes = envelope_sender\n", "joe", "joe", "joe",
	    "Joe.Doe@x.net > joe@example.org | joe@example.org", 0 },
	{ "the special map first", "sender_canonical_maps = "
	    "inline:{joe@example.org=two@x.net}\ncanonical_maps = " MAPS "\n",
	    "joe", "a", "a", "four@x.net > a@example.org | a@example.org", 0 },
	{ "masquerading", "masquerade_domains = example.org, other.net\n",
	    "a@host.example.org", "b@host.example.org",
	    "c@x.y.other.net, d@nother.net",
	    "a@example.org > b@host.example.org | c@other.net, d@nother.net",
	    0 },
	{ "its order and its exceptions",
	    "masquerade_domains = !keep.example.org, foo.example.org, "
	    "example.org\nmasquerade_exceptions = root\n"
	    "masquerade_classes = envelope_sender, envelope_recipient, "
	    "header_sender\n",
	    "root@host.example.org", "b@x.FOO.example.org",
	    "c@keep.example.org, d@a.keep.example.org, e@bar.example.org",
	    "root@host.example.org > b@foo.example.org | "
	    "c@keep.example.org, d@a.keep.example.org, e@example.org", 0 },
	{ "copies", "always_bcc = all\nsender_bcc_maps = "
	    "inline:{joe@example.org=s@x.net}\nrecipient_bcc_maps = "
	    "inline:{ann=r@x.net, all=never@x.net, @x.net=never@x.net}\n",
	    "joe", "ann", "a",
	    "joe@example.org > ann@example.org s@x.net r@x.net "
	    "all@example.org | a@example.org", 0 },
	{ "a copy's table that fails", "recipient_bcc_maps = fail:x\n", "a",
	    "b", "c", "4.3.0", 0 },
	{ "aliases come last", "canonical_maps = inline:{ann=bob}\n"
	    "virtual_alias_maps = inline:{ {bob=carl, dave} }\n", "a", "ann", "c",
	    "a@example.org > carl@example.org dave@example.org | "
	    "c@example.org", 0 },
	{ "remote headers without a domain are left",
	    "canonical_maps = static:z@x.net\n", "joe", "ann", "joe",
	    "z@x.net > z@x.net | joe", 1 << 30 },
};
#define REMOTE (1 << 30)

static void
print_mail(const struct mail *m, struct buf *out)
{
	struct str rest = buf_view(&m->headers);
	struct mime_field f;

	if (m->status != MAIL_OK) {
		buf_str(out, m->dsn);
		return;
	}
	buf_printf(out, STRF " >", STRV(m->sender));
	for (size_t i = 0; i < m->nrcpts; i++)
		buf_printf(out, " " STRF, STRV(m->rcpts[i].address));
	buf_puts(out, " |");
	while (mime_field_next(&rest, &f))
		if (f.id == MH_FROM)
			buf_printf(out, STRF, STRV(f.body));
}

static void
run(const struct row *row, const char *dir)
{
	struct problems problems = { 0 };
	struct conf *conf;
	struct cleanup c = { 0 };
	struct msg_mail_begin b = { .sender = str_of(row->sender),
	    .flags = row->flags & ~(uint64_t)REMOTE,
	    .rewrite_domain = row->flags & REMOTE ? STR("") : STR("local"),
	    .arrival_us = 1763702221000000 };
	char path[128], text[1000];
	struct mail *m;
	struct buf out;
	FILE *f;

	snprintf(path, sizeof(path), "%s/main.cf", dir);
	f = fopen(path, "w");
	fprintf(f, "%squeue_directory = %s\n%s", common, dir, row->conf);
	fclose(f);
	conf = conf_load(dir, &problems);
	conf_fill(conf, cleanup_params, cleanup_nparams, &c.conf, &problems);
	cleanup_check(&c, conf, &problems);
	problems_print(&problems, stderr);
	assert_false(problems_fatal(&problems));
	problems_free(&problems);
	cleanup_open(&c, conf);
	m = mail_new(&c, &b);
	recipient_add(m, str_of(row->rcpt), STR(""), 0);
	snprintf(text, sizeof(text), "From: %s\r\nTo: x@y.net\r\n\r\n",
	    row->header);
	content_take(m, str_of(text));
	content_end(m);
	buf_init(&out, 10000);
	/* The header goes when the file is written: look at it before. */
	if (m->status == MAIL_OK)
		mail_add_recipients(m);
	print_mail(m, &out);
	if (strcmp(buf_cstr(&out), row->to) != 0)
		fail_msg("%s:\n%s\nnot\n%s", row->what, buf_cstr(&out),
		    row->to);
	buf_free(&out);
	mail_free(&m);
	cleanup_end(&c);
	conf_free(&conf);
}

static void
test_rewrite(void **state)
{
	char dir[] = "/tmp/cleanup-rewrite-XXXXXX", path[128];
	pid_t pid;
	int status;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int d = 0; d < Q__MAX; d++) {
		snprintf(path, sizeof(path), "%s/%s", dir,
		    queue_dir_names[d]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	for (size_t i = 0; i < nitems(rows); i++)
		run(&rows[i], dir);
	pid = fork();
	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
}

static void
test_bad_words(void **state)
{
	static const char *const names[] = { "canonical_classes",
	    "sender_canonical_classes", "recipient_canonical_classes",
	    "masquerade_classes" };

	(void)state;
	for (size_t i = 0; i < nitems(names); i++) {
		struct problems problems = { 0 };
		struct conf *conf = conf_empty("/nowhere");
		struct cleanup c = { 0 };

		conf_override(conf, str_of(names[i]), STR("header_sendr"));
		conf_fill(conf, cleanup_params, cleanup_nparams, &c.conf,
		    &problems);
		cleanup_check(&c, conf, &problems);
		assert_true(problems_fatal(&problems));
		problems_free(&problems);
		c.queue.root = -1;
		for (int d = 0; d < Q__MAX; d++)
			c.queue.dir[d] = -1;
		cleanup_end(&c);
		conf_free(&conf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_bad_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
