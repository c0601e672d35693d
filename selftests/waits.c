// SPDX-License-Identifier: GPL-2.0
/* How long accesses waited for READs is counted, each wait once, by its length; accesses that find their bytes count nothing. */
#include "lib/app.h"
#include "lib/env.h"

#define HELD	300	/* ms, at least */
#define BUCKET	18	/* from 262 ms on */

static struct env e;
static uint64_t id, waits[REGIONFS_WAITS_BUCKETS];
static char path[128];

/* Their sum; region 0: of the instance. */
static uint64_t ask(uint64_t region)
{
	uint64_t sum = 0;

	env_ask(&e, region ? REGIONFS_CMD_REGION_GET : REGIONFS_CMD_INSTANCE_GET, region);
	must(env_call(&e) == 0 && e.r.a[REGIONFS_A_WAITS]);
	must(e.r.a[REGIONFS_A_WAITS]->nla_len == NLA_HDRLEN + sizeof(waits));
	memcpy(waits, (char *)e.r.a[REGIONFS_A_WAITS] + NLA_HDRLEN, sizeof(waits));
	for (int i = 0; i < REGIONFS_WAITS_BUCKETS; i++)
		sum += waits[i];
	return sum;
}

static uint64_t long_ones(void)
{
	uint64_t sum = 0;

	for (int i = BUCKET; i < REGIONFS_WAITS_BUCKETS; i++)
		sum += waits[i];
	return sum;
}

static void hold(enum app_what what, uint64_t offset)
{
	uint64_t before = ask(id), longer = long_ones(), ns = env_stat(&e, id, REGIONFS_STAT_WAIT_NS);
	uint32_t from = fh_mark(e.fh);
	long long begun;
	pid_t pid;

	fh_rule(e.fh, REGIONFS_OP_READ, id, 0, 0, FH_HOLD, 0, -1);
	pid = app_start(path, what, offset, 4096, 1);
	must(fh_wait(e.fh, from, REGIONFS_OP_READ, id, offset, 4096, FH_HELD, SOON) >= 0);
	ok(wait_asleep(pid, SOON), "a %s waits", app_name(what));
	begun = now_ms();
	is(ask(id), before, "that is not counted yet");
	while (now_ms() < begun + HELD)
		usleep(10000);
	fh_clear(e.fh);
	must(fh_release_all(e.fh) >= 0);
	is(reap(pid, SOON), 0, "answered: the %s goes on", app_name(what));
	is(ask(id), before + 1, "it is counted once");
	is(long_ones(), longer + 1, "as long as it was");
	ok(env_stat(&e, id, REGIONFS_STAT_WAIT_NS) >= ns + HELD * 1000000ull, "its time is added");
	is(env_stat(&e, id, REGIONFS_STAT_WAITS), before + 1, "and its number");
	if (what == APP_DIRECT_READ)
		return;
	is(app_run(path, what, offset, 4096, 1), 0, "a %s that finds its bytes", app_name(what));
	is(ask(id), before + 1, "is not counted");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "waits");
	id = env_filled(&e, "r", 64 * MiB, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	is(ask(id), 0, "nobody has waited");
	hold(APP_READ, 0);
	hold(APP_MAP_READ, 16 * MiB);
	hold(APP_MAP_WRITE, 32 * MiB);
	hold(APP_DIRECT_READ, 48 * MiB);
	is(ask(0), ask(id), "the instance has the sum");
	return tap_done();
}
