// SPDX-License-Identifier: GPL-2.0
/* What a session sends on which of its connections, and when, where little may be under way, or one of them has just gone. */
#include "backends/peer.h"
#include "peer-pair.h"

static struct session *session;

/* Of two bulk connections, which are up, with as little as can be under way. */
static struct backend *open_two(struct export *export)
{
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "?connections=2");
	client = client_open(source, (struct who){ .instance = 1 });
	session = peer_session(client);
	until(session->links[1].state == LINK_UP && session->links[2].state == LINK_UP);
	session->window = SESSION_WINDOW_MIN;
	session->starting = false;
	return client;
}

/* ---- turns ---- */

#define SHORT	(16u << 10)

static struct {
	struct link_req shorts[2 * SESSION_WINDOW_MIN / SHORT], longer;
	uint8_t bytes[WIRE_DATA_BULK];
	unsigned int nr_shorts, nr_flying;
	bool came;
} mix;

static void mix_read(struct link_req *req, uint64_t offset, uint32_t length, void (*done)(struct link_req *req, int error))
{
	struct wire_range range = { .offset = offset, .length = length };

	memset(req, 0, sizeof(*req));
	req->type = WIRE_READ;
	req->body_len = (uint32_t)wire_encode(WIRE_S_RANGE, &range, req->body, sizeof(req->body));
	req->into = mix.bytes;
	req->into_len = length;
	req->done = done;
	mix.nr_flying++;
	session_bulk(session, req);
}

static void short_done(struct link_req *req, int error)
{
	mix.nr_flying--;
	if (!error && !mix.came && ++mix.nr_shorts < 1000)
		mix_read(req, 0, SHORT, short_done);
}

static void long_done(struct link_req *req, int error)
{
	mix.nr_flying--;
	mix.came = true;
}

/* The server's answer to the one that came first. */
static void release_one(void)
{
	struct list *entry = list_pop(&array.held);

	array_do(list_entry(entry, struct backend_req, list));
}

/* They fill the window, over and over, and are answered one at a time; what does not fit into what one of them leaves has its turn nevertheless. */
static void test_turns(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client;
	unsigned int answers = 0;

	client = open_two(export);
	array.hold_all = true;
	for (unsigned int i = 0; i < sizeof(mix.shorts) / sizeof(*mix.shorts); i++)
		mix_read(&mix.shorts[i], 0, SHORT, short_done);
	mix_read(&mix.longer, 1 << 20, WIRE_DATA_BULK, long_done);
	for (; answers < 100 && !is_held(1 << 20); answers++) {
		until(!list_empty(&array.held));
		release_one();
		pass(1);
	}
	tap_ok(answers < 100, "a long READ is sent though short ones could fill the window without end (%u of them first)", answers);
	array.hold_all = false;
	mix.came = true;	/* no more */
	array_release_held();
	until(!mix.nr_flying);
	tap_number(mix.nr_flying, 0, "and all are answered");
	client_close(client);
	unexport(export);
}

/* One at a time has room: the links' queues take turns, so that the order is nearly that in which they were asked for. */
static void test_fair(void)
{
	struct export *export = export_array(&plain, false);
	static struct link_req reqs[16];
	struct backend *client;
	unsigned int off = 0;

	client = open_two(export);
	array.hold_all = true;
	for (unsigned int i = 0; i < 16; i++)
		mix_read(&reqs[i], i * SESSION_WINDOW_MIN, SESSION_WINDOW_MIN, long_done);
	for (unsigned int i = 0; i < 16; i++) {
		until(!list_empty(&array.held));
		off += !is_held(i * SESSION_WINDOW_MIN) && !is_held((i ^ 1) * SESSION_WINDOW_MIN);
		release_one();
		pass(1);
	}
	tap_number(off, 0, "what waits on several connections goes out in turn");
	array.hold_all = false;
	client_close(client);
	unexport(export);
}

/* ---- a connection that is gone, when what was on it is told ---- */

static struct {
	struct link_req last, read;
	uint8_t body[8], bytes[64 << 10];
	bool told, came;
} end;

static void read_done(struct link_req *req, int error)
{
	end.came = !error;
}

/* As a leecher does: what does not come beside the answer is asked for. */
static void last_done(struct link_req *req, int error)
{
	struct wire_range range = { .length = sizeof(end.bytes) };
	struct link_req *read = &end.read;

	end.told = error == -ECONNRESET;
	read->type = WIRE_READ;
	read->flags = WIRE_F_DEMAND;
	read->body_len = (uint32_t)wire_encode(WIRE_S_RANGE, &range, read->body, sizeof(read->body));
	read->into = end.bytes;
	read->into_len = sizeof(end.bytes);
	read->done = read_done;
	session_urgent(session, read);
}

static void test_last(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client;
	struct link *link;

	client = open_two(export);
	link = &session->links[1];
	end.last = (struct link_req){ .type = WIRE_LAST, .data = end.body, .data_len = sizeof(end.body), .done = last_done };
	/* so that it waits, as what was sent does when its connection ends */
	link->max_requests = 0;
	session_beside(session, 0, &end.last);
	link->max_requests = 64;
	conn_close(link->conn, -ECONNRESET);
	until(end.came);
	tap_ok(end.told && end.came, "who asks for bytes because a connection has ended gets them by another one");
	client_close(client);
	unexport(export);
}

int main(void)
{
	if (!pair_begin())
		return 99;
	test_turns();
	test_fair();
	test_last();
	return pair_end();
}
