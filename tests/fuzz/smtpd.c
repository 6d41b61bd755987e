/*
 * smtpd - a whole SMTP session, its questions answered by stand-ins.
 *
 * The input: an option byte; a line that every access table answers; then
 * what the client sends, in pieces cut where byte 0xfe stands. However it
 * goes on: each reply is one (RFC 5321 4.2), no message is taken that cleanup
 * did not take, content has the line ends of content, all memory is back.
 */
#include <netinet/in.h>
#include <sys/stat.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/internal.h"
#include "smtpd/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { STRICT = 1 << 0, STRANGER = 1 << 1, LMTP = 1 << 2, LIMITED = 1 << 3,
	NO_CLEANUP = 1 << 4, UNKNOWN_RCPT = 1 << 5, REFUSES = 1 << 6 };
#define SIZE_LIMIT	20000
#define REPLIES_MAX	((size_t)64 << 20)

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct smtpd_conf, __VA_ARGS__)
#include "smtpd/params.def"
#undef PARAM
};

static struct world {		/* made once, used by all runs */
	struct smtpd	 smtpd[2];	/* at ease, strict */
	struct service	 service[2];
	struct service_def def[2];
	struct loop	*loop;
	/* this run: */
	unsigned	 options;
	struct str	 action, rest;	/* what tables say; what is not sent */
	struct smtpd	*d;
	int		 client;	/* our end */
	struct buf	 replies;
	size_t		 taken, content;
	bool		 cr;		/* of the content, last */
} w;

static const char at_ease[] =
    "myhostname = mx.example.org\nmynetworks = 127.0.0.0/8\n"
    "smtpd_error_sleep_time = 0\nmessage_size_limit = 20000\n"
    "smtpd_recipient_limit = 20\nsmtpd_junk_command_limit = 500\n"
    "smtpd_hard_error_limit = 200\n"
    "smtpd_restriction_classes = nested\nnested = check_helo_access x:y\n"
    "smtpd_client_restrictions = check_client_access x:y\n"
    "smtpd_helo_restrictions = nested reject_invalid_helo_hostname\n"
    "smtpd_sender_restrictions = check_sender_access x:y\n"
    "smtpd_relay_restrictions = permit_mynetworks reject_unauth_destination\n"
    "smtpd_recipient_restrictions = warn_if_reject check_recipient_access x:y"
    " check_recipient_access x:y reject_multi_recipient_bounce\n"
    "smtpd_data_restrictions = reject_unauth_pipelining"
    " check_sender_access x:y\n"
    "smtpd_etrn_restrictions = check_etrn_access x:y\n"
    "smtpd_forbid_unauth_pipelining = no\n";
static const char strict[] =
    "smtpd_delay_reject = no\nsmtpd_helo_required = yes\n"
    "strict_rfc821_envelopes = yes\nsmtpd_forbid_unauth_pipelining = yes\n"
    "smtpd_forbid_bare_newline = reject\nsmtpd_lmtp_enable = yes\n"
    "smtpd_client_event_limit_exceptions =\nsoft_bounce = yes\n"
    "smtpd_client_message_rate_limit = 3\n"
    "smtpd_client_recipient_rate_limit = 9\n"
    "smtpd_reject_unlisted_sender = yes\nstrict_smtputf8 = yes\n"
    "smtpd_reject_footer = \\c: $sender $helo_name\\nto $recipient\n"
    "smtpd_end_of_data_restrictions = check_sender_access x:y\n"
    "smtpd_client_restrictions = warn_if_reject reject_rbl_client "
    "bl.x=127.0.0.[1..4] check_client_access x:y\n"
    "smtpd_helo_restrictions = warn_if_reject reject_unknown_helo_hostname"
    " warn_if_reject reject_rhsbl_helo bl.x warn_if_reject "
    "check_helo_mx_access x:y\n"
    "smtpd_sender_restrictions = reject_unknown_sender_domain "
    "warn_if_reject check_sender_ns_access x:y warn_if_reject "
    "reject_unverified_sender check_sender_access x:y\n"
    "smtpd_relay_restrictions = permit_mx_backup reject_unauth_destination\n"
    "smtpd_recipient_restrictions = permit_dnswl_client wl.x warn_if_reject "
    "reject_unknown_recipient_domain reject_unverified_recipient\n";

