// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region whose source is changed by somebody else while nobody here has it open: what was here of it is fetched again, what the
 * source has not got stays, and what we have pushed ourselves is no change.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "managed-private.h"
#include "tests/managed-file.h"

#define SIZE	(3u << 20)
#define PAGE	4096u
#define CHUNK	(16u << 10)	/* of a directory: several groups (backends/dir-version.c) */
#define KEEPS	"push-interval=1h"	/* what is written stays unpushed, unless it is flushed */

static bool is_dir;
static char place[96], store[96], policy[256];
static char data[SIZE];

/* ---- the region ---- */

static struct backend *open_managed(void)
{
	return managed_file_start(policy, SIZE);
}

static uint64_t fetched(struct backend *backend)
{
	struct managed_stats stats;

	managed_stats(managed_of(backend), &stats);
	return stats.fetched;
}

static bool read_all(struct backend *backend)
{
	return !ask(backend, BACKEND_READ, 0, SIZE, data);
}

static bool is_all(uint64_t offset, uint64_t length, char value)
{
	for (uint64_t i = offset; i < offset + length; i++)
		if (data[i] != value)
			return false;
	return true;
}

static int write_page(struct backend *backend, uint64_t page, char value)
{
	static char bytes[PAGE];

	memset(bytes, value, PAGE);
	return ask(backend, BACKEND_WRITE, page * PAGE, PAGE, bytes);
}

/* ---- somebody else: behind the helper's back, in the file or the files of the directory's chunks ---- */

static int source_fd(uint64_t offset, uint64_t *at)
{
	char path[256];

	*at = offset % CHUNK;
	snprintf(path, sizeof(path), "%s/%llu", place, (unsigned long long)(offset - *at));
	if (!is_dir) {
		snprintf(path, sizeof(path), "%s", place);
		*at = offset;
	}
	return open(path, O_RDWR | O_CREAT, 0600);
}

static void change_source(uint64_t offset, uint64_t length, char value)
{
	char *bytes = malloc(length);
	uint64_t at;
	int fd = source_fd(offset, &at);

	memset(bytes, value, length);
	if (pwrite(fd, bytes, length, (off_t)at) != (ssize_t)length)
		exit(99);
	close(fd);
	free(bytes);
}

static char source_byte(uint64_t offset)
{
	uint64_t at;
	int fd = source_fd(offset, &at);
	char byte = 0;

	if (pread(fd, &byte, 1, (off_t)at) != 1)
		byte = 0;
	close(fd);
	return byte;
}

/* ---- the store's note, for a helper that was killed ---- */

static char note_path[256];

static void find_note(void)
{
	char command[512];
	FILE *out;

	snprintf(command, sizeof(command), "find %s %s/memory -name version 2>/dev/null | head -1", store, source_dir());
	out = popen(command, "r");
	if (!out || !fgets(note_path, sizeof(note_path), out))
		exit(99);
	pclose(out);
	note_path[strcspn(note_path, "\n")] = '\0';
}

static void take_note(char note[BACKEND_VERSION_MAX])
{
	int fd = open(note_path, O_RDONLY);

	memset(note, 0, BACKEND_VERSION_MAX);
	if (fd < 0 || read(fd, note, BACKEND_VERSION_MAX - 1) <= 0)
		exit(99);
	close(fd);
}

static void put_note(const char *note)
{
	int fd = open(note_path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, note, strlen(note)) != (ssize_t)strlen(note))
		exit(99);
	close(fd);
}

/* ---- tests ---- */

static void test_changed(void)
{
	struct backend *backend = open_managed();

	tap_ok(read_all(backend) && is_all(0, SIZE, 'a'), "%s, %s: it is fetched", uri, policy);
	source_close(backend);
	backend = open_managed();
	tap_ok(read_all(backend) && !fetched(backend), "opened again nothing is fetched");
	source_close(backend);
	change_source(5 * PAGE, PAGE, 'b');
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(5 * PAGE, PAGE, 'b'), "what somebody else has written is seen");
	tap_ok(is_all(0, 5 * PAGE, 'a') && is_all(6 * PAGE, SIZE - 6 * PAGE, 'a'), "and the rest is as it was");
	source_close(backend);
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(5 * PAGE, PAGE, 'b') && !fetched(backend), "after that nothing is fetched");
	source_close(backend);
}

