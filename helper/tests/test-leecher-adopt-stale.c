// SPDX-License-Identifier: GPL-2.0
/*
 * A region moves from A to B with its source, C's. What B had of a chunk some rounds ago is in its store, while C, and nobody else, may have what it is: B pushes nothing
 * before it has all, and never what it has not.
 */
#include "adopt-hosts.h"

/* What was changed last comes when a test says so. */
void __wrap_leech_ask_lasts(struct leech *leech);
void __wrap_leech_hurry(struct leech *leech, uint64_t first, uint64_t count);

void __wrap_leech_ask_lasts(struct leech *leech)
{
}

void __wrap_leech_hurry(struct leech *leech, uint64_t first, uint64_t count)
{
}

/* What it has just said of itself may not be over yet. */
static int resolve(struct host *host, const char *flag, bool force)
{
	return host_resolve(host, json_pack("{s:s,s:b,s:b}", "region", "db", flag, 1, "force", force));
}

/*
 * A is direct, so that what its program writes is at C alone. B has all as it was; then chunk 1 becomes 2, and B owns the region, without that: A does not answer
 * OWNED.
 */
static void own_without(const char *name, bool in_memory)
{
	static struct user user, finalizing;
	char store[128];

	is_direct = is_hasty = true;
	begin_adopt(name);
	is_in_memory = in_memory;
	store_of(b, store, sizeof(store));
	leech_adopting(&user, NULL, NULL);
	is_direct = is_hasty = is_in_memory = false;
	tap_ok(until(rounds() > 0), "all of a region has come once");
	tap_number(write_chunk(a, from->id, 1, 2), 0, "a chunk of it is changed, which only C has");
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(host_is(b, "db", "owned") && !list_empty(&a->kernel.held)), "it is B's, which has not got that");
	tap_ok(!chunkmap_present(leech_map(leech_of(region_of(b)->backend)), 1), "as it knows");
}

static void test_held(void)
{
	own_without("held", false);
	tap_number(write_chunk(b, to->id, 3, 5), 0, "B's program changes another one");
	pass(1500);
	tap_is(c_says(), "1277", "B pushes nothing");
	host_release(a);
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "all of it comes");
	tap_is(reads(b, to->id), "1275", "nothing that was changed is lost at B");
	tap_ok(!flush(b) && !strcmp(c_says(), "1275"), "nor at C");
}

/* A's helper is killed, and does not come back: C's is the last copy. */
static void test_lost(void)
{
	own_without("lost", false);
	cut();
	host_kill(a);
	tap_number(resolve(b, "source_lost", false), 0, "A is lost for good");
	tap_number(write_chunk(b, to->id, 3, 5), 0, "B's program changes another one");
	tap_ok(until(!strcmp(c_says(), "1275")), "what B has is pushed, and what it has not got C keeps: %s", c_says());
	tap_number(host_request(b, to->id, BACKEND_READ, CHUNK, CHUNK, bytes), -EIO, "which nobody reads as it was");
	restart_b();
	tap_ok(until(managed_at(b) || host_is(b, "db", "owned")), "B's helper is killed");
	pass(500);
	tap_is(c_says(), "1275", "the next one does not push it either");
	tap_number(write_chunk(b, to->id, 1, 6), 0, "it is overwritten");
	tap_ok(until(is_managed_at_b()) && until(!flush(b)) && !strcmp(c_says(), "1675"), "then it is pushed");
}

/* What C's file has at a place. */
static int c_byte(uint64_t offset)
{
	unsigned char byte = 0;
	int fd = open(c_file, O_RDONLY);
	bool any = pread(fd, &byte, 1, (off_t)offset) == 1;

	close(fd);
	return any ? byte : -1;
}

static int write_line(struct host *host, uint64_t id, uint64_t offset, char value)
{
	memset(bytes, value, 1000);
	return host_request(host, id, BACKEND_WRITE, offset, 1000, bytes);
}

/* A log file: its last chunk came as far as it went then. */
static void test_grown(void)
{
	struct user user, finalizing;

	is_direct = is_hasty = true;
	begin_adopt("grown");
	tap_number(write_line(a, from->id, SIZE, 3), 0, "a region ends in the middle of a chunk");
	from->size = SIZE + 1000;
	leech_adopting(&user, NULL, NULL);
	is_direct = is_hasty = false;
	tap_ok(until(rounds() > 0), "all of it has come once");
	tap_number(write_line(a, from->id, SIZE + 1000, 4), 0, "it grows");
	from->size = SIZE + 2000;
	a->kernel.hold = REGIONFS_CMD_MOVED;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(host_is(b, "db", "owned") && !list_empty(&a->kernel.held)), "it is B's, without that");
	cut();
	host_kill(a);
	tap_number(resolve(b, "source_lost", false), 0, "A is lost for good");
	tap_ok(!write_chunk(b, to->id, 2, 5) && until(!strcmp(c_says(), "1757")), "what B has is pushed");
	tap_number(c_byte(SIZE), 3, "C keeps its last chunk");
	tap_number(c_byte(SIZE + 1000), 4, "to the end");
	tap_number(c_byte(SIZE + 2000), -1, "which is where it was");
}

