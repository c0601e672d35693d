// SPDX-License-Identifier: GPL-2.0
/*
 * The local store against a model, by chance: changes, barriers, pushes, pulls, restarts; and again and again what a kill or a power cut at that
 * moment would leave is opened: it has to be the region as it was at some moment since the last sync (after a kill: now), and when all of
 * it is pushed, the source has to be the same, and each generation on the way what its barrier closed.
 *
 * The power cut: fsync() and loop_fsync() are this file's. Each notes what is durable; of the rest some blocks get lost, and some names.
 */
#include <pthread.h>
#include <signal.h>

#include "store-ask.h"
#include "store-private.h"

#define PAGES	48u
#define FILES	64u

/* ---- the disk ---- */

struct image {
	char name[40];
	char *data;		/* NULL: nothing of it is durable */
	size_t len;
};

static struct {
	pthread_mutex_t lock;
	struct image image[FILES];
	char names[FILES][40];	/* that the directory has for certain */
	unsigned int nr_names;
	char dir[300];
} platter = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void forget_images(const char *dir)
{
	for (unsigned int i = 0; i < FILES; i++) {
		free(platter.image[i].data);
		platter.image[i] = (struct image) { 0 };
	}
	platter.nr_names = 0;
	snprintf(platter.dir, sizeof(platter.dir), "%s", dir ? dir : "");
}

/* The name of a file in the directory; "" is the directory itself, NULL: another one. */
static const char *name_of(int fd, char path[600])
{
	char link[40];
	size_t len = strlen(platter.dir);
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, 599);
	if (n < 0 || !len)
		return NULL;
	path[n] = 0;
	if (strncmp(path, platter.dir, len))
		return NULL;
	return path[len] ? path + len + 1 : path + len;
}

static struct image *image_of(const char *name)
{
	struct image *unused = NULL;

	for (unsigned int i = 0; i < FILES; i++) {
		if (!strcmp(platter.image[i].name, name))
			return &platter.image[i];
		if (!*platter.image[i].name && !unused)
			unused = &platter.image[i];
	}
	if (!unused)
		exit(98);
	snprintf(unused->name, sizeof(unused->name), "%s", name);
	return unused;
}

static char *contents(int fd, size_t *len)
{
	struct stat st;
	char *data;

	if (fstat(fd, &st) || !(data = malloc((size_t)st.st_size + 1)) || pread(fd, data, (size_t)st.st_size, 0) != st.st_size)
		exit(98);
	*len = (size_t)st.st_size;
	return data;
}

static void names_durable(void)
{
	DIR *stream = opendir(platter.dir);
	struct dirent *entry;

	platter.nr_names = 0;
	while (stream && (entry = readdir(stream)))
		if (entry->d_name[0] != '.')
			snprintf(platter.names[platter.nr_names++], 40, "%.39s", entry->d_name);
	if (stream)
		closedir(stream);
}

static bool name_durable(const char *name)
{
	for (unsigned int i = 0; i < platter.nr_names; i++)
		if (!strcmp(platter.names[i], name))
			return true;
	return false;
}

/* A file that is gone for good has nothing in common with a later one of that name. */
static void forget_gone(void)
{
	for (unsigned int i = 0; i < FILES; i++) {
		if (!*platter.image[i].name || name_durable(platter.image[i].name))
			continue;
		free(platter.image[i].data);
		platter.image[i] = (struct image) { 0 };
	}
}

static void set_durable(const char *name, char *data, size_t len)
{
	struct image *image = image_of(name);

	free(image->data);
	image->data = data;
	image->len = len;
}

int fsync(int fd)
{
	char path[600];
	const char *name;

	pthread_mutex_lock(&platter.lock);
	name = name_of(fd, path);
	if (name && *name) {
		size_t len;
		char *data = contents(fd, &len);

		set_durable(name, data, len);
	} else if (name) {
		names_durable();
		forget_gone();
	}
	pthread_mutex_unlock(&platter.lock);
	return 0;
}

/* What is there when it begins is durable when it has ended. */
struct flight {
	struct loop_op *op;
	void (*done)(struct loop_op *op, int res);
	char name[40];
	char *data;
	size_t len;
};

static struct flight flights[FILES];

void __real_loop_fsync(struct loop *, struct loop_op *op, int fd, bool data_only);
void __wrap_loop_fsync(struct loop *, struct loop_op *op, int fd, bool data_only);

static void cut_by_chance(void);

