// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile server of a client that opens a region there, reads and writes it. The first byte says how it is opened (1: one bulk connection, 2: with a timeout,
 * 4: shrunk, 8: to be read only); then come letters, with arguments (see peer-steps.h). What the client's user does:
 *
 *   R W D o l	READ, WRITE, DISCARD: offset, length
 *   Z s l	RESIZE;	S SYNC;	V VERSION;	B n PUBLISH of batch n
 *   d x	the next one's flags: 1 a program waits, 2 bulk, 4 staged, 8 and begins it, 16 zeroes as NULL
 *   Q		closes it
 *
 * And the server:
 *
 *   0 .. 8	the slot whose connection is meant from here on
 *   A		answers all that has come, wherever, as it should
 *   a k	answers the one that came as number k of those that wait on the connection, but with these changes:
 *   e x	error x;	f x flags;	t l longer by l, or shorter by l - 100;	y x another type;	i x another id;	c n more credit
 *   I s f	from here on regions are of size s and have flags f
 *   H f m p v s	features f, m requests at most, pings, version and server's id in HELLO from here on
 *   X n ...	n bytes as they are;	J cuts the connection;	K takes no connections from here on, or does again
 *   p s	s tenths of a second pass;	. and others: the client has time
 */
#include <sys/un.h>

#include "backend.h"
#include "backends/peer.h"
#include "conn-internal.h"
#include "fuzz/peer-steps.h"
#include "session.h"
#include "shrink.h"

#define SIZE	(1u << 20)
#define CONNS	16u
#define ASKED	256u
#define USED	32u
#define MOST	(2u << 20)

/* ---- the server ---- */

struct asked {
	struct wire_head head;
	struct wire_range range;
};

struct served {
	int fd;
	unsigned int slot;
	struct asked asked[ASKED];
	unsigned int nr;
	uint64_t credit;
	uint8_t *in;
	size_t filled;
};

static char dir[] = "/dev/shm/fuzz-peer.XXXXXX", path[64];
static struct served conns[CONNS];
static unsigned int nr_conns;
static int listening;
static bool refuses;
/* It has said what no server says. */
static bool wild;
static struct wire_info info;
static struct wire_hello_reply hello;
static uint8_t frame[WIRE_FRAME_BULK + 4096];

/* Of the next answer. */
static struct {
	uint16_t error;
	uint8_t flags, longer, type, id;
	uint32_t credit;
} next;

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(1 + (offset >> 12) % 250);
}

static void fill(uint8_t *bytes, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(offset + i);
}

static void served_close(struct served *served)
{
	if (served->fd >= 0)
		close(served->fd);
	free(served->in);
	served->in = NULL;
	served->fd = -1;
	served->nr = 0;
}

/* What the client sends is in protocol, whatever it was told. */
static void check_frame(const struct served *served, const struct asked *asked, const uint8_t *body, size_t len)
{
	uint32_t before = WIRE_RANGE_SIZE + (asked->head.flags & WIRE_F_STAGED ? WIRE_BATCH_SIZE : 0);
	uint32_t most = served->slot ? WIRE_DATA_BULK : WIRE_DATA_DEMAND;
	static uint8_t msg[8192];

	CHECK(!(asked->head.type & WIRE_REPLY) && !asked->head.error && asked->head.type < WIRE_TRACK);
	if (asked->head.type == WIRE_READ)
		CHECK(len == WIRE_RANGE_SIZE && asked->range.length && asked->range.length <= most);
	if (asked->head.type == WIRE_WRITE)
		CHECK(len == before + (asked->head.flags & WIRE_F_ZERO ? 0 : asked->range.length) && asked->range.length <= most);
	if (asked->head.type == WIRE_WRITE && len > before)
		CHECK(body[before] == byte_at(asked->range.offset) && body[len - 1] == byte_at(asked->range.offset + asked->range.length - 1));
	if (asked->head.type == WIRE_HELLO)
		CHECK(wire_decode(WIRE_S_HELLO, body, len, msg) == (int)len);
}

