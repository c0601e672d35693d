// SPDX-License-Identifier: GPL-2.0
/* READs whose bytes come as frames of zstd: when they do, from whom, and what becomes of frames that are none. */
#include <zstd.h>

#include "backends/peer.h"
#include "link-internal.h"
#include "peer-pair.h"
#include "raw-peer.h"
#include "session.h"
#include "shrink.h"

#define LEN (64u << 10)

static uint8_t plain_bytes[SHRINK_MAX], shrunk[SHRINK_MAX + 4096], back[SHRINK_MAX + 64];

/* Text of a kind: shrinks well, but not to nothing. */
static void fill_text(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)("the quick brown fox"[i % 19] + (i / 977) % 7);
}

static void fill_random(uint8_t *to, size_t len)
{
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		to[i] = (uint8_t)x;
	}
}

/* ---- frames ---- */

static size_t shrink_text(size_t len)
{
	fill_text(plain_bytes, len);
	memcpy(shrunk, plain_bytes, len);
	return shrink_do(shrunk, len);
}

static void test_frames(void)
{
	size_t n = shrink_text(SHRINK_MAX);

	tap_ok(n && n < SHRINK_MAX / 4, "text shrinks, to %zu bytes", n);
	tap_number(shrink_undo(shrunk, n, back, SHRINK_MAX), 0, "and comes back");
	tap_ok(!memcmp(back, plain_bytes, SHRINK_MAX), "as it was");
	fill_random(plain_bytes, LEN);
	memcpy(shrunk, plain_bytes, LEN);
	tap_ok(!shrink_do(shrunk, LEN) && !memcmp(shrunk, plain_bytes, LEN), "noise does not, and is left alone");
	tap_ok(!shrink_do(shrunk, SHRINK_MIN - 1), "what is short is not tried");
}

/* A frame of as many bytes as there should be, which it does not say. */
static size_t unsaid_frame(void)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t n;

	fill_text(plain_bytes, LEN);
	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
	n = ZSTD_compress2(context, shrunk, sizeof(shrunk), plain_bytes, LEN);
	ZSTD_freeCCtx(context);
	return n;
}

/* What a peer may send that means no good: nothing is written beyond what was asked for. */
static void test_hostile_frames(void)
{
	size_t n = shrink_text(LEN), bigger;
	unsigned int accepted = 0, wrong = 0;

	memset(back, 0xee, sizeof(back));
	for (size_t cut = 0; cut < n; cut++)
		accepted += !shrink_undo(shrunk, cut, back, LEN);
	tap_number(accepted, 0, "no frame that was cut off is taken");
	tap_number(shrink_undo(shrunk, n + 1, back, LEN), -EPROTO, "nor one with something behind it");
	tap_number(shrink_undo(shrunk, n, back, LEN - 1), -EPROTO, "nor one that has more than was asked for");
	tap_number(shrink_undo(shrunk, n, back, LEN + 1), -EPROTO, "nor less");
	bigger = ZSTD_compress(shrunk, sizeof(shrunk), plain_bytes, LEN + 4096, 1);
	tap_number(shrink_undo(shrunk, bigger, back, LEN), -EPROTO, "nor one of a longer range");
	n = shrink_text(LEN);
	for (size_t i = 0; i < n; i++) {
		shrunk[i] ^= 0x55;
		/* some are frames still, of other bytes of the right number */
		wrong += !shrink_undo(shrunk, n, back, LEN);
		shrunk[i] ^= 0x55;
	}
	tap_ok(back[LEN] == 0xee && back[LEN + 63] == 0xee, "whatever is changed in one (%u were frames still), no byte is written past the end", wrong);
	fill_random(shrunk, n);
	tap_number(shrink_undo(shrunk, n, back, LEN), -EPROTO, "garbage is none");
	/* a skippable frame, and a frame that does not say how much it holds */
	memcpy(shrunk, "\x50\x2a\x4d\x18\x04\x00\x00\x00" "abcd", 12);
	tap_number(shrink_undo(shrunk, 12, back, LEN), -EPROTO, "nor one to be skipped");
	tap_number(shrink_undo(shrunk, unsaid_frame(), back, LEN), -EPROTO, "nor one that does not say what it holds");
	n = shrink_text(LEN);
	for (uint8_t version = 0x22; version < 0x28; version++) {
		shrunk[0] = version;
		tap_number(shrink_undo(shrunk, n, back, LEN), -EPROTO, "nor one of an older format");
	}
	/* 2^60 bytes, it says */
	memcpy(shrunk, "\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x00\x00\x00\x10\x01\x00\x00", 16);
	tap_number(shrink_undo(shrunk, 16, back, LEN), -EPROTO, "nor one that says that it holds the world");
}

/* ---- between peers ---- */

static struct backend *client_of(const struct export *export, const char *options)
{
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", options);
	return client_open(source, (struct who){ .instance = 1, .generation = 1, .read_only = true });
}

static int demand(struct backend *backend, void *data)
{
	struct backend_req req = {
		.op = BACKEND_READ, .flags = BACKEND_DEMAND, .length = LEN, .data = data, .loop = loop, .done = on_done,
	};

	backend_submit(backend, &req);
	turn();
	return last_error;
}