static void flight_done(struct loop_op *op, int res)
{
	unsigned int i = 0;
	struct flight flight;

	while (flights[i].op != op)
		i++;
	cut_by_chance();
	flight = flights[i];
	flights[i].op = NULL;
	pthread_mutex_lock(&platter.lock);
	if (flight.data)
		set_durable(flight.name, flight.data, flight.len);
	pthread_mutex_unlock(&platter.lock);
	cut_by_chance();
	flight.done(op, res);
}

void __wrap_loop_fsync(struct loop *any_loop, struct loop_op *op, int fd, bool data_only)
{
	char path[600];
	const char *name;
	unsigned int i = 0;

	while (flights[i].op)
		i++;
	flights[i] = (struct flight) { .op = op, .done = op->done };
	pthread_mutex_lock(&platter.lock);
	name = name_of(fd, path);
	if (name) {
		snprintf(flights[i].name, sizeof(flights[i].name), "%.39s", name);
		flights[i].data = contents(fd, &flights[i].len);
	}
	pthread_mutex_unlock(&platter.lock);
	op->done = flight_done;
	__real_loop_fsync(any_loop, op, fd, data_only);
}

/* Block by block what is durable, or what is there now; rarely some of both. */
static void mix(char *data, size_t len, const struct image *image, unsigned int odds)
{
	for (size_t at = 0; at < len; at += 512) {
		static bool old;

		if (at % PAGE == 0 || !any(16))
			old = any(4) < odds;
		if (!old)
			continue;
		for (size_t i = at; i < at + 512 && i < len; i++)
			data[i] = i < image->len && image->data ? image->data[i] : 0;
	}
}

static void cut_file(const char *to, const char *name, unsigned int odds)
{
	size_t len;
	char *data;

	if (!name_durable(name) && any(2))
		return;
	data = read_file(platter.dir, name, &len);
	if (!data)
		return;
	mix(data, len, image_of(name), odds);
	write_file(to, name, data, len);
	free(data);
}

/* A name that is gone, but not durably. */
static void cut_gone(const char *to, const char *name)
{
	const struct image *image = image_of(name);
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", platter.dir, name);
	if (access(path, F_OK) && image->data && any(2))
		write_file(to, name, image->data, image->len);
}

static char *power_cut(void)
{
	unsigned int odds = (unsigned int)any(5);
	char *to = make_dir(true);
	struct dirent **entries;
	int n;

	pthread_mutex_lock(&platter.lock);
	n = scandir(platter.dir, &entries, no_dots, backwards);
	for (int i = 0; i < n; i++) {
		cut_file(to, entries[i]->d_name, odds);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	for (unsigned int i = 0; i < platter.nr_names; i++)
		cut_gone(to, platter.names[i]);
	pthread_mutex_unlock(&platter.lock);
	return to;
}

/* ---- the model ---- */

struct state {
	uint64_t size;		/* pages */
	uint64_t page[PAGES];	/* versions */
};

#define HISTORY	100000u
#define GENS	20000u

static bool disk;
static char *dir;
static struct store *store;
static struct state now, source, *history, *closed;
static size_t nr_history, promised;	/* the state that a power cut must not lose */
static uint64_t gen, version;
static bool changing, cutting, bad;
static unsigned int kills, cuts;

static bool __attribute__((format(printf, 2, 3))) expect(bool good, const char *format, ...)
{
	va_list list;

	if (good || bad)
		return good;
	bad = true;
	va_start(list, format);
	printf("# ");
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	return false;
}

static void changed(void)
{
	history[nr_history++] = now;
	changing = false;
}

static void cut_state(struct state *state, uint64_t low, uint64_t size)
{
	for (uint64_t i = low; i < PAGES; i++)
		state->page[i] = 0;
	state->size = size;
}

/* ---- pushing ---- */

static void push_extents(struct store *from, struct store_gen *one, struct state *to)
{
	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t got = log_page(from, one, i);

		if (got == ABSENT)
			continue;
		expect(got < FAILED, "page %llu of generation %llu can't be read", (unsigned long long)i, (unsigned long long)one->gen);
		to->page[i] = got;
		if (to->size <= i)
			to->size = i + 1;
	}
}

static bool needs_sync(const struct store_gen *one)
{
	struct extent extent;

	for (uint64_t from = 0; extents_next(&one->changed, from, &extent); from = extent.end)
		if (extent.at == EXTENT_ZERO)
			return true;
	return one->resized;
}