/* --- those whom smtpd asks --- */

static void
answer_access(struct talk *t)
{
	struct msg_access_answer a = { .found = FOUND, .value = w.action,
		.key = STR("k") };

	if (w.action.n == 0)
		a.found = NONE;
	else if (w.action.p[0] == '?')
		a.found = RETRY;
	talk_send(t, MSG_access_answer, &a);
}

static void
answer_address(struct talk *t, const struct msg_address_ask *ask)
{
	bool known = (w.options & UNKNOWN_RCPT) == 0;

	talk_send(t, MSG_address_answer, &(struct msg_address_answer){
	    .found = known ? FOUND : NONE, .class = ask->address.n % 5,
	    .authorized = (w.options & STRANGER) == 0 || known,
	    .table = STR("a table"), .transport = STR("virtual"),
	    .nexthop = STR("x"), .recipient = ask->address,
	    .alike = ask->address.n % 2 });
}

/* By the name's length: an address, no such name, or no answer. */
static void
answer_dns(struct talk *t, const struct msg_dns_ask *ask)
{
	static const char record[] =
	    "\0\1\0\0\0\0\0\0\0\0\0\0\4\x7f\0\0\1";
	struct str a = { record, sizeof(record) - 1 };
	bool found = ask->type == 1 && ask->name.n % 4 != 0;

	assert(ask->type < 256);
	talk_send(t, MSG_dns_answer, &(struct msg_dns_answer){
	    .found = found ? FOUND : ask->name.n % 8 == 0 ? RETRY : NONE,
	    .nxdomain = ask->name.n % 3 == 0, .name = ask->name,
	    .records = found ? a : STR(""), .why = STR("why") });
}

static void
answer_verify(struct talk *t, const struct msg_verify_ask *ask)
{
	talk_send(t, MSG_verify_answer, &(struct msg_verify_answer){
	    .status = ask->address.n % 5, .text = STR("said so") });
}

static void
take_content(struct str s)
{
	w.content += s.n;
	assert(w.content <= SIZE_LIMIT);
	for (size_t i = 0; i < s.n; i++) {
		assert(s.p[i] != '\n' || w.cr);
		w.cr = s.p[i] == '\r';
	}
}

static void
on_question(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	(void)ctx;
	if (id == MSG_access_ask)
		answer_access(t);
	else if (id == MSG_address_ask)
		answer_address(t, msg);
	else if (id == MSG_verify_ask)
		answer_verify(t, msg);
	else if (id == MSG_dns_ask)
		answer_dns(t, msg);
	else if (id == MSG_flush_site)
		talk_send(t, MSG_flush_done, &(struct msg_flush_done){
		    .status = w.options % 3 });
	else if (id == MSG_client_event)
		talk_send(t, MSG_client_counts, &(struct msg_client_counts){
		    .connections = 1, .rate = w.options & LIMITED ? 10 : 1 });
	else if (id == MSG_mail_begin && w.options & NO_CLEANUP)
		talk_close(&t);
	else if (id == MSG_mail_begin) {
		w.content = 0;
		talk_send(t, MSG_mail_id, &(struct msg_mail_id){
		    .queue_id = STR("4AB0C12345") });
	} else if (id == MSG_mail_content)
		take_content(((const struct msg_mail_content *)msg)->bytes);
	else if (id == MSG_mail_end) {
		w.taken += (w.options & REFUSES) == 0;
		talk_send(t, MSG_mail_done, &(struct msg_mail_done){
		    .status = w.options & REFUSES ? MAIL_REJECTED : MAIL_OK,
		    .queue_id = STR("4AB0C12345"), .dsn = STR("5.7.1"),
		    .reason = w.action });
	}
}

static void
on_talk_gone(void *ctx, struct talk *t, const char *why)
{
	(void)ctx;
	(void)t;
	(void)why;
}

static const struct talk_ops stand_in = { on_question, on_talk_gone };

static void
on_talk(void *ctx, struct channel *c, struct talk *t, enum msg id)
{
	(void)c;
	(void)id;
	talk_set(t, &stand_in, ctx);
}

