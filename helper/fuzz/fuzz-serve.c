// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile client, on up to four connections, of a server that has three regions: "a", "b" that can only be read, and "f", a file. The input says what it sends, a letter and
 * its arguments each (see peer-steps.h):
 *
 *   0 1 2 3	the connection that is meant from here on; it is made when something is sent
 *   H c	HELLO of client c; from 4 on, one that is wrong in some way
 *   A m	AUTH by method m
 *   O f s r n	OPEN with flags f, session s, of region r, slot n (16 and more: with an old incarnation)
 *   R W D o l	READ, WRITE, DISCARD: offset, length; W with b, the value of its bytes
 *   Z s l	RESIZE: size, lowest
 *   S I P C V	SYNC, INFO, PING, CLOSE, VERSION;	L, B n: LIST, PUBLISH of batch n
 *   T t	any other type, with 8 bytes as they come
 *   f x	flags of the next frame;	n b: the batch that it is staged in
 *   g e	generation and epoch from here on
 *   t l	the next frame's body is longer by l, or shorter by l - 100
 *   X n ...	n bytes as they are
 *   k, l, u	requests are held at the region from here on; are let go, or let go backwards
 *   c e	who claims the region is told e
 *   J		the connection is cut;	y s: s seconds pass;	. and others: the server has time
 *
 * There is "f" only where the input begins with F: it takes a while.
 */
#include "export.h"
#include "conn-internal.h"
#include "fuzz/peer-steps.h"
#include "listener.h"
#include "shrink.h"

#define SIZE	(1u << 20)
#define CLIENTS	4u
#define ASKED	512u

/* ---- what is exported: arrays, whose requests can be held ---- */

struct array {
	struct target target;
	uint8_t bytes[SIZE];
	uint64_t size;
	bool read_only;
	struct export *export;
	void (*claimed)(void *arg, int error, const char *why);
	void *claimed_arg;
};

static struct array arrays[2];
static struct list held;
static bool hold;
static int claim_error;

static int array_do(struct array *array, struct backend_req *req)
{
	if (req->op == BACKEND_SYNC)
		return 0;
	if (req->op == BACKEND_RESIZE) {
		array->size = req->length < SIZE ? req->length : SIZE;
		return req->length > SIZE ? -EFBIG : 0;
	}
	if (req->op > BACKEND_DISCARD)
		return -EOPNOTSUPP;
	if (req->offset > SIZE || req->length > SIZE - req->offset)
		return -EINVAL;
	if (req->op == BACKEND_READ)
		memcpy(req->data, array->bytes + req->offset, req->length);
	else if (req->op == BACKEND_WRITE)
		memcpy(array->bytes + req->offset, req->data, req->length);
	else
		memset(array->bytes + req->offset, 0, req->length);
	return 0;
}

static bool is_change(const struct backend_req *req)
{
	return req->op != BACKEND_READ && req->op != BACKEND_SYNC && req->op != BACKEND_VERSION;
}

/* What the server lets through, it has looked at. */
static void check_request(struct array *array, const struct backend_req *req)
{
	bool data = req->op == BACKEND_READ || req->op == BACKEND_WRITE;

	CHECK(!is_change(req) || !array->read_only);
	CHECK(!is_change(req) || (array->export->writer && array->export->claimed));
	CHECK(req->op == BACKEND_RESIZE || req->length <= INT64_MAX - req->offset);
	CHECK(!data || (req->length && req->length <= WIRE_DATA_BULK && req->data));
	CHECK(!(req->flags & BACKEND_STAGED) || req->batch);
}

static void array_submit(struct target *target, struct backend_req *req)
{
	struct array *array = container_of(target, struct array, target);

	check_request(array, req);
	req->private[0] = (uint8_t)(array - arrays);
	if (hold)
		list_add(&held, &req->list);
	else
		req->done(req, array_do(array, req));
}

