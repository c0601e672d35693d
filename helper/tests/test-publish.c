// SPDX-License-Identifier: GPL-2.0
/*
 * Staged requests and PUBLISH by the peer protocol, to a file with a journal: what is seen when, across connections and servers that go and come
 * back; and what strangers to the protocol may not do.
 */
#include "peer-file.h"

static uint8_t bytes[SIZE], model[SIZE];
static struct backend_published published;

static struct backend *client(uint32_t generation)
{
	return client_open(source, (struct who){ .instance = 1, .generation = generation });
}

/* ---- staging ---- */

static int stage(struct backend *backend, uint64_t batch, bool first, enum backend_op op, uint64_t offset, uint64_t length)
{
	struct backend_req req = {
		.op = op, .flags = op == BACKEND_PUBLISH ? 0 : BACKEND_STAGED, .batch = batch, .first = first, .offset = offset,
		.length = length, .data = bytes, .loop = loop, .done = on_done,
	};

	if (op == BACKEND_RESIZE)
		req.arg = offset, req.offset = 0;
	backend_submit(backend, &req);
	turn();
	published = req.published;
	return last_error;
}

static int publish(struct backend *backend, uint64_t batch)
{
	return stage(backend, batch, false, BACKEND_PUBLISH, 0, 0);
}

static bool is_model(struct backend *backend, uint64_t size)
{
	static uint8_t got[SIZE];

	return !request(backend, BACKEND_READ, 0, size, got) && !memcmp(got, model, size);
}

static void test_seen(void)
{
	struct export *export = serve_file(true);
	struct backend *backend = client(1);

	tap_ok(backend && backend->caps.publish, "a file is published to through a peer");
	memset(bytes, 1, sizeof(bytes));
	tap_number(stage(backend, 11, true, BACKEND_WRITE, 1000, 3u << 20), 0, "a batch begins, with more than a frame, and more than a request");
	tap_number(stage(backend, 11, false, BACKEND_DISCARD, 8192, 4096), 0, "a DISCARD");
	memset(bytes, 0, sizeof(bytes));
	tap_number(stage(backend, 11, false, BACKEND_WRITE, 20000, 5000), 0, "zeroes");
	tap_ok(is_model(backend, SIZE), "nothing is seen");
	tap_number(publish(backend, 11), 0, "PUBLISH");
	memset(model + 1000, 1, 3u << 20);
	memset(model + 8192, 0, 4096);
	memset(model + 20000, 0, 5000);
	tap_ok(is_model(backend, SIZE), "all of it is seen");
	tap_ok(published.offset == 1000 && published.length == 3u << 20 && !published.resized, "and what has changed is told");
	tap_number(publish(backend, 11), 0, "again is no matter");
	tap_number(publish(backend, 12), -ESTALE, "an unknown batch is refused");
	tap_number(stage(backend, 12, false, BACKEND_DISCARD, 0, 4096), -ESTALE, "and what does not begin one");
	tap_number(stage(backend, 13, true, BACKEND_RESIZE, 5000, 100000), 0, "a RESIZE is staged");
	tap_number((long long)backend_size(backend), SIZE, "the size stays");
	tap_number(publish(backend, 13), 0, "until it is published");
	tap_number((long long)backend_size(backend), 100000, "then it is the new one");
	memset(model + 5000, 0, SIZE - 5000);
	tap_ok(is_model(backend, 100000), "and what was cut off is gone");
	client_close(backend);
	unexport(export);
}

/* ---- connections and servers that go ---- */

/* its head alone */
#define JOURNAL_EMPTY 8192

static long long journal_size(void)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/file.regionfs-journal", dir);
	return stat(path, &st) ? -1 : (long long)st.st_size;
}

static void cut_all(struct loop_timer *timer)
{
	struct listener *listener = list_entry(server->listeners.next, struct listener, list);
	struct list *at, *next;

	list_for_each_safe(at, next, &listener->services)
		if (random() % 2)
			service_close(list_entry(at, struct service, list), -ECONNRESET);
	loop_timer_set(loop, timer, 30);
}