static void pay(struct served *served, const struct asked *asked)
{
	uint64_t bytes = asked->head.type == WIRE_WRITE && !(asked->head.flags & WIRE_F_ZERO) ? asked->range.length : 0;

	CHECK(bytes <= served->credit);
	served->credit -= bytes;
}

static void take_frame(struct served *served, const struct wire_head *head, const uint8_t *body, size_t len)
{
	struct asked *asked = &served->asked[served->nr];
	struct wire_open open;

	*asked = (struct asked){ .head = *head };
	if (head->type == WIRE_READ || head->type == WIRE_WRITE || head->type == WIRE_DISCARD)
		CHECK(wire_decode(WIRE_S_RANGE, body, len, &asked->range) > 0);
	if (head->type == WIRE_OPEN) {
		CHECK(wire_decode(WIRE_S_OPEN, body, len, &open) == (int)len && open.slot < WIRE_SLOTS_MAX);
		served->slot = open.slot;
	}
	check_frame(served, asked, body, len);
	pay(served, asked);
	for (unsigned int i = 0; i < served->nr; i++)
		CHECK(served->asked[i].head.id != head->id);
	if (++served->nr == ASKED)
		served_close(served);
}

static void take_frames(struct served *served)
{
	struct wire_head head;
	size_t done = 0;

	while (served->fd >= 0 && served->filled - done >= WIRE_HEAD_SIZE) {
		CHECK(!wire_head_decode(served->in + done, WIRE_FRAME_BULK, &head));
		if (served->filled - done < head.length)
			break;
		take_frame(served, &head, served->in + done + WIRE_HEAD_SIZE, head.length - WIRE_HEAD_SIZE);
		done += head.length;
	}
	served->filled -= done;
	if (served->fd >= 0)
		memmove(served->in, served->in + done, served->filled);
}

static void served_listen(struct served *served)
{
	ssize_t n;

	while (served->fd >= 0) {
		n = recv(served->fd, served->in + served->filled, 2 * WIRE_FRAME_BULK - served->filled, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			served_close(served);
			return;
		}
		served->filled += (size_t)n;
		take_frames(served);
	}
}

