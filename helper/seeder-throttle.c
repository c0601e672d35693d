// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: THROTTLE. A leecher that is asked to may have the programs here slowed, so that it can catch up. That must end with what it was for:
 * when the region is frozen, or is not to be any more, when the leecher goes or gives up, and, since all of that may be missed, when it has
 * not said so again for LEASE_NS. The kernel forgets it with this helper.
 *
 * It does not end with FINALIZE: until the program has been stopped, or the region frozen, that would change in some milliseconds all that
 * has been caught up with. But a program that is told to stop may have much to write first: for that it is not slowed for longer than STOP_NS.
 */
#include <errno.h>

#include "log.h"
#include "regiond.h"
#include "seeder-private.h"

#define LEASE_NS	(10 * 1000000000ULL)
#define STOP_NS		(1 * 1000000000ULL)

static void throttle(struct seeder *seeder, uint64_t bytes_per_second)
{
	uint64_t before = seeder->gauge.throttle;

	seeder->gauge.throttle = bytes_per_second;
	seeder->gauge.throttle_at = loop_now_ns();
	if (bytes_per_second == before)
		return;
	region_limit_writers(seeder->handover.region, REGION_RATE_SEEDER, bytes_per_second);
	if (!bytes_per_second)
		log_info("seeding %s: its writers are as fast as they like again", seeder_name(seeder));
	else if (!before)
		log_info("seeding %s: its writers are slowed to %llu bytes a second, since %s cannot keep up", seeder_name(seeder),
			 (unsigned long long)bytes_per_second, seeder->peer);
}

void seeder_unthrottle(struct seeder *seeder)
{
	if (seeder->gauge.throttle && seeder->handover.region)
		throttle(seeder, 0);
}

void seeder_check_throttle(struct seeder *seeder)
{
	uint64_t now = loop_now_ns();
	bool may = seeder->session && !seeder->handover.over;

	if (seeder->state == WIRE_SEED_FROZEN)
		may &= now - seeder->asked < STOP_NS;
	else
		may &= seeder->state == WIRE_SEED_TRACKING && now - seeder->gauge.throttle_at < LEASE_NS;
	if (!may)
		seeder_unthrottle(seeder);
}

void seeder_take_throttle(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	struct wire_throttle wanted;

	if (wire_decode(WIRE_S_THROTTLE, body, len, &wanted) < 0) {
		serve_fail(req, -EPROTO, "not a THROTTLE");
		return;
	}
	if (wanted.rate && (seeder->state != WIRE_SEED_TRACKING || seeder->handover.over)) {
		serve_fail(req, -EINVAL, "it is %s", wire_seed_state_name(seeder->state));
		return;
	}
	throttle(seeder, wanted.rate);
	serve_reply(req, 0, NULL, 0);
}
