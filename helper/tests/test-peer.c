// SPDX-License-Identifier: GPL-2.0
/*
 * The peer backend against the export server, in one process and one loop, over TCP, TLS and UNIX sockets: random
 * operations against a reference array, with connections that are killed in the middle; who may write; who is let in.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend.h"
#include "conn-internal.h"
#include "dial.h"
#include "export.h"
#include "listener.h"
#include "spawner.h"
#include "tap.h"
#include "target.h"

#define SIZE (4u << 20)

static struct loop *loop;
static struct server *server;
static char dir[] = "/tmp/test-peer.XXXXXX";
static char key_file[64], wrong_file[64];

/* ---- what is exported: an array, whose WRITEs can be held ---- */

struct array {
	struct target target;
	uint8_t bytes[SIZE];
	bool hold, hold_all;
	bool lends;			/* a READ has asked for an address of ours, instead of a copy */
	struct list held;
	unsigned int writes;
	int claim_error, release_error;
	uint64_t short_size;
};

static struct array array;

static void array_do(struct backend_req *req)
{
	if (req->offset + (req->op == BACKEND_RESIZE ? 0 : req->length) > SIZE)
		req->done(req, -EINVAL);
	else if (req->op == BACKEND_READ)
		memcpy(req->data, array.bytes + req->offset, req->length), req->done(req, 0);
	else if (req->op == BACKEND_WRITE)
		memcpy(array.bytes + req->offset, req->data, req->length), req->done(req, 0);
	else if (req->op == BACKEND_DISCARD)
		memset(array.bytes + req->offset, 0, req->length), req->done(req, 0);
	else
		req->done(req, 0);
}

static void array_submit(struct target *target, struct backend_req *req)
{
	array.writes += req->op == BACKEND_WRITE;
	array.lends |= req->flags & BACKEND_ANY_ADDR;
	if (array.hold_all || (array.hold && req->op == BACKEND_WRITE))
		list_add(&array.held, &req->list);
	else
		array_do(req);
}

static void array_release_held(void)
{
	struct list *entry;

	array.hold = false;
	while ((entry = list_pop(&array.held))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		if (array.release_error)
			req->done(req, array.release_error);
		else
			array_do(req);
	}
}

static void array_info(struct target *target, struct wire_info *info)
{
	info->size = array.short_size ? array.short_size : SIZE;
	info->flags = WIRE_INFO_DISCARD | WIRE_INFO_RESIZE;
}

static void array_claim(struct target *target, void (*done)(void *, int, const char *), void *arg)
{
	done(arg, array.claim_error, "as the region's side has it");
}

static void array_nothing(struct target *target)
{
}

static const struct target_ops array_ops = {
	.submit = array_submit, .info = array_info, .claim = array_claim,
	.release = array_nothing, .close = array_nothing,
};

/* ---- the loop as a subroutine ---- */

static void timed_out(struct loop_timer *timer)
{
	printf("# no end in sight\n");
	exit(98);
}

/* Until somebody calls loop_stop(). */
static void turn(void)
{
	struct loop_timer timer = { .fire = timed_out };

	loop_timer_set(loop, &timer, 20000);
	loop_run(loop);
	loop_timer_cancel(loop, &timer);
}

static void stop_now(struct loop_timer *timer)
{
	loop_stop(loop);
}

static void pass(unsigned int ms)
{
	struct loop_timer timer = { .fire = stop_now };

	loop_timer_set(loop, &timer, ms);
	loop_run(loop);
	loop_timer_cancel(loop, &timer);
}

/* ---- clients ---- */

static struct backend *opened;
static int open_error;
static char open_why[256];

static bool open_told;

static void on_open(struct backend_open *open, struct backend *backend, int error)
{
	open_told = true;
	opened = backend;
	open_error = error;
	snprintf(open_why, sizeof(open_why), "%s", open->why);
	loop_stop(loop);
}

struct who {
	uint64_t instance;
	uint32_t generation;
	bool read_only;
};

static struct backend *client_open(const char *source, struct who who)
{
	struct backend_open open = {
		.loop = loop, .instance = "test", .run_dir = dir, .credentials = dir,
		.instance_id = who.instance, .region = 1, .attach_gen = who.generation, .epoch = 1,
		.read_only = who.read_only, .done = on_open,
	};

