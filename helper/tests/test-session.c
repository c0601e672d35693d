// SPDX-License-Identifier: GPL-2.0
/* Sessions that do not end well: refused, timed out, given up by either side; and what is special in what they carry. */
#include "backends/peer.h"
#include "peer-pair.h"

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
	until(last_error != 1);
	tap_number(last_error, 0, "if it is there after all, it comes back");
	client_close(client);
	unexport(export);
}

/* ---- timeout=: what may still land is not given up ---- */

static int timed_error;

static void on_timed(struct backend_req *req, int error)
{
	timed_error = error;
}

static void test_timeout(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client;
	struct backend_req sent, unsent;
	static uint8_t bytes[4096];
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "?connections=1&timeout=1");
	client = client_open(source, (struct who){ .instance = 1 });
	array.hold = true;
	memset(bytes, 3, sizeof(bytes));
	start(client, &sent, BACKEND_WRITE, 0, 4096, bytes);
	last_error = 1;
	sent.done = on_timed;
	timed_error = 1;
	while (list_empty(&array.held))
		pass(10);
	/* The server still has it; so the connection that replaces this one is not let in. */
	service_close(list_entry(export->sessions.next, struct export_session, list)->slots[1], -ECONNRESET);
	pass(300);
	start(client, &unsent, BACKEND_WRITE, 8192, 4096, bytes);
	until(last_error != 1);
	tap_number(last_error, -ETIMEDOUT, "a WRITE that was never sent fails when its time is over");
	tap_number(timed_error, 1, "one that was sent does not: it may still land");
	array_release_held();
	until(timed_error != 1);
	tap_number(timed_error, 0, "and does so when the link is back");
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
	until(last_error != 1);
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

/* ---- how much bulk may be under way, on a simulated link in virtual time ---- */

#define LINK 25000000u	/* 200 mbit */

/* A sample while bulk fills the window. */
static void sample(struct session *session, uint64_t rtt)
{
	uint64_t path = LINK * rtt / 1000000000, queue = session->window > path ? session->window - path : 0;

	session->peak = session->window;
	session->window_full = true;
	session_rtt(session, rtt + queue * 1000000000 / LINK);
}

static void test_window(unsigned int ms)
{
	struct session session = { .window = 1 << 20 };
	uint64_t rtt = ms * 1000000ULL, path = LINK * rtt / 1000000000, least, most = 0;

	session_rtt(&session, rtt + 100000);
	for (int i = 0; i < 20; i++)
		sample(&session, rtt);
	least = session.window;
	for (int i = 0; i < 20000; i++) {
		sample(&session, rtt);
		least = session.window < least ? session.window : least;
		most = session.window > most ? session.window : most;
	}
	tap_ok(least >= path, "RTT %u: bulk fills the path, also in an hour", ms);
	tap_ok(most <= 2 * path + 4 * SESSION_WINDOW_MIN / 2, "RTT %u: with %llu KiB at most", ms, (unsigned long long)most >> 10);
}

/* Two answers of three are late by themselves, whatever is under way. */
static void test_busy_host(void)
{
	struct session session = { .window = 1 << 20 };
	uint64_t rtt = 10000000, path = LINK * rtt / 1000000000, least;

	session_rtt(&session, rtt);
	for (int i = 0; i < 30; i++)
		sample(&session, i % 3 ? 3 * rtt : rtt);
	least = session.window;
	for (int i = 0; i < 3000; i++) {
		sample(&session, i % 3 ? 3 * rtt : rtt);
		least = session.window < least ? session.window : least;
	}
	tap_ok(least >= path, "bulk fills the path to a host that is busy now and then (%llu KiB)", (unsigned long long)least >> 10);
}

