// SPDX-License-Identifier: GPL-2.0
/*
 * mount.regionfs: what mount(8) runs for "mount -t regionfs NAME DIR". Starts a regiond for the
 * instance where none serves it, then mounts. Called as umount.regionfs it is what umount(8) runs:
 * it has what is dirty written first, within a limit, then unmounts.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "mountinfo.h"
#include "options.h"
#include "progress.h"
#include "start.h"
#include "units.h"
#include "version.h"

/* mount(8)'s exit codes. */
#define EXIT_USAGE	1
#define EXIT_SYSTEM	2
#define EXIT_MOUNT	32

#define MODULE_DEVICE	"/dev/regionfs"

struct mounting {
	const char *program;
	const char *instance;
	const char *dir;
	struct regionfs_options options;
	const char *namespace;
	bool fake;		/* mount -f; umount -f is among umount_flags */
	bool verbose;
	bool read_only;		/* umount -r: where it is busy */
	int umount_flags;
	bool started;		/* the helper, by us */
	char message[REGIONFS_CLIENT_MESSAGE];
};

static void __attribute__((format(printf, 2, 3)))
say(const struct mounting *mounting, const char *format, ...)
{
	va_list list;

	fprintf(stderr, "%s: ", mounting->program);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

static bool is_umount(const struct mounting *mounting)
{
	return !strncmp(mounting->program, "umount", 6);
}

static int usage(const struct mounting *mounting, FILE *to)
{
	if (is_umount(mounting))
		fprintf(to, "Usage: %s DIR [-flnrv] [-N NAMESPACE] [-o drain=TIME]\n"
			"Has what is dirty written, then unmounts; mostly called by umount(8).\n",
			mounting->program);
	else
		fprintf(to, "Usage: %s NAME DIR [-sfnv] [-N NAMESPACE] [-o OPTION,...]\n"
			"Mounts instance NAME of regionfs; mostly called by mount(8).\n"
			"Options of its own: source=URI, state=DIR, queues=N, depth=N,\n"
			"drain=TIME, helper=PATH (none: the instance is there); all others as mount(8)\n"
			"has them.\n",
			mounting->program);
	return to == stderr ? EXIT_USAGE : 0;
}

/* ---- the module and the helper ---- */

/* mount(2) would load the module by itself, but regiond needs its device before. */
static int load_module(const struct mounting *mounting)
{
	static char modprobe[] = "modprobe", quiet[] = "-q", name[] = "regionfs";
	char *const argv[] = { modprobe, quiet, name, NULL };
	pid_t pid;
	int status;

	if (!access(MODULE_DEVICE, F_OK))
		return 0;
	if (!posix_spawnp(&pid, modprobe, NULL, NULL, argv, environ))
		waitpid(pid, &status, 0);
	if (!access(MODULE_DEVICE, F_OK))
		return 0;
	say(mounting, "the kernel module regionfs is not loaded, and 'modprobe regionfs' did not "
	    "help: install it ('make install', then 'depmod') or insmod it");
	return EXIT_SYSTEM;
}

/* Asks it something that has neither arguments nor an answer. */
static int call_helper(struct mounting *mounting, const char *command)
{
	struct regionfs_client client;
	json_t *result = NULL;
	int err = regionfs_client_open(&client, mounting->instance);

	if (!err)
		err = regionfs_client_call(&client, command, NULL, &result);
	snprintf(mounting->message, sizeof(mounting->message), "%s", client.message);
	json_decref(result);
	regionfs_client_close(&client);
	return err;
}

static bool helper_runs(struct mounting *mounting)
{
	return !call_helper(mounting, "ping");
}

/*
 * Another mount of the same instance may have started it at the same time: then ours is refused,
 * and theirs is fine.
 */
static bool helper_appears(struct mounting *mounting)
{
	for (int i = 0; i < 20; i++) {
		if (helper_runs(mounting))
			return true;
		usleep(100000);
	}
	return false;
}

static int start_helper(struct mounting *mounting)
{
	struct regionfs_start start = {
		.instance = mounting->instance,
		.helper = mounting->options.helper,
		.args = mounting->options.args,
		.limit_ms = REGIONFS_START_LIMIT_MS,
	};

	if (helper_runs(mounting))
		return 0;
	if (!regionfs_start(&start)) {
		mounting->started = true;
		if (mounting->verbose)
			say(mounting, "started regiond");
		return 0;
	}
	if (helper_appears(mounting))
		return 0;
	say(mounting, "cannot start regiond for instance '%s': %s", mounting->instance,
	    start.message);
	return EXIT_MOUNT;
}

/*
 * The mount did not come about: what was started for it goes again, unless it has something to
 * keep.
 */
static void undo_helper(struct mounting *mounting)
{
	if (mounting->started && call_helper(mounting, "instance.stop"))
		say(mounting, "instance '%s' is left running: %s", mounting->instance,
		    mounting->message);
}

/*
 * One that outlived its instance (a mount with "release" has ended), or is about to end, is no
 * use.
 */
static int replace_helper(struct mounting *mounting)
{
	call_helper(mounting, "detach");
	for (int i = 0; i < 100 && helper_runs(mounting); i++)
		usleep(100000);
	return start_helper(mounting);
}

static void tell_late_options(const struct mounting *mounting)
{
	if (!mounting->started && mounting->options.nr_args)
		say(mounting, "regiond of instance '%s' was running already: '%s' and the "
		    "like take effect when it is started anew", mounting->instance,
		    mounting->options.args[0] + 2);
}

/* ---- mount ---- */

static const char *why_not(const struct mounting *mounting, int err)
{
	switch (err) {
	case ENOENT:
		return access(mounting->dir, F_OK) ? "it is no directory" :
						     "there is no instance of this name";
	case ENOTDIR:
		return "it is no directory";
	case ENODEV:
		return "the kernel does not know regionfs: run 'modprobe regionfs'";
	case EPERM:
	case EACCES:
		return "only root may mount";
	case EINVAL:
		return *mounting->options.data ? "the file system does not know these options "
						 "(dmesg tells which)" : "invalid argument";
	default:
		return strerror(err);
	}
}

/* 0 or an errno. */
static int try_mount(const struct mounting *mounting)
{
	if (mounting->fake || !mount(mounting->instance, mounting->dir, "regionfs",
				     mounting->options.flags, mounting->options.data))
		return 0;
	return errno;
}

static int do_mount(struct mounting *mounting, bool may_start)
{
	const char *data = mounting->options.data;
	int err = try_mount(mounting);

	if (err == ENOENT && may_start && !mounting->started && !access(mounting->dir, F_OK) &&
	    !replace_helper(mounting))
		err = try_mount(mounting);
	if (!err)
		return 0;
	say(mounting, "cannot mount instance '%s' on %s%s%s: %s", mounting->instance, mounting->dir,
	    *data ? " with options " : "", data, why_not(mounting, err));
	return EXIT_MOUNT;
}

/* umount(8) is not told what the mount was given, so umount.regionfs reads it here. */
static void record_drain(const struct mounting *mounting)
{
	char path[PATH_MAX];
	FILE *file;

	if (!mounting->options.has_drain || mounting->fake)
		return;
	snprintf(path, sizeof(path), "%s/%s/drain", regionfs_client_run_dir(), mounting->instance);
	file = fopen(path, "we");
	if (!file)
		return say(mounting, "cannot write %s (%s): umount will use its default limit",
			   path, strerror(errno));
	fprintf(file, "%llums\n", (unsigned long long)mounting->options.drain_ms);
	fclose(file);
}

static int run_mount(struct mounting *mounting)
{
	bool fresh = !mounting->fake && !(mounting->options.flags & MS_REMOUNT);
	bool may_start = fresh && !mounting->options.no_helper;
	int code = fresh ? load_module(mounting) : 0;

	if (!code && may_start)
		code = start_helper(mounting);
	if (code)
		return code;
	code = do_mount(mounting, may_start);
	if (code) {
		undo_helper(mounting);
		return code;
	}
	if (may_start)
		tell_late_options(mounting);
	record_drain(mounting);
	return 0;
}

/* ---- umount ---- */

static void read_drain(struct mounting *mounting)
{
	char path[PATH_MAX], text[64] = "";
	FILE *file;

	if (mounting->options.has_drain)
		return;
	snprintf(path, sizeof(path), "%s/%s/drain", regionfs_client_run_dir(), mounting->instance);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(text, sizeof(text), file)) {
		text[strcspn(text, "\n")] = '\0';
		regionfs_duration_parse(text, &mounting->options.drain_ms);
	}
	fclose(file);
}

