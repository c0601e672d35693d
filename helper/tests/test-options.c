// SPDX-License-Identifier: GPL-2.0
/* Mount options: flags, what the file system gets, what regiond gets; and mountinfo. */
#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tap.h"
#include "../mountinfo.h"
#include "../options.h"

static struct regionfs_options options;
static char message[256];

static int parse(const char *text)
{
	regionfs_options_free(&options);
	regionfs_options_init(&options);
	message[0] = '\0';
	return regionfs_options_add(&options, text, message, sizeof(message));
}

static void check_flags(void)
{
	tap_number(parse("defaults"), 0, "defaults are understood");
	tap_number((long long)options.flags, 0, "and mean no flags");
	parse("ro,nosuid,nodev,noatime");
	tap_number((long long)options.flags, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME, "flags");
	parse("ro,nosuid,rw,suid");
	tap_number((long long)options.flags, 0, "what comes later counts");
	parse("_netdev,nofail,auto,x-systemd.requires=a.service,comment=x,user,,");
	tap_ok(!options.flags && !*options.data && !options.nr_args,
	       "what is for mount and systemd is left out");
}

static void check_split(void)
{
	parse("rw,release,source=peer://h:1/a?b=c,state=/s,foo=bar,queues=4");
	tap_is(options.data, "release,foo=bar", "unknown ones go to the file system");
	tap_number((long long)options.nr_args, 3, "three go to regiond");
	tap_is(options.args[0], "--source=peer://h:1/a?b=c", "the source");
	tap_is(options.args[1], "--state=/s", "the state directory");
	tap_is(options.args[2], "--queues=4", "the queues");
	tap_ok(!options.args[3], "and a NULL ends them");
	parse("source=\"dir:/a,b\",ro");
	tap_ok(options.nr_args == 1 && !strcmp(options.args[0], "--source=dir:/a,b") &&
	       options.flags == MS_RDONLY, "a comma in quotes belongs to the value");
	parse("managed,local=memory,pull-rate=5M,\"pull-order=profile:/a,only\"");
	tap_ok(options.nr_args == 4 && !strcmp(options.args[0], "--managed") && !strcmp(options.args[1], "--local=memory") &&
	       !strcmp(options.args[3], "--pull-order=profile:/a,only"), "managed mounts are regiond's");
	tap_is(options.data, "", "and nothing of that the file system's");
	parse("managed=no");
	tap_ok(options.nr_args == 1 && !strcmp(options.args[0], "--managed=no"), "managed has a value or none");
	parse("sources=x");
	tap_is(options.data, "sources=x", "a longer name is another option");
	parse("source");
	tap_is(options.data, "source", "an option without its value is not ours");
}

static void check_own(void)
{
	parse("");
	tap_ok(options.drain_ms == REGIONFS_DRAIN_DEFAULT_MS && !options.has_drain, "drain's default");
	parse("drain=5m,helper=/opt/regiond");
	tap_ok(options.drain_ms == 300000 && options.has_drain, "drain");
	tap_is(options.helper, "/opt/regiond", "helper");
	tap_ok(!options.no_helper, "which is to be started");
	parse("helper=none");
	tap_ok(options.no_helper, "helper=none");
	tap_number(parse("drain=soon"), -EINVAL, "a drain that is no time is refused");
	tap_is(message, "option 'drain=soon' is no duration: write drain=60s", "with a sentence");
}

static void check_limits(void)
{
	char text[8192];

	memset(text, 'x', 5000);
	text[5000] = '\0';
	tap_number(parse(text), -E2BIG, "options that mount(2) could not take are refused");
	text[0] = '\0';
	for (int i = 0; i < 70; i++)
		strcat(text, "queues=1,");
	tap_number(parse(text), -E2BIG, "more arguments than regiond is given are refused");
}

static const char mountinfo[] =
	"22 1 0:20 / /proc rw shared:5 - proc proc rw\n"
	"40 1 0:41 / /mnt/a rw,relatime shared:7 master:2 - regionfs demo rw\n"
	"41 1 0:42 / /mnt/b\\040c rw - regionfs two rw\n"
	"42 1 0:43 / /mnt/d rw - regionfs hidden rw\n"
	"43 1 0:44 / /mnt/d rw - tmpfs tmpfs rw\n"
	"44 1 0:45 / /mnt/e rw - tmpfs tmpfs rw\n"
	"45 1 0:46 / /mnt/e rw - regionfs ontop rw\n"
	"46 1 0:42 /dir /mnt/f rw - regionfs two rw\n"
	"47 46 0:47 / /mnt/a/tmp rw - tmpfs tmpfs rw\n"
	"broken line\n";

static void check_inside(const char *file, const char *path, const char *wanted)
{
	char source[64] = "", inside[64] = "", got[256];
	int err = regionfs_mount_of(file, path, source, inside, sizeof(source));

	snprintf(got, sizeof(got), "%d %s %s", err, err ? "" : source, err ? "" : inside);
	tap_is(got, wanted, path);
}

static void check_mount_of(const char *file)
{
	char none[32];

	snprintf(none, sizeof(none), "%d  ", -ENOENT);
	check_inside(file, "/mnt/a/dir/db", "0 demo /dir/db");
	check_inside(file, "/mnt/a", "0 demo ");
	check_inside(file, "/mnt/b c/db", "0 two /db");
	check_inside(file, "/mnt/e/db", "0 ontop /db");
	check_inside(file, "/mnt/f/db", "0 two /dir/db");
	check_inside(file, "/mnt/a/tmp/db", none);
	check_inside(file, "/mnt/d/db", none);
	check_inside(file, "/mnt/ab/db", none);
	check_inside(file, "/proc/1", none);
}

static void check_mount_target(const char *file)
{
	char target[64] = "";

	tap_ok(!regionfs_mount_target(file, "two", target, sizeof(target)) && !strcmp(target, "/mnt/b c"),
	       "an instance's mount is found, and it is one of the whole");
	tap_number(regionfs_mount_target(file, "hidden", target, sizeof(target)), -ENOENT, "one that is hidden is not");
	tap_number(regionfs_mount_target(file, "none", target, sizeof(target)), -ENOENT, "nor one that there isn't");
	tap_number(regionfs_mount_target("/nowhere", "two", target, sizeof(target)), -ENOENT, "without a list there is none");
}

static void check_mountinfo(void)
{
	char path[] = "/tmp/test-options.XXXXXX", source[64] = "";
	int fd = mkstemp(path);

	if (write(fd, mountinfo, sizeof(mountinfo) - 1) < 0)
		perror(path);
	close(fd);
	tap_ok(!regionfs_mount_source(path, "/mnt/a", source, sizeof(source)) &&
	       !strcmp(source, "demo"), "a mount is found by its directory");
	tap_ok(!regionfs_mount_source(path, "/mnt/b c", source, sizeof(source)) &&
	       !strcmp(source, "two"), "also one with a blank in its name");
	tap_ok(!regionfs_mount_source(path, "/mnt/e", source, sizeof(source)) &&
	       !strcmp(source, "ontop"), "the one on top counts");
	tap_number(regionfs_mount_source(path, "/mnt/d", source, sizeof(source)), -ENOENT,
		   "one that is hidden does not");
	tap_number(regionfs_mount_source(path, "/mnt", source, sizeof(source)), -ENOENT,
		   "what is no mount is none");
	check_mount_of(path);
	check_mount_target(path);
	unlink(path);
}

int main(void)
{
	check_flags();
	check_split();
	check_own();
	check_limits();
	check_mountinfo();
	regionfs_options_free(&options);
	return tap_end();
}
