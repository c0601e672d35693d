// SPDX-License-Identifier: GPL-2.0
/* shrink: see shrink.h. A thread's context and its room for what comes out stay as long as the thread, which is as long as the process. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "shrink.h"

/* Of all levels that shrink at all, the fastest: a link that is worth it is slower than this by far. */
#define LEVEL 1

static _Thread_local struct {
	ZSTD_CCtx *shrink;
	ZSTD_DCtx *undo;
	uint8_t *out;
} own;

static bool have_shrink(void)
{
	if (!own.shrink)
		own.shrink = ZSTD_createCCtx();
	if (!own.out)
		own.out = malloc(SHRINK_MAX);
	return own.shrink && own.out;
}

size_t shrink_do(void *data, size_t len)
{
	size_t n;

	if (len < SHRINK_MIN || len > SHRINK_MAX || !have_shrink())
		return 0;
	/* more than that it must not be: then it fails, early */
	n = ZSTD_compressCCtx(own.shrink, own.out, len - len / 16, data, len, LEVEL);
	if (ZSTD_isError(n))
		return 0;
	memcpy(data, own.out, n);
	return n;
}

/* A frame as shrink_do() makes them: none of an older format, which libraries may know as well, nor one to be skipped. */
static bool is_frame(const uint8_t *data, size_t len)
{
	return len > 4 && (data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24) == ZSTD_MAGICNUMBER;
}

int shrink_undo(const void *data, size_t len, void *into, size_t into_len)
{
	size_t n;

	/* in this order: what the frame says of itself is nothing to go by, but that it is what was asked for */
	if (!is_frame(data, len) || len >= into_len || ZSTD_getFrameContentSize(data, len) != into_len || ZSTD_findFrameCompressedSize(data, len) != len)
		return -EPROTO;
	if (!own.undo)
		own.undo = ZSTD_createDCtx();
	if (!own.undo)
		return -ENOMEM;
	n = ZSTD_decompressDCtx(own.undo, into, into_len, data, len);
	return n == into_len ? 0 : -EPROTO;
}