/* What is made at B is zero, and nobody else has it: B's next helper does not wait for others. */
static void test_grown_held(void)
{
	char byte = 1;

	own_without("grownheld", false);
	tap_number(host_request(b, to->id, BACKEND_RESIZE, 0, SIZE + 2 * CHUNK, NULL), 0, "the region grows at B, while a chunk of it is missing");
	to->size = SIZE + 2 * CHUNK;
	restart_b();
	tap_ok(until(host_is(b, "db", "owned")), "B's helper is killed");
	tap_ok(!host_request(b, to->id, BACKEND_READ, SIZE + CHUNK, 1, &byte) && !byte, "the next one answers what is zero at once");
	host_release(a);
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "all of it comes");
}

/* B's helper does not hear that its operator says it of A's. */
static void diverge(void)
{
	kill_b();
	cut();
	restart_a_with_barriers();
	tap_ok(until(host_is(a, "db", "in doubt")), "A's next helper does not know that it is B's");
	tap_number(resolve(a, "i_own_it", false), 0, "its operator says that it is his");
	start_with_barriers(b);
	leecher_restart(b->regiond);
	tap_ok(until(host_is(b, "db", "diverged") && host_is(a, "db", "diverged")), "both have it");
	tap_number(resolve(a, "discard", false), 0, "A gives up its own");
}

static void test_kept(void)
{
	own_without("kept", false);
	diverge();
	b->kernel.hold = REGIONFS_CMD_REGION_SET;
	tap_number(resolve(b, "keep", true), 0, "B keeps its own, without what it has not got");
	tap_ok(!write_chunk(b, to->id, 3, 5) && until(!strcmp(c_says(), "1275")), "it is pushed, before the kernel has its source: %s", c_says());
	host_release(b);
	tap_ok(until(is_managed_at_b()), "it is a managed region there");
	tap_is(reads(b, to->id), "1275", "what it has not got is what C has");
	tap_ok(!flush(b) && !strcmp(c_says(), "1275"), "and C keeps that");
}

/* ---- in memory ---- */

/* What it had in memory is gone. */
static void boot_b(void)
{
	char command[256];

	host_kill(b);
	pass(100);
	snprintf(command, sizeof(command), "rm -rf %s/memory/* %s/leech-* %s/track-*", b->run, b->run, b->run);
	if (system(command))
		exit(87);
	b->regiond = NULL;
	host_boot(b);
	b->regiond->barriers = calloc(1, sizeof(struct barriers));
	barriers_init(b->regiond->barriers);
	to = host_region(b, "db");
	leecher_restart(b->regiond);
}

static int sync_b(void)
{
	struct user user;

	host_begin(b, &user, "sync", json_object());
	return until(user.done) ? user.error : -ETIMEDOUT;
}

static void test_lost_in_memory(void)
{
	own_without("lostmem", true);
	cut();
	host_kill(a);
	tap_number(write_chunk(b, to->id, 3, 5), 0, "B's program changes another one, in memory");
	tap_number(sync_b(), -EBUSY, "which keeps B's instance from being stopped");
	tap_number(resolve(b, "source_lost", false), 0, "A is lost for good");
	tap_ok(until(!strcmp(c_says(), "1275")), "what B has is pushed, though something stays missing: %s", c_says());
	tap_ok(until(!sync_b()), "and nothing keeps B's instance any more");
	tap_ok(!write_chunk(b, to->id, 2, 4) && !sync_b() && !strcmp(c_says(), "1245"), "what is written then is pushed, too");
	tap_number(write_chunk(b, to->id, 1, 6), 0, "what is missing is overwritten");
	tap_ok(until(is_managed_at_b()) && !strcmp(c_says(), "1645"), "it is complete when C has that");
}

/* It is not complete before C has all of it, whatever the operator says. */
static void test_kept_in_memory(void)
{
	char away[160];

	own_without("keptmem", true);
	diverge();
	snprintf(away, sizeof(away), "%s.away", c_socket);
	if (rename(c_socket, away))
		exit(89);
	break_connections(c);
	tap_number(resolve(b, "keep", false), -ENODATA, "B does not keep its own by itself, since something is missing");
	tap_number(resolve(b, "keep", true), 0, "but by force");
	tap_ok(until(!(to->flags & (REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED))), "it is let in");
	tap_ok(!write_chunk(b, to->id, 3, 5) && host_request(b, to->id, BACKEND_READ, CHUNK, CHUNK, bytes) == -EIO, "and goes on, without that");
	boot_b();
	tap_ok(!to, "B is booted before C has it: it is lost, and nobody takes what C has for it");
	tap_is(c_says(), "1277", "which keeps that");
}

