// SPDX-License-Identifier: GPL-2.0
/*
 * A region has moved from A to B with its source, which is C's: what A's other regions, its next helpers and its next boots make of that, and which sources are
 * not taken.
 */
#include <sched.h>
#include <sys/mount.h>

#include "adopt-hosts.h"
#include "managed-mark.h"
#include "moved.h"

/* ---- A's other regions ---- */

#define OTHERS 12u		/* more than a flush has under way at once, and in an order of its own */

static void other_path(unsigned int nr, char *path, size_t len)
{
	snprintf(path, len, "%s/other-%u", a->run, nr);
}

/* Managed ones of A's that do not move: each file is of 7s, its first chunk is 3 by now. */
static void add_others(void)
{
	char path[160], source[192];

	for (unsigned int i = 0; i < OTHERS; i++) {
		other_path(i, path, sizeof(path));
		snprintf(source, sizeof(source), "file:%s?direct=no", path);
		make_file(path, 7);
		if (write_chunk(a, host_add(a, strrchr(path, '/') + 1, source, SIZE)->id, 0, 3))
			exit(83);
	}
}

static unsigned int others_pushed(void)
{
	unsigned int pushed = 0;
	char path[160], byte;

	for (unsigned int i = 0; i < OTHERS; i++) {
		int fd;

		other_path(i, path, sizeof(path));
		fd = open(path, O_RDONLY);
		if (fd < 0 || pread(fd, &byte, 1, 0) != 1)
			exit(84);
		close(fd);
		pushed += byte == 3;
	}
	return pushed;
}

static void test_others(void)
{
	struct user finalizing, user;
	char go[128];

	is_in_memory = true;
	begin_adopt("others");
	is_in_memory = false;
	hand_over_slowly(&finalizing, go, sizeof(go));
	tap_ok(until(reads_only(a)) && region_unpushed(region_of(a)), "a region has moved with its source, of which A has in memory what C has not got");
	add_others();
	host_begin(a, &user, "sync", json_object());
	barriers_release(a->regiond->barriers);
	tap_ok(until(user.done) && user.error == -EBUSY && strstr(user.said, "db was handed"), "sync of all is refused for it: %s", user.said);
	tap_number(others_pushed(), OTHERS, "when all others have been pushed");
	close(open(go, O_CREAT | O_WRONLY, 0600));
	tap_ok(until(host_is(a, "db", "complete")), "it is complete");
}

/* A flush that waits for the pusher of one that is being handed over. */
static void test_handed_meanwhile(void)
{
	struct user finalizing, user, syncing;

	begin_adopt("meanwhile");
	leech_adopting_once(&user, "all of a region has come once");
	add_others();
	host_begin(a, &syncing, "sync", json_object());
	pass(100);
	tap_ok(!syncing.done, "sync waits for its pusher");
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(host_is(a, "db", "complete")), "it is handed over");
	barriers_release(a->regiond->barriers);
	tap_ok(until(syncing.done) && !syncing.error, "sync leaves it to B: %s", syncing.said);
	tap_number(others_pushed(), OTHERS, "and pushes the others");
}

/* ---- A's next boots and helpers ---- */

static void test_booted_twice(void)
{
	struct user finalizing;
	struct kernel_region *again;
	char go[128];

	is_in_memory = true;
	begin_adopt("twice");
	is_in_memory = false;
	hand_over_slowly(&finalizing, go, sizeof(go));
	cut();
	boot(a);
	again = host_region(a, "db");
	tap_number(host_request(a, again ? again->id : 1, BACKEND_READ, 0, SIZE, bytes), -EIO, "A is booted, which loses what it had in memory");
	pass(300);
	restart_a_with_barriers();
	tap_number(host_request(a, again ? again->id : 1, BACKEND_READ, 0, SIZE, bytes), -EIO,
		   "its next helper, too, gives nobody bytes that are too old");
}

/* What is beside A's store when that is no region's any more. */
static void mark_of_a(char *mark, size_t len)
{
	char store[128], dir_of[256];

	snprintf(store, sizeof(store), "%s/store", a->run);
	managed_mark_dir(store, b_source, dir_of, sizeof(dir_of));
	snprintf(mark, len, "%s.leech", dir_of);
}

static void test_marked(void)
{
	struct user finalizing;
	char go[128], mark[300];

	begin_adopt("marked");
	hand_over_slowly(&finalizing, go, sizeof(go));
	mark_of_a(mark, sizeof(mark));
	if (mkdir(mark, 0700))
		exit(82);
	close(open(go, O_CREAT | O_WRONLY, 0600));
	pass(1500);
	tap_ok(host_is(a, "db", "moved") && is_managed_at_b(), "as long as A's store can't be marked as another host's A has not heard that all of it is at B");
	if (rmdir(mark))
		exit(81);
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "then it has");
	tap_ok(!access(mark, F_OK), "and it is marked");
	host_kill(a);
	pass(100);
	unlink(mark);
	host_boot(a);
	tap_ok(!host_region(a, "db") && !access(mark, F_OK), "an older helper may not have done so: that is made up for when its region is forgotten");
}

/* A's file of declared regions has it, and another one that stays. */
static struct config_region declared, kept;

