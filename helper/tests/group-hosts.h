/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two hosts in one process, of which A seeds a group of regions and B leeches it; what can happen to them. A test includes it once, and has those functions that
 * write wrapped by the linker.
 */
#ifndef REGIONFS_TESTS_GROUP_HOSTS_H
#define REGIONFS_TESTS_GROUP_HOSTS_H

#include "host-pair.h"
#include "leecher-private.h"
#include "seeder-private.h"
#include "session.h"

static unsigned int nr;
static const char *const names[] = { "db", "log", "idx" };

/* ---- what the code does when it is asked to write ---- */

void __real_leech_own(struct leech *leech, const struct chunkmap_owner *owner, void (*done)(void *arg, int error), void *arg);
void __wrap_leech_own(struct leech *leech, const struct chunkmap_owner *owner, void (*done)(void *arg, int error), void *arg);
void __real_leech_set_size(struct leech *leech, uint64_t size, void (*done)(void *arg, int error), void *arg);
void __wrap_leech_set_size(struct leech *leech, uint64_t size, void (*done)(void *arg, int error), void *arg);
void __real_seeder_note_handed(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error));
void __wrap_seeder_note_handed(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error));
void __real_seeder_note_freezing(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error));
void __wrap_seeder_note_freezing(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error));

static struct {
	const char *own_held, *own_fails, *no_room, *handed_held, *handed_fails, *freezing_held, *promise_held;
	unsigned int own_failures, held;
	const char *size_held;
	void (*sized)(void *arg, int error);	/* what is held */
	bool late;			/* the record is written, but it is said that it could not be */
} fault;

/* What a disk may do that fails. */
struct late {
	struct leech_record_waiter saved;
	struct leech *leech;
	void (*done)(void *arg, int error);
	void *arg;
};

static __attribute__((unused)) void saved_late(struct leech_record_waiter *waiter, int error)
{
	struct late *late = container_of(waiter, struct late, saved);

	leech_record_head(late->leech->record)->state = LEECH_RECORD_PULLING;
	late->done(late->arg, -EIO);
	free(late);
}

static __attribute__((unused)) void own_late(struct leech *leech, const struct chunkmap_owner *owner, void (*done)(void *arg, int error), void *arg)
{
	struct late *late = calloc(1, sizeof(*late));

	*late = (struct late){ { .done = saved_late }, leech, done, arg };
	leech_record_head(leech->record)->owner = *owner;
	leech_record_head(leech->record)->state = LEECH_RECORD_OWNED;
	leech_record_save(leech->record, &late->saved);
}

void __wrap_leech_own(struct leech *leech, const struct chunkmap_owner *owner, void (*done)(void *arg, int error), void *arg)
{
	const struct leecher *leecher = arg;

	if (fault.own_held && !strcmp(leecher->path, fault.own_held)) {
		fault.held++;
		return;
	}
	if (fault.own_fails && !strcmp(leecher->path, fault.own_fails) && fault.own_failures) {
		fault.own_failures--;
		if (fault.late)
			own_late(leech, owner, done, arg);
		else
			done(arg, -EIO);
		return;
	}
	__real_leech_own(leech, owner, done, arg);
}

void __wrap_leech_set_size(struct leech *leech, uint64_t size, void (*done)(void *arg, int error), void *arg)
{
	const struct leecher *leecher = arg;

	if (fault.size_held && !strcmp(leecher->path, fault.size_held) && leecher->state == LEECHER_FINALIZING)
		fault.sized = done;
	else if (fault.no_room && !strcmp(leecher->path, fault.no_room))
		done(arg, -ENOSPC);
	else
		__real_leech_set_size(leech, size, done, arg);
}

static __attribute__((unused)) bool is_at(const struct seeder *seeder, const char *name)
{
	return name && !strcmp(seeder_name(seeder), name);
}

void __wrap_seeder_note_handed(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error))
{
	if (is_at(seeder, fault.handed_held))
		fault.held++;
	else if (is_at(seeder, fault.handed_fails))
		done(&seeder->written, -EIO);
	else
		__real_seeder_note_handed(seeder, done);
}

void __wrap_seeder_note_freezing(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error))
{
	if (is_at(seeder, fault.freezing_held))
		fault.held++;
	else
		__real_seeder_note_freezing(seeder, done);
}

void __real_seeder_note_promise(struct seeder *seeder, const char *what, void (*done)(struct state_waiter *waiter, int error));
void __wrap_seeder_note_promise(struct seeder *seeder, const char *what, void (*done)(struct state_waiter *waiter, int error));

void __wrap_seeder_note_promise(struct seeder *seeder, const char *what, void (*done)(struct state_waiter *waiter, int error))
{
	if (is_at(seeder, fault.promise_held))
		fault.held++;
	else
		__real_seeder_note_promise(seeder, what, done);
}

/* ---- the two hosts ---- */

static __attribute__((unused)) void add(unsigned int i)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", a->run, names[i]);
	make_file(path, 7 + (int)i);
	add_file(names[i], path, SIZE);
}

/* Each time that it is run makes a file longer. */
static __attribute__((unused)) json_t *hook(const struct host *host, const char *name)
{
	return json_sprintf("printf . >> %s/%s", host->run, name);
}

static __attribute__((unused)) int runs(const struct host *host, const char *name)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", host->run, name);
	return stat(path, &st) ? 0 : (int)st.st_size;
}

