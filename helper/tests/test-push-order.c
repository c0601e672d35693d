// SPDX-License-Identifier: GPL-2.0
/*
 * What the sources of a domain's regions show is, at every instant, what disks are after a power cut: there is a generation G so
 * that everything before G is there, some of G, and nothing after it. Random programs, random answers; sources lose power, so does
 * the host, the helper is killed.
 */
#include "push-world.h"

#define REGIONS		3u
#define SIDE_PAGES	24u
#define VERSIONS	65536u

static struct side sides[REGIONS];

/* Every change that was ever made, by its number. */
static struct version {
	uint64_t gen;
	bool zero, lost;
} versions[VERSIONS];
static uint32_t nr_versions;

/* The numbers of a page's changes, in their order. */
static struct history {
	uint32_t *version;
	size_t nr, max;
} histories[REGIONS][SIDE_PAGES];

static unsigned long checks, broken;
static uint64_t newest_seen;

/* ---- the model ---- */

static void remember(struct history *history, uint32_t version)
{
	if (history->nr == history->max) {
		history->max = history->max ? history->max * 2 : 64;
		history->version = realloc(history->version, history->max * sizeof(*history->version));
	}
	history->version[history->nr++] = version;
}

/* With this as the page's content, G is from low to high. */
static void bounds(const struct history *history, size_t at, uint64_t *low, uint64_t *high)
{
	*low = at ? versions[history->version[at - 1]].gen : 0;
	*high = at < history->nr ? versions[history->version[at]].gen : UINT64_MAX;
}

/* May the page be so, in the state G? Zeroes may be of any DISCARD, or from the start. */
static bool may_be(const struct history *history, uint32_t seen, uint64_t g)
{
	uint64_t low, high;

	for (size_t at = history->nr + 1; at--;) {
		bool zero = !at || versions[history->version[at - 1]].zero;

		if (seen ? !at || history->version[at - 1] != seen : !zero)
			continue;
		bounds(history, at, &low, &high);
		if (low <= g && g <= high)
			return true;
		if (high < g)
			return false;	/* older ones end earlier still */
	}
	return false;
}

static bool all_may_be(uint64_t g)
{
	for (unsigned int region = 0; region < REGIONS; region++)
		for (unsigned int page = 0; page < SIDE_PAGES; page++)
			if (!may_be(&histories[region][page], sides[region].remote.seen[page], g))
				return false;
	return true;
}

static void check(struct remote *remote)
{
	uint64_t newest = 0;

	checks++;
	for (unsigned int region = 0; region < REGIONS; region++)
		for (unsigned int page = 0; page < SIDE_PAGES; page++) {
			const struct version *version = &versions[sides[region].remote.seen[page]];

			if (version->lost)
				broken++;
			newest = version->gen > newest ? version->gen : newest;
		}
	/* G is the newest that is seen, or, where that is whole, any up to the next; zeroes may hide what is newest */
	newest_seen = newest > newest_seen ? newest : newest_seen;
	for (uint64_t g = newest; g <= barriers_gen(&barriers); g++)
		if (all_may_be(g))
			return;
	broken++;
}

/* ---- the program ---- */

static void change(unsigned int region)
{
	unsigned int page = (unsigned int)rand() % SIDE_PAGES, n = 1 + (unsigned int)rand() % 3;
	bool zero = !(rand() % 8);
	uint32_t version = ++nr_versions;

	if (version >= VERSIONS)
		abort();
	n = page + n > SIDE_PAGES ? SIDE_PAGES - page : n;
	versions[version] = (struct version){ .gen = pusher_gen(sides[region].pusher), .zero = zero };
	for (unsigned int i = 0; i < n; i++)
		remember(&histories[region][page + i], version);
	side_write(&sides[region], page, n, zero ? 0 : version);
	/* the number of a DISCARD is not in the log's places: it is in the record */
	sides[region].store.changes[sides[region].store.nr - 1].at = (uint64_t)version << 32;
}

static void unwanted(struct pusher_wait *wait, int error)
{
	free(wait);
}

static void ask_flush(unsigned int region)
{
	struct pusher_wait *wait = calloc(1, sizeof(*wait));

	wait->done = unwanted;
	pusher_flush(sides[region].pusher, wait);
}

/* The sources go on for a little. */
static void go_on(void)
{
	for (unsigned int i = 0; i < REGIONS; i++)
		if (sides[i].remote.state == REMOTE_UP)
			remote_release(&sides[i].remote);
	pass(1);
}

static void source_trouble(struct remote *remote)
{
	switch (rand() % 4) {
	case 0:
		remote_crash(remote);
		break;
	case 1:
		remote->fail[rand() % BACKEND_DESTROY] = -EIO;
		break;
	case 2:
		remote->state = REMOTE_AWAY;
		remote->hold = true;
		break;
	default:
		remote->state = REMOTE_UP;
		remote_release(remote);
	}
}

static void step(void)
{
	unsigned int region = (unsigned int)rand() % REGIONS;

	switch (rand() % 24) {
	case 0 ... 13:
		change(region);
		break;
	case 14 ... 18:
		barriers_close(&barriers);
		break;
	case 19:
	case 20:
		ask_flush(region);
		break;
	case 21:
		source_trouble(&sides[region].remote);
		sides[region].store.note_error = rand() % 4 ? 0 : -ENOSPC;
		break;
	default:
		go_on();
	}
}

/* ---- the end of the helper, or of the host ---- */