static void test_longer_path(void)
{
	struct session session = { .window = 1 << 20 };

	session_rtt(&session, 1000000);
	for (int i = 0; i < 20; i++)
		sample(&session, 1000000);
	for (int i = 0; i < 200; i++)
		sample(&session, 100000000);
	tap_ok(session.window >= LINK / 10, "a path that got longer is filled again (%llu KiB)", (unsigned long long)session.window >> 10);
}

/* As TCP does, but well before it: 200 mbit and 100 ms hold 2.5 MB. */
static void test_start(void)
{
	struct session session = { .window = 512 << 10, .starting = true };
	uint64_t rtt = 100000000, path = LINK / 10;
	unsigned int trips = 0;

	session_rtt(&session, rtt);
	for (; session.window < path && trips < 100; trips++)
		sample(&session, rtt);
	tap_ok(trips <= 3, "a long path is filled after %u round trips", trips);
	for (int i = 0; i < 100; i++)
		sample(&session, rtt);
	tap_ok(!session.starting, "the start is over when there is a queue");
}

static void test_pieces(void)
{
	struct session session = { .window = SESSION_WINDOW_MIN, .nr_links = 2 };

	session.links[0].max_data = WIRE_DATA_DEMAND;
	session.links[1].max_data = WIRE_DATA_BULK;
	tap_number(session_max_data(&session, true), 32 << 10, "in a small window pieces are short");
	session.window = 1 << 20;
	tap_number(session_max_data(&session, true), WIRE_DATA_BULK, "in a large one as long as can be");
	tap_number(session_max_data(&session, false), WIRE_DATA_DEMAND, "and of demand always the same");
}

/* ---- a long READ that a program waits for goes as bulk, but first ---- */

static int left;

static void on_read(struct backend_req *req, int error)
{
	last_error = last_error ? last_error : error;
	if (!--left)
		loop_stop(loop);
}

static void start_read(struct backend *client, struct backend_req *req, unsigned int flags, uint64_t offset, void *data)
{
	*req = (struct backend_req){
		.op = BACKEND_READ, .flags = flags, .offset = offset, .length = 512 << 10, .data = data, .loop = loop, .done = on_read,
	};
	left++;
	backend_submit(client, req);
}

static void test_overtake(void)
{
	struct export *export = export_array(&plain, false);
	static uint8_t bytes[5][512 << 10];
	struct backend_req req[5];
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "?connections=1");
	client = client_open(source, (struct who){ .instance = 1 });
	peer_session(client)->window = SESSION_WINDOW_MIN;
	array.hold_all = true;
	last_error = 0;
	for (unsigned int i = 0; i < 4; i++)
		start_read(client, &req[i], 0, i * sizeof(bytes[0]), bytes[i]);
	start_read(client, &req[4], BACKEND_DEMAND, 3 << 20, bytes[4]);
	until(is_held(3 << 20));
	tap_ok(is_held(3 << 20) && !is_held(3 * sizeof(bytes[0])), "a long READ that a program waits for overtakes the bulk that waits");
	array.hold_all = false;
	array_release_held();
	if (left)
		turn();
	tap_number(last_error, 0, "and all are answered");
	client_close(client);
	unexport(export);
}

/* Whatever else waits on the demand connection, and at the server. */
static void test_demand(void)
{
	struct export *export = export_array(&plain, false);
	static struct backend_req sync[80], discard, read;
	static uint8_t page[4096];
	struct export_session *session;
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "?connections=1");
	client = client_open(source, (struct who){ .instance = 1 });
	array.hold_all = true;
	last_error = 0;
	left = 82;
	for (unsigned int i = 0; i < 80; i++) {
		sync[i] = (struct backend_req){ .op = BACKEND_SYNC, .loop = loop, .done = on_read };
		backend_submit(client, &sync[i]);
	}
	discard = (struct backend_req){ .op = BACKEND_DISCARD, .flags = BACKEND_BULK, .offset = 1 << 20, .length = 4096, .loop = loop, .done = on_read };
	backend_submit(client, &discard);
	read = (struct backend_req){ .op = BACKEND_READ, .flags = BACKEND_DEMAND, .offset = 2 << 20, .length = 4096, .data = page, .loop = loop,
				     .done = on_read };
	backend_submit(client, &read);
	until(is_held(2 << 20) && is_held(1 << 20));
	session = list_entry(export->sessions.next, struct export_session, list);
	tap_ok(is_held(2 << 20), "a READ that a program waits for overtakes all else on the demand connection, and at the server");
	tap_number(session->busy[1], 1, "a DISCARD that nobody waits for is bulk");
	array.hold_all = false;
	array_release_held();
	if (left)
		turn();
	tap_number(last_error, 0, "and all are answered");
	client_close(client);
	unexport(export);
}