static void test_kept_in_memory_whole(void)
{
	own_without("keptmem2", true);
	diverge();
	tap_number(resolve(b, "keep", true), 0, "B keeps its own");
	tap_ok(!write_chunk(b, to->id, 3, 5) && until(!strcmp(c_says(), "1275")), "it is pushed: %s", c_says());
	tap_number(write_chunk(b, to->id, 1, 6), 0, "what is missing is overwritten");
	tap_ok(until(is_managed_at_b()) && !strcmp(c_says(), "1675"), "and it is complete when C has it");
	tap_is(reads(b, to->id), "1675", "as it was");
}

/* It is handed on before it was pushed: that is the next host's. */
static void test_handed_on(void)
{
	struct leech *leech;

	own_without("handedon", true);
	leech = leech_of(region_of(b)->backend);
	managed_hand_over(managed_of(leech_local(leech)), true);
	host_release(a);
	tap_ok(until(!chunkmap_missing(leech_map(leech))), "all is here of what is being handed on");
	pass(200);
	tap_ok(!leech_record_head(leech->record)->pushing && host_is(a, "db", "moved"), "it is not pushed, nor said to be");
	managed_hand_over(managed_of(leech_local(leech)), false);
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()) && !strcmp(c_says(), "1277"), "it comes back: it is");
}

/* A has heard that it is B's. What A had of chunk 1 does not come: as if B waited to be made shorter. */
static void own_heard_without(const char *name, bool in_memory)
{
	own_without(name, in_memory);
	tap_number(write_chunk(b, to->id, 3, 5), 0, "B's program changes another chunk");
	leech_of(region_of(b)->backend)->keep_off = 1;
	host_release(a);
	tap_ok(until(leech_is_heard(leech_of(region_of(b)->backend))), "A hears of it");
	tap_ok(!chunkmap_present(leech_map(leech_of(region_of(b)->backend)), 1), "and that chunk has not come");
}

static bool has_store(void)
{
	char command[256];

	snprintf(command, sizeof(command), "test -n \"$(ls %s/store)\"", b->run);
	return !system(command);
}

/* What its program wrote goes to C, and what the store has of chunk 1 does not. */
static void test_removed(void)
{
	own_heard_without("removed", false);
	tap_ok(has_store(), "B has a store");
	tap_number(kernel_unlink(&b->kernel, to), 0, "the region is removed at B");
	tap_ok(until(!has_store()), "so is the store");
	tap_is(c_says(), "1275", "and C has what was written at either, whatever B had not got");
	tap_ok(until(host_is(a, "db", "complete")), "A hears of it");
}

static void test_removed_in_memory(void)
{
	own_heard_without("removedmem", true);
	tap_number(kernel_unlink(&b->kernel, to), 0, "the region is removed at B, where it is in memory");
	tap_ok(until(!strcmp(c_says(), "1275")), "C has what was written at either: %s", c_says());
	tap_ok(until(host_is(a, "db", "complete")), "A hears of it");
}

/* A's operator may have taken it back: what is at B is not to go over that. */
static void test_removed_unheard(void)
{
	own_without("unheard", false);
	tap_number(write_chunk(b, to->id, 3, 5), 0, "B's program changes another chunk");
	tap_number(kernel_unlink(&b->kernel, to), 0, "the region is removed at B, before A has heard that it is B's");
	tap_ok(until(!region_of(b)), "it is gone");
	tap_ok(!strcmp(c_says(), "1277") && has_store(), "C is as it was, and what was written at B stays there: %s", c_says());
	host_release(a);
	tap_ok(until(host_is(a, "db", "complete")), "A hears of it");
}

/* B's helper is killed while that is done: the next one hears nothing of the region but that it is removed. */
static void test_removed_by_next(void)
{
	char command[256];

	own_heard_without("bynext", false);
	host_kill(b);
	pass(100);
	to->linked = false;
	start_with_barriers(b);
	to->destroy = (struct backend_req){ .op = BACKEND_DESTROY, .loop = loop, .done = destroyed };
	region_submit(b->regiond->regions, to->id, &to->destroy);
	snprintf(command, sizeof(command), "test -z \"$(ls %s/leech-*.map 2>/dev/null)\"", b->run);
	tap_ok(until(!system(command)), "the next helper removes it");
	tap_ok(has_store() && !strcmp(c_says(), "1277"), "what was written at B stays there, since it does not know whether A has heard: %s", c_says());
}

/* All has come, and A does not know whose it is. */
static void test_removed_whole(void)
{
	own_heard_without("whole", false);
	tap_number(write_chunk(b, to->id, 1, 6), 0, "B's program overwrites what has not come");
	tap_number(kernel_unlink(&b->kernel, to), 0, "the region is removed at B, which has all of it");
	tap_ok(until(!strcmp(c_says(), "1675")), "it is pushed: %s", c_says());
	tap_ok(until(!has_store()), "and the store goes");
}

int main(void)
{
	if (!adopt_hosts_open())
		return 1;
	test_held();
	test_lost();
	test_removed();
	test_removed_in_memory();
	test_removed_unheard();
	test_removed_by_next();
	test_removed_whole();
	test_grown();
	test_grown_held();
	test_kept();
	test_lost_in_memory();
	test_kept_in_memory();
	test_kept_in_memory_whole();
	test_handed_on();
	return adopt_hosts_end();
}