static uint64_t push(struct store *from, struct state *to)
{
	struct store_gen *one = store_gen_oldest(from);
	uint64_t nr = one->gen;

	/* what is read from the log is synced by that */
	if (needs_sync(one) || any(2))
		ask_sync(from);
	expect(!one->pending, "a generation is pending for ever");
	if (one->resized)
		cut_state(to, one->low / PAGE, one->size / PAGE);
	push_extents(from, one, to);
	store_gen_pushed(from, one);
	return nr;
}

static void push_closed(void)
{
	struct store_gen *one = store_gen_oldest(store), *two;
	uint64_t nr;

	if (!one || one->gen >= gen)
		return;
	while (any(2) && (two = store_gen_after(store, one)) && two->gen < gen)
		expect(!store_gen_merge(store, one), "a merge fails");
	nr = push(store, &source);
	expect(!memcmp(&source, &closed[nr], sizeof(source)), "generation %llu is not what its barrier closed", (unsigned long long)nr);
}

/* ---- looking ---- */

/* From an open store: what it has, and the source for the rest. */
static struct state look(struct store *from, const struct state *far)
{
	struct state state = { .size = store_size(from) / PAGE };

	for (uint64_t i = 0; i < PAGES && i < state.size; i++) {
		uint64_t got = read_page(from, i);

		state.page[i] = got == ABSENT ? far->page[i] : got;
		expect(got != GARBAGE && got != FAILED, "page %llu is garbage or can't be read", (unsigned long long)i);
	}
	return state;
}

/* Against the moment that is most like it. */
static void explain(const struct state *state, size_t oldest)
{
	size_t best = oldest, best_n = PAGES + 1;

	for (size_t i = oldest; i < nr_history; i++) {
		size_t n = 0;

		for (unsigned int page = 0; page < PAGES; page++)
			n += state->page[page] != history[i].page[page];
		if (n <= best_n) {
			best = i;
			best_n = n;
		}
	}
	printf("# most like %zu: %llu pages, not %llu\n", best, (unsigned long long)state->size, (unsigned long long)history[best].size);
	for (unsigned int page = 0; page < PAGES; page++)
		if (state->page[page] != history[best].page[page])
			printf("# page %u: version %llu, not %llu; the source's %llu\n", page, (unsigned long long)state->page[page],
			       (unsigned long long)history[best].page[page], (unsigned long long)source.page[page]);
}

static void check_recovered(char *where, bool wraps, size_t oldest)
{
	struct store *copy = open_store(where, wraps, source.size * PAGE);
	struct state far = source, state = look(copy, &far);
	bool found = false;

	for (size_t i = oldest; i < nr_history; i++)
		found |= !memcmp(&state, &history[i], sizeof(state));
	if (!expect(found, "%s: what is left is the region at no time since %zu of %zu", where, oldest, nr_history))
		explain(&state, oldest);
	while (!bad && store_gen_oldest(copy))
		push(copy, &far);
	expect(!memcmp(&state, &far, sizeof(far)), "when all is pushed, the source has something else");
	state = look(copy, &far);
	expect(!memcmp(&state, &far, sizeof(far)), "what was pushed reads otherwise");
	close_store(copy);
	drop_dir(where);
}

/* Within a callback: the copy is looked at later. */
static char *cut_dirs[8];
static size_t cut_promised[8];
static struct state cut_source[8];
static unsigned int nr_cuts;

static void cut_by_chance(void)
{
	if (!cutting || changing || nr_cuts == 8 || any(10))
		return;
	cut_promised[nr_cuts] = promised;
	cut_source[nr_cuts] = source;
	cut_dirs[nr_cuts++] = power_cut();
}

static void check_cuts(void)
{
	struct state far = source;

	cutting = false;
	while (nr_cuts && !bad) {
		source = cut_source[--nr_cuts];
		check_recovered(cut_dirs[nr_cuts], true, cut_promised[nr_cuts]);
		cuts++;
	}
	source = far;
	cutting = disk;
}

static void check_kill(void)
{
	bool cut = cutting;

	cutting = false;
	check_recovered(copy_dir(dir, disk), disk, nr_history - 1);
	cutting = cut;
	kills++;
}

/* ---- what happens ---- */