static void take_conns(void)
{
	struct served *served;
	int fd;

	while (listening >= 0 && (fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (refuses) {
			close(fd);
			continue;
		}
		served = &conns[nr_conns++ % CONNS];
		served_close(served);
		served->fd = fd;
		served->slot = WIRE_SLOTS_MAX;
		served->filled = 0;
		served->credit = 0;
		served->in = malloc(2 * WIRE_FRAME_BULK);
	}
}

static void say(struct served *served, const uint8_t *data, size_t len)
{
	ssize_t n = len && served->fd >= 0 ? send(served->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) : (ssize_t)len;

	/* a client that does not listen is cut off */
	if (n != (ssize_t)len)
		served_close(served);
}

static uint32_t say_read(const struct asked *asked, uint8_t *flags)
{
	uint32_t len = asked->range.length < WIRE_DATA_BULK ? (uint32_t)asked->range.length : WIRE_DATA_BULK, shrunk;

	fill(frame + WIRE_HEAD_SIZE, asked->range.offset, len);
	if (!(asked->head.flags & WIRE_F_ZSTD))
		return len;
	shrunk = (uint32_t)shrink_do(frame + WIRE_HEAD_SIZE, len);
	*flags |= shrunk ? WIRE_F_ZSTD : 0;
	return shrunk ? shrunk : len;
}

static uint32_t say_shape(enum wire_shape shape, const void *msg)
{
	return (uint32_t)wire_encode(shape, msg, frame + WIRE_HEAD_SIZE, WIRE_UNAUTH_MAX);
}

static uint32_t say_body(const struct asked *asked, uint8_t *flags)
{
	struct wire_published published = { .offset = 0, .length = info.size, .size = info.size, .resized = info.mode & 1 };
	struct wire_text text = { .text = "as it was" };

	switch (asked->head.type) {
	case WIRE_HELLO:
		return say_shape(WIRE_S_HELLO_REPLY, &hello);
	case WIRE_OPEN:
	case WIRE_INFO:
		return say_shape(WIRE_S_INFO, &info);
	case WIRE_READ:
		return say_read(asked, flags);
	case WIRE_PUBLISH:
		return say_shape(WIRE_S_PUBLISHED, &published);
	case WIRE_GET_VERSION:
		return say_shape(WIRE_S_TEXT, &text);
	}
	return 0;
}

static uint32_t credit_of(const struct asked *asked)
{
	if (asked->head.type == WIRE_OPEN)
		return 256 << 10;
	return asked->head.type == WIRE_WRITE && !(asked->head.flags & WIRE_F_ZERO) ? (uint32_t)asked->range.length : 0;
}

static void answer(struct served *served, unsigned int which)
{
	struct asked asked = served->asked[which];
	struct wire_head head = { .error = next.error, .id = asked.head.id ^ next.id, .epoch = asked.head.epoch };
	uint32_t len = next.error ? 0 : say_body(&asked, &head.flags);

	wild |= next.flags || next.longer || next.type || next.id;
	head.length = WIRE_HEAD_SIZE + other_length(len, next.longer);
	head.type = (asked.head.type | WIRE_REPLY) ^ next.type;
	head.flags ^= next.flags;
	head.credit = credit_of(&asked) + next.credit;
	served->credit += head.credit;
	served->nr--;
	memmove(served->asked + which, served->asked + which + 1, (served->nr - which) * sizeof(asked));
	wire_head_encode(frame, &head);
	memset(&next, 0, sizeof(next));
	say(served, frame, head.length);
}

/* ---- the client ---- */

struct used {
	struct backend_req req;
	uint8_t *data;
	uint64_t length;
	bool asked, done;
};

static struct backend *backend;
static struct backend_open opening;
static struct used used[USED];
static unsigned int nr_used;
static bool opened, closing, closed;

static void on_open(struct backend_open *open, struct backend *got, int error)
{
	CHECK(!opened && (error < 0) == !got);
	opened = true;
	backend = got;
}

static void on_closed(void *arg)
{
	closed = true;
}

static void client_begin(uint8_t how)
{
	char uri[160];

	opening = (struct backend_open){
		.loop = steps_loop, .instance = "fuzz", .run_dir = dir, .credentials = dir, .region = 1, .epoch = 1, .read_only = how & 8, .done = on_open,
	};
	snprintf(uri, sizeof(uri), "peer+unix:%s?region=r&connections=%d%s%s", path, how & 1 ? 1 : 2, how & 2 ? "&timeout=2" : "",
		 how & 4 ? "&compress=zstd" : "");
	CHECK(!uri_parse(&opening.uri, uri, opening.why, sizeof(opening.why)));
	opened = closing = closed = false;
	backend = NULL;
	nr_used = 0;
	backend_open(&opening);
}

static void check_read(const struct used *one)
{
	const uint8_t *data = one->req.data;

	for (uint64_t i = 0; data && i < one->length; i += 509)
		CHECK(data[i] == byte_at(one->req.offset + i));
}

static void on_done(struct backend_req *req, int error)
{
	struct used *one = container_of(req, struct used, req);

	CHECK(!one->done && error <= 0 && error >= -4095);
	one->done = true;
	if (!error && !wild && req->op == BACKEND_READ)
		check_read(one);
	if (!error && req->op == BACKEND_VERSION)
		CHECK(strnlen(req->data, BACKEND_VERSION_MAX) < BACKEND_VERSION_MAX);
	if (!error && req->op == BACKEND_PUBLISH)
		CHECK(req->published.offset <= INT64_MAX && req->published.size <= INT64_MAX && req->published.length <= UINT64_MAX - req->published.offset);
}

static void use(struct input *in, enum backend_op op, unsigned int flags)
{
	bool ranged = op == BACKEND_READ || op == BACKEND_WRITE || op == BACKEND_DISCARD;
	uint64_t offset = ranged ? take_number(in) : 0, length = ranged || op == BACKEND_RESIZE ? take_number(in) : 0;
	struct used *one = &used[nr_used];

	if (!backend || closing || nr_used == USED || offset > INT64_MAX || length > INT64_MAX - offset || (length > MOST && op <= BACKEND_WRITE))
		return;
	nr_used++;
	*one = (struct used){ .asked = true, .length = length };
	one->data = op <= BACKEND_WRITE ? malloc(length + !length) : op == BACKEND_VERSION ? malloc(BACKEND_VERSION_MAX) : NULL;
	if (op == BACKEND_WRITE)
		fill(one->data, offset, length);
	one->req = (struct backend_req){
		.op = op, .offset = offset, .length = length, .data = one->data, .loop = steps_loop, .done = on_done, .attach_gen = 1, .epoch = 1,
		.flags = (flags & 3) | (flags & 4 ? BACKEND_STAGED : 0) | (flags & 16 ? BACKEND_ZERO_NULL : 0), .first = flags & 8, .batch = 1,
	};
	if (op != BACKEND_WRITE && op != BACKEND_DISCARD && op != BACKEND_RESIZE)
		one->req.flags &= ~BACKEND_STAGED;
	if (op == BACKEND_PUBLISH)
		one->req.batch = take_small(in);
	backend_submit(backend, &one->req);
}

static void client_close(void)
{
	if (!backend || closing)
		return;
	closing = true;
	backend_close(backend, on_closed, NULL);
}

static void check_client(void)
{
	struct session *session;

	if (!backend || closing)
		return;
	session = peer_session(backend);
	CHECK(backend_size(backend) <= INT64_MAX);
	CHECK(session->window >= SESSION_WINDOW_MIN && session->window <= SESSION_WINDOW_MAX);
	CHECK(session->bulk_in_flight <= USED * (uint64_t)MOST);
	for (unsigned int i = 0; i < session->nr_links; i++) {
		const struct conn *conn = session->links[i].conn;

		CHECK(!conn || (conn->filled <= conn->room && conn->room <= (i ? WIRE_FRAME_BULK : WIRE_FRAME_DEMAND)));
		CHECK(session->links[i].state != LINK_UP || session->links[i].max_requests);
	}
}

static void turn(void)
{
	for (int i = 0; i < 2; i++) {
		steps_run(NULL);
		check_client();
		take_conns();
		for (unsigned int c = 0; c < CONNS; c++)
			served_listen(&conns[c]);
	}
}

/* ---- the input ---- */

static void answer_all(void)
{
	for (unsigned int c = 0; c < CONNS; c++)
		while (conns[c].fd >= 0 && conns[c].nr)
			answer(&conns[c], 0);
	turn();
}

/* The newest connection of a slot, or any. */
static struct served *conn_of(unsigned int slot)
{
	for (unsigned int i = CONNS; i--;) {
		struct served *served = &conns[(nr_conns + i) % CONNS];

		if (served->fd >= 0 && served->slot == slot)
			return served;
	}
	return &conns[(nr_conns + CONNS - 1) % CONNS];
}

static void answer_one(struct input *in, struct served *served)
{
	unsigned int which = take_small(in);

	if (served->fd >= 0 && served->nr)
		answer(served, which % served->nr);
}

static void say_raw(struct input *in, struct served *served)
{
	size_t len;
	const uint8_t *raw = take_raw(in, &len);

	wild = true;
	say(served, raw, len);
}

static void change_hello(struct input *in)
{
	static const uint32_t requests[] = { 64, 1, 0, 8, UINT32_MAX, 7 };
	static const uint32_t pings[] = { 1000, 0, UINT32_MAX, 1 };

	hello.features = (uint64_t)take_small(in) * 8 + 7;
	hello.max_requests = requests[take_small(in) % 6];
	hello.ping_ms = pings[take_small(in) % 4];
	hello.version = 1 + take_small(in) % 2;
	hello.server[0] = take_small(in);
}

static void change_info(struct input *in)
{
	info.size = take_number(in);
	info.flags = take_small(in);
}

static bool use_it(struct input *in, uint8_t what, unsigned int *flags)
{
	static const char letters[] = { 'R', 'W', 'S', 'D', 'Z', 'B', 'V' };
	static const enum backend_op ops[] = {
		BACKEND_READ, BACKEND_WRITE, BACKEND_SYNC, BACKEND_DISCARD, BACKEND_RESIZE, BACKEND_PUBLISH, BACKEND_VERSION,
	};
	const char *at = memchr(letters, what, sizeof(letters));

	if (what == 'd')
		*flags = take_small(in);
	if (!at)
		return what == 'd';
	use(in, ops[at - letters], *flags);
	*flags = 0;
	return true;
}

static bool change(struct input *in, uint8_t what)
{
	switch (what) {
	case 'e': next.error = take_small(in); return true;
	case 'f': next.flags = take_small(in); return true;
	case 't': next.longer = take_small(in); return true;
	case 'y': next.type = take_small(in); return true;
	case 'i': next.id = take_small(in); return true;
	case 'c': next.credit = (uint32_t)take_number(in); return true;
	case 'I': change_info(in); return true;
	case 'H': change_hello(in); return true;
	case 'K': refuses = !refuses; return true;
	}
	return false;
}

static void serve(struct input *in, uint8_t what, struct served *served)
{
	switch (what) {
	case 'A': answer_all(); break;
	case 'a': answer_one(in, served); break;
	case 'X': say_raw(in, served); break;
	case 'J': served_close(served); break;
	case 'Q': client_close(); break;
	case 'p': steps_pass(take_small(in) * 100ULL); turn(); break;
	default: turn();
	}
}

static void play(struct input *in)
{
	unsigned int slot = 0, flags = 0;

	turn();
	while (in->at < in->end) {
		uint8_t what = *in->at++;

		if (what >= '0' && what < '0' + WIRE_SLOTS_MAX)
			slot = what - '0';
		else if (!use_it(in, what, &flags) && !change(in, what))
			serve(in, what, conn_of(slot));
	}
}

/* ---- all ---- */

static void server_begin(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, path);
	unlink(path);
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(listening >= 0 && !bind(listening, (struct sockaddr *)&addr, sizeof(addr)) && !listen(listening, 16));
	memset(&next, 0, sizeof(next));
	info = (struct wire_info){ .size = SIZE, .epoch = 1, .chunk = 65536, .flags = WIRE_INFO_DISCARD | WIRE_INFO_RESIZE | WIRE_INFO_PUBLISH | WIRE_INFO_VERSION };
	hello = (struct wire_hello_reply){
		.version = 1, .features = WIRE_FEAT_ALL, .max_data = WIRE_DATA_BULK, .max_requests = 64, .ping_ms = 1000, .server = { 1 }, .name = "server",
	};
	wild = refuses = false;
	nr_conns = 0;
	for (unsigned int c = 0; c < CONNS; c++)
		conns[c].fd = -1, conns[c].nr = 0;
}