static void move_declared(const char *name, char *other, size_t len)
{
	struct user user;

	is_direct = true;
	begin_adopt(name);
	is_direct = false;
	snprintf(other, len, "file:%s/kept", a->run);
	declared = (struct config_region){ .path = (char *)"db", .source = b_source, .size = SIZE, .mode = 0640, .managed = MANAGED_NO };
	kept = (struct config_region){ .next = &declared, .path = (char *)"kept", .source = other, .size = SIZE, .mode = 0640, .managed = MANAGED_NO };
	a->config.regions = &kept;
	leech_adopting_once(&user, "all of a declared region has come once");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()), "and complete");
	host_kill(b);
	tap_ok(until(writer() == '-'), "B is away for a while");
}

static void test_declared(void)
{
	char file[160], other[160];

	move_declared("declared", other, sizeof(other));
	boot(a);
	tap_ok(!host_region(a, "db") && host_region(a, "kept"), "A is booted: it is not made there again, but another one is");
	boot(a);
	tap_ok(!host_region(a, "db") && host_region(a, "kept"), "nor is it at the next boot, when the records do not know of it any more");
	tap_ok(moved_is(&a->config, "db", file, sizeof(file)), "a file says why");
	host_add(a, "db", other, SIZE);
	tap_ok(!moved_is(&a->config, "db", file, sizeof(file)), "until it is added by hand");
	a->config.regions = NULL;
}

/* A file that cannot be made: it is a link to where there is nothing. */
static void test_declared_unnoted(void)
{
	char file[160], other[160];

	move_declared("unnoted", other, sizeof(other));
	moved_is(&a->config, "db", file, sizeof(file));
	if (symlink("/nowhere/at/all", file))
		exit(80);
	boot(a);
	tap_ok(!host_region(a, "db") && host_region(a, "kept"), "what can't be written down as moved is not made at this boot, all others are");
	unlink(file);
	a->config.regions = NULL;
}

/* It was removed there when it had moved. */
static void test_declared_removed(void)
{
	struct user user;

	is_direct = true;
	begin_adopt("declrm");
	is_direct = false;
	declared = (struct config_region){ .path = (char *)"db", .source = b_source, .size = SIZE, .mode = 0640, .managed = MANAGED_NO };
	a->config.regions = &declared;
	leech_adopting_once(&user, "all of a declared region has come once");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(host_is(a, "db", "complete")) && until(is_managed_at_b()) && until(!is_on(from, REGIONFS_REGION_FROZEN)), "and complete");
	tap_number(host_do(a, "rm", db()), 0, "it is removed at A");
	host_kill(b);
	tap_ok(until(writer() == '-'), "B is away for a while");
	boot(a);
	tap_ok(!host_region(a, "db"), "and not made there again");
	a->config.regions = NULL;
}

/* ---- what is not taken ---- */

static void test_read_only(void)
{
	char local[128], source[256], path[160], at[128];
	struct user user;

	begin_adopt("readonly");
	snprintf(local, sizeof(local), "file:%s/store", b->run);
	snprintf(at, sizeof(at), "%s/ro", c->run);
	snprintf(path, sizeof(path), "%s/file", at);
	mkdir(at, 0700);
	make_file(path, 7);
	if (mount(at, at, NULL, MS_BIND, NULL) || mount(NULL, at, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL)) {
		tap_ok(true, "nothing can be mounted here # SKIP");
		return;
	}
	snprintf(source, sizeof(source), "file:%s?direct=no", path);
	leech_with(&user, json_pack("{s:s,s:s,s:b}", "local_source", source, "local", local, "managed", 1));
	tap_ok(until(user.done) && user.error == -EROFS && strstr(user.said, "can't be written"), "a file that B can't write is not taken: %s", user.said);
	tap_ok(until(!host_region(b, "db")), "nothing is left of it");
	umount2(at, MNT_DETACH);
}

/* ---- two owners ---- */

/* What A has to write before it can be frozen goes to its source alone. */
static void test_diverged(void)
{
	struct user user;

	is_direct = true;
	begin_adopt("twoowners");
	is_direct = false;
	leech_adopting_once(&user, "all of a direct region has come once");
	own_twice();
	hide();
	start_with_barriers(b);
	leecher_restart(b->regiond);
	pass(300);
	tap_ok(writer() != 'b', "B's next one does not write C: A has not heard that it is B's");
	a->kernel.refuse_freeze = from->id;
	unhide();
	tap_ok(until(host_is(b, "db", "diverged") && host_is(a, "db", "diverged")) && until(is_on(to, REGIONFS_REGION_FROZEN)), "they meet: both know");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN), "A has something to write before it can be frozen");
	pass(500);
	tap_ok(writer() != 'b', "which B leaves to it, as long as B's operator has not decided");
	a->kernel.refuse_freeze = 0;
	tap_ok(until(is_on(from, REGIONFS_REGION_FROZEN)) && region_is_handed(region_of(a)), "A's is frozen later");
	tap_number(host_resolve(b, db_with("discard")), 0, "B gives up its own");
	tap_ok(writer() != 'b', "and never had C");
	tap_number(host_resolve(a, db_with("keep")), 0, "A keeps its own");
	tap_ok(!write_chunk(a, from->id, 2, 4) && !strcmp(c_says(), "1747"), "which is written to C");
}

int main(void)
{
	if (!adopt_hosts_open())
		return 1;
	test_others();
	test_handed_meanwhile();
	test_booted_twice();
	test_marked();
	test_declared();
	test_declared_unnoted();
	test_declared_removed();
	test_read_only();
	test_diverged();
	return adopt_hosts_end();
}
