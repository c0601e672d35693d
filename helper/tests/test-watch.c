// SPDX-License-Identifier: GPL-2.0
/* What regionctl watch draws: the map's characters, the bars, rates from differences, and what is left out. */
#include "tap.h"
#include "../watch-draw.h"

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!json)
		printf("# no JSON: %s\n", text);
	return json;
}

static void check_cell(const char *bucket, uint64_t bytes, char wanted)
{
	json_t *json = parse(bucket);
	char got = watch_cell(json, bytes);

	tap_ok(got == wanted, "%s of %llu is '%c', and is '%c'", bucket, (unsigned long long)bytes, wanted, got);
	json_decref(json);
}

static void check_cells(void)
{
	check_cell("[0,0,0,0]", 4096, '.');
	check_cell("[1000,0,0,0]", 4096, '.');
	check_cell("[2048,0,0,0]", 4096, '#');
	check_cell("[4096,0,0,0]", 4096, '#');
	check_cell("[2048,1,0,0]", 4096, '>');
	check_cell("[4096,1,1,0]", 4096, '*');
	check_cell("[4096,1,4096,1]", 4096, '^');
	check_cell("[0,0,0,0]", 0, '.');
}

static void check_buckets(void)
{
	tap_number(watch_buckets(0, 80), 1, "an empty region has a bucket all the same");
	tap_number(watch_buckets(1, 80), 1, "one page, one bucket");
	tap_number(watch_buckets(10 * 4096 + 1, 80), 11, "a small one has as many as pages");
	tap_number(watch_buckets(1ULL << 40, 80), 640, "a large one fills some lines");
	tap_number(watch_buckets(1ULL << 40, 2000), 4096, "and never more than a map may have");
}

static void check_bars(const char *wait, const char *wanted, const char *what)
{
	json_t *json = parse(wait);
	struct text text = { 0 };

	watch_waits(&text, json, 30);
	tap_is(text.data ? text.data : "", wanted, what);
	text_free(&text);
	json_decref(json);
}