static void server_end(void)
{
	close(listening);
	listening = -1;
	for (unsigned int c = 0; c < CONNS; c++)
		served_close(&conns[c]);
}

/* Whatever the server does: a client that wants to end, ends, and all that it was asked for before. */
static void finish(void)
{
	server_end();
	for (unsigned int i = 0; i < 100 && !opened; i++) {
		steps_pass(1000);
		turn();
	}
	CHECK(opened);
	client_close();
	for (unsigned int i = 0; backend && i < 10 && !closed; i++) {
		turn();
		steps_pass(1000);
	}
	CHECK(!backend || closed);
	for (unsigned int i = 0; i < nr_used; i++) {
		CHECK(used[i].done);
		free(used[i].data);
	}
}

static void remove_dir(void)
{
	unlink(path);
	rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .end = data + size };
	unsigned int fds;

	if (size > 4096)
		return 0;
	if (!steps_loop) {
		CHECK(mkdtemp(dir) && !loop_open(&steps_loop, 0));
		snprintf(path, sizeof(path), "%s/socket", dir);
		atexit(remove_dir);
		steps_run(NULL);
	}
	fds = steps_fds();
	server_begin();
	client_begin(take_small(&in));
	play(&in);
	finish();
	CHECK(steps_fds() == fds);
	return 0;
}
