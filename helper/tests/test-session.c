// SPDX-License-Identifier: GPL-2.0
/* Sessions that do not end well: refused, timed out, given up by either side; and what is special in what they carry. */
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
	for (int i = 0; i < 1000 && last_error == 1; i++)
		pass(10);
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
	for (int i = 0; i < 1000 && last_error == 1; i++)
		pass(10);
	tap_number(last_error, -ETIMEDOUT, "a WRITE that was never sent fails when its time is over");
	tap_number(timed_error, 1, "one that was sent does not: it may still land");
	array_release_held();
	for (int i = 0; i < 1000 && timed_error == 1; i++)
		pass(10);
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

int main(void)
{
	char command[64];

	if (!mkdtemp(dir) || loop_open(&loop, 0) || server_open(&server, loop))
		return 99;
	array.target.ops = &array_ops;
	list_init(&array.held);
	test_claim();
	test_zeroes();
	test_silent();
	test_timeout();
	test_expired();
	test_cancel();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}
