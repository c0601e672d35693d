// SPDX-License-Identifier: GPL-2.0
/*
 * The journal of the local backends: a batch is seen whole or not at all, whenever the helper is killed or the power is cut, and
 * whatever fails. Those who are killed, and those who look at what they have left, are processes of their own.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "fake-disk.h"
#include "journal-private.h"
#include "source.h"
#include "tap.h"

#define SIZE	(256u << 10)
#define SPACE	(1u << 20)
#define BATCHES	3u

static char work_dir[] = "/tmp/test-journal.XXXXXX";
static char bytes[SPACE], model[SPACE];
static uint64_t model_size;

/* What the one that is killed has got done. */
static struct {
	unsigned int asked, answered, steps;
} *seen;

/* ---- three batches ---- */

struct change {
	enum backend_op op;
	uint64_t offset, length;	/* RESIZE: as for ask() */
};

/* Unaligned ones, ones that overlap, one that is more than a record; growing, shrinking, growing again. */
static const struct change changes[BATCHES][6] = {
	{ { BACKEND_WRITE, 100, 5000 }, { BACKEND_WRITE, 4096, 8192 }, { BACKEND_DISCARD, 65536, 65536 }, { BACKEND_WRITE, 200000, 300000 },
	  { BACKEND_WRITE, 70000, 100 } },
	{ { BACKEND_RESIZE, 90000, 300000 }, { BACKEND_WRITE, 0, 300 }, { BACKEND_WRITE, 200, 300 }, { BACKEND_DISCARD, 4096, 4096 } },
	{ { BACKEND_WRITE, 600000, 4096 }, { BACKEND_WRITE, 1000, 100000 } },
};

static uint64_t batch_id(unsigned int nr)
{
	return 1000 + nr;
}

static void fill(unsigned int batch, unsigned int nr, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = (char)(batch * 50 + nr * 7 + i / 512 + 1);
}

static void model_begin(void)
{
	memset(model, 0, sizeof(model));
	memset(model, 'x', SIZE);
	model_size = SIZE;
}

static void model_apply(unsigned int batch)
{
	for (unsigned int i = 0; changes[batch][i].length; i++) {
		const struct change *change = &changes[batch][i];
		uint64_t end = change->offset + change->length;

		if (change->op == BACKEND_RESIZE) {
			memset(model + change->offset, 0, SPACE - change->offset);
			model_size = change->length;
		} else if (change->op == BACKEND_DISCARD) {
			memset(model + change->offset, 0, change->length);
		} else {
			fill(batch, i, change->length);
			memcpy(model + change->offset, bytes, change->length);
			model_size = end > model_size ? end : model_size;
		}
	}
}

static int stage_batch(struct backend *backend, unsigned int batch)
{
	int err = 0;

	for (unsigned int i = 0; !err && changes[batch][i].length; i++) {
		const struct change *change = &changes[batch][i];

		fill(batch, i, change->length);
		err = stage(backend, batch_id(batch), !i, change->op, change->offset, change->length, bytes);
	}
	return err;
}

static int publish(struct backend *backend, unsigned int batch)
{
	return stage(backend, batch_id(batch), false, BACKEND_PUBLISH, 0, 0, NULL);
}

static bool is_model(struct backend *backend)
{
	return backend_size(backend) == model_size && !ask(backend, BACKEND_READ, 0, model_size, bytes) &&
	       !memcmp(bytes, model, model_size);
}

/* ---- processes ---- */

static int run_child(int (*run)(const char *uri), const char *uri)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		source_begin_in(work_dir);
		list_init(&disk.held);
		_exit(run(uri));
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int make_source(const char *uri)
{
	struct backend *backend = source_open(uri, true, SIZE);

	memset(bytes, 'x', SIZE);
	if (!backend || ask(backend, BACKEND_WRITE, 0, SIZE, bytes) || ask(backend, BACKEND_SYNC, 0, 0, NULL))
		return 1;
	source_close(backend);
	return 0;
}

static int remove_source(const char *uri)
{
	struct backend *backend = source_open(uri, false, 0);

	if (!backend || ask(backend, BACKEND_DESTROY, 0, 0, NULL))
		return 1;
	source_close(backend);
	return 0;
}

/* Two batches are published, the third is only staged. */
static int publish_two(const char *uri)
{
	struct backend *backend = source_open(uri, false, 0);

	if (!backend || !backend->caps.publish)
		return 1;
	for (unsigned int i = 0; i < BATCHES; i++) {
		if (stage_batch(backend, i))
			return 2;
		if (i + 1 == BATCHES)
			break;
		seen->asked = i + 1;
		if (publish(backend, i))
			return 3;
		seen->answered = i + 1;
	}
	source_close(backend);
	seen->steps = disk.steps;
	return 0;
}