static void check_waits(void)
{
	check_bars("[0,0,0,0]", "", "no waits, no bars");
	check_bars("[3,1]", "    < 4 us  ================ 4\n", "one bar");
	check_bars("[0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "   < 16 us  ================ 1\n", "the shortest is where it begins");
	check_bars("[100,0,0,0,50,0]", "    < 4 us  ================ 100\n   < 16 us  0\n   < 64 us  ======== 50\n", "an empty one between");
	check_bars("[0,0,0,0,0,0,0,0,1000,0,0,0,0,0,0,0,0,0,0,0,1,0,0,2]",
		   "    < 1 ms  ================ 1000\n    < 4 ms  0\n   < 16 ms  0\n   < 65 ms  0\n  < 262 ms  0\n   < 1.0 s  0\n"
		   "   < 4.2 s  - 1\n    longer  - 2\n", "a few are seen beside many");
}

static void check_waits_for(const char *push, const char *wanted)
{
	json_t *json = parse(push);
	char text[256];

	tap_is(watch_waits_for(json, text, sizeof(text)), wanted, "what pushing waits for");
	json_decref(json);
}

static void check_all_waits_for(void)
{
	check_waits_for("{}", "");
	check_waits_for("{\"waits_for\":\"wal\",\"waits_for_why\":\"away\"}", "wal, whose source is away");
	check_waits_for("{\"waits_for\":\"wal\",\"waits_for_why\":\"behind\"}", "wal");
}

#define STAT(hits, misses, fetched, pushed, more)							\
	"{\"path\":\"data/db\",\"size\":40960,\"source\":\"file:/x\",\"state\":\"ready\",\"stats\":{\"dirty_bytes\":4096}," \
	"\"managed\":{\"policy\":{},\"hits\":" #hits ",\"misses\":" #misses ",\"fetched\":" #fetched ",\"bypassed\":false," \
	"\"wait\":[1],\"source\":{\"state\":\"up\",\"away_ms\":0},\"pull\":{\"state\":\"pulling\",\"pulled\":8192,"	\
	"\"in_flight\":4096,\"window\":65536,\"rate\":5,\"trip_us\":1500}" more "}}"
#define STORE(pushed)											\
	",\"store\":{\"present\":20480,\"full\":true},\"push\":{\"state\":\"pushing\",\"unpushed\":8192,\"oldest_ms\":3200," \
	"\"pushed\":" #pushed ",\"rate\":7,\"limit\":1048576,\"error\":\"it broke\"}"
#define MAP												\
	"{\"bucket\":4096,\"buckets\":[[4096,0,0,0],[4096,0,0,0],[0,4096,0,0],[4096,0,4096,0],[4096,0,4096,4096],"	\
	"[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0],[9,9,9,9]]}"

static void check_frame(const char *now, const char *before, const char *map, const char *wanted, const char *what)
{
	struct watch_frame frame = { .now = parse(now), .elapsed_ms = 500, .columns = 40 };
	json_t *last = before ? parse(before) : NULL, *buckets = map ? parse(map) : NULL;
	struct text text = { 0 };

	frame.before = last;
	frame.map = buckets;
	watch_draw(&text, &frame);
	tap_is(text.data, wanted, what);
	text_free(&text);
	json_decref((json_t *)frame.now);
	json_decref(last);
	json_decref(buckets);
}

static void check_frames(void)
{
	check_frame(STAT(90, 10, 8192, 0, STORE(0)), NULL, MAP,
		    "data/db  40 KiB\nsource    file:/x\n          up\n\n##>*^.....\n"
		    "4 KiB each: . remote  > on its way  # local  * not pushed  ^ being pushed\n\n"
		    "pull      pulling, 50% here (20 KiB), 5 B/s, window 64 KiB, round trip 1.5 ms\n"
		    "push      pushing, 8 KiB unpushed, the oldest for 3.2 s, 7 B/s, writers slowed to 1 MiB/s, store full\n"
		    "          it broke\nreads     90% hits of 100\n\nhow long reads with a program waiting took\n"
		    "    < 4 us  ================ 1\n", "the first frame");
	check_frame(STAT(190, 10, 10240, 0, STORE(4096)), STAT(90, 10, 8192, 0, STORE(0)), MAP,
		    "data/db  40 KiB\nsource    file:/x\n          up\n\n##>*^.....\n"
		    "4 KiB each: . remote  > on its way  # local  * not pushed  ^ being pushed\n\n"
		    "pull      pulling, 50% here (20 KiB), 4 KiB/s, window 64 KiB, round trip 1.5 ms\n"
		    "push      pushing, 8 KiB unpushed, the oldest for 3.2 s, 8 KiB/s, writers slowed to 1 MiB/s, store full\n"
		    "          it broke\nreads     95% hits of 200, now 100% of 200/s\n\nhow long reads with a program waiting took\n"
		    "    < 4 us  ================ 1\n", "the next one has rates");
	check_frame(STAT(0, 0, 0, 0, ""), STAT(90, 10, 8192, 0, ""), "{\"bucket\":40960,\"buckets\":[[0,0,0,0]]}",
		    "data/db  40 KiB\nsource    file:/x\n          up\n\n.\n"
		    "40 KiB each: . remote  > on its way  # local  * not pushed  ^ being pushed\n\n"
		    "pull      pulling, 8 KiB pulled, 0 B/s, window 64 KiB, round trip 1.5 ms\n"
		    "push      no store: writes go through, 4 KiB dirty in the page cache\nreads     none yet\n"
		    "    < 4 us  ================ 1\n", "no store; counters that begin anew are no rates");
	check_frame("{\"path\":\"db\",\"size\":0,\"source\":\"x:\",\"state\":\"ready\",\"managed\":{\"pull\":{\"state\":\"idle\"}}}", NULL,
		    "{\"bucket\":4096,\"buckets\":[[0,0,0,0]]}",
		    "db  0 B\nsource    x:\n          ready\n\n4 KiB each: . remote  > on its way  # local  * not pushed  ^ being pushed\n\n"
		    "pull      idle, 0 B pulled, 0 B/s, window 0 B, round trip 0.0 ms\n"
		    "push      no store: writes go through, 0 B dirty in the page cache\nreads     none yet\n", "an empty one");
	check_frame("{\"path\":\"db\",\"size\":4096,\"source\":\"peer://h/db\",\"state\":\"failed\",\"error\":\"no route\",\"managed\":"
		    "{\"policy\":{}}}", NULL, NULL, "db  4 KiB\nsource    peer://h/db\n          failed: no route\n", "one that is not open");
	check_frame("{\"path\":\"db\",\"size\":4096,\"source\":\"x:\",\"state\":\"ready\",\"managed\":"
		    "{\"policy\":{},\"source\":{\"state\":\"away\",\"away_ms\":65000}}}", NULL, NULL,
		    "db  4 KiB\nsource    x:\n          away for 1m05s: what is here is served, what is not is waited for\n",
		    "a source that is away");
}

int main(void)
{
	check_cells();
	check_buckets();
	check_waits();
	check_all_waits_for();
	check_frames();
	return tap_end();
}
