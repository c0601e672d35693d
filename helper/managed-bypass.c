// SPDX-License-Identifier: GPL-2.0
/*
 * managed: a store on a disk that is slower than its source is of no use to reads. Both are measured while they have something to do; when the store
 * takes in less than half of what comes, what is absent stays so for a while, and reads go past it. Changes go to it all the same.
 */
#include <string.h>

#include "log.h"
#include "managed-private.h"
#include "region.h"

#define ENOUGH		(32u << 20)
/* Some hundred MB/s are fast enough, whatever the source does. */
#define SLOW_NS		100000000ULL
#define AGAIN_NS	60000000000ULL

void managed_flow_begin(struct managed_flow *flow)
{
	if (!flow->busy++)
		flow->since = loop_now_ns();
}

void managed_flow_end(struct managed_flow *flow, uint64_t bytes)
{
	uint64_t now = loop_now_ns();

	flow->ns += now - flow->since;
	flow->since = now;
	flow->bytes += bytes;
	flow->busy--;
}

static void flow_forget(struct managed_flow *flow, unsigned int shift)
{
	flow->bytes = shift < 64 ? flow->bytes >> shift : 0;
	flow->ns = shift < 64 ? flow->ns >> shift : 0;
}

static bool is_slower(const struct managed_flow *store, const struct managed_flow *source)
{
	return (unsigned __int128)store->bytes * 2 * source->ns < (unsigned __int128)source->bytes * store->ns;
}

static void forget(struct managed *managed, unsigned int shift)
{
	flow_forget(&managed->bypass.source, shift);
	flow_forget(&managed->bypass.store, shift);
}

void managed_bypass_look(struct managed *managed)
{
	const struct managed_flow *store = &managed->bypass.store, *source = &managed->bypass.source;

	if (managed->bypass.until || store->bytes < ENOUGH || source->bytes < ENOUGH)
		return;
	if (managed->policy.local == LOCAL_FILE && store->ns >= SLOW_NS && is_slower(store, source)) {
		log_info("region %s: its local store is slower than its source: for a while reads go past it", managed->region->info.path);
		managed->bypass.until = loop_now_ns() + AGAIN_NS;
	} else if (store->bytes >= 2 * ENOUGH) {
		forget(managed, 1);
	}
}

bool managed_bypassed(struct managed *managed)
{
	if (managed->bypass.until && loop_now_ns() >= managed->bypass.until) {
		managed->bypass.until = 0;
		forget(managed, 64);
	}
	return managed->bypass.until;
}