static unsigned int crash_at, crash_seed;
static bool power_cut;

static int killed_run(const char *uri)
{
	srandom(crash_seed * 1000 + crash_at);
	disk.crash_at = crash_at;
	disk.on = disk.power_cut = power_cut;
	return publish_two(uri);
}

/* Which of the batches are there? -1: something in between. */
static int find_state(struct backend *backend)
{
	model_begin();
	for (unsigned int i = 0; i <= BATCHES; i++) {
		if (is_model(backend))
			return (int)i;
		if (i < BATCHES)
			model_apply(i);
	}
	return -1;
}

/* What it was is what it stays, also after a change that is not of a batch. */
static bool is_settled(const char *uri, struct backend **backend, int state)
{
	memset(model + 150000, 'z', 1000);
	memset(bytes, 'z', 1000);
	if (ask(*backend, BACKEND_WRITE, 150000, 1000, bytes))
		return false;
	source_close(*backend);
	*backend = source_open(uri, false, 0);
	return *backend && is_model(*backend) && (!state || !publish(*backend, (unsigned int)state - 1)) && is_model(*backend);
}

static int look(const char *uri)
{
	struct backend *backend = source_open(uri, false, 0);
	int state = backend ? find_state(backend) : -2;

	if (state < (int)seen->answered || state > (int)seen->asked) {
		printf("# killed at %u: %d of %u to %u\n", crash_at, state, seen->answered, seen->asked);
		return 1;
	}
	if ((state && publish(backend, (unsigned int)state - 1)) || publish(backend, (unsigned int)state) != -ESTALE)
		return 2;
	if (stage(backend, batch_id(2), false, BACKEND_DISCARD, 0, 4096, NULL) != -ESTALE)
		return 3;
	if (!is_settled(uri, &backend, state))
		return 4;
	source_close(backend);
	return 0;
}

static void check_kills(const char *what, const char *uri, bool cut, unsigned int seed)
{
	int made = 0, killed = 7, right = 0;

	power_cut = cut;
	crash_seed = seed;
	for (crash_at = 1; killed == 7 && !right && !made; crash_at++) {
		memset(seen, 0, sizeof(*seen));
		made = run_child(make_source, uri);
		killed = made ? made : run_child(killed_run, uri);
		right = run_child(look, uri);
		if (!right)
			made = run_child(remove_source, uri);
	}
	tap_ok(!made && !killed && !right, "%s: all or nothing, at each of %u steps", what, crash_at - 2);
	if (made || killed || right)
		printf("# step %u: made %d, killed %d, looked at %d\n", crash_at - 1, made, killed, right);
}

/* ---- a batch that was decided, and not done ---- */

static char source_uri[300], source_path[280], journal_path[300];

static int killed_at_source(const char *uri)
{
	struct backend *backend = source_open(uri, false, 0);

	disk.source = "/source";
	disk.crash_at_source = true;
	if (!backend || stage_batch(backend, 0))
		return 1;
	return publish(backend, 0);
}

static int open_error(const char *uri)
{
	struct backend *backend = source_open(uri, false, 0);

	if (!backend)
		return -source_error;
	source_close(backend);
	return 0;
}

static int read_first(const char *uri)
{
	struct backend *backend = source_open_reader(uri), *writer;

	model_begin();
	model_apply(0);
	if (!backend || !is_model(backend))
		return 1;
	if (!backend->replayed.length || backend->replayed_before)
		return 2;
	/* it has done it, but keeps nobody from writing */
	writer = source_open(uri, false, 0);
	if (!writer || ask(backend, BACKEND_WRITE, 0, 4096, bytes) == 0)
		return 3;
	source_close(writer);
	source_close(backend);
	return 0;
}

static void do_it(struct loop_timer *timer)
{
	loop_stop(loop_current());
}