static void test_peers(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client = client_of(export, "?compress=zstd");
	static uint8_t got[1u << 20];
	uint64_t wire;

	fill_text(array.bytes, sizeof(got));
	fill_random(array.bytes + (1u << 20), sizeof(got));
	memset(array.bytes + (2u << 20), 0, sizeof(got));
	tap_number(request(client, BACKEND_READ, 0, sizeof(got), got), 0, "a client that wants it so reads");
	wire = peer_session(client)->wire_bytes;
	tap_ok(!memcmp(got, array.bytes, sizeof(got)) && wire < sizeof(got) / 4, "what it should, of few bytes (%llu)", (unsigned long long)wire);
	tap_number((long long)export->wire_bytes, (long long)wire, "of which the server says the same");
	tap_number((long long)export->read_bytes, sizeof(got), "though it is as much");
	request(client, BACKEND_READ, 1u << 20, sizeof(got), got);
	tap_ok(!memcmp(got, array.bytes + (1u << 20), sizeof(got)), "noise comes as well");
	tap_number((long long)(peer_session(client)->wire_bytes - wire), sizeof(got), "as it is");
	wire = peer_session(client)->wire_bytes;
	request(client, BACKEND_READ, 2u << 20, sizeof(got), got);
	tap_ok(!memcmp(got, array.bytes + (2u << 20), sizeof(got)) && peer_session(client)->wire_bytes == wire, "and zeroes as none");
	client_close(client);
	client = client_of(export, "?compress=zstd");
	tap_number(demand(client, got), 0, "what a program waits for");
	tap_ok(!memcmp(got, array.bytes, LEN) && peer_session(client)->wire_bytes < LEN / 4, "is shrunk, too");
	client_close(client);
	client = client_of(export, "");
	tap_number(request(client, BACKEND_READ, 0, sizeof(got), got), 0, "one that has not said so");
	tap_number((long long)peer_session(client)->wire_bytes, sizeof(got), "gets the bytes");
	client_close(client);
	unexport(export);
}

static char dir_socket[64];

static void test_older(void)
{
	struct listener_options options = { .listen = dir_socket };
	struct export *export = export_array(&options, false);
	uint8_t range[WIRE_RANGE_SIZE] = { [8] = 16 };
	static uint8_t got[LEN];
	struct backend *client;
	char source[256];
	int fd;

	server->features &= ~WIRE_FEAT_ZSTD;
	snprintf(source, sizeof(source), "peer+%s?region=dir/db&compress=zstd", dir_socket);
	client = client_open(source, (struct who){ .instance = 1, .generation = 1, .read_only = true });
	tap_number(request(client, BACKEND_READ, 0, LEN, got), 0, "from a server that does not know of it");
	tap_ok(!memcmp(got, array.bytes, LEN) && peer_session(client)->wire_bytes == LEN, "it comes as ever");
	client_close(client);
	fd = raw_open(export);
	tap_number(raw_ask(fd, WIRE_READ, WIRE_F_ZSTD, WIRE_HEAD_SIZE + sizeof(range), range, sizeof(range)), -1,
		   "who asks for it there is cut off");
	close(fd);
	server->features = WIRE_FEAT_ALL;
	pass(50);
	fd = raw_open(export);
	tap_number(raw_ask(fd, WIRE_SYNC, WIRE_F_ZSTD, WIRE_HEAD_SIZE, "", 0), -1, "and who asks for a SYNC so");
	close(fd);
	unexport(export);
	tap_ok(backend_check("peer+plain://h/r?compress=lzma", NULL, 0) == -EINVAL && !backend_check("peer+plain://h/r?compress=zstd", NULL, 0),
	       "no other way is known");
}

/* What the connection makes of an answer to the READ that is under way on it. */
static int answer(struct link *link, uint8_t flags, const void *body, size_t len)
{
	struct link_req *req = list_entry(link->unanswered.next, struct link_req, list);
	struct wire_head head = { .length = WIRE_HEAD_SIZE + (uint32_t)len, .type = WIRE_READ | WIRE_REPLY, .flags = flags, .id = req->id };

	return link_conn_ops.frame(link->conn, &head, body, len);
}

static void test_hostile_server(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *client = client_of(export, "?compress=zstd&connections=1");
	struct link *link = &peer_session(client)->links[1];
	size_t n = shrink_text(LEN);
	static uint8_t got[LEN + 64];
	struct backend_req req;

	memset(got, 0xee, sizeof(got));
	pass(100);
	array.hold_all = true;
	start(client, &req, BACKEND_READ, 0, LEN, got);
	pass(100);
	tap_ok(!list_empty(&link->unanswered), "a client has asked, and");
	tap_number(answer(link, WIRE_F_ZSTD, shrunk, n - 1), -EPROTO, "a frame that was cut off ends the connection");
	tap_number(answer(link, WIRE_F_ZSTD, plain_bytes, 1000), -EPROTO, "as garbage does");
	tap_number(answer(link, WIRE_F_ZSTD, "", 0), -EPROTO, "and nothing");
	tap_number(answer(link, WIRE_F_ZSTD | WIRE_F_ZERO, "", 0), -EPROTO, "and zeroes that were shrunk");
	n = ZSTD_compress(shrunk, sizeof(shrunk), plain_bytes, LEN + 64, 1);
	tap_number(answer(link, WIRE_F_ZSTD, shrunk, n), -EPROTO, "and more than was asked for");
	tap_ok(got[LEN] == 0xee && got[LEN + 63] == 0xee, "of which nothing is written past the end");
	array.hold_all = false;
	array_release_held();
	turn();
	tap_ok(!last_error && !memcmp(got, array.bytes, LEN), "the true answer is taken");
	client_close(client);
	unexport(export);
}

int main(void)
{
	if (!pair_begin())
		return 99;
	snprintf(dir_socket, sizeof(dir_socket), "unix:%s/s", dir);
	test_frames();
	test_hostile_frames();
	test_peers();
	test_older();
	test_hostile_server();
	rmdir(dir);
	return tap_end();
}