static void
on_solo(void *ctx, struct channel *c, enum msg id, const void *msg)
{
	(void)ctx;
	(void)c;
	(void)msg;
	assert(id == MSG_client_gone);
}

static void
on_channel_gone(void *ctx, struct channel *c)
{
	(void)ctx;
	(void)c;
	die("a channel broke");
}

static const struct channel_ops others = { .on_talk = on_talk,
	.on_solo = on_solo, .on_gone = on_channel_gone };

/* --- the client --- */

static void
read_replies(void)
{
	ssize_t n;
	char *at;

	while ((at = buf_space(&w.replies, 65536)) != NULL &&
	    (n = recv(w.client, at, 65536, MSG_DONTWAIT)) > 0)
		w.replies.n += (size_t)n;
}

/* Before the loop sleeps: the next piece, or the end. */
static void
go_on(void *ctx)
{
	size_t n;
	ssize_t sent;

	(void)ctx;
	if (w.d->nsessions == 0) {
		loop_stop(w.loop);
		return;
	}
	read_replies();
	while (w.rest.n > 0 && w.rest.p[0] == (char)0xfe)
		w.rest = str_from(w.rest, 1);
	n = str_chr(w.rest, (char)0xfe);
	if (n > 0) {
		sent = send(w.client, w.rest.p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		w.rest = sent < 0 ? STR("") : str_from(w.rest, (size_t)sent);
	}
	if (w.rest.n == 0)
		shutdown(w.client, SHUT_WR);
}

/* RFC 5321 4.2: lines of a code, the last of each with a blank. */
static void
check_replies(void)
{
	struct str rest = buf_view(&w.replies);
	size_t queued = 0;

	while (rest.n > 0) {
		size_t n = str_chr(rest, '\n');
		struct str line = str_first(rest, n);

		assert(n < rest.n && n > 0 && line.p[n - 1] == '\r');
		assert(line.n > 4 && line.p[0] >= '2' && line.p[0] <= '5' &&
		    isdigit((unsigned char)line.p[1]) &&
		    isdigit((unsigned char)line.p[2]) &&
		    (line.p[3] == ' ' || line.p[3] == '-'));
		for (size_t i = 0; i + 1 < n; i++)
			assert((unsigned char)line.p[i] >= ' ' &&
			    line.p[i] != 0x7f);
		queued += str_starts(line, STR("250 2.0.0 Ok: queued as "));
		queued += str_starts(line, STR("250 2.0.0 Ok: ")) &&
		    str_ends_nocase(line, STR(" queued as 4AB0C12345\r"));
		rest = str_from(rest, n + 1);
	}
	/* In LMTP one a recipient: a client that is gone heard fewer. */
	assert(queued <= w.taken * (w.options & LMTP ? 20 : 1) ||
	    w.smtpd[1].conf.smtpd_lmtp_enable);
}

/* --- once --- */

static void
make_conf(struct smtpd *d, struct service *s, const char *more)
{
	char dir[] = "/dev/shm/fuzz-smtpd-XXXXXX", path[64];
	struct problems p = { 0 };
	struct buf why;
	FILE *f;

	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	f = fopen(path, "w");
	if (f == NULL || fprintf(f, "%s%s", at_ease, more) < 0 ||
	    fclose(f) != 0)
		abort();
	s->conf = conf_load(dir, &p);
	conf_fill(s->conf, params, nitems(params), &d->conf, &p);
	d->service = s;
	d->loop = w.loop;
	d->arena = arena_new(64 << 20);
	list_init(&d->sessions);
	list_init(&d->listeners);
	d->myhostname = STR("mx.example.org");
	d->message_size_limit = SIZE_LIMIT;
	d->line_max = 2048;
	d->smtputf8 = true;
	d->soft_bounce = *more != '\0';
	d->mynetworks = match_list_open(STR("127.0.0.0/8"), dir, 0, NULL);
	d->interfaces = match_list_open(STR("127.0.0.1"), dir, 0, NULL);
	d->rewrite_clients = match_list_open(STR(""), dir, 0, NULL);
	d->mx_backup = match_list_open(STR(""), dir, 0, NULL);
	probe_sender_read(s->conf, d->arena, &d->probe_sender);
	d->limit_exceptions = match_list_open(*more == '\0' ?
	    STR("0.0.0.0/0") : STR(""), dir, 0, NULL);
	buf_init(&why, 1000);
	d->reject_filter = tables_open(STR("regexp:{{/^5.*FROB/ 450 "
	    "4.7.1 Later}}"), NULL, 0, &why);
	d->command_filter = tables_open(STR("regexp:{{/^SWAP/ MAIL "
	    "FROM:<>}}"), NULL, 0, &why);
	buf_free(&why);
	names_open(d);
	access_open(d, &p);
	if (problems_fatal(&p)) {
		problems_print(&p, stderr);
		abort();
	}
	problems_free(&p);
	if (unlink(path) != 0 || rmdir(dir) != 0)
		abort();
}

static void
on_drained(void *ctx, struct channel *c)
{
	(void)c;
	content_drained(ctx);
}

static void
make_peers(struct service *s)
{
	static const enum role roles[] = { ROLE_LOOKUP, ROLE_CLEANUP,
		ROLE_ANVIL, ROLE_QMGR, ROLE_RESOLVE,
		ROLE_VERIFY };
	int fd[2];

	list_init(&s->peers);
	list_init(&s->lost);
	list_init(&s->waits);
	for (size_t i = 0; i < nitems(roles); i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0, fd) != 0)
			abort();
		peers_add(s, &(struct msg_peer){ .role = roles[i], .instance = i,
		    .service = STR(""), .side = 0, .channel = fd[0] });
		channel_new(w.loop, fd[1], roles[i], ROLE_SMTPD, 1, &others,
		    NULL);
	}
}