/* Who has the source does the batch a while later. */
static int read_meanwhile(const char *uri)
{
	struct loop_timer timer = { .fire = do_it };
	struct backend *writer, *reader;
	struct opening opening;
	struct ask ask;

	writer = source_open(uri, false, 0);
	disk.source = "/source";
	disk.hold = true;
	if (!writer || stage_batch(writer, 0))
		return 1;
	stage_start(&ask, writer, batch_id(0), false, BACKEND_PUBLISH, 0, 0, NULL);
	loop_timer_set(loop_current(), &timer, 50);
	loop_run(loop_current());
	loop_again(loop_current());
	opening_start_reader(&opening, uri);
	loop_timer_set(loop_current(), &timer, 500);
	loop_run(loop_current());
	loop_again(loop_current());
	if (ask.answered || opening.done)
		return 2;
	disk_release();
	if (ask_wait(&ask))
		return 3;
	reader = opening_wait(&opening);
	model_begin();
	model_apply(0);
	if (!reader || !is_model(reader))
		return 4;
	source_close(reader);
	source_close(writer);
	return 0;
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char byte;

	if (fd < 0 || pread(fd, &byte, 1, at) != 1)
		exit(97);
	byte ^= 1;
	if (__real_pwrite64(fd, &byte, 1, at) != 1)
		exit(97);
	close(fd);
}

static bool holds_x(void)
{
	int fd = open(source_path, O_RDONLY);
	bool same = fd >= 0 && pread(fd, bytes, SIZE, 0) == SIZE;

	for (unsigned int i = 0; same && i < SIZE; i++)
		same = bytes[i] == 'x';
	close(fd);
	return same;
}

static void check_decided(void)
{
	run_child(make_source, source_uri);
	tap_number(run_child(killed_at_source, source_uri), 7, "killed between the decision and the source");
	flip(journal_path, 8192 + 1000);
	tap_number(run_child(open_error, source_uri), EUCLEAN, "a journal that was damaged since keeps its source shut");
	tap_ok(holds_x(), "and nothing of it is done");
	flip(journal_path, 8192 + 1000);
	tap_number(run_child(read_first, source_uri), 0, "who only reads sees the batch, too");
	tap_number(run_child(remove_source, source_uri), 0, "it is removed");
	tap_ok(access(journal_path, F_OK), "and its journal with it");
}

/* The first record, made over with a checksum that is right. */
static void plant(uint32_t op, uint64_t offset, uint64_t length)
{
	struct journal_record record;
	int fd = open(journal_path, O_RDWR);

	if (fd < 0 || pread(fd, &record, sizeof(record), JOURNAL_START) != sizeof(record))
		exit(97);
	record.op = op;
	record.offset = offset;
	record.length = length;
	record.crc = journal_record_crc(&record);
	if (__real_pwrite64(fd, &record, sizeof(record), JOURNAL_START) != sizeof(record))
		exit(97);
	close(fd);
}

static void check_planted(void)
{
	run_child(make_source, source_uri);
	run_child(killed_at_source, source_uri);
	plant(BACKEND_READ, 0, 1u << 30);
	tap_number(run_child(open_error, source_uri), EUCLEAN, "a record of a READ is refused");
	plant(BACKEND_DESTROY, 0, 5000);
	tap_number(run_child(open_error, source_uri), EUCLEAN, "one of the source's end");
	plant(BACKEND_WRITE, INT64_MAX, 5000);
	tap_number(run_child(open_error, source_uri), EUCLEAN, "one of a place that no file has");
	tap_ok(holds_x(), "and nothing of it is done");
	plant(BACKEND_WRITE, 100, 5000);
	if (chmod(journal_path, 0622))
		exit(97);
	tap_number(run_child(open_error, source_uri), EUCLEAN, "a journal that others may write is refused");
	if (chmod(journal_path, 0600) || (!geteuid() && chown(journal_path, 1, 1)))
		exit(97);
	tap_number(run_child(open_error, source_uri), geteuid() ? 0 : EUCLEAN, "and one that is another user's");
	if (!geteuid() && chown(journal_path, 0, 0))
		exit(97);
	tap_number(run_child(read_first, source_uri), 0, "as it was, it is done");
	run_child(remove_source, source_uri);
	tap_number(backend_check("file:/tmp/db.regionfs-journal", NULL, 0), -EINVAL, "a journal's name is no source's");
	tap_ok(!backend_child("file:/tmp", "db.regionfs-journal"), "nor a child's");
}

/* Another file of the same name. */
static void replace_source(void)
{
	char other[300];
	int fd;

	snprintf(other, sizeof(other), "%s.other", source_path);
	fd = open(other, O_RDWR | O_CREAT, 0600);
	memset(bytes, 'x', SIZE);
	if (fd < 0 || __real_pwrite64(fd, bytes, SIZE, 0) != SIZE || rename(other, source_path))
		exit(97);
	close(fd);
}

