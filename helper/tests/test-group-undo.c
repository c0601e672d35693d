// SPDX-License-Identifier: GPL-2.0
/* What an earlier helper has left of a group is ended, by itself or by the user's word, and something else comes meanwhile. */
#include "group-hosts.h"

static json_t *forced(const char *name)
{
	return json_pack("{s:s,s:b}", "region", name, "force", 1);
}

static bool is_seeded(struct host *host)
{
	for (unsigned int i = 0; i < nr; i++)
		if (handover_in(region_find_path(host->regiond->regions, names[i]), HANDOVER_SEEDER))
			return true;
	return false;
}

static void kill_a(void)
{
	cut();
	host_kill(a);
	memset(&fault, 0, sizeof(fault));
}

/* It was being frozen. */
static void test_going_back(void)
{
	struct user user, finalizing;

	begin("back", 2);
	leech(&user);
	fault.handed_held = "log";
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(fault.held) && !finalizing.done, "A's helper is killed before one is noted as handed over");
	kill_a();
	host_start(a);
	a->kernel.hold = REGIONFS_CMD_THAW;
	seeder_restart(a->regiond);
	tap_ok(until(!list_empty(&a->kernel.held)), "the next one lets them go on");
	tap_number(host_do(a, "abort", forced("log")), -EBUSY, "which is not done twice");
	host_release(a);
	tap_ok(until(none_has(a, REGIONFS_REGION_FROZEN)) && until(runs(a, "resumed")), "until they do");
	tap_ok(until(finalizing.done) && !finalizing.error, "B comes back, and it is handed over: %s", finalizing.said);
	is_bs(&user);
	tap_number(runs(a, "resumed"), 1, "the program on A went on once");
}

/* Is each still one that was handed over, and whose other side has not told that all of it came? */
static bool all_left(void)
{
	bool left = true;

	for (unsigned int i = 0; i < nr; i++) {
		struct region *region = region_find_path(a->regiond->regions, names[i]);

		left &= region && seeder_is_left(&region->info);
		if (region)
			region_put(region);
	}
	return left;
}

/* Its address is taken when the next helper comes; it has moved, as a record says, and B is lost. */
static void try_lost(const char *name)
{
	struct user user, finalizing;

	begin(name, 2);
	leech(&user);
	host_begin(b, &finalizing, "finalize", one("db"));
	tap_ok(until(all_have(a, REGIONFS_REGION_MOVED)), "B owns a group");
	kill_b();
	kill_a();
	mkdir(socket_path, 0700);
	host_start(a);
}

/* B may have had all of it before it was lost: then there is nothing to give up, and it is done once more. */
static void begin_lost(const char *name)
{
	char again[64];

	try_lost(name);
	for (int i = 0; i < 50 && !all_left(); i++) {
		rmdir(socket_path);
		snprintf(again, sizeof(again), "%s-%d", name, i);
		try_lost(again);
	}
	seeder_restart(a->regiond);
}

/* The retry comes while the kernel is told. */
static void test_seeded_meanwhile(void)
{
	struct user aborting;

	begin_lost("retry");
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(a, &aborting, "abort", forced("log"));
	tap_ok(until(!list_empty(&a->kernel.held)) && !aborting.done, "it is given up");
	rmdir(socket_path);
	pass(2200);
	tap_ok(!is_seeded(a), "it is not seeded meanwhile, though it could be");
	host_release(a);
	tap_ok(until(aborting.done) && !aborting.error, "then it is over: %s", aborting.said);
	pass(1200);
	tap_ok(!is_seeded(a) && all_have(a, REGIONFS_REGION_MOVED) && until(none_has(a, REGIONFS_REGION_FROZEN)), "for good, and nobody is let in");
}

/* The kernel does not take it of one. */
static void test_not_told(void)
{
	begin_lost("untold");
	for (unsigned int i = 0; i < nr; i++)
		host_region(a, names[i])->flags &= ~REGIONFS_REGION_MOVED;
	a->kernel.refuse_moved = host_region(a, "log")->id;
	tap_ok(host_do(a, "abort", forced("db")) < 0 && all_have(a, REGIONFS_REGION_FROZEN), "the kernel does not know that one has moved: none is given up");
	a->kernel.refuse_moved = 0;
	tap_number(host_do(a, "abort", forced("db")), 0, "when it does, all are");
	tap_ok(all_have(a, REGIONFS_REGION_MOVED) && until(none_has(a, REGIONFS_REGION_FROZEN)), "as what has moved");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_going_back();
	test_seeded_meanwhile();
	test_not_told();
	return hosts_end();
}
