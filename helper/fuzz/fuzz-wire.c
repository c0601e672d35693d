// SPDX-License-Identifier: GPL-2.0
/* Frames and messages as a stranger might send them: first byte the shape, then a head, then a message. */
#include "fuzz/fuzz.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t msg[8192], again[8192];
	struct wire_head head;
	int n;

	if (size < 1 + WIRE_HEAD_SIZE)
		return 0;
	if (!wire_head_decode(data + 1, WIRE_FRAME_BULK, &head)) {
		uint8_t buf[WIRE_HEAD_SIZE];

		wire_head_encode(buf, &head);
		if (memcmp(buf, data + 1, sizeof(buf)))
			abort();
	}
	n = wire_decode((enum wire_shape)(data[0] % __WIRE_S_MAX), data + 1 + WIRE_HEAD_SIZE,
			size - 1 - WIRE_HEAD_SIZE, msg);
	if (n < 0)
		return 0;
	if (wire_encode((enum wire_shape)(data[0] % __WIRE_S_MAX), msg, again, sizeof(again)) != n ||
	    memcmp(again, data + 1 + WIRE_HEAD_SIZE, (size_t)n))
		abort();
	return 0;
}