static int publish_last_again(const char *uri)
{
	struct backend *backend = source_open(uri, false, 0);
	int err = backend ? publish(backend, 1) : 0;

	return -err;
}

static void check_meanwhile(void)
{
	run_child(make_source, source_uri);
	tap_number(run_child(read_meanwhile, source_uri), 0, "who wants to read while somebody does a batch waits for that");
	run_child(remove_source, source_uri);
}

static void check_replaced(void)
{
	run_child(make_source, source_uri);
	run_child(killed_at_source, source_uri);
	replace_source();
	tap_number(run_child(open_error, source_uri), EUCLEAN, "a batch for a file that was replaced since is not done to the new one");
	tap_ok(holds_x(), "which stays as it is");
	unlink(journal_path);
	run_child(publish_two, source_uri);
	replace_source();
	tap_number(run_child(publish_last_again, source_uri), ESTALE, "nor is what was done to the old one said to be in the new one");
	run_child(remove_source, source_uri);
}

/* The newer head, or the older one, can't be read any more. */
static void check_rot(void)
{
	for (off_t slot = 0; slot < 2; slot++) {
		run_child(make_source, source_uri);
		run_child(killed_at_source, source_uri);
		flip(journal_path, slot * JOURNAL_SLOT + 16);
		tap_number(run_child(read_first, source_uri), 0, "a decided batch is known by either head");
		run_child(remove_source, source_uri);
	}
}

static void check_foreign(void)
{
	int fd;

	run_child(make_source, source_uri);
	fd = open(journal_path, O_WRONLY | O_CREAT, 0600);
	if (write(fd, "a letter", 8) != 8)
		exit(97);
	tap_number(run_child(open_error, source_uri), EUCLEAN, "a file that is no journal is not taken for one");
	if (__real_ftruncate64(fd, 0) || __real_ftruncate64(fd, 8192))
		exit(97);
	close(fd);
	tap_number(run_child(publish_two, source_uri), 0, "one that has not come to the disk is made anew");
	flip(journal_path, 0);
	flip(journal_path, 4096);
	tap_number(run_child(open_error, source_uri), EUCLEAN, "one without a head is damaged");
	unlink(journal_path);
	run_child(remove_source, source_uri);
}

/* ---- what fails, or waits, in one process ---- */

static struct backend *begin(void)
{
	struct backend *backend;

	make_source(source_uri);
	backend = source_open(source_uri, false, 0);
	model_begin();
	return backend;
}

static void end(struct backend *backend)
{
	ask(backend, BACKEND_DESTROY, 0, 0, NULL);
	source_close(backend);
}

static void check_hidden(void)
{
	struct backend *backend = begin();
	struct ask ask;

	tap_number(stage_batch(backend, 0), 0, "a batch is staged");
	tap_ok(is_model(backend), "nothing of it is seen");
	tap_number(stage_batch(backend, 1), 0, "another one begins");
	tap_number(publish(backend, 0), -ESTALE, "which drops the first");
	model_apply(1);
	stage_start(&ask, backend, batch_id(1), false, BACKEND_PUBLISH, 0, 0, NULL);
	tap_number(ask_wait(&ask), 0, "it is published");
	tap_ok(is_model(backend), "and all of it is seen");
	tap_ok(ask.req.published.offset == 0 && ask.req.published.length == UINT64_MAX && ask.req.published.resized &&
	       ask.req.published.size == 300000, "who published knows what has changed");
	tap_number(publish(backend, 1), 0, "again is no matter");
	tap_number(stage(backend, 77, true, BACKEND_RESIZE, 0, INT64_MAX, NULL), 0, "a size that no file has is staged");
	tap_number(stage(backend, 77, false, BACKEND_PUBLISH, 0, 0, NULL), -EFBIG, "and refused before it is decided");
	tap_ok(is_model(backend), "which leaves all as it was");
	tap_number(stage(backend, 78, true, BACKEND_DISCARD, 0, 4096, NULL), 0, "a batch that does not begin with a RESIZE");
	tap_number(stage(backend, 78, false, BACKEND_RESIZE, 4096, 4096, NULL), -EINVAL, "can't have one later");
	source_close(backend);
	backend = source_open(source_uri, false, 0);
	tap_ok(backend && backend->replayed_before && backend->replayed.length == UINT64_MAX && backend->replayed.resized &&
	       backend->replayed.size == 300000, "the next one knows what was published last: nobody may have heard of it");
	tap_number(stage_batch(backend, 2), 0, "one is left behind");
	source_close(backend);
	backend = source_open(source_uri, false, 0);
	tap_ok(backend && is_model(backend), "and is not seen by the next one");
	tap_number(publish(backend, 2), -ESTALE, "who does not know it");
	end(backend);
}