static void test_reconnect(void)
{
	struct session session = { .window = 1 << 20, .rtt_min = 1000000, .nr_links = 1 };

	session.is_open = true;
	session.links[0].session = &session;
	session.bulk_in_flight = 4u << 20;
	session_link_up(&session, &session.links[0]);
	tap_number((long long)session.rtt_min, 1000000, "a demand connection that comes back among bulk takes no sample of that for the best");
}

static void cut_all(struct export *export)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &export->listener->services)
		service_close(list_entry(at, struct service, list), -ECONNRESET);
}

/* The server is gone and back between a WRITE and its SYNC: by itself, or with its host. */
static void test_boot(void)
{
	struct export *export = export_array(&plain, false);
	static uint8_t page[4096] = { 1 };
	struct backend_req sync;
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "?connections=1");
	client = client_open(source, (struct who){ .instance = 1 });
	tap_number(request(client, BACKEND_WRITE, 0, 4096, page), 0, "bytes are written");
	cut_all(export);
	tap_number(request(client, BACKEND_SYNC, 0, 0, NULL), 0, "and synced, though the connections were new ones");
	server->id[0]++;
	cut_all(export);
	tap_number(request(client, BACKEND_SYNC, 0, 0, NULL), 0, "nothing is lost where the host was booted after that");
	tap_number(request(client, BACKEND_WRITE, 0, 4096, page), 0, "others are written");
	array.hold_all = true;
	start(client, &sync, BACKEND_SYNC, 0, 0, NULL);
	while (list_empty(&array.held))
		pass(1);
	server->id[0]++;
	cut_all(export);
	pass(50);
	array.hold_all = false;
	array_release_held();
	turn();
	tap_number(last_error, -EIO, "where it was booted before, the SYNC fails");
	tap_ok(atomic_load(&client->dead) && atomic_load(&client->lost), "and all that are asked know");
	tap_number(request(client, BACKEND_SYNC, 0, 0, NULL), -EIO, "so does the next one");
	client_close(client);
	unexport(export);
}

static void test_reserve(void)
{
	struct listener listener = { .memory = LISTENER_MEMORY - 10 };
	struct list bulk, demand;

	list_init(&listener.hungry);
	list_init(&bulk);
	list_init(&demand);
	tap_ok(!listener_take(&listener, &bulk, WIRE_DATA_BULK, false), "bulk waits for the listener's memory");
	tap_ok(listener_take(&listener, &demand, WIRE_DATA_DEMAND, true), "for demand there is some left");
	tap_ok(!listener_take(&listener, &demand, LISTENER_RESERVE, true), "but not without end");
}

/* Bulk connections wait for slot 0, and not for the end of a back-off of their own. */
static void test_hurry(void)
{
	struct listener_options options;
	char listen[64], source[128];
	struct backend *client;
	struct session *session;
	struct export *export;

	snprintf(listen, sizeof(listen), "unix:%s/hurry", dir);
	options = (struct listener_options){ .listen = listen };
	export = export_array(&options, false);
	snprintf(source, sizeof(source), "peer+%s?region=dir/db", listen);
	client = client_open(source, (struct who){ .instance = 1 });
	session = peer_session(client);
	while (session->links[1].state != LINK_UP)
		pass(10);
	unexport(export);
	while (session->links[1].state != LINK_WAITING)
		pass(10);
	loop_timer_set(loop, &session->links[1].timer, 3600000);
	options = (struct listener_options){ .listen = listen };
	export = export_array(&options, false);
	until(session->links[1].state == LINK_UP);
	tap_ok(session->links[1].state == LINK_UP, "with slot 0 the others are tried again");
	client_close(client);
	unexport(export);
}