static void do_write(void)
{
	uint64_t limit = any(6) ? now.size : PAGES, page, n;

	if (!limit)
		return;
	page = any(limit);
	n = 1 + any(any(4) ? 4 : limit - page);
	n = n < PAGES - page ? n : PAGES - page;
	changing = true;
	version++;
	expect(!write_pages(store, gen, page, n, version), "a write fails");
	/* at the end of a segment it becomes two records, of which a power cut may leave one */
	for (uint64_t i = page; i < page + n; i++) {
		now.page[i] = version;
		if (now.size <= i)
			now.size = i + 1;
		changed();
	}
}

static void do_discard(void)
{
	uint64_t page = any(PAGES), end = page + 1 + any(6);

	changing = true;
	expect(!change(store, BACKEND_DISCARD, gen, page * PAGE, (end - page) * PAGE, 0), "a discard fails");
	for (uint64_t i = page; i < end && i < now.size; i++)
		now.page[i] = 0;
	changed();
}

static void do_resize(void)
{
	uint64_t size = any(PAGES + 1), low = size < now.size ? size : now.size, told;

	if (!any(3))
		low = any(low + 1);
	/* the lowest that the kernel had: what it grew by meanwhile it need not have written yet */
	told = low == now.size ? low + any(size - low + 1) : low;
	changing = true;
	expect(!change(store, BACKEND_RESIZE, gen, 0, size * PAGE, told * PAGE), "a resize fails");
	cut_state(&now, low, size);
	changed();
}

static void do_barrier(void)
{
	closed[gen++] = now;
}

static void do_sync(void)
{
	size_t upto = nr_history - 1;

	if (!ask_sync(store))
		promised = upto;
}

static void do_fill(void)
{
	uint64_t page, n;

	for (unsigned int i = 0; i < 4 && now.size; i++) {
		char data[PAGE];
		struct asked *asked;

		page = any(now.size);
		n = page;
		check_range(store, page * PAGE, PAGE);
		page_fill(data, n, source.page[page]);
		asked = ask_new(BACKEND_READ, page * PAGE, PAGE, data);
		store_fill(store, &asked->io);
		expect(!ask_wait(asked), "a fill fails");
		expect(read_page(store, page) == now.page[page], "page %llu is not what was written last", (unsigned long long)page);
	}
}

static void do_reopen(void)
{
	close_store(store);
	store = open_store(dir, disk, now.size * PAGE);
}

/* The timer, now. */
static void do_tidy(void)
{
	if (store->tidy.timer.slot)
		loop_timer_set(loop, &store->tidy.timer, 0);
}

static void do_something(void)
{
	uint64_t what = any(100);

	if (what < 40)
		do_write();
	else if (what < 44)
		do_discard();
	else if (what < 47)
		do_resize();
	else if (what < 60)
		do_barrier();
	else if (what < 72)
		push_closed();
	else if (what < 78)
		do_sync();
	else if (what < 94)
		do_fill();
	else if (what < 95)
		do_reopen();
	else if (what < 98)
		do_tidy();
	else
		check_kill();
	if (nr_cuts)
		check_cuts();
}

static void reset(uint64_t seed)
{
	chance_seed = seed * 0x9e3779b97f4a7c15;
	nr_history = promised = 0;
	gen = version = 1;
	now = (struct state) { .size = 32 };
	for (unsigned int i = 0; i < 32; i++)
		now.page[i] = 1;
	source = now;
	history[nr_history++] = now;
	dir = make_dir(disk);
	forget_images(disk ? dir : NULL);
	cutting = disk;
	store = open_store(dir, disk, now.size * PAGE);
}

static void check_run(uint64_t seed, unsigned int steps)
{
	unsigned int step = 0;

	reset(seed);
	kills = cuts = 0;
	while (step < steps && !bad) {
		do_something();
		step++;
	}
	tap_ok(!bad, "%s, seed %llu: %u steps, %u kills, %u power cuts", disk ? "disk" : "tmpfs", (unsigned long long)seed, step, kills,
	       cuts);
	cutting = false;
	forget_images(NULL);
	close_store(store);
	drop_dir(dir);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? (unsigned int)atoi(argv[1]) : 3;

	history = calloc(HISTORY, sizeof(*history));
	closed = calloc(GENS, sizeof(*closed));
	if (!history || !closed || loop_open(&loop, 0))
		return 99;
	for (unsigned int i = 1; i <= rounds && !bad; i++) {
		disk = false;
		check_run(i, 3000);
		disk = true;
		if (!bad)
			check_run(i, 1200);
	}
	loop_close(loop);
	free(history);
	free(closed);
	return tap_end();
}