static void array_info(struct target *target, struct wire_info *info)
{
	info->size = container_of(target, struct array, target)->size;
	info->chunk = 65536;
	info->flags = WIRE_INFO_DISCARD | WIRE_INFO_RESIZE;
}

static void array_claim(struct target *target, void (*done)(void *, int, const char *), void *arg)
{
	struct array *array = container_of(target, struct array, target);

	CHECK(!array->read_only && !array->claimed);
	if (!hold) {
		done(arg, claim_error, "as the region's side has it");
		return;
	}
	array->claimed = done;
	array->claimed_arg = arg;
}

static void array_nothing(struct target *target)
{
}

static const struct target_ops array_ops = {
	.submit = array_submit, .info = array_info, .claim = array_claim,
	.drop = array_nothing, .release = array_nothing, .close = array_nothing,
};

static void let_claims_go(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		void (*claimed)(void *arg, int error, const char *why) = arrays[i].claimed;

		arrays[i].claimed = NULL;
		if (claimed)
			claimed(arrays[i].claimed_arg, claim_error, "as the region's side has it");
	}
}

static void let_go(bool backwards)
{
	struct list *entry;

	hold = false;
	let_claims_go();
	while (!list_empty(&held)) {
		struct backend_req *req;

		entry = backwards ? held.prev : held.next;
		list_del(entry);
		req = list_entry(entry, struct backend_req, list);
		req->done(req, array_do(&arrays[req->private[0]], req));
	}
}

/* ---- the server ---- */

static char dir[] = "/dev/shm/fuzz-serve.XXXXXX";
static struct server *server;
static struct listener *listener;
static struct backend *file;
static struct export *file_export;
static unsigned int nr_open, nr_fds;

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		fprintf(stderr, "%s was not removed\n", dir);
}

static void file_opened(struct backend_open *open, struct backend *backend, int error)
{
	if (error)
		fprintf(stderr, "%s\n", open->why);
	file = backend;
	nr_open--;
}

static bool is_opening(void)
{
	return nr_open;
}

/* The listener goes with its last export, so there is one that stays. */
static void server_begin(void)
{
	static struct array stays = { .target.ops = &array_ops };
	char path[64], why[256] = "";
	struct listener_options options = { .listen = path };
	struct export *export;

	CHECK(mkdtemp(dir) && !loop_open(&steps_loop, 0) && !server_open(&server, steps_loop));
	atexit(remove_dir);
	snprintf(path, sizeof(path), "unix:%s/socket", dir);
	CHECK(!listener_find(server, &options, &listener, why, sizeof(why)));
	CHECK(!export_open(&export, listener, "stays", &stays.target, true));
	steps_run(NULL);
}

static void file_begin(void)
{
	struct backend_open open = {
		.loop = steps_loop, .instance = "fuzz", .run_dir = dir, .state_dir = dir, .region = 1, .epoch = 1, .size = SIZE, .create = true, .done = file_opened,
	};
	struct target *target;
	char uri[64];

	snprintf(uri, sizeof(uri), "file:%s/f", dir);
	CHECK(!uri_parse(&open.uri, uri, open.why, sizeof(open.why)));
	nr_open++;
	backend_open(&open);
	steps_run(is_opening);
	CHECK(file && !target_source(&target, file));
	CHECK(!export_open(&file_export, listener, "f", target, false));
}

static void regions_begin(bool with_file)
{
	static const char *const names[] = { "a", "b" };

	for (unsigned int i = 0; i < 2; i++) {
		struct array *array = &arrays[i];

		array->target.ops = &array_ops;
		array->size = SIZE;
		array->read_only = i;
		memset(array->bytes, i ? 'b' : 0, SIZE);
		CHECK(!export_open(&array->export, listener, names[i], &array->target, i));
	}
	hold = false;
	claim_error = 0;
	list_init(&held);
	file_export = NULL;
	if (with_file)
		file_begin();
}

static void export_ended(void *arg)
{
	nr_open--;
}