static void check_full(void)
{
	struct backend *backend = begin();

	disk.journal_error = -ENOSPC;
	disk.after = 3;
	tap_number(stage_batch(backend, 0), -ENOSPC, "no room for the journal");
	disk.journal_error = 0;
	tap_number(stage(backend, batch_id(0), false, BACKEND_DISCARD, 0, 4096, NULL), -ESTALE, "the batch is dropped");
	tap_number(publish(backend, 0), -ESTALE, "and is not published");
	tap_ok(is_model(backend), "nothing else is disturbed");
	memset(bytes, 'x', 4096);
	tap_number(ask(backend, BACKEND_WRITE, 0, 4096, bytes), 0, "a WRITE goes on");
	tap_number(stage_batch(backend, 1), 0, "and so does the next batch");
	model_apply(1);
	tap_ok(!publish(backend, 1) && is_model(backend), "to its end");
	tap_number(stage(backend, 79, true, BACKEND_DISCARD, 0, 4096, NULL), 0, "a batch for a source on a disk that fills meanwhile");
	tap_number(stage(backend, 79, false, BACKEND_WRITE, 1u << 20, 200000, bytes), 0, "takes more than there will be");
	disk.small = true;
	tap_number(stage(backend, 79, false, BACKEND_PUBLISH, 0, 0, NULL), -ENOSPC, "and is refused before anything is taken");
	disk.small = false;
	disk.full = true;
	tap_number(stage_batch(backend, 2), 0, "a batch for a source that is full");
	tap_number(publish(backend, 2), -ENOSPC, "is refused before it is decided");
	tap_ok(is_model(backend) && !atomic_load(&backend->dead), "and nothing has changed");
	disk.full = false;
	model_apply(2);
	tap_ok(!stage_batch(backend, 2) && !publish(backend, 2) && is_model(backend), "when there is room, it goes on");
	end(backend);
}

static long long journal_size(void)
{
	struct stat st;

	return stat(journal_path, &st) ? -1 : (long long)st.st_size;
}

static void check_room(void)
{
	struct backend *backend = begin();

	tap_number(stage_batch(backend, 0), 0, "a batch is staged");
	tap_ok(journal_size() > 300000, "which takes room");
	tap_number(ask(backend, BACKEND_DROP, 0, 0, NULL), 0, "nobody wants it any more");
	tap_number(journal_size(), JOURNAL_START, "its room is given back");
	tap_number(publish(backend, 0), -ESTALE, "and it is not known");
	tap_ok(!ask(backend, BACKEND_DROP, 0, 0, NULL) && is_model(backend), "again is no matter");
	memset(bytes, 0, sizeof(bytes));
	tap_number(stage(backend, 80, true, BACKEND_WRITE, 100000, 600000, bytes), 0, "zeroes are staged");
	tap_ok(journal_size() < JOURNAL_START + 1000, "which take none");
	tap_number(stage(backend, 80, false, BACKEND_PUBLISH, 0, 0, NULL), 0, "they are published");
	memset(model + 100000, 0, 600000);
	model_size = 700000;
	tap_ok(is_model(backend), "and are there, longer than it was");
	disk.small = true;
	tap_number(stage(backend, 81, true, BACKEND_WRITE, 0, 1000, memset(bytes, 1, 1000)), 0, "where there is little room, a batch begins");
	tap_number(stage(backend, 81, false, BACKEND_WRITE, 4096, 4096, bytes), -ENOSPC, "but does not take the last of it");
	disk.small = false;
	tap_number(journal_size(), JOURNAL_START, "what it had is given back");
	tap_number(stage(backend, 81, false, BACKEND_DISCARD, 0, 4096, NULL), -ESTALE, "and it is dropped");
	end(backend);
}

static void check_source_fails(void)
{
	struct backend *backend = begin();

	stage_batch(backend, 0);
	disk.source = "/source";
	disk.source_error = -EIO;
	disk.after = 1;
	tap_number(publish(backend, 0), -EIO, "the source fails in the middle of a batch");
	tap_ok(atomic_load(&backend->dead), "that is the end of the backend");
	tap_number(ask(backend, BACKEND_READ, 0, 4096, bytes), -EIO, "nobody sees a part of it");
	disk.source = NULL;
	disk.source_error = 0;
	model_apply(0);
	source_close(backend);
	backend = source_open(source_uri, false, 0);
	tap_ok(backend && is_model(backend), "the next one has all of it");
	tap_number(publish(backend, 0), 0, "and says so");

	stage_batch(backend, 1);
	disk.source = "/source";
	disk.source_error = -EIO;
	publish(backend, 1);
	disk.source = NULL;
	disk.source_error = 0;
	model_apply(1);
	tap_ok(!publish(backend, 1) && is_model(backend), "asked once more, it may do it itself");
	end(backend);
}