static void test_pushed(void)
{
	struct backend *backend = open_managed();

	write_page(backend, 9, 'c');
	tap_number(managed_file_flush(backend), 0, "a page is pushed");
	write_page(backend, 300, 'd');
	managed_file_flush(backend);
	ask(backend, BACKEND_DISCARD, 400 * PAGE, PAGE, NULL);
	managed_file_flush(backend);
	source_close(backend);
	tap_ok(source_byte(9 * PAGE) == 'c' && source_byte(300 * PAGE) == 'd' && !source_byte(400 * PAGE), "another one, and a DISCARD");
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(9 * PAGE, PAGE, 'c') && is_all(400 * PAGE, PAGE, 0), "it is read after that");
	tap_number((long long)fetched(backend), 0, "what we push ourselves is no change: nothing is fetched");
	source_close(backend);
}

/* Until the source is being changed, and that is not noted. */
static void begin_push(struct backend *backend)
{
	struct managed *managed = managed_of(backend);

	pusher_rest(managed->pusher, true);
	for (int i = 0; remote_changes(managed->remote) == managed->version.changes; i++) {
		if (i % 100 == 99)
			write_page(backend, 0, 'e');
		pass(0);
	}
}

/* Closing takes what is under way as it is. */
static void test_closed(void)
{
	struct backend *backend = open_managed();

	for (uint64_t page = 0; page < 100; page++)
		write_page(backend, page, 'e');
	begin_push(backend);
	source_close(backend);
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(0, 100 * PAGE, 'e') && !fetched(backend), "closed while it is pushed: nothing is fetched");
	managed_file_flush(backend);
	source_close(backend);
}

static void test_dirty(void)
{
	struct backend *backend = open_managed();

	write_page(backend, 20, 'x');
	write_page(backend, 500, 'y');
	source_close(backend);
	change_source(20 * PAGE, 2 * PAGE, 'f');
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(20 * PAGE, PAGE, 'x') && is_all(500 * PAGE, PAGE, 'y'), "what was not pushed stays");
	tap_ok(is_all(21 * PAGE, PAGE, 'f'), "the page beside it is fetched");
	source_close(backend);
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(20 * PAGE, PAGE, 'x') && is_all(500 * PAGE, PAGE, 'y') && is_all(21 * PAGE, PAGE, 'f') &&
	       !fetched(backend), "also the next time");
	tap_number(managed_file_flush(backend), 0, "it is pushed");
	source_close(backend);
	tap_ok(source_byte(20 * PAGE) == 'x' && source_byte(500 * PAGE) == 'y' && source_byte(21 * PAGE) == 'f', "and the source has both");
}

/* Pushed, and the power was cut before any of that was noted: as if somebody else had done it. What was pushed is in the log still. */
static void test_killed(void)
{
	char note[BACKEND_VERSION_MAX];
	struct backend *backend;

	find_note();
	take_note(note);
	backend = open_managed();
	write_page(backend, 30, 'g');
	managed_file_flush(backend);
	write_page(backend, 31, 'h');
	source_close(backend);
	put_note(note);
	change_source(30 * PAGE, PAGE, 'i');
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(30 * PAGE, PAGE, 'i') && is_all(31 * PAGE, PAGE, 'h'),
	       "without a note of a push clean bytes are fetched again, the others stay");
	tap_ok(fetched(backend), "(%llu bytes)", (unsigned long long)fetched(backend));
	source_close(backend);
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(30 * PAGE, PAGE, 'i') && !fetched(backend), "once");
	managed_file_flush(backend);
	source_close(backend);
}

/* The empty file beside the note that says that a push is not settled. */
static const char *mark_path(void)
{
	static char path[256];

	snprintf(path, sizeof(path), "%.*s/pushing", (int)(strrchr(note_path, '/') - note_path), note_path);
	return path;
}

static void put_mark(void)
{
	int fd = open(mark_path(), O_WRONLY | O_CREAT, 0600);

	if (fd < 0)
		exit(99);
	close(fd);
}

static void test_killed_pushing(void)
{
	char note[BACKEND_VERSION_MAX];
	struct backend *backend;

	take_note(note);
	backend = open_managed();
	write_page(backend, 30, 'g');
	begin_push(backend);
	tap_ok(!access(mark_path(), F_OK), "while it is pushed there is a mark");
	managed_file_flush(backend);
	source_close(backend);
	tap_ok(access(mark_path(), F_OK), "and none when it is through");
	put_note(note);
	put_mark();
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(30 * PAGE, PAGE, 'g'), "killed between a push and the note: it is read");
	tap_number((long long)fetched(backend), 0, "and nothing is fetched again");
	source_close(backend);
	change_source(30 * PAGE, PAGE, 'i');
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(30 * PAGE, PAGE, 'i'), "what others write after that is noticed");
	source_close(backend);
}

