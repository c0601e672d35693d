// SPDX-License-Identifier: GPL-2.0
/* Strangers at a listener's door: how many, from where, how long, how much they may send, and how fast they may come. */
#include <arpa/inet.h>

#include "peer-pair.h"
#include "raw-peer.h"

static const struct door_limits wide = {
	.strangers = 100, .strangers_each = 100, .waiting = 100, .a_second = 1000, .ms = 600000, .bytes = 1 << 20,
};

/* From an address of this host's. */
static int call_from(const struct export *export, const char *from)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, from, &addr.sin_addr);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		exit(95);
	inet_pton(AF_INET, "127.0.0.1", &addr.sin_addr);
	addr.sin_port = htons((uint16_t)atoi(strchr(export->listener->address, ':') + 1));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		exit(94);
	return fd;
}

static bool is_closed(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	return !n || (n < 0 && errno == ECONNRESET);
}

static bool is_known(int fd)
{
	struct wire_head got;

	introduce_raw(fd);
	return raw_answer(fd, WIRE_AUTH, &got) && !got.error;
}

static const struct door *door_of(const struct export *export)
{
	return &export->listener->door;
}

static void close_all(const int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i]);
	pass(50);
}

/* ---- how long ---- */

static void test_time(void)
{
	struct export *export = export_array(&plain, false);
	int silent, slow, known;
	unsigned int sent = 0;

	server->limits = wide;
	server->limits.ms = 400;
	silent = call_from(export, "127.0.0.1");
	known = call_from(export, "127.0.0.1");
	tap_ok(is_known(known), "one says who it is");
	slow = call_from(export, "127.0.0.1");
	for (; sent < 100 && !is_closed(slow) && write(slow, "\x40", 1) == 1; sent++)
		pass(20);
	tap_ok(is_closed(silent), "one that says nothing is closed in time");
	tap_ok(sent && sent < 100, "so is one that sends a byte now and then");
	tap_ok(door_of(export)->nr_strangers == 0, "nobody is left at the door");
	close_all((int[]){ silent, slow, known }, 3);
	unexport(export);
}

/* ---- how much ---- */

static void test_bytes(void)
{
	struct wire_head head = { .length = 4096, .type = WIRE_HELLO };
	struct wire_list list = { .after = "" };
	struct export *export = export_array(&plain, false);
	uint8_t bytes[4000] = { 0 };
	struct wire_head got;
	bool answered = true;
	int fd, known;

	server->limits = wide;
	server->limits.bytes = 2048;
	fd = call_from(export, "127.0.0.1");
	wire_head_encode(bytes, &head);
	tap_ok(write(fd, bytes, 2000) == 2000 && !within(200, is_closed(fd)), "so many bytes may be sent before one is known");
	tap_ok(write(fd, bytes, 1000) == 1000 && within(5000, is_closed(fd)), "and not more");
	known = call_from(export, "127.0.0.1");
	answered = is_known(known);
	for (unsigned int i = 0; i < 100; i++) {
		send_frame(known, WIRE_LIST, WIRE_S_LIST, &list);
		answered &= raw_answer(known, WIRE_LIST, &got);
	}
	tap_ok(answered, "who is known may send more than that");
	close_all((int[]){ fd, known }, 2);
	unexport(export);
}

/* ---- how many ---- */

static void test_each(void)
{
	struct export *export = export_array(&plain, false);
	int fd[5], other;

	server->limits = wide;
	server->limits.strangers_each = server->limits.waiting = 2;
	for (unsigned int i = 0; i < 5; i++) {
		fd[i] = call_from(export, "127.0.0.2");
		pass(20);
	}
	tap_ok(within(5000, is_closed(fd[4])) && !is_closed(fd[3]), "one that comes when others of its address are at the door, and wait, is closed");
	tap_ok(door_of(export)->nr_strangers == 2 && door_of(export)->nr_waiting == 2, "two are at the door, and two wait");
	other = call_from(export, "127.0.0.3");
	tap_ok(is_known(other), "one from another address comes in");
	tap_ok(is_known(fd[0]) && until(door_of(export)->nr_waiting == 1), "when one of them is known, one that has waited is next");
	close(fd[1]);
	tap_ok(until(!door_of(export)->nr_waiting), "and when one goes");
	tap_ok(is_known(fd[2]) && is_known(fd[3]), "they are served as the others");
	tap_ok(!door_of(export)->nr_strangers, "then nobody is at the door");
	fd[1] = call_from(export, "127.0.0.2");
	fd[4] = (close(fd[4]), call_from(export, "127.0.0.2"));
	close_all((int[]){ fd[0], fd[2], fd[3], other }, 4);
	unexport(export);
	close_all((int[]){ fd[1], fd[4] }, 2);
}