	if (uri_parse(&open.uri, source, open.why, sizeof(open.why)))
		exit(97);
	opened = NULL;
	open_told = false;
	backend_open(&open);
	turn();
	if (open_error)
		printf("# %d: %s\n", open_error, open_why);
	return opened;
}

static void on_closed(void *arg)
{
	loop_stop(loop);
}

static void client_close(struct backend *backend)
{
	backend_close(backend, on_closed, NULL);
	turn();
}

static int last_error;

static void on_done(struct backend_req *req, int error)
{
	last_error = error;
	loop_stop(loop);
}

static void start(struct backend *backend, struct backend_req *req, enum backend_op op, uint64_t offset,
		  uint64_t length, void *data)
{
	memset(req, 0, sizeof(*req));
	req->op = op;
	req->offset = offset;
	req->length = length;
	req->data = data;
	req->loop = loop;
	req->done = on_done;
	backend_submit(backend, req);
}

static int request(struct backend *backend, enum backend_op op, uint64_t offset, uint64_t length,
		   void *data)
{
	struct backend_req req;

	start(backend, &req, op, offset, length, data);
	turn();
	return last_error;
}

/* ---- random operations, many at once, on ranges that do not overlap ---- */

#define LANES	16u
#define LANE	(SIZE / LANES)

struct lane {
	struct backend_req req;
	unsigned int nr, left;
	uint8_t data[LANE];
	bool bad;
};

static struct lane lanes[LANES];
static uint8_t model[SIZE];
static struct backend *random_backend;
static unsigned int lanes_left;

static void lane_next(struct lane *lane);

static void lane_done(struct backend_req *req, int error)
{
	struct lane *lane = container_of(req, struct lane, req);

	lane->bad |= error != 0;
	if (!error && req->op == BACKEND_READ)
		lane->bad |= memcmp(lane->data, model + req->offset, req->length) != 0;
	if (!error && req->op == BACKEND_WRITE)
		memcpy(model + req->offset, lane->data, req->length);
	if (!error && req->op == BACKEND_DISCARD)
		memset(model + req->offset, 0, req->length);
	if (lane->left--)
		lane_next(lane);
	else if (!--lanes_left)
		loop_stop(loop);
}

static void lane_next(struct lane *lane)
{
	static const enum backend_op ops[] = { BACKEND_READ, BACKEND_WRITE, BACKEND_READ, BACKEND_WRITE,
					       BACKEND_DISCARD, BACKEND_SYNC, BACKEND_WRITE };
	enum backend_op op = ops[random() % 7];
	uint32_t from = (uint32_t)random() % (LANE - 1), len = (uint32_t)random() % (LANE - from) + 1;

	if (random() % 2 && len > 4096)
		len = len % 4096 + 1;
	memset(&lane->req, 0, sizeof(lane->req));
	lane->req.op = op;
	lane->req.offset = lane->nr * LANE + from;
	lane->req.length = len;
	lane->req.flags = random() % 2 ? BACKEND_DEMAND : 0;
	lane->req.data = lane->data;
	lane->req.loop = loop;
	lane->req.done = lane_done;
	if (op == BACKEND_WRITE)
		memset(lane->data, (int)(random() % 5 ? random() % 256 : 0), len);
	else
		memset(lane->data, 0x5a, len);
	backend_submit(random_backend, &lane->req);
}

static unsigned int kills;

static void kill_one(struct loop_timer *timer)
{
	struct listener *listener = list_entry(server->listeners.next, struct listener, list);
	struct list *at;
	unsigned int n = (unsigned int)random() % 3;

	list_for_each(at, &listener->services) {
		if (n--)
			continue;
		service_close(list_entry(at, struct service, list), -ECONNRESET);
		kills++;
		break;
	}
	loop_timer_set(loop, timer, 40);
}

static bool run_random(struct backend *backend, unsigned int count, bool kill)
{
	struct loop_timer killer = { .fire = kill_one };
	bool bad = false;

	random_backend = backend;
	lanes_left = LANES;
	if (kill)
		loop_timer_set(loop, &killer, 20);
	for (unsigned int i = 0; i < LANES; i++) {
		lanes[i].nr = i;
		lanes[i].left = count;
		lanes[i].bad = false;
		lane_next(&lanes[i]);
	}
	turn();
	loop_timer_cancel(loop, &killer);
	for (unsigned int i = 0; i < LANES; i++)
		bad |= lanes[i].bad;
	return !bad && !memcmp(model, array.bytes, SIZE);
}

