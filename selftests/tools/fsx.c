// SPDX-License-Identifier: GPL-2.0
/*
 * Does random operations to a file and to a copy of it in memory, and compares.
 *
 *   fsx [-n COUNT] [-s SEED] [-l MAXLEN] [-f REFERENCE] [-x COMMAND] [-D] [-M] [-q] FILE
 *
 *   -n  operations, default 1000; 0: until SIGTERM
 *   -s  seed, default 1: the same seed makes the same operations
 *   -l  the largest size, default 1 MiB
 *   -f  keeps the expected bytes in REFERENCE at the end; where it is there already, FILE must equal it at
 *       the beginning, and its bytes are where the operations go on
 *   -x  a shell command that is run now and then as one more operation, e.g. to invalidate; must succeed
 *   -D  no O_DIRECT, -M  no mappings, -q  quiet
 *
 * Exit status: 0; 1 at a difference, after telling of it and of the last operations; 2 when a call failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LAST	40
#define PAGE	4096ull

enum what {
	READ, WRITE, MAP_LOAD, MAP_STORE, DIRECT_READ, DIRECT_WRITE, TRUNCATE, PUNCH, FSYNC, MSYNC,
	EVICT, DROP, REOPEN, COMMAND, NR_WHAT,
};

static const char *const names[] = {
	"read", "write", "load", "store", "direct-read", "direct-write", "truncate", "punch",
	"fsync", "msync", "evict", "drop-caches", "reopen", "command",
};

/* How often, of 1000. */
static const int weights[NR_WHAT] = { 170, 200, 120, 150, 50, 60, 60, 60, 30, 20, 50, 5, 20, 5 };

struct op {
	uint64_t nr;
	enum what what;
	uint64_t offset, len, size;	/* size: before it */
	bool live;			/* through the mapping that is there all the time */
};

static const char *path, *reference, *command;
static uint64_t max_len = 1 << 20, seed = 1, count = 1000;
static bool no_direct, no_map, quiet;

static uint8_t *want, *room;	/* the expected bytes; a buffer, aligned */
static char *live;		/* a mapping of max_len */
static uint64_t size;
static int fd = -1, direct = -1;
static struct op last[LAST];
static uint64_t done;

static uint64_t rng;

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t limit)
{
	return limit ? (next() >> 11) % limit : 0;
}

static void tell_last(void)
{
	uint64_t from = done > LAST ? done - LAST : 0;

	for (uint64_t i = from; i < done; i++) {
		struct op *o = &last[i % LAST];

		printf("# %8llu %-12s %8llu +%-8llu (size %llu)%s\n", (unsigned long long)o->nr,
		       names[o->what], (unsigned long long)o->offset, (unsigned long long)o->len,
		       (unsigned long long)o->size, o->live ? " live" : "");
	}
}

static void failed(const char *call)
{
	printf("# fsx: %s: %s: %m; seed %llu, operation %llu\n", path, call,
	       (unsigned long long)seed, (unsigned long long)done);
	tell_last();
	exit(2);
}

static void differ(const struct op *o, const uint8_t *got, uint64_t at)
{
	uint64_t bad = 0;

	for (uint64_t i = at; i < o->offset + o->len; i++)
		bad += got[i - o->offset] != want[i];
	printf("# fsx: %s: %s differs at %llu: got %02x, expected %02x; %llu bytes differ; seed %llu\n",
	       path, names[o->what], (unsigned long long)at, got[at - o->offset], want[at],
	       (unsigned long long)bad, (unsigned long long)seed);
	tell_last();
	exit(1);
}

static void compare(const struct op *o, const uint8_t *got)
{
	if (!o->len || !memcmp(got, want + o->offset, o->len))
		return;
	for (uint64_t at = o->offset;; at++)
		if (got[at - o->offset] != want[at])
			differ(o, got, at);
}

