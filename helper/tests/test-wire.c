// SPDX-License-Identifier: GPL-2.0
/* The peer protocol's messages: round trips, cut-off and garbled ones. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "wire.h"

static void test_head(void)
{
	struct wire_head in = { .length = 4096, .type = WIRE_READ | WIRE_REPLY, .flags = WIRE_F_ZERO,
				.error = 116, .credit = 70000, .generation = 3,
				.id = 0x1122334455667788ULL, .epoch = 9 };
	struct wire_head out;
	uint8_t buf[WIRE_HEAD_SIZE];

	wire_head_encode(buf, &in);
	tap_ok(buf[0] == 0 && buf[1] == 0x10 && buf[16] == 0x88, "the head is little-endian");
	tap_number(wire_head_decode(buf, 4096, &out), 0, "a head decodes");
	tap_ok(!memcmp(&in, &out, sizeof(in)), "a head survives the round trip");
	tap_number(wire_head_decode(buf, 4095, &out), -EMSGSIZE, "a frame over the limit is refused");
	buf[4] = 99;
	tap_number(wire_head_decode(buf, 4096, &out), -EPROTO, "an unknown type is refused");
	buf[4] = WIRE_READ;
	buf[5] = 0x80;
	tap_number(wire_head_decode(buf, 4096, &out), -EPROTO, "an unknown flag is refused");
	in.length = WIRE_HEAD_SIZE - 1;
	wire_head_encode(buf, &in);
	tap_number(wire_head_decode(buf, 4096, &out), -EPROTO, "a frame shorter than its head is refused");
}

static void test_open(void)
{
	struct wire_open in = { .flags = WIRE_OPEN_WRITE, .slot = 3, .incarnation = 7,
				.session = "0123456789abcde", .region = "dir/db.sqlite" };
	struct wire_open out;
	uint8_t buf[256];
	int n = wire_encode(WIRE_S_OPEN, &in, buf, sizeof(buf));
	bool refused = true;

	tap_number(n, 4 + 16 + 1 + 4 + 2 + 13, "OPEN takes the bytes it should");
	tap_number(wire_decode(WIRE_S_OPEN, buf, (size_t)n, &out), n, "OPEN decodes");
	tap_ok(!strcmp(out.region, in.region) && out.slot == 3 && out.incarnation == 7 &&
	   !memcmp(in.session, out.session, 16), "OPEN survives the round trip");
	for (int len = 0; len < n; len++)
		refused &= wire_decode(WIRE_S_OPEN, buf, (size_t)len, &out) == -EPROTO;
	tap_ok(refused, "OPEN cut off anywhere is refused");
	buf[n - 1] = 0;
	tap_number(wire_decode(WIRE_S_OPEN, buf, (size_t)n, &out), -EPROTO, "a NUL in a name is refused");
	tap_number(wire_encode(WIRE_S_OPEN, &in, buf, (size_t)n - 1), -EMSGSIZE, "no room is told");
	memset(in.region, 'x', sizeof(in.region));
	tap_number(wire_encode(WIRE_S_OPEN, &in, buf, sizeof(buf)), -EINVAL, "an endless name is not sent");
}

static void test_long_string(void)
{
	struct wire_text out;
	uint8_t buf[2 + WIRE_TEXT_MAX + 1];

	memset(buf, 'a', sizeof(buf));
	buf[0] = WIRE_TEXT_MAX & 255;
	buf[1] = WIRE_TEXT_MAX >> 8;
	tap_number(wire_decode(WIRE_S_TEXT, buf, sizeof(buf), &out), 2 + WIRE_TEXT_MAX, "longest text");
	tap_ok(strlen(out.text) == WIRE_TEXT_MAX, "the longest text is whole");
	buf[0] = (WIRE_TEXT_MAX + 1) & 255;
	buf[1] = (WIRE_TEXT_MAX + 1) >> 8;
	tap_number(wire_decode(WIRE_S_TEXT, buf, sizeof(buf), &out), -EPROTO, "one more is refused");
}

/* Whatever decodes, encodes again to the same bytes. */
static void test_garbage(void)
{
	static uint8_t buf[2048], again[4096], msg[4096];
	bool same = true;
	int decoded = 0;

	srandom(1);
	for (int i = 0; i < 200000; i++) {
		enum wire_shape shape = (enum wire_shape)(random() % __WIRE_S_MAX);
		size_t len = (size_t)random() % sizeof(buf);
		int n;

		for (size_t k = 0; k < 64 && k < len; k++)
			buf[k] = (uint8_t)random();
		if (wire_shape_size(shape) > sizeof(msg))
			abort();
		n = wire_decode(shape, buf, len, msg);
		if (n < 0)
			continue;
		decoded++;
		same &= wire_encode(shape, msg, again, sizeof(again)) == n;
		same &= !memcmp(buf, again, (size_t)n);
	}
	tap_ok(same && decoded > 1000, "what decodes of garbage encodes to the same bytes");
}

int main(void)
{
	test_head();
	test_open();
	test_long_string();
	test_garbage();
	return tap_end();
}