/* ---- exports ---- */

static struct export *export_array(const struct listener_options *options, bool read_only)
{
	struct listener *listener;
	struct export *export;
	char why[256] = "";

	if (listener_find(server, options, &listener, why, sizeof(why)) ||
	    export_open(&export, listener, "dir/db", &array.target, read_only))
		printf("# %s\n", why), exit(96);
	return export;
}

static void unexport(struct export *export)
{
	export_close(export, on_closed, NULL);
	turn();
	pass(50);
}

static void source_of(char *source, size_t len, const struct export *export, const char *scheme,
		      const char *options)
{
	snprintf(source, len, "%s://%s/dir/db%s", scheme, export->listener->address, options);
}

static void test_random(const char *what, const struct listener_options *options, const char *scheme,
			const char *uri_options)
{
	struct export *export = export_array(options, false);
	struct backend *backend;
	char source[256];

	source_of(source, sizeof(source), export, scheme, uri_options);
	if (!strcmp(scheme, "peer+exec"))
		snprintf(source, sizeof(source), "peer+exec:exec socat STDIO UNIX-CONNECT:%s?region=dir/db",
			 options->listen + 5);
	else if (!strncmp(options->listen, "unix:", 5))
		snprintf(source, sizeof(source), "peer+%s?region=dir/db", options->listen);
	backend = client_open(source, (struct who){ .instance = 1, .generation = 1 });
	if (!tap_ok(backend != NULL, "%s: opens", what))
		return;
	tap_ok(backend->caps.size == SIZE, "%s: the size is known", what);
	tap_ok(run_random(backend, 60, false), "%s: random operations", what);
	kills = 0;
	tap_ok(run_random(backend, 600, true) && kills,
	       "%s: random operations while connections are killed", what);
	printf("# %u killed\n", kills);
	client_close(backend);
	unexport(export);
}

/* ---- who writes ---- */

static const struct listener_options plain = { .listen = "127.0.0.1:0" };

static void test_writers(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *first, *reader, *next;
	struct backend_req late;
	static uint8_t old[4096], new[4096];
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "");
	first = client_open(source, (struct who){ .instance = 1, .generation = 1 });
	tap_ok(first != NULL, "the first writer is let in");
	client_open(source, (struct who){ .instance = 2, .generation = 9 });
	tap_number(open_error, -EBUSY, "a second one is refused");
	tap_ok(strstr(open_why, "is written by") != NULL, "and told who holds it");
	reader = client_open(source, (struct who){ .instance = 2, .generation = 9, .read_only = true });
	tap_ok(reader != NULL, "a reader is let in");
	tap_number(request(reader, BACKEND_WRITE, 0, 4096, old), -EROFS, "who must not write");

	/* The helper of the first client dies with a WRITE in the backend; its successor overwrites. */
	memset(old, 1, sizeof(old));
	memset(new, 2, sizeof(new));
	array.hold = true;
	start(first, &late, BACKEND_WRITE, 8192, 4096, old);
	pass(100);
	tap_ok(!list_empty(&array.held), "a WRITE of the old helper is under way");
	{
		struct backend_open open = {
			.loop = loop, .instance = "test", .run_dir = dir, .credentials = dir,
			.instance_id = 1, .region = 1, .attach_gen = 2, .epoch = 1, .done = on_open,
		};

		uri_parse(&open.uri, source, open.why, sizeof(open.why));
		opened = NULL;
		open_told = false;
		backend_open(&open);
		pass(300);
		tap_ok(!open_told, "the next helper waits for it");
		array_release_held();
		turn();
		next = opened;
	}
	tap_ok(next != NULL, "and is let in when it has landed");
	tap_number(request(next, BACKEND_WRITE, 8192, 4096, new), 0, "the new helper writes");
	tap_ok(array.bytes[8192] == 2, "and its bytes stand");
	tap_ok(request(first, BACKEND_WRITE, 8192, 4096, old) < 0 && array.bytes[8192] == 2,
	       "the old helper can't write any more");
	client_open(source, (struct who){ .instance = 1, .generation = 1 });
	tap_number(open_error, -ESTALE, "nor come back");
	client_close(first);
	client_close(reader);
	client_close(next);
	next = client_open(source, (struct who){ .instance = 2, .generation = 1 });
	tap_ok(next != NULL, "another writes when the first has closed");
	if (next)
		client_close(next);
	unexport(export);
}