static void open_file(void)
{
	if (live)
		munmap(live, max_len);
	close(fd);
	close(direct);
	fd = open(path, O_RDWR | O_CREAT, 0644);
	if (fd < 0)
		failed("open");
	direct = no_direct ? -1 : open(path, O_RDWR | O_DIRECT);
	if (!no_direct && direct < 0)
		failed("open O_DIRECT");
	live = NULL;
	if (no_map)
		return;
	live = mmap(NULL, max_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (live == MAP_FAILED)
		failed("mmap");
}

static void do_read(const struct op *o, int from)
{
	ssize_t n = pread(from, room, o->len, o->offset);

	if (n != (ssize_t)o->len)
		failed(n < 0 ? "read" : "short read");
	compare(o, room);
}

static void fill(const struct op *o)
{
	uint64_t r = next();

	for (uint64_t i = 0; i < o->len; i++)
		want[o->offset + i] = (r >> (i % 8 * 8)) + i / 8 + o->nr;
}

static void grow_to(uint64_t end)
{
	if (end > size)
		size = end;
}

static volatile sig_atomic_t stop;

/* SIGTERM may interrupt a write that waits for its turn: it goes on. */
static void do_write(const struct op *o, int to)
{
	size_t done = 0;
	ssize_t n;

	fill(o);
	memcpy(room, want + o->offset, o->len);
	while (done < o->len) {
		n = pwrite(to, room + done, o->len - done, o->offset + done);
		if (n != (ssize_t)(o->len - done) && !stop)
			failed(n < 0 ? "write" : "short write");
		if (n < 0 && errno != EINTR)
			failed("write");
		done += n > 0 ? n : 0;
	}
	grow_to(o->offset + o->len);
}

static void do_map(const struct op *o, bool store)
{
	uint64_t base = o->offset & ~(PAGE - 1);
	char *p = o->live ? live + base :
		  mmap(NULL, o->offset + o->len - base, PROT_READ | PROT_WRITE, MAP_SHARED, fd, base);

	if (!o->len)
		return;
	if (p == MAP_FAILED)
		failed("mmap");
	if (store) {
		fill(o);
		memcpy(p + (o->offset - base), want + o->offset, o->len);
	} else {
		compare(o, (uint8_t *)p + (o->offset - base));
	}
	if (!o->live)
		munmap(p, o->offset + o->len - base);
}

static void do_truncate(const struct op *o)
{
	if (ftruncate(fd, o->offset))
		failed("truncate");
	if (o->offset < size)
		memset(want + o->offset, 0, size - o->offset);
	size = o->offset;
}

static void do_punch(const struct op *o)
{
	if (o->len && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, o->offset, o->len))
		failed("punch");
	memset(want + o->offset, 0, o->len);
}

static void do_drop(void)
{
	int f = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (f >= 0 && write(f, "1", 1) != 1)
		failed("drop_caches");
	close(f);
}

static void do_one(const struct op *o)
{
	switch (o->what) {
	case READ:
		do_read(o, fd);
		break;
	case DIRECT_READ:
		do_read(o, direct);
		break;
	case WRITE:
		do_write(o, fd);
		break;
	case DIRECT_WRITE:
		do_write(o, direct);
		break;
	case MAP_LOAD:
	case MAP_STORE:
		do_map(o, o->what == MAP_STORE);
		break;
	case TRUNCATE:
		do_truncate(o);
		break;
	case PUNCH:
		do_punch(o);
		break;
	case FSYNC:
		if (fsync(fd))
			failed("fsync");
		break;
	case MSYNC:
		if (live && msync(live, max_len, MS_SYNC) && errno != ENOMEM)
			failed("msync");
		break;
	case EVICT:
		posix_fadvise(fd, o->offset, o->len, POSIX_FADV_DONTNEED);
		break;
	case DROP:
		do_drop();
		break;
	case REOPEN:
		open_file();
		break;
	default:
		if (command && system(command))
			failed("command");
	}
}

static enum what pick(void)
{
	int n = below(1000), i = 0;