static void test_connections(void)
{
	struct export *export = serve_file(false);
	struct backend *backend = client(2);
	struct loop_timer cut = { .fire = cut_all };
	bool right = true;

	loop_timer_set(loop, &cut, 5);
	for (unsigned int batch = 0; batch < 8; batch++) {
		for (unsigned int i = 0; i < 6; i++) {
			uint64_t at = (batch * 6 + i) * 70001 % (SIZE - 600000), len = 100000 * (i % 6) + 1;

			memset(bytes, (int)(batch * 6 + i + 1), len);
			memset(model + at, bytes[0], len);
			right &= !stage(backend, 100 + batch, !i, BACKEND_WRITE, at, len);
		}
		right &= !publish(backend, 100 + batch);
	}
	loop_timer_cancel(loop, &cut);
	tap_ok(right && is_model(backend, backend_size(backend)), "connections that break in the middle lose and repeat nothing");
	client_close(backend);
	unexport(export);
}

static void test_server(void)
{
	struct export *export = serve_file(false);
	struct backend *backend = client(3);

	memset(bytes, 77, 4096);
	tap_number(stage(backend, 201, true, BACKEND_WRITE, 0, 4096), 0, "a batch is staged, and published");
	tap_number(publish(backend, 201), 0, "by a server");
	memset(model, 77, 4096);
	memset(bytes, 78, 4096);
	tap_number(stage(backend, 202, true, BACKEND_WRITE, 4096, 4096), 0, "another one is only staged");
	unexport(export);
	export = serve_file(false);
	tap_number(publish(backend, 201), 0, "the next server knows the first");
	tap_number(publish(backend, 202), -ESTALE, "and not the second");
	tap_number(stage(backend, 202, false, BACKEND_WRITE, 8192, 4096), -ESTALE, "which can't go on");
	tap_ok(is_model(backend, backend_size(backend)), "nothing of it is there");
	tap_number(stage(backend, 203, true, BACKEND_WRITE, 4096, 4096), 0, "it begins anew");
	tap_number(publish(backend, 203), 0, "and is published");
	memset(model + 4096, 78, 4096);
	tap_ok(is_model(backend, backend_size(backend)), "whole");
	client_close(backend);
	unexport(export);
}

static void test_fence(void)
{
	struct export *export = serve_file(false);
	struct backend *old = client(4), *next;

	memset(bytes, 99, 4096);
	tap_number(stage(old, 301, true, BACKEND_WRITE, 0, 4096), 0, "a helper stages a batch");
	next = client(5);
	tap_ok(next && publish(old, 301) < 0, "its successor's coming keeps it from publishing");
	tap_ok(is_model(next, backend_size(next)), "nothing of it is seen");
	until(journal_size() == JOURNAL_EMPTY);
	tap_number(journal_size(), JOURNAL_EMPTY, "it takes no room, though the successor stages nothing yet");
	memset(bytes, 98, 4096);
	tap_ok(!stage(next, 302, true, BACKEND_WRITE, 4096, 4096) && !publish(next, 302), "the successor publishes");
	memset(model + 4096, 98, 4096);
	tap_ok(is_model(next, backend_size(next)), "its own");
	client_close(old);
	client_close(next);
	unexport(export);
}

/* ---- who can't ---- */

static void test_without(void)
{
	struct export *export = export_array(&options, false);
	struct backend *backend = client(1);

	tap_ok(backend && !backend->caps.publish, "where the other side can't publish, neither can a peer");
	tap_number(stage(backend, 1, true, BACKEND_WRITE, 0, 4096), -EOPNOTSUPP, "nothing is staged there");
	tap_number(publish(backend, 1), -EOPNOTSUPP, "nor published");
	client_close(backend);
	unexport(export);
}

static void cut(const struct export *export)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &export->listener->services)
		service_close(list_entry(at, struct service, list), -ECONNRESET);
}