static void show_progress(void *context, const char *key, const json_t *value)
{
	json_int_t done = json_integer_value(json_object_get(value, "done"));
	json_int_t total = json_integer_value(json_object_get(value, "total"));

	if (!strcmp(key, "progress"))
		regionfs_progress_update(context, (uint64_t)done, (uint64_t)total,
					 json_string_value(json_object_get(value, "unit")),
					 regionfs_progress_now());
}

/* 0 or a negative errno and mounting->message. */
static int call_drain(struct mounting *mounting)
{
	struct regionfs_progress progress;
	struct regionfs_client client;
	json_t *result = NULL, *args;
	int err;

	err = regionfs_client_open(&client, mounting->instance);
	if (!err) {
		regionfs_progress_init(&progress, stderr, "writing what is dirty");
		client.line = show_progress;
		client.context = &progress;
		args = json_pack("{s:I}", "timeout", (json_int_t)mounting->options.drain_ms);
		err = regionfs_client_call(&client, "drain", args, &result);
		json_decref(args);
		regionfs_progress_end(&progress);
	}
	snprintf(mounting->message, sizeof(mounting->message), "%s", client.message);
	json_decref(result);
	regionfs_client_close(&client);
	return err;
}

/*
 * Unmounting loses nothing in any case: what could not be written stays in the kernel's instance.
 * So a drain that fails is told, and the unmount goes on; a shutdown must not hang on a far
 * backend.
 */