	while (i < NR_WHAT - 1 && n >= weights[i])
		n -= weights[i++];
	if (no_map && (i == MAP_LOAD || i == MAP_STORE || i == MSYNC))
		i = i == MAP_LOAD ? READ : WRITE;
	if (no_direct && (i == DIRECT_READ || i == DIRECT_WRITE))
		i = i == DIRECT_READ ? READ : WRITE;
	return i;
}

/* A length: mostly small, at times up to all there is. */
static uint64_t some_length(uint64_t limit)
{
	uint64_t n = below(4) ? below(64 << 10) + 1 : below(max_len) + 1;

	return n < limit ? n : limit;
}

static void within(struct op *o, uint64_t end)
{
	o->offset = below(end);
	o->len = some_length(end - o->offset);
}

static void choose(struct op *o)
{
	*o = (struct op){ .nr = done, .what = pick(), .size = size, .live = below(2) };
	switch (o->what) {
	case READ:
	case MAP_LOAD:
	case MAP_STORE:
	case PUNCH:
	case EVICT:
		within(o, size);
		break;
	case DIRECT_READ:
		within(o, size & ~(PAGE - 1));
		o->offset &= ~(PAGE - 1);
		o->len &= ~(PAGE - 1);
		break;
	case WRITE:
		within(o, max_len);
		break;
	case DIRECT_WRITE:
		within(o, max_len);
		o->offset &= ~(PAGE - 1);
		o->len = (o->len + PAGE - 1) & ~(PAGE - 1);
		if (o->offset + o->len > max_len)
			o->len = max_len - o->offset;
		break;
	case TRUNCATE:
		o->offset = below(max_len + 1);
		break;
	default:
		break;
	}
}

static void check_all(void)
{
	struct op o = { .nr = done, .what = READ, .len = size, .size = size };
	struct stat st;

	if (fstat(fd, &st))
		failed("stat");
	if ((uint64_t)st.st_size != size) {
		printf("# fsx: %s: the size is %lld, expected %llu\n", path, (long long)st.st_size,
		       (unsigned long long)size);
		tell_last();
		exit(1);
	}
	do_read(&o, fd);
}

static void load_reference(void)
{
	int f = reference ? open(reference, O_RDONLY) : -1;
	ssize_t n = 0;

	if (f >= 0)
		n = read(f, want, max_len);
	else if (ftruncate(fd, 0))
		failed("truncate");
	if (n < 0)
		failed("reference");
	size = n;
	close(f);
	check_all();
}

static void save_reference(void)
{
	int f;

	if (!reference)
		return;
	f = open(reference, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (f < 0 || write(f, want, size) != (ssize_t)size || close(f))
		failed("reference");
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:s:l:f:x:DMq")) != -1) {
		switch (c) {
		case 'n':
			count = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			max_len = (strtoull(optarg, NULL, 0) + PAGE - 1) & ~(PAGE - 1);
			break;
		case 'f':
			reference = optarg;
			break;
		case 'x':
			command = optarg;
			break;
		case 'D':
			no_direct = true;
			break;
		case 'M':
			no_map = true;
			break;
		case 'q':
			quiet = true;
			break;
		default:
			optind = argc;
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "fsx [-n COUNT] [-s SEED] [-l MAXLEN] [-f REFERENCE] [-x COMMAND] [-D] [-M] [-q] FILE\n");
		exit(2);
	}
	path = argv[optind];
}

int main(int argc, char **argv)
{
	options(argc, argv);
	rng = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	next();
	want = calloc(1, max_len + PAGE);
	room = aligned_alloc(PAGE, max_len + PAGE);
	signal(SIGTERM, on_term);
	open_file();
	load_reference();
	while (!stop && (!count || done < count)) {
		struct op *o = &last[done % LAST];

		choose(o);
		done++;
		do_one(o);
		if (done % 500 == 0)
			check_all();
	}
	if (fsync(fd))
		failed("fsync");
	check_all();
	save_reference();
	if (!quiet)
		printf("# fsx: %s: %llu operations, seed %llu, size %llu: good\n", path,
		       (unsigned long long)done, (unsigned long long)seed,
		       (unsigned long long)size);
	return 0;
}