/* The server is replaced by an older one while a batch is on its way. */
static void test_older(void)
{
	struct export *export = serve_file(false);
	struct backend *backend = client(6);

	tap_number(stage(backend, 401, true, BACKEND_DISCARD, 0, 4096), 0, "a batch begins");
	server->features &= ~WIRE_FEAT_PUBLISH;
	cut(export);
	tap_number(stage(backend, 401, false, BACKEND_DISCARD, 4096, 4096), -ESTALE, "a server that knows of none gets none of it");
	tap_number(publish(backend, 401), -EOPNOTSUPP, "nor later");
	tap_ok(atomic_load(&backend->dead), "another backend has to be opened, that knows");
	client_close(backend);
	until(journal_size() == JOURNAL_EMPTY);
	tap_number(journal_size(), JOURNAL_EMPTY, "what its writer leaves behind takes no room");
	backend = client(6);
	tap_ok(backend && !backend->caps.publish, "and does");
	tap_ok(is_model(backend, backend_size(backend)), "nothing is seen");
	client_close(backend);
	tap_number(raw_once(export, WIRE_PUBLISH, 0, WIRE_HEAD_SIZE + 8, "12345678", 8), -1, "what was not agreed on is refused");
	server->features = WIRE_FEAT_ALL;
	unexport(export);
}

static void test_hostile(void)
{
	struct export *export = serve_file(false);
	uint64_t range[3] = { 0, 4096, 7 }, endless[3] = { 0, UINT64_MAX, 7 }, none[3] = { 0, 4096, 0 }, much[2] = { 0, 1ULL << 40 };
	uint64_t beyond[15] = { INT64_MAX, 100 };
	uint32_t head = WIRE_HEAD_SIZE;

	tap_number(raw_once(export, WIRE_DISCARD, WIRE_F_STAGED | WIRE_F_FIRST, head + 24, range, 24), 0, "a right one is taken");
	tap_number(raw_once(export, WIRE_DISCARD, WIRE_F_STAGED, head + 16, range, 16), -1, "a staged one without its batch is not");
	tap_number(raw_once(export, WIRE_DISCARD, WIRE_F_STAGED, head + 24, none, 24), EINVAL, "nor batch 0");
	tap_number(raw_once(export, WIRE_DISCARD, WIRE_F_STAGED, head + 24, endless, 24), EINVAL, "nor an endless range");
	tap_number(raw_once(export, WIRE_WRITE, WIRE_F_STAGED, head + 24, range, 24), -1, "nor a WRITE without its bytes");
	tap_number(raw_once(export, WIRE_READ, WIRE_F_STAGED, head + 24, range, 24), -1, "a READ can't be staged");
	tap_number(raw_once(export, WIRE_PUBLISH, 0, head + 4, range, 4), -1, "a PUBLISH of half a batch number is none");
	tap_number(raw_once(export, WIRE_PUBLISH, WIRE_F_STAGED, head + 8, &range[2], 8), -1, "nor can it be staged itself");
	tap_number(raw_once(export, WIRE_READ, 0, head + 16, much, 16), EINVAL, "a READ beyond the limit is refused, not allocated");
	tap_number(raw_once(export, WIRE_WRITE, WIRE_F_ZERO, head + 16, much, 16), EINVAL, "and so are zeroes");
	tap_number(raw_once(export, WIRE_WRITE, 0, WIRE_FRAME_DEMAND + 1, range, 16), -1, "a frame over the limit is the end before its bytes come");
	tap_number(raw_once(export, WIRE_WRITE, 0, head + 116, beyond, 116), EINVAL, "a WRITE to a place that no file has is refused");
	tap_number(raw_credit, 100, "and its credit given back");
	tap_number((long long)list_entry(server->listeners.next, struct listener, list)->memory, 0, "none of it takes memory");
	unexport(export);
}

int main(void)
{
	if (!peer_file_begin())
		return 99;
	test_seen();
	test_connections();
	test_server();
	test_fence();
	test_without();
	test_older();
	test_hostile();
	return peer_file_end();
}