/* The file is closed after its export. */
static bool is_ending(void)
{
	return nr_open || listener->nr_services || (file_export && steps_fds() != nr_fds);
}

static void check_untouched(void)
{
	for (unsigned int i = 0; i < SIZE; i += 511)
		CHECK(arrays[1].bytes[i] == 'b');
}

static void regions_end(void)
{
	char path[64];

	nr_open = file_export ? 3 : 2;
	for (unsigned int i = 0; i < 2; i++)
		export_close(arrays[i].export, export_ended, NULL);
	if (file_export)
		export_close(file_export, export_ended, NULL);
	steps_run(is_ending);
	check_untouched();
	CHECK(!listener->door.nr_strangers && !listener->memory && !listener->credit && list_empty(&listener->hungry) && list_empty(&server->shrinks));
	if (!file_export)
		return;
	snprintf(path, sizeof(path), "%s/f", dir);
	unlink(path);
}

/* ---- what holds at any time ---- */

static void check_service(const struct service *service)
{
	const struct conn *conn = service->conn;
	size_t most = service->state < SERVICE_OPEN ? WIRE_UNAUTH_MAX : service->slot ? WIRE_FRAME_BULK : WIRE_FRAME_DEMAND;

	CHECK(service->nr_requests <= SERVICE_REQUESTS);
	if (!conn)
		return;
	CHECK(conn->room <= WIRE_FRAME_BULK && conn->filled <= conn->room);
	/* one that is refused later has had no more either */
	CHECK(conn->room <= most && conn->limit <= most);
	CHECK(service->state >= SERVICE_AUTHORIZED || service->nr_requests <= 2);
}

static void check_server(void)
{
	struct list *at;

	list_for_each(at, &listener->services)
		check_service(list_entry(at, struct service, list));
	CHECK(listener->memory <= LISTENER_MEMORY + LISTENER_RESERVE);
}

static unsigned int nr_busy(const struct export *export)
{
	unsigned int nr = 0;
	struct list *at;

	list_for_each(at, &export->sessions)
		for (unsigned int i = 0; i < WIRE_SLOTS_MAX; i++)
			nr += list_entry(at, struct export_session, list)->busy[i];
	return nr;
}

/* Does a thread have something of it? What is held, and who waits for that, is nobody's. */
static bool is_busy(void)
{
	unsigned int nr = nr_open;
	struct list *at;

	list_for_each(at, &listener->exports)
		nr += nr_busy(list_entry(at, struct export, list));
	list_for_each(at, &held)
		nr--;
	return nr;
}

/* ---- the client ---- */

struct asked {
	uint8_t type, flags;
	uint32_t length, credit;
};

struct client {
	int fd;
	bool wild;		/* it has sent what is no frame of ours: what comes is looked at less closely */
	struct asked asked[ASKED];
	unsigned int nr, answered;
	uint8_t in[2 * WIRE_FRAME_BULK];
	size_t filled;
};

static struct client clients[CLIENTS];

/* Of the next frame. */
static struct {
	uint8_t flags;
	uint8_t longer;
	uint64_t batch;
} next;
static uint8_t age;
static uint32_t incarnation;
static uint8_t frame[WIRE_FRAME_BULK + 4096];

