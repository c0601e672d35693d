// SPDX-License-Identifier: GPL-2.0
/*
 * A region has moved from A to B with its source, which is C's: what A's other regions, its next helpers and its next boots make of that, and which sources are
 * not taken.
 */
#include <sched.h>
#include <sys/mount.h>

#include "adopt-hosts.h"

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
	leech_adopting(&user, NULL, NULL);
	tap_ok(until(rounds() > 0), "all of a region has come once");
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
	host_kill(a);
	pass(100);
	start_with_barriers(a);
	seeder_restart(a->regiond);
	tap_number(host_request(a, again ? again->id : 1, BACKEND_READ, 0, SIZE, bytes), -EIO,
		   "its next helper, too, gives nobody bytes that are too old");
}

int main(void)
{
	char unmount[128];

	/* a tmpfs that is mounted goes with this process */
	if (!unshare(CLONE_NEWNS))
		(void)!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (!hosts_open())
		return 1;
	test_others();
	test_handed_meanwhile();
	test_booted_twice();
	snprintf(unmount, sizeof(unmount), "umount -l %s/*/memory 2>/dev/null", dir);
	(void)!system(unmount);
	return hosts_end();
}