static void drain(struct mounting *mounting)
{
	char limit[REGIONFS_UNITS_TEXT];
	int err;

	read_drain(mounting);
	if (!mounting->options.drain_ms)
		return;
	err = call_drain(mounting);
	if (err == -ETIMEDOUT)
		say(mounting, "not all was written within %s (%s); it stays in instance '%s', and "
		    "'regionctl --instance %s drain' goes on",
		    regionfs_duration_format(mounting->options.drain_ms, limit), mounting->message,
		    mounting->instance, mounting->instance);
	else if (err)
		say(mounting, "nothing was drained: %s; what is dirty stays in instance '%s'",
		    mounting->message, mounting->instance);
}

static int do_umount(const struct mounting *mounting)
{
	if (!umount2(mounting->dir, mounting->umount_flags))
		return 0;
	if (errno == EBUSY && mounting->read_only &&
	    !mount(NULL, mounting->dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL)) {
		say(mounting, "%s is busy: it is read-only now", mounting->dir);
		return 0;
	}
	say(mounting, "cannot unmount %s: %s", mounting->dir,
	    errno == EBUSY ? "a program uses it ('fuser -vm' shows which)" : strerror(errno));
	return EXIT_MOUNT;
}

static int run_umount(struct mounting *mounting)
{
	static char instance[REGIONFS_CLIENT_NAME];
	static char target[PATH_MAX];

	if (!realpath(mounting->dir, target))
		snprintf(target, sizeof(target), "%s", mounting->dir);
	mounting->dir = target;
	if (regionfs_mount_source("/proc/self/mountinfo", target, instance, sizeof(instance))) {
		say(mounting, "%s is no mounted regionfs", target);
		return EXIT_MOUNT;
	}
	mounting->instance = instance;
	/* Who forces or detaches doesn't want to wait. */
	if (!(mounting->umount_flags & (MNT_FORCE | MNT_DETACH)))
		drain(mounting);
	return do_umount(mounting);
}

/* ---- command line ---- */

static int take_option(struct mounting *mounting, int c)
{
	switch (c) {
	case 'o':
		return regionfs_options_add(&mounting->options, optarg, mounting->message,
					    sizeof(mounting->message));
	case 'N':
		mounting->namespace = optarg;
		break;
	case 'f':
		mounting->fake = true;
		mounting->umount_flags |= MNT_FORCE;
		break;
	case 'l':
		mounting->umount_flags |= MNT_DETACH;
		break;
	case 'r':
		mounting->read_only = true;
		break;
	case 'v':
		mounting->verbose = true;
		break;
	case '?':
		snprintf(mounting->message, sizeof(mounting->message), "wrong option");
		return -EINVAL;
	}
	return 0;
}

/* -1: go on; else the exit code. */
static int parse(struct mounting *mounting, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "sflnrvo:N:t:hV", longs, NULL)) != -1) {
		if (c == 'h')
			return usage(mounting, stdout);
		if (c == 'V') {
			printf("%s from regionfs %s\n", mounting->program, regionfs_version);
			return 0;
		}
		if (take_option(mounting, c)) {
			say(mounting, "%s", mounting->message);
			return EXIT_USAGE;
		}
	}
	return -1;
}

static int enter_namespace(const struct mounting *mounting)
{
	char path[PATH_MAX];
	int fd;

	if (!mounting->namespace)
		return 0;
	snprintf(path, sizeof(path), *mounting->namespace == '/' ? "%s" : "/proc/%s/ns/mnt",
		 mounting->namespace);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !setns(fd, CLONE_NEWNS))
		return 0;
	say(mounting, "cannot enter mount namespace %s: %s", path, strerror(errno));
	return EXIT_SYSTEM;
}

static int run(struct mounting *mounting, int argc, char **argv)
{
	bool unmounting = is_umount(mounting);
	char name[REGIONFS_CLIENT_NAME];
	int code = parse(mounting, argc, argv);

	if (code >= 0)
		return code;
	if (argc - optind != (unmounting ? 1 : 2))
		return usage(mounting, stderr);
	mounting->dir = argv[argc - 1];
	code = enter_namespace(mounting);
	if (code || unmounting)
		return code ? code : run_umount(mounting);
	mounting->instance = argv[optind];
	if (!regionfs_client_pick(mounting->instance, name, mounting->message,
				  sizeof(mounting->message)))
		return run_mount(mounting);
	say(mounting, "%s", mounting->message);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct mounting mounting = { .program = basename(argv[0]) };
	int code;

	regionfs_options_init(&mounting.options);
	code = run(&mounting, argc, argv);
	regionfs_options_free(&mounting.options);
	return code;
}