static void test_read_only(void)
{
	struct export *export = export_array(&plain, true);
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "");
	client = client_open(source, (struct who){ .instance = 1 });
	tap_ok(client && client->caps.read_only, "a read-only export has readers");
	tap_number(request(client, BACKEND_WRITE, 0, 512, array.bytes), -EROFS, "and no writers");
	client_close(client);
	source_of(source, sizeof(source), export, "peer+plain", "x");
	client_open(source, (struct who){ .instance = 1, .read_only = true });
	tap_number(open_error, -ENOENT, "what is not exported is not there");
	unexport(export);
}

/* ---- who is let in ---- */

static void test_keys(void)
{
	struct listener_options tls = { .listen = "127.0.0.1:0", .tls_psk = key_file };
	struct listener_options outside = { .listen = "0.0.0.0:0" };
	struct export *export = export_array(&tls, false);
	struct listener *listener;
	char source[256], why[256];

	source_of(source, sizeof(source), export, "peer", "?credential=wrong");
	client_open(source, (struct who){ .instance = 1 });
	tap_number(open_error, -EACCES, "the wrong key is refused");
	source_of(source, sizeof(source), export, "peer+plain", "");
	client_open(source, (struct who){ .instance = 1 });
	tap_ok(open_error < 0, "clear text is refused where TLS is wanted");
	tap_number(listener_find(server, &outside, &listener, why, sizeof(why)), -EPERM,
		   "off loopback clear text needs the word insecure");
	tap_ok(strstr(why, "--insecure") != NULL, "which the refusal names");
	unexport(export);
}

/* ---- what is not acceptable ---- */

static int raw_connect(const struct export *export)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 2 };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", export->listener->text + 5);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		exit(95);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* Sends a frame of that type and length (only its first 64 bytes); is the connection closed on it, and nothing answered? */
static bool is_shut_out(const struct export *export, uint8_t type, uint32_t length)
{
	struct wire_head head = { .length = length, .type = type, .id = 1 };
	uint8_t frame[64] = { 0 }, reply[64];
	int fd = raw_connect(export);
	ssize_t n;

	wire_head_encode(frame, &head);
	if (write(fd, frame, length < sizeof(frame) ? length : sizeof(frame)) < 0)
		exit(94);
	pass(100);
	n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
	close(fd);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void test_strangers(void)
{
	char listen[64];
	struct listener_options options = { .listen = listen };
	struct export *export;
	struct stat st;

	snprintf(listen, sizeof(listen), "unix:%s/strangers", dir);
	export = export_array(&options, false);
	tap_ok(!stat(listen + 5, &st) && (st.st_mode & 077) == 0, "the UNIX socket is its owner's");
	tap_ok(is_shut_out(export, WIRE_HELLO, 4097), "a frame over 4 KiB is refused at first");
	tap_ok(is_shut_out(export, WIRE_LIST, 34), "nothing is listed before authorization");
	tap_ok(is_shut_out(export, WIRE_READ, 48), "nothing is read before authorization");
	tap_ok(is_shut_out(export, 77, 40), "an unknown request is refused");
	unexport(export);
	tap_ok(stat(listen + 5, &st), "the socket is gone with its listener");
}

/* ---- the region's side says no: not at once, but when everybody has been asked ---- */

static void test_claim(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "");
	array.claim_error = -EBUSY;
	client = client_open(source, (struct who){ .instance = 1 });
	tap_number(open_error, -EBUSY, "a writer on the region's side is what the client hears of");
	tap_ok(!client && strstr(open_why, "as the region's side has it") != NULL, "in the words of that side");
	array.claim_error = -EROFS;
	client = client_open(source, (struct who){ .instance = 1 });
	tap_ok(client && client->caps.read_only, "who may not write there is asked to read");
	if (client)
		client_close(client);
	array.claim_error = 0;
	client = client_open(source, (struct who){ .instance = 1 });
	tap_ok(client && !client->caps.read_only, "later it may write");
	if (client)
		client_close(client);
	unexport(export);
}

/* ---- zeroes past the end make a region longer, as all bytes do ---- */