static uint64_t asked(const struct session *session, unsigned int first)
{
	return session->links[first].next_id + session->links[first + 1].next_id;
}

/* WRITEs have connections of their own, which are made when there is one. */
static void test_writes(void)
{
	struct export *export = export_array(&plain, false);
	static uint8_t bytes[512 << 10];
	struct session *session;
	struct backend *client;
	uint64_t reads, writes;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "");
	client = client_open(source, (struct who){ .instance = 1 });
	session = peer_session(client);
	tap_number(request(client, BACKEND_READ, 0, sizeof(bytes), bytes), 0, "a region that was not written yet is read");
	tap_ok(session->nr_links == 5 && session->links[3].state == LINK_IDLE && session->links[4].state == LINK_IDLE, "by two bulk connections");
	tap_number(request(client, BACKEND_WRITE, 0, sizeof(bytes), bytes), 0, "the first WRITE waits for no other connection");
	until(session->links[3].state == LINK_UP && session->links[4].state == LINK_UP);
	reads = asked(session, 1);
	writes = asked(session, 3);
	request(client, BACKEND_WRITE, 0, sizeof(bytes), bytes);
	tap_ok(asked(session, 1) == reads && asked(session, 3) > writes, "the next goes by the two that are made then");
	writes = asked(session, 3);
	request(client, BACKEND_READ, 0, sizeof(bytes), bytes);
	tap_ok(asked(session, 1) > reads && asked(session, 3) == writes, "and no READ does");
	client_close(client);
	unexport(export);
}

/* What is promised to all who write together has a bound, and beyond it they write all the same. */
static void test_credit(void)
{
	struct export *export = export_array(&plain, false);
	struct listener *listener = export->listener;
	static uint8_t bytes[512 << 10];
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "?connections=1");
	client = client_open(source, (struct who){ .instance = 1 });
	while (peer_session(client)->links[1].state != LINK_UP)
		pass(10);
	tap_number((long long)listener->credit, SERVICE_CREDIT_BULK + SERVICE_CREDIT_LEAST, "who writes may send ahead");
	client_close(client);
	until(!listener->credit);
	tap_number((long long)listener->credit, 0, "until it has gone");
	listener->credit = LISTENER_CREDIT - SERVICE_CREDIT_LEAST;
	client = client_open(source, (struct who){ .instance = 1 });
	while (peer_session(client)->links[1].state != LINK_UP)
		pass(10);
	tap_number((long long)peer_session(client)->links[1].credit, SERVICE_CREDIT_LEAST, "beyond all credit there is that for one WRITE");
	tap_number(request(client, BACKEND_WRITE, 0, sizeof(bytes), bytes), 0, "and so for any");
	client_close(client);
	unexport(export);
}

int main(void)
{
	static const unsigned int rtts[] = { 0, 1, 6, 14, 30, 100 };

	if (!pair_begin())
		return 99;
	test_claim();
	test_zeroes();
	test_silent();
	test_timeout();
	test_expired();
	test_cancel();
	for (size_t i = 0; i < sizeof(rtts) / sizeof(*rtts); i++)
		test_window(rtts[i]);
	test_busy_host();
	test_longer_path();
	test_start();
	test_pieces();
	test_overtake();
	test_demand();
	test_reconnect();
	test_boot();
	test_reserve();
	test_hurry();
	test_writes();
	test_credit();
	return pair_end();
}