static void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static void client_open(struct client *client)
{
	int pair[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	client->fd = pair[0];
	client->wild = false;
	client->nr = client->answered = 0;
	client->filled = 0;
	service_accept(listener, pair[1], &(struct door_address){ .family = AF_UNIX });
}

static void check_list(const uint8_t *body, size_t len)
{
	struct wire_list_entry entry;
	int n;

	for (; len; body += n, len -= (size_t)n) {
		n = wire_decode(WIRE_S_LIST_ENTRY, body, len, &entry);
		CHECK(n > 0);
	}
}

static void check_shape(enum wire_shape shape, const uint8_t *body, size_t len)
{
	static uint8_t msg[8192];

	CHECK(wire_decode(shape, body, len, msg) == (int)len);
}

static void check_read(const struct asked *asked, const struct wire_head *head, const uint8_t *body, size_t len)
{
	static uint8_t bytes[WIRE_DATA_BULK];

	if (head->flags & WIRE_F_ZERO)
		CHECK(!len && head->flags == WIRE_F_ZERO);
	else if (head->flags & WIRE_F_ZSTD)
		CHECK(asked->flags & WIRE_F_ZSTD && asked->length <= sizeof(bytes) && !shrink_undo(body, len, bytes, asked->length));
	else
		CHECK(len == asked->length);
}

static void check_body(const struct asked *asked, const struct wire_head *head, const uint8_t *body, size_t len)
{
	switch (asked->type) {
	case WIRE_HELLO:
		check_shape(WIRE_S_HELLO_REPLY, body, len);
		break;
	case WIRE_OPEN:
	case WIRE_INFO:
		check_shape(WIRE_S_INFO, body, len);
		break;
	case WIRE_READ:
		check_read(asked, head, body, len);
		break;
	case WIRE_LIST:
		check_list(body, len);
		break;
	case WIRE_PUBLISH:
		check_shape(WIRE_S_PUBLISHED, body, len);
		break;
	case WIRE_GET_VERSION:
		check_shape(WIRE_S_TEXT, body, len);
		break;
	default:
		/* nothing is offered for migration */
		CHECK(asked->type < WIRE_TRACK && !len);
	}
}

/* An answer: to what was asked and not answered before, and of the form that goes with it. */
static void check_answer(struct client *client, const struct wire_head *head, const uint8_t *body, size_t len)
{
	struct asked *asked = &client->asked[head->id % ASKED];

	CHECK(head->type & WIRE_REPLY);
	if (client->wild || client->nr > ASKED)
		return;
	CHECK(head->id < client->nr && head->type == (asked->type | WIRE_REPLY));
	client->answered++;
	if (asked->type == WIRE_WRITE)
		CHECK(head->credit == asked->credit);
	if (head->error && len)
		check_shape(WIRE_S_TEXT, body, len);
	else if (!head->error)
		check_body(asked, head, body, len);
	asked->type = 0;
}

static void take_answers(struct client *client)
{
	struct wire_head head;
	size_t done = 0;

	while (client->filled - done >= WIRE_HEAD_SIZE) {
		CHECK(!wire_head_decode(client->in + done, WIRE_FRAME_BULK, &head));
		if (client->filled - done < head.length)
			break;
		check_answer(client, &head, client->in + done + WIRE_HEAD_SIZE, head.length - WIRE_HEAD_SIZE);
		done += head.length;
	}
	client->filled -= done;
	memmove(client->in, client->in + done, client->filled);
}

/* All that has come on a connection. false: it was ended. */
static bool client_listen(struct client *client)
{
	ssize_t n;

	while (client->fd >= 0) {
		n = recv(client->fd, client->in + client->filled, sizeof(client->in) - client->filled, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			client_close(client);
		else
			client->filled += (size_t)n;
		take_answers(client);
	}
	return false;
}

static void turn(void)
{
	for (int i = 0; i < 2; i++) {
		steps_run(is_busy);
		check_server();
		for (unsigned int c = 0; c < CLIENTS; c++)
			client_listen(&clients[c]);
	}
}

static void client_send(struct client *client, const uint8_t *data, size_t len)
{
	unsigned int tries = 0;
	ssize_t n;

	if (client->fd < 0)
		client_open(client);
	while (len && client->fd >= 0) {
		n = send(client->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN && tries++ < 4) {
			turn();
		} else if (n <= 0) {
			client_close(client);
		} else {
			data += n;
			len -= (size_t)n;
		}
	}
}

/* Makes a frame of the body that lies behind the head already. */
static void send_frame(struct client *client, uint8_t type, uint32_t len, uint32_t reads, uint32_t credit)
{
	struct wire_head head = { .type = type, .flags = next.flags, .generation = age % 4, .epoch = age / 4 };

	if (client->fd < 0)
		client_open(client);
	client->wild |= next.longer;
	head.length = WIRE_HEAD_SIZE + other_length(len, next.longer);
	head.id = client->nr++;
	client->asked[head.id % ASKED] = (struct asked){ .type = type, .flags = next.flags, .length = reads, .credit = credit };
	wire_head_encode(frame, &head);
	memset(&next, 0, sizeof(next));
	client_send(client, frame, head.length);
}

static void send_shape(struct client *client, uint8_t type, enum wire_shape shape, const void *msg)
{
	int n = wire_encode(shape, msg, frame + WIRE_HEAD_SIZE, WIRE_UNAUTH_MAX);

	CHECK(n >= 0);
	send_frame(client, type, (uint32_t)n, 0, 0);
}

static void say_hello(struct client *client, struct input *in)
{
	struct wire_hello hello = { .magic = WIRE_MAGIC, .version_min = 1, .version_max = 1, .features = WIRE_FEAT_ALL, .max_data = WIRE_DATA_BULK };
	uint8_t who = take_small(in);

	hello.client[0] = who % 4;
	strcpy(hello.name, "somebody");
	if (who / 4 == 1)
		hello.features = 0;
	else if (who / 4 == 2)
		hello.magic++;
	else if (who / 4 == 3)
		hello.version_min = hello.version_max = 2;
	else if (who / 4)
		hello.features = who;
	send_shape(client, WIRE_HELLO, WIRE_S_HELLO, &hello);
}

static void say_auth(struct client *client, struct input *in)
{
	struct wire_auth_msg auth = { .method = take_small(in) };

	send_shape(client, WIRE_AUTH, WIRE_S_AUTH, &auth);
}

static void say_open(struct client *client, struct input *in)
{
	static const char *const names[] = { "a", "b", "f", "stays", "", "nowhere" };
	struct wire_open open = { .flags = take_small(in) };
	uint8_t slot;

	open.session[0] = take_small(in);
	strcpy(open.region, names[take_small(in) % 6]);
	slot = take_small(in);
	open.slot = slot % 16;
	open.incarnation = slot / 16 ? 1 : ++incarnation;
	send_shape(client, WIRE_OPEN, WIRE_S_OPEN, &open);
}

/* What stands before the bytes. */
static uint32_t put_range(const void *msg, enum wire_shape shape)
{
	struct wire_batch batch = { .batch = next.batch };
	int n = wire_encode(shape, msg, frame + WIRE_HEAD_SIZE, WIRE_RANGE_SIZE);

	CHECK(n == WIRE_RANGE_SIZE);
	if (next.flags & WIRE_F_STAGED)
		n += wire_encode(WIRE_S_BATCH, &batch, frame + WIRE_HEAD_SIZE + n, WIRE_BATCH_SIZE);
	return (uint32_t)n;
}

static void say_range(struct client *client, struct input *in, uint8_t type)
{
	struct wire_range range = { .offset = take_number(in) };
	uint32_t len, data = 0;

	range.length = take_number(in);
	len = put_range(&range, WIRE_S_RANGE);
	if (type == WIRE_WRITE && !(next.flags & WIRE_F_ZERO)) {
		data = range.length < WIRE_DATA_BULK ? (uint32_t)range.length : WIRE_DATA_BULK;
		memset(frame + WIRE_HEAD_SIZE + len, take_small(in), data);
	}
	send_frame(client, type, len + data, (uint32_t)range.length, data);
}

static void say_resize(struct client *client, struct input *in)
{
	struct wire_resize resize = { .size = take_number(in) };

	resize.low = take_number(in);
	send_frame(client, WIRE_RESIZE, put_range(&resize, WIRE_S_RESIZE), 0, 0);
}

static void say_list(struct client *client)
{
	struct wire_list list = { .after = "" };

	send_shape(client, WIRE_LIST, WIRE_S_LIST, &list);
}

static void say_publish(struct client *client, struct input *in)
{
	struct wire_batch batch = { .batch = take_small(in) };

	send_shape(client, WIRE_PUBLISH, WIRE_S_BATCH, &batch);
}

static void say_other(struct client *client, struct input *in)
{
	uint8_t type = take_small(in);

	if (client->fd < 0)
		client_open(client);
	client->wild |= type < WIRE_TRACK;
	for (unsigned int i = 0; i < 8; i++)
		frame[WIRE_HEAD_SIZE + i] = take_small(in);
	send_frame(client, type, 8, 0, 0);
}

static void say_raw(struct client *client, struct input *in)
{
	size_t len;
	const uint8_t *raw = take_raw(in, &len);

	if (client->fd < 0)
		client_open(client);
	client->wild = true;
	client_send(client, raw, len);
}

/* ---- the input ---- */

static bool say(struct client *client, struct input *in, uint8_t what)
{
	switch (what) {
	case 'H': say_hello(client, in); return true;
	case 'A': say_auth(client, in); return true;
	case 'O': say_open(client, in); return true;
	case 'R': say_range(client, in, WIRE_READ); return true;
	case 'W': say_range(client, in, WIRE_WRITE); return true;
	case 'D': say_range(client, in, WIRE_DISCARD); return true;
	case 'Z': say_resize(client, in); return true;
	case 'S': send_frame(client, WIRE_SYNC, 0, 0, 0); return true;
	case 'I': send_frame(client, WIRE_INFO, 0, 0, 0); return true;
	case 'P': send_frame(client, WIRE_PING, 0, 0, 0); return true;
	case 'C': send_frame(client, WIRE_CLOSE, 0, 0, 0); return true;
	case 'V': send_frame(client, WIRE_GET_VERSION, 0, 0, 0); return true;
	case 'L': say_list(client); return true;
	case 'B': say_publish(client, in); return true;
	case 'T': say_other(client, in); return true;
	case 'X': say_raw(client, in); return true;
	}
	return false;
}

static bool prepare(struct input *in, uint8_t what)
{
	switch (what) {
	case 'f': next.flags = take_small(in); return true;
	case 'n': next.batch = take_small(in); return true;
	case 't': next.longer = take_small(in); return true;
	case 'g': age = take_small(in); return true;
	case 'k': hold = true; return true;
	case 'l': let_go(false); return true;
	case 'u': let_go(true); return true;
	case 'c': claim_error = take_small(in) % 2 ? -EBUSY : 0; return true;
	case 'y': steps_pass(take_small(in) * 1000ULL); return false;
	}
	return false;
}

static void play(struct input *in)
{
	struct client *client = clients;

	while (in->at < in->end) {
		uint8_t what = *in->at++;

		if (what >= '0' && what < '0' + CLIENTS)
			client = &clients[what - '0'];
		else if (what == 'J')
			client_close(client);
		else if (!say(client, in, what) && !prepare(in, what))
			turn();
	}
}

/* Of who is still there all is answered, but what was sent in part. */
static void check_answered(void)
{
	for (unsigned int i = 0; i < CLIENTS; i++)
		if (client_listen(&clients[i]) && !clients[i].wild && clients[i].nr < ASKED)
			CHECK(clients[i].answered == clients[i].nr && !clients[i].filled);
}

static void finish(void)
{
	let_go(false);
	for (unsigned int i = 0; i < 4; i++)
		turn();
	check_answered();
	for (unsigned int i = 0; i < CLIENTS; i++)
		client_close(&clients[i]);
	regions_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .end = data + size };

	if (size > 4096)
		return 0;
	if (!steps_loop)
		server_begin();
	nr_fds = steps_fds();
	memset(&next, 0, sizeof(next));
	age = 0;
	incarnation = 1;
	for (unsigned int i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	regions_begin(size && data[0] == 'F');
	play(&in);
	finish();
	CHECK(steps_fds() == nr_fds);
	return 0;
}