static void test_cut(void)
{
	struct backend *backend = open_managed();

	ask(backend, BACKEND_RESIZE, SIZE / 2, SIZE, NULL);
	managed_file_flush(backend);
	source_close(backend);
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(SIZE / 2, SIZE / 2, 0) && !fetched(backend), "cut off and grown again, nothing is fetched");
	source_close(backend);
}

static void look(struct backend *backend, char text[BACKEND_VERSION_MAX])
{
	memset(text, 0, BACKEND_VERSION_MAX);
	ask(backend, BACKEND_VERSION, 0, 0, text);
}

/* For who has this region for a source, the region has a version of its own. */
static void test_own_version(void)
{
	char before[BACKEND_VERSION_MAX], after[BACKEND_VERSION_MAX], command[512];
	struct backend *backend = open_managed();

	look(backend, before);
	write_page(backend, 40, 'k');
	look(backend, after);
	tap_ok(*before && *after && strcmp(before, after), "its own version is another one after a write");
	managed_file_flush(backend);
	source_close(backend);
	backend = open_managed();
	look(backend, before);
	tap_ok(!strcmp(before, after), "the same after a push, closed and opened");
	snprintf(command, sizeof(command), "[ -z \"$(ls %s/*/mark %s/memory/*/mark 2>/dev/null)\" ]", store, source_dir());
	tap_number(system(command), 0, "while it is open nothing says what it was");
	source_close(backend);
	change_source(41 * PAGE, PAGE, 'l');
	backend = open_managed();
	look(backend, after);
	tap_ok(strcmp(before, after), "another one when its source was changed");
	source_close(backend);
	/* a kill leaves none */
	snprintf(command, sizeof(command), "rm -f %s/*/mark %s/memory/*/mark", store, source_dir());
	if (system(command))
		exit(99);
	backend = open_managed();
	look(backend, before);
	tap_ok(strcmp(before, after), "and after a kill");
	read_all(backend);
	source_close(backend);
}

static void test_away(void)
{
	struct backend *backend;
	char away[256];

	snprintf(away, sizeof(away), "%s.away", place);
	if (rename(place, away))
		exit(99);
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(31 * PAGE, PAGE, 'h'), "a source that is away: what is here is served");
	if (rename(away, place))
		exit(99);
	change_source(31 * PAGE, PAGE, 'j');
	until(!read_all(backend) || data[31 * PAGE] == 'j');
	tap_ok(is_all(31 * PAGE, PAGE, 'j'), "when it is back what was changed is seen");
	source_close(backend);
}

/* A size that changes is a change, and so is a file that is another one with the same bytes. */
static void test_replaced(void)
{
	struct backend *backend;
	char command[1024];

	snprintf(command, sizeof(command), "cp -rp %s %s.new && mv %s %s.old && mv %s.new %s && rm -r %s.old", place, place, place, place, place, place, place);
	if (system(command))
		exit(99);
	backend = open_managed();
	tap_ok(read_all(backend) && is_all(31 * PAGE, PAGE, 'j') && fetched(backend), "a source that was replaced is fetched again");
	source_close(backend);
}

static void test_source(const char *scheme, bool memory)
{
	struct backend *backend;

	is_dir = !strcmp(scheme, "dir");
	region.info.id++;
	snprintf(place, sizeof(place), "%s/%s-%d", source_dir(), scheme, memory);
	snprintf(uri, sizeof(uri), "%s:%s%s", scheme, place, is_dir ? "?chunk=16K" : "");
	snprintf(store, sizeof(store), "%s/store-%s", source_dir(), scheme);
	snprintf(policy, sizeof(policy), "local=%s%s durability=local pull-order=none " KEEPS, memory ? "memory" : "file:", memory ? "" : store);
	backend = source_open(uri, true, SIZE);
	memset(data, 'a', SIZE);
	ask(backend, BACKEND_WRITE, 0, SIZE, data);
	source_close(backend);
	test_changed();
	test_pushed();
	test_closed();
	test_dirty();
	test_killed();
	test_killed_pushing();
	test_cut();
	test_own_version();
	test_away();
	test_replaced();
	backend = open_managed();
	managed_forget(managed_of(backend), true);
	source_close(backend);
}

int main(void)
{
	regiond.loop = source_begin();
	barriers_init(&barriers);
	list_init(&region.openers);
	atomic_store(&region.users, 100);
	test_source("file", false);
	test_source("file", true);
	test_source("dir", false);
	test_source("dir", true);
	source_end();
	return tap_end();
}