static void stop_now(struct loop_timer *timer)
{
	loop_stop(loop_current());
}

static void run_for_a_while(void)
{
	struct loop_timer timer = { .fire = stop_now };

	loop_timer_set(loop_current(), &timer, 50);
	loop_run(loop_current());
	loop_again(loop_current());
	loop_timer_cancel(loop_current(), &timer);
}

static void check_held(void)
{
	struct backend *backend = begin();
	struct ask publishing, read, write;
	static char page[4096], other[4096];

	stage_batch(backend, 0);
	disk.hold = true;
	disk.source = "/source";
	ask_start(&write, backend, BACKEND_WRITE, 190000, 4096, memset(other, 'y', sizeof(other)));
	stage_start(&publishing, backend, batch_id(0), false, BACKEND_PUBLISH, 0, 0, NULL);
	run_for_a_while();
	tap_ok(!publishing.answered && disk.held.next == disk.held.prev && !list_empty(&disk.held), "a batch waits for what is at the source before it");
	disk_release();
	disk.hold = true;
	ask_wait(&write);
	run_for_a_while();
	ask_start(&read, backend, BACKEND_READ, 4096, sizeof(page), page);
	run_for_a_while();
	tap_ok(!publishing.answered && !read.answered, "while it is being done, a READ waits");
	tap_ok(source_holds(backend, 150000, 4096, 'x'), "unless it is of what the batch leaves alone");
	ask_start(&write, backend, BACKEND_WRITE, 150000, 4096, other);
	run_for_a_while();
	tap_ok(!write.answered, "a WRITE waits");
	disk_release();
	tap_number(ask_wait(&publishing), 0, "it is done");
	tap_ok(!ask_wait(&read) && !ask_wait(&write), "and they are answered");
	fill(0, 1, sizeof(page));
	tap_ok(!memcmp(page, bytes, sizeof(page)), "with what is new");
	disk.source = NULL;
	end(backend);
}

/* More than is kept in memory at once. */
static void check_big(void)
{
	struct backend *backend = begin();
	static char data[1u << 20];
	bool right = true;

	for (unsigned int i = 0; i < 40; i++)
		right &= !stage(backend, 5, !i, BACKEND_WRITE, (uint64_t)i * 1000003, sizeof(data), memset(data, (int)i + 1, sizeof(data)));
	tap_ok(right, "a batch of 40 MiB");
	tap_number(stage(backend, 5, false, BACKEND_PUBLISH, 0, 0, NULL), 0, "is published");
	for (unsigned int i = 0; i < 40; i++)
		right &= source_holds(backend, (uint64_t)i * 1000003, 1000003, (char)(i + 1));
	tap_ok(right, "and all there, in its order");
	end(backend);
}

int main(void)
{
	char command[96], uri[128];

	if (!mkdtemp(work_dir))
		return 99;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(source_path, sizeof(source_path), "%s/source", work_dir);
	snprintf(source_uri, sizeof(source_uri), "file:%s", source_path);
	snprintf(journal_path, sizeof(journal_path), "%s.regionfs-journal", source_path);
	check_kills("memory", "memory:?name=test", false, 0);
	snprintf(uri, sizeof(uri), "dir:%s/dir?chunk=64K", work_dir);
	check_kills("dir", uri, false, 0);
	snprintf(uri, sizeof(uri), "file:%s/file", work_dir);
	check_kills("file", uri, false, 0);
	for (unsigned int seed = 1; seed <= 4; seed++)
		check_kills("file, power cut", uri, true, seed);
	check_decided();
	check_planted();
	check_meanwhile();
	check_replaced();
	check_rot();
	check_foreign();
	source_begin_in(work_dir);
	list_init(&disk.held);
	check_hidden();
	check_full();
	check_room();
	check_source_fails();
	check_held();
	check_big();
	snprintf(command, sizeof(command), "umount -l %s/memory 2>/dev/null; rm -rf %s", work_dir, work_dir);
	return system(command) ? 99 : tap_end();
}