static void test_zeroes(void)
{
	struct export *export = export_array(&plain, false);
	static uint8_t zero[100000];
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "");
	client = client_open(source, (struct who){ .instance = 1 });
	array.writes = 0;
	array.short_size = 150000;
	tap_number(request(client, BACKEND_WRITE, 20000, sizeof(zero), zero), 0, "zeroes are written inside");
	tap_number(array.writes, 0, "as a hole");
	tap_number(request(client, BACKEND_WRITE, 100000, sizeof(zero), zero), 0, "zeroes are written past the end");
	tap_ok(array.writes > 0, "as bytes");
	array.short_size = 0;
	client_close(client);
	unexport(export);
}

/* ---- a client whose host is gone, with a request of its under way ---- */

static struct service *demand_service(struct export *export)
{
	return list_entry(export->sessions.next, struct export_session, list)->slots[0];
}

/* Has it been silent for so long that it is closed? */
static bool is_missed(struct export *export, uint64_t ms)
{
	struct service *service = demand_service(export);
	bool closing;

	service->conn->heard = loop_now_ns() - ms * 1000000;
	service->timer.fire(&service->timer);
	closing = service->conn->closing;
	service->conn->heard = loop_now_ns();
	return closing;
}

static void test_silent(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client;
	struct backend_req late;
	static uint8_t bytes[4096];
	char source[256];
	int ms = 0;
	socklen_t len = sizeof(ms);

	source_of(source, sizeof(source), export, "peer+plain", "?connections=1");
	client = client_open(source, (struct who){ .instance = 1 });
	getsockopt(demand_service(export)->conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &len);
	tap_number(ms, 30000, "TCP gives up after 30 s without an acknowledgement");
	array.hold = true;
	array.hold_all = true;
	memset(bytes, 3, sizeof(bytes));
	start(client, &late, BACKEND_SYNC, 0, 0, bytes);
	while (list_empty(&array.held))
		pass(10);
	tap_ok(!is_missed(export, 40000), "who waits for an answer may be silent for 40 s");
	tap_ok(is_missed(export, 61000), "but not for more than 60 s");
	array.hold_all = false;
	last_error = 1;
	array_release_held();
	for (int i = 0; i < 1000 && last_error == 1; i++)
		pass(10);
	tap_number(last_error, 0, "if it is there after all, it comes back");
	client_close(client);
	unexport(export);
}

/* ---- a session that was given up at the server ---- */

/* The newest session's grace is over now. */
static void expire(struct export *export)
{
	struct export_session *session = list_entry(export->sessions.prev, struct export_session, list);
	struct list *at, *next;

	list_for_each_safe(at, next, &export->listener->services)
		service_close(list_entry(at, struct service, list), -ECONNRESET);
	/* Before the client's links are back: the connections' end is told out of the loop. */
	while (session->slots[0] || session->slots[1])
		pass(0);
	session->timer.fire(&session->timer);
}

static void test_expired(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client;
	struct backend_req late;
	static uint8_t bytes[4096];
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "?connections=1");
	client = client_open(source, (struct who){ .instance = 1, .generation = 1 });
	array.hold = true;
	memset(bytes, 3, sizeof(bytes));
	start(client, &late, BACKEND_WRITE, 0, 4096, bytes);
	while (list_empty(&array.held))
		pass(10);
	last_error = 1;
	expire(export);
	/* it has been refused at least once */
	pass(500);
	array.release_error = -EIO;
	array_release_held();
	array.release_error = 0;
	for (int i = 0; i < 1000 && last_error == 1; i++)
		pass(10);
	tap_number(last_error, 0, "a request that hung for longer than its session is done by the next one");
	tap_number(request(client, BACKEND_READ, 0, 4096, bytes), 0, "and the client goes on");
	client_close(client);
	unexport(export);
}

/* ---- who connects is told to stop, when the connection is there already ---- */

static int dial_said = 1;

static void on_dialed(struct dial *dial, int fd, const char *why)
{
	dial_said = fd;
	loop_stop(loop);
}

static void test_cancel(void)
{
	struct dial dial = { .loop = loop, .done = on_dialed };
	struct listener_options options;
	char listen[64], text[128];
	struct export *export;
	struct uri uri;

	snprintf(listen, sizeof(listen), "unix:%s/cancel", dir);
	options = (struct listener_options){ .listen = listen };
	export = export_array(&options, false);
	snprintf(text, sizeof(text), "peer+%s?region=dir/db", listen);
	if (uri_parse(&uri, text, NULL, 0))
		exit(92);
	dial.uri = &uri;
	dial_start(&dial);
	dial_cancel(&dial);
	turn();
	tap_number(dial_said, -ECANCELED, "a dial that was canceled gives no connection");
	uri_free(&uri);
	unexport(export);
}