/* What is under way has its effect, or not, and is never answered as far as the next helper is concerned. */
static void die(struct side *side)
{
	side->remote.shuffle = false;
	side->remote.state = REMOTE_UP;
	memset(side->remote.fail, 0, sizeof(side->remote.fail));
	side->remote.fail[BACKEND_WRITE] = rand() % 2 ? -EIO : 0;
	side->remote.forever = rand() % 2;
	remote_release(&side->remote);
	side->store.sync_error = -EIO;
	side_close(side);
	side->remote.forever = false;
	side->store.sync_error = side->store.note_error = 0;
	memset(side->remote.fail, 0, sizeof(side->remote.fail));
}

/* What the store has forgotten is not in the model either: it must not be seen any more. */
static void forget(unsigned int region)
{
	const struct store *store = &sides[region].store;
	uint32_t last = store->nr ? (uint32_t)(store->changes[store->nr - 1].at >> 32) : 0;

	for (unsigned int page = 0; page < SIDE_PAGES; page++) {
		struct history *history = &histories[region][page];

		for (; history->nr && history->version[history->nr - 1] > last; history->nr--)
			versions[history->version[history->nr - 1]].lost = true;
	}
}

static void reopen(struct side *side, uint64_t region, bool publish)
{
	side->remote.shuffle = true;
	side->remote.opened++;
	side->remote.caps.publish = publish;
	side->store.at_once = rand() % 2;
	side_open(side, region);
}

static void restart(bool power, unsigned int publish)
{
	for (unsigned int i = 0; i < REGIONS; i++)
		die(&sides[i]);
	for (unsigned int i = 0; i < REGIONS; i++)
		barriers_forget(&barriers, i + 1);
	barriers_init(&barriers);
	barriers_hold(&barriers);
	for (unsigned int i = 0; i < REGIONS; i++) {
		store_restart(&sides[i].store, power);
		if (power)
			forget(i);
		reopen(&sides[i], i + 1, publish & 1u << i);
		pass(1);
	}
	barriers_release(&barriers);
	check(NULL);
}

/* ---- a run ---- */

static void setup(unsigned int publish)
{
	barriers_init(&barriers);
	nr_versions = 0;
	checks = broken = newest_seen = 0;
	memset(versions, 0, sizeof(versions));
	versions[0].zero = true;
	for (unsigned int i = 0; i < REGIONS; i++) {
		side_setup(&sides[i], &barriers, SIDE_PAGES, publish & 1u << i);
		sides[i].remote.changed = check;
		sides[i].policy.push_interval = 30;
		sides[i].policy.max_unpushed = rand() % 2 ? 1 << 30 : 32 * PAGE;
		reopen(&sides[i], i + 1, publish & 1u << i);
	}
}

static bool drained(void)
{
	for (unsigned int i = 0; i < REGIONS; i++) {
		sides[i].remote.state = REMOTE_UP;
		remote_release(&sides[i].remote);
		memset(sides[i].remote.fail, 0, sizeof(sides[i].remote.fail));
		sides[i].store.note_error = 0;
		if (pusher_stats(sides[i].pusher)->unpushed)
			ask_flush(i);
	}
	for (int n = 0; n < 3000; n++) {
		uint64_t unpushed = 0;

		go_on();
		for (unsigned int i = 0; i < REGIONS; i++)
			unpushed += pusher_stats(sides[i].pusher)->unpushed;
		if (!unpushed)
			return true;
	}
	return false;
}

static bool is_newest(void)
{
	for (unsigned int region = 0; region < REGIONS; region++)
		for (unsigned int page = 0; page < SIDE_PAGES; page++) {
			const struct history *history = &histories[region][page];
			uint32_t last = history->nr ? history->version[history->nr - 1] : 0;

			if (sides[region].remote.seen[page] != (versions[last].zero ? 0 : last))
				return false;
		}
	return true;
}

static unsigned int teardown(void)
{
	unsigned int overlaps = 0;

	for (unsigned int i = 0; i < REGIONS; i++) {
		side_close(&sides[i]);
		barriers_forget(&barriers, i + 1);
		overlaps += sides[i].remote.overlaps;
		side_free(&sides[i]);
		for (unsigned int page = 0; page < SIDE_PAGES; page++) {
			free(histories[i][page].version);
			histories[i][page] = (struct history){ 0 };
		}
	}
	return overlaps;
}

static void test_run(unsigned int seed, unsigned int publish, bool restarts)
{
	bool all;

	srand(seed);
	setup(publish);
	for (unsigned int i = 0; i < 3000; i++) {
		step();
		if (restarts && !(rand() % 250))
			restart(rand() % 2, publish);
	}
	all = drained();
	tap_ok(all && is_newest() && !broken, "seed %u, publishing %u%s: in order at each of %lu instants, and whole in the end",
	       seed, publish, restarts ? ", with restarts" : "", checks);
	if (!all || broken || !is_newest())
		printf("# drained %d, newest %d, broken %lu, newest seen %" PRIu64 "\n", all, is_newest(), broken, newest_seen);
	tap_number(teardown(), 0, "nothing has overlapped");
}

int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;

	if (loop_open(&loop, 0))
		return EXIT_FAILURE;
	for (unsigned int publish = 0; publish < 8; publish += publish == 0 ? 7 : 1) {
		test_run(seed, publish, false);
		test_run(seed + 1, publish, true);
	}
	test_run(seed + 2, 5, true);
	loop_close(loop);
	return tap_end();
}