static __attribute__((unused)) json_t *seed_args(unsigned int n)
{
	json_t *more = json_array(), *args;

	for (unsigned int i = 1; i < n; i++)
		json_array_append_new(more, json_string(names[i]));
	args = json_pack("{s:s,s:o,s:s,s:b}", "region", names[0], "more", more, "group", "app", "detach", 1);
	json_object_set_new(args, "listen", json_sprintf("unix:%s", socket_path));
	json_object_set_new(args, "on_suspend", hook(a, "suspended"));
	json_object_set_new(args, "on_resume", hook(a, "resumed"));
	json_object_set_new(args, "on_abort", hook(a, "aborted"));
	return args;
}

static __attribute__((unused)) void begin(const char *name, unsigned int n)
{
	memset(&fault, 0, sizeof(fault));
	nr = n;
	pair_new(name);
	for (unsigned int i = 0; i < n; i++)
		add(i);
	host_start(a);
	host_start(b);
	tap_ok(!host_do(a, "seed", seed_args(n)), "%s: A seeds a group of %u", name, n);
}

static __attribute__((unused)) json_t *one(const char *name)
{
	return json_pack("{s:s}", "region", name);
}

static __attribute__((unused)) bool all_are(struct host *host, const char *state)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!host_is(host, names[i], state))
			return false;
	return true;
}

static __attribute__((unused)) bool all_have(struct host *host, uint32_t flag)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!host_region(host, names[i]) || !(host_region(host, names[i])->flags & flag))
			return false;
	return true;
}

static __attribute__((unused)) bool none_has(struct host *host, uint32_t flag)
{
	for (unsigned int i = 0; i < nr; i++)
		if (host_region(host, names[i]) && host_region(host, names[i])->flags & flag)
			return false;
	return true;
}

static __attribute__((unused)) bool none_is_there(struct host *host)
{
	for (unsigned int i = 0; i < nr; i++)
		if (host_region(host, names[i]))
			return false;
	return true;
}

static __attribute__((unused)) json_t *leech_args(void)
{
	json_t *args = json_pack("{s:s}", "group", "app");

	json_object_set_new(args, "source", json_sprintf("peer+unix:%s", socket_path));
	json_object_set_new(args, "local_source", json_sprintf("dir:%s/store", b->run));
	json_object_set_new(args, "on_resume", hook(b, "resumed"));
	json_object_set_new(args, "on_abort", hook(b, "aborted"));
	return args;
}

static __attribute__((unused)) void begin_leech(struct user *user, json_t *more)
{
	json_t *args = leech_args();
	char store[128];

	snprintf(store, sizeof(store), "%s/store", b->run);
	mkdir(store, 0700);
	json_object_update(args, more);
	json_decref(more);
	host_begin(b, user, "leech", args);
}

static __attribute__((unused)) void leech_with(struct user *user, json_t *more)
{
	begin_leech(user, more);
	tap_ok(until(all_are(b, "pulling")) && all_have(b, REGIONFS_REGION_LOCKED), "B has them all, locked %s", user->said);
}

static __attribute__((unused)) void leech(struct user *user)
{
	leech_with(user, NULL);
}

static __attribute__((unused)) bool has_bytes(unsigned int i)
{
	static uint8_t bytes[SIZE];

	return !host_request(b, host_region(b, names[i])->id, BACKEND_READ, 0, SIZE, bytes) && bytes[0] == 7 + i && bytes[SIZE - 1] == 7 + i;
}

/* It is B's, whole, and its program was started once. */
static __attribute__((unused)) void is_bs(struct user *user)
{
	bool all = true;

	tap_ok(until(all_have(a, REGIONFS_REGION_MOVED) && none_has(b, REGIONFS_REGION_LOCKED)), "they are B's alone");
	for (unsigned int i = 0; i < nr; i++)
		all &= has_bytes(i);
	tap_ok(all, "with their bytes");
	tap_ok(!user || (until(user->done) && !user->error), "the command ends well %s", user ? user->said : "");
	tap_ok(until(runs(b, "resumed")), "the program is started there");
	pass(100);
	tap_number(runs(b, "resumed"), 1, "once");
}

static __attribute__((unused)) void is_as(int stops)
{
	tap_ok(until(none_has(a, REGIONFS_REGION_FROZEN | REGIONFS_REGION_MOVED)), "they are in service on A");
	tap_ok(until(runs(a, "resumed") == stops) && runs(a, "suspended") == stops, "its program was stopped, and goes on");
	tap_ok(until(runs(a, "aborted") == stops), "who wants to know was told once");
	tap_number(runs(b, "resumed"), 0, "and it was not started on B");
}

static __attribute__((unused)) void has_nothing(void)
{
	char command[256];

	tap_ok(until(none_is_there(b)), "B has none of them");
	snprintf(command, sizeof(command), "ls %s | grep -q '^leech-'", b->state);
	tap_ok(until(system(command)), "nor anything of it left");
}

static __attribute__((unused)) void finish(struct user *user)
{
	memset(&fault, 0, sizeof(fault));
	tap_number(host_do(b, "finalize", one(names[nr - 1])), 0, "it is handed over");
	is_bs(user);
}

static __attribute__((unused)) void restart_b(void)
{
	memset(&fault, 0, sizeof(fault));
	start_b();
}

static __attribute__((unused)) void reboot_b(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -f %s/leech-*.map", b->run);
	if (system(command))
		exit(91);
	restart_b();
}

static __attribute__((unused)) void restart_a(void)
{
	cut();
	host_kill(a);
	memset(&fault, 0, sizeof(fault));
	host_start(a);
	seeder_restart(a->regiond);
}

#endif
