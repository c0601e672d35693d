// SPDX-License-Identifier: GPL-2.0
/* Any offset and length to a backend that takes little at once: chunks of 64 KiB, 4 KiB of alignment, 128 KiB at most. */
#include <errno.h>

#include "source.h"
#include "tap.h"

#define SPACE	(4u << 20)
#define MOST	(128u << 10)

static struct {
	struct backend backend;
	char bytes[SPACE];
	unsigned int nr, longest, most_at_once, at_once, fail_after;
	bool later;
} small;

struct small_req {
	struct loop_work work;
};

static void small_do(struct backend_req *req)
{
	char *at = small.bytes + req->offset;

	small.at_once--;
	if (small.fail_after && !--small.fail_after) {
		backend_done(req, -EIO);
		return;
	}
	if (req->op == BACKEND_WRITE)
		memcpy(at, req->data, req->length);
	else if (req->op == BACKEND_READ)
		memcpy(req->data, at, req->length);
	backend_done(req, 0);
}

static int small_work(struct loop_work *work)
{
	return 0;
}

static void small_worked(struct loop_work *work, int res)
{
	small_do(backend_req_of(container_of(work, struct small_req, work)));
}

static void small_submit(struct backend *backend, struct backend_req *req)
{
	struct small_req *mine = backend_private(req, struct small_req);

	small.nr++;
	small.at_once++;
	small.most_at_once = small.at_once > small.most_at_once ? small.at_once : small.most_at_once;
	small.longest = req->length > small.longest ? (unsigned int)req->length : small.longest;
	if (!small.later) {
		small_do(req);
		return;
	}
	mine->work.work = small_work;
	mine->work.done = small_worked;
	loop_work(req->loop, &mine->work);
}

static const struct backend_ops small_ops = { .scheme = "small", .submit = small_submit };

static void check_random(const char *how)
{
	static char model[SPACE], data[SPACE];
	bool right = true;

	memset(small.bytes, 0, SPACE);
	memset(model, 0, SPACE);
	for (unsigned int i = 0; i < 300; i++) {
		uint64_t from = (uint64_t)random() % SPACE, len = (uint64_t)random() % (SPACE - from) % (1u << (10 + random() % 13)) + 1;

		if (random() % 2) {
			memset(data, (int)random(), len);
			memcpy(model + from, data, len);
			right &= !ask(&small.backend, BACKEND_WRITE, from, len, data);
		} else {
			right &= !ask(&small.backend, BACKEND_READ, from, len, data) && !memcmp(data, model + from, len);
		}
	}
	tap_ok(right && !memcmp(model, small.bytes, SPACE), "%s: any offset and length", how);
	tap_ok(small.longest <= MOST, "%s: nothing is longer than it takes", how);
}

/* What READ may be given instead of a copy holds for the whole alone. */
static void check_read(void)
{
	static char data[1u << 20];
	struct ask ask;

	memset(small.bytes, 3, sizeof(data));
	ask_start_with(&ask, &small.backend, BACKEND_ZERO_NULL | BACKEND_ANY_ADDR, BACKEND_READ, 0, sizeof(data), data);
	tap_ok(!ask_wait(&ask) && ask.req.data == data && data[0] == 3 && !memcmp(data, small.bytes, sizeof(data)),
	       "a long READ comes to where it was asked to");
}

static void check_errors(void)
{
	static char data[1u << 20];

	small.fail_after = 3;
	small.nr = 0;
	tap_number(ask(&small.backend, BACKEND_WRITE, 0, sizeof(data), data), -EIO, "one part's error is the whole's");
	tap_ok(small.nr < 8 && !small.at_once, "it ends when all parts have, and begins no more");
	tap_number(ask(&small.backend, BACKEND_WRITE, 0, sizeof(data), data), 0, "the next one is not touched by it");
}

int main(void)
{
	source_begin();
	small.backend.ops = &small_ops;
	small.backend.caps = (struct backend_caps){ .size = SPACE, .chunk = 64u << 10, .align = 4096, .max_request = MOST };
	check_random("at once");
	small.later = true;
	check_random("later");
	tap_ok(small.most_at_once > 1, "parts are under way together");
	check_read();
	check_errors();
	source_end();
	return tap_end();
}