static void
make_world(void)
{
	static const char *const more[] = { "", strict };

	log_open(&(struct log_conf){ .program = "fuzz" });
	log_to_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	w.loop = loop_new();
	for (size_t i = 0; i < 2; i++) {
		w.def[i] = (struct service_def){ .role = ROLE_SMTPD,
			.ctx = &w.smtpd[i], .on_drained = on_drained };
		w.service[i].def = &w.def[i];
		w.service[i].loop = w.loop;
		w.service[i].args.name = "smtp";
		make_conf(&w.smtpd[i], &w.service[i], more[i]);
		make_peers(&w.service[i]);
	}
	loop_before_sleep(w.loop, go_on, NULL);
}

static struct str
line_of_action(struct str *in)
{
	struct str line = str_first(*in, str_chr(*in, '\n'));

	*in = str_from(*in, line.n + 1);
	/* That restriction waits, by the clock. */
	for (size_t i = 0; i + 5 <= line.n; i++)
		if (str_eq_nocase(str_first(str_from(line, i), 5),
		    STR("sleep")))
			return STR("DUNNO");
	return str_first(line, IPC_CONTENT_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sockaddr_storage from = { .ss_family = AF_INET };
	struct sockaddr_in *in4 = (struct sockaddr_in *)&from;
	const char *bytes;
	int fd[2];

	if (n < 1 || n > 1 << 16)
		return 0;
	if (w.loop == NULL)
		make_world();
	memcpy(&bytes, &data, sizeof(bytes));
	w.options = data[0];
	w.rest = (struct str){ bytes + 1, n - 1 };
	w.action = line_of_action(&w.rest);
	w.d = &w.smtpd[w.options & STRICT];
	w.taken = w.content = 0;
	w.cr = false;
	buf_init(&w.replies, REPLIES_MAX);
	in4->sin_addr.s_addr = htonl(w.options & STRANGER ? 0xc0000201 :
	    INADDR_LOOPBACK);
	in4->sin_port = htons(25);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    fd) != 0)
		abort();
	w.client = fd[1];
	session_new(w.d, fd[0], &from);
	loop_run(w.loop);
	assert(w.d->nsessions == 0 && list_empty(&w.d->sessions));
	read_replies();
	check_replies();
	assert(peers_talks(w.d->service) == 0);
	buf_free(&w.replies);
	close(fd[1]);
	return 0;
}