/* ---- more clients at once than strangers are let in ---- */

static void send_frame(int fd, uint8_t type, enum wire_shape shape, const void *msg)
{
	uint8_t frame[512];
	int n = wire_encode(shape, msg, frame + WIRE_HEAD_SIZE, sizeof(frame) - WIRE_HEAD_SIZE);
	struct wire_head head = { .length = WIRE_HEAD_SIZE + (uint32_t)n, .type = type, .id = type };

	wire_head_encode(frame, &head);
	if (n < 0 || write(fd, frame, head.length) < 0)
		exit(93);
}

static void introduce_raw(int fd)
{
	struct wire_hello hello = { .magic = WIRE_MAGIC, .version_min = WIRE_VERSION, .version_max = WIRE_VERSION };
	struct wire_auth_msg auth = { .method = WIRE_AUTH_TRANSPORT };

	send_frame(fd, WIRE_HELLO, WIRE_S_HELLO, &hello);
	send_frame(fd, WIRE_AUTH, WIRE_S_AUTH, &auth);
}

static void test_crowd(void)
{
	char listen[64], source[128];
	struct listener_options options = { .listen = listen };
	int crowd[LISTENER_STRANGERS];
	struct backend *client;
	struct export *export;

	snprintf(listen, sizeof(listen), "unix:%s/crowd", dir);
	export = export_array(&options, false);
	for (unsigned int i = 0; i < LISTENER_STRANGERS; i++)
		crowd[i] = raw_connect(export);
	for (int i = 0; i < 500 && export->listener->nr_strangers < LISTENER_STRANGERS; i++)
		pass(10);
	tap_number(export->listener->nr_strangers, LISTENER_STRANGERS, "as many strangers as there may be");
	for (unsigned int i = 0; i < LISTENER_STRANGERS; i++)
		introduce_raw(crowd[i]);
	for (int i = 0; i < 500 && export->listener->nr_strangers; i++)
		pass(10);
	tap_number(export->listener->nr_services, LISTENER_STRANGERS, "all of them are known then");
	tap_ok(export->listener->accepting, "and the door is open again");
	snprintf(source, sizeof(source), "peer+%s?region=dir/db", options.listen);
	client = client_open(source, (struct who){ .instance = 1 });
	tap_ok(client != NULL, "the next one is let in when they have introduced themselves");
	if (client)
		client_close(client);
	for (unsigned int i = 0; i < LISTENER_STRANGERS; i++)
		close(crowd[i]);
	unexport(export);
}

static const char *write_key(const char *name, char *path, size_t len, char digit)
{
	FILE *file;

	snprintf(path, len, "%s/%s", dir, name);
	file = fopen(path, "w");
	fprintf(file, "me:%c0112233445566778899aabbccddeeff\n", digit);
	fclose(file);
	chmod(path, 0600);
	return path;
}

static void test_exec(const struct listener_options *local)
{
	if (system("command -v socat > /dev/null"))
		tap_skip("a command's stdin and stdout", "no socat");
	else
		test_random("exec", local, "peer+exec", "");
}

int main(void)
{
	struct spawner *spawner;
	struct listener_options tls = { .listen = "127.0.0.1:0", .tls_psk = key_file };
	struct listener_options local;
	char command[64], listen[64];

	if (!mkdtemp(dir) || spawner_fork(&spawner) || loop_open(&loop, 0) || server_open(&server, loop) ||
	    spawner_start(spawner, loop))
		return 99;
	dial_set_spawner(spawner);
	array.target.ops = &array_ops;
	list_init(&array.held);
	write_key("right", key_file, sizeof(key_file), '0');
	write_key("wrong", wrong_file, sizeof(wrong_file), '1');
	snprintf(listen, sizeof(listen), "unix:%s/socket", dir);
	local = (struct listener_options){ .listen = listen };
	test_random("clear text", &plain, "peer+plain", "");
	test_random("TLS", &tls, "peer", "?credential=right&connections=3");
	test_random("UNIX", &local, "peer+unix", "");
	test_exec(&local);
	test_writers();
	test_read_only();
	test_keys();
	test_claim();
	test_zeroes();
	test_silent();
	test_expired();
	test_cancel();
	test_strangers();
	test_crowd();
	tap_ok(!array.lends, "no READ asked for an address that could go while it is looked at");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		return 99;
	return tap_end();
}