static void test_all(void)
{
	struct export *export = export_array(&plain, false);
	static const char *const from[] = { "127.0.0.2", "127.0.0.3", "127.0.0.4" };
	struct wire_head got;
	int fd[4];

	server->limits = wide;
	server->limits.strangers = 3;
	for (unsigned int i = 0; i < 3; i++)
		fd[i] = call_from(export, from[i]);
	until(door_of(export)->nr_strangers == 3);
	fd[3] = call_from(export, "127.0.0.5");
	introduce_raw(fd[3]);
	pass(200);
	tap_ok(door_of(export)->nr_strangers == 3 && !export->listener->accepting, "of all addresses so many are at the door, the next ones are not accepted");
	tap_ok(is_known(fd[0]), "when one of them is known");
	tap_ok(raw_answer(fd[3], WIRE_AUTH, &got) && !got.error, "the next one is");
	close_all(fd, 4);
	unexport(export);
}

/* Nobody is left behind who waits when all is over. */
static void test_end(void)
{
	struct export *export = export_array(&plain, false);
	int fd[3];

	server->limits = wide;
	server->limits.strangers_each = 1;
	for (unsigned int i = 0; i < 3; i++)
		fd[i] = call_from(export, "127.0.0.2");
	until(door_of(export)->nr_waiting == 2);
	unexport(export);
	tap_ok(is_closed(fd[0]) && is_closed(fd[1]) && is_closed(fd[2]), "with the listener all at its door are closed");
	close_all(fd, 3);
}

/* ---- how fast ---- */

static void test_pace(void)
{
	struct export *export = export_array(&plain, false);
	unsigned int at_once;
	int fd[12];

	server->limits = wide;
	server->limits.a_second = 4;
	for (unsigned int i = 0; i < 12; i++)
		fd[i] = call_from(export, "127.0.0.1");
	pass(100);
	at_once = export->listener->nr_services;
	tap_ok(at_once >= 4 && at_once <= 6, "a second's worth is accepted at once (%u)", at_once);
	pass(600);
	tap_ok(export->listener->nr_services > at_once && export->listener->nr_services < 11, "then so many a second (%u)", export->listener->nr_services);
	tap_ok(until(export->listener->nr_services == 12), "and nobody is lost");
	close_all(fd, 12);
	unexport(export);
}

static void test_delay(void)
{
	struct door_limits limits = { .a_second = 10 };
	uint64_t now = 5000000000;
	struct door door;

	door_init(&door);
	for (unsigned int i = 0; i < 11; i++)
		door_count(&door, &limits, now);
	tap_ok(door_delay(&door, &limits, now) > 50 && door_delay(&door, &limits, now) <= 101, "one more than a second's worth has to wait for its turn");
	tap_number(door_delay(&door, &limits, now + 101000000), 0, "which comes");
	tap_number(door_delay(&door, &limits, now + 60000000000), 0, "and a long while later");
	for (unsigned int i = 0; i < 11; i++)
		door_count(&door, &limits, now + 60000000000);
	tap_ok(door_delay(&door, &limits, now + 60000000000), "no more may come at once for that");
}

/* ---- what there is where nobody says anything else ---- */

static void test_defaults(void)
{
	const struct door_limits *limits = &door_defaults;

	tap_ok(limits->strangers_each && limits->strangers >= 2 * limits->strangers_each, "one address does not take all of the door");
	tap_ok(limits->bytes >= 3 * WIRE_UNAUTH_MAX + (16 << 10), "an introduction and a chain of certificates may be sent");
	tap_ok(limits->ms && limits->a_second && limits->waiting, "and there are limits to all");
}

int main(void)
{
	if (!pair_begin())
		return 99;
	test_time();
	test_bytes();
	test_each();
	test_all();
	test_end();
	test_pace();
	test_delay();
	test_defaults();
	return pair_end();
}
