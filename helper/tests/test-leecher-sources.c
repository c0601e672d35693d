// SPDX-License-Identifier: GPL-2.0
/* A region moves from host A to host B, and A is gone before all of it has come: what others have of it is as good, if it can be told by its hash. */
#include "two-hosts.h"

#include "backends/leech-private.h"
#include "hash-file.h"

#define CHUNKS (SIZE / CHUNK)

static unsigned int zeroes;	/* chunks of A's that have nothing else */
static char copy[2][160];	/* files that have what A has; a test changes some of it */

/* Each chunk of A's is another one. */
static void fill_a(void)
{
	static uint8_t bytes[CHUNK];

	for (unsigned int i = 0; i < CHUNKS; i++) {
		uint64_t left = size - i * CHUNK;

		memset(bytes, zeroes >> i & 1 ? 0 : 10 + (int)i, CHUNK);
		if (host_request(a, from->id, BACKEND_WRITE, i * CHUNK, left < CHUNK ? left : CHUNK, bytes))
			printf("# A could not be written\n");
	}
}

/* bad: chunks that are not as they were. */
static void make_copy(unsigned int n, unsigned int bad)
{
	static uint8_t bytes[CHUNK];
	FILE *file;

	snprintf(copy[n], sizeof(copy[n]), "%s/copy%u-%s", dir, n, a->name);
	file = fopen(copy[n], "w");
	for (unsigned int i = 0; file && i < CHUNKS; i++) {
		memset(bytes, 10 + (int)i, CHUNK);
		bytes[CHUNK / 2] += bad >> i & 1;
		if (fwrite(bytes, CHUNK, 1, file) != 1)
			exit(90);
	}
	if (!file || fclose(file))
		exit(89);
}

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command))
		exit(86);
}

/* A's hashes come, its bytes do not. */
static void release_hashes(void)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &slow.held) {
		struct backend_req *req = list_entry(at, struct backend_req, list);

		if (req->flags & BACKEND_ZERO_NULL)
			continue;
		list_del(at);
		slow.real->submit(req->backend, req);
	}
}

static bool all_hashed(void)
{
	release_hashes();
	return says("hashed_bytes") == SIZE;
}

/* B owns it, knows what it is like, and has nothing of it. */
static void own_nothing(const char *name, struct user *user, json_t *more)
{
	begin(name);
	fill_a();
	slow.hold = true;
	leech_with(user, more);
	tap_number(host_do(b, "finalize", db()), 0, "a region is handed over before any of it has come");
	tap_ok(until(all_hashed()), "its hashes come before its bytes");
}

static int read_chunk(unsigned int i)
{
	static uint8_t bytes[CHUNK];
	int error = host_request(b, to->id, BACKEND_READ, i * CHUNK, CHUNK, bytes);

	if (!error && (bytes[0] != 10 + i || bytes[CHUNK / 2] != 10 + i || bytes[CHUNK - 1] != 10 + i))
		return -EILSEQ;
	return error;
}

/* A program waits; it is not freed. */
static struct program *wait_for(unsigned int i)
{
	static uint8_t bytes[CHUNKS][CHUNK];
	struct program *program = calloc(1, sizeof(*program));

	program->req = (struct backend_req){
		.op = BACKEND_READ, .offset = i * CHUNK, .length = CHUNK, .data = bytes[i], .flags = BACKEND_DEMAND, .attach_gen = 1, .epoch = 1,
		.loop = loop, .done = program_done,
	};
	region_submit(b->regiond->regions, to->id, &program->req);
	pass(50);
	return program;
}

static json_t *also(unsigned int n)
{
	char uri[200];

	snprintf(uri, sizeof(uri), "file:%s", copy[n]);
	return json_pack("{s:[s]}", "also", uri);
}

static json_t *lost(json_t *more)
{
	json_t *args = json_pack("{s:s,s:b}", "region", "db", "source_lost", 1);

	json_object_update(args, more);
	json_decref(more);
	return args;
}

/* The name of a copy is known before A's is. */
static void name_copies(const char *name)
{
	for (unsigned int n = 0; n < 2; n++)
		snprintf(copy[n], sizeof(copy[n]), "%s/copy%u-a-%.10s", dir, n, name);
}

static void test_lost(void)
{
	struct program *first, *second;
	struct user user;

	name_copies("lost");
	own_nothing("lost", &user, also(0));
	make_copy(0, 1 << 2);
	make_copy(1, 1 << 1);
	first = wait_for(0);
	second = wait_for(2);
	tap_ok(!first->done && !second->done, "programs wait for two chunks of it");
	cut();
	tap_ok(until(first->done) && !first->error, "A is gone: one comes from elsewhere");
	tap_number(read_chunk(1), 0, "as does the next that is asked for");
	tap_ok(until(says("elsewhere_bytes") == 3 * CHUNK), "and the rest behind");
	pass(200);
	tap_ok(!second->done, "but what is not as it was is not taken: it is waited for");
	tap_number(host_resolve(b, lost(NULL)), 0, "the operator says that A is lost");
	tap_ok(until(second->done) && second->error == -EIO, "then that access fails");
	tap_number(read_chunk(2), -EIO, "as does the next one");
	tap_number(read_chunk(3), 0, "while all else is there");
	tap_number((long long)says("lost_bytes"), CHUNK, "so much is lost");
	tap_ok(strstr(host_says(b, "db", "error"), "nobody else has, the first of them at 131072"), "which is said: %s", host_says(b, "db", "error"));
	tap_number(host_resolve(b, lost(also(1))), 0, "another place is named");
	tap_number(read_chunk(2), 0, "which has it");
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(user.done) && !user.error, "that was the last one: all is here");
	tap_ok(until(!is_left_over("hashes-")) && until(!is_left_over("leech-")), "and nothing is left over");
}

/* A is away for a while. */
static void test_away(void)
{
	struct user user;

	name_copies("away");
	own_nothing("away", &user, also(0));
	make_copy(0, 0);
	hide();
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(user.done) && !user.error, "A is away: all of it comes from elsewhere");
	for (unsigned int i = 0; i < CHUNKS; i++)
		tap_number(read_chunk(i), 0, "as it was");
	tap_ok(!host_is(a, "db", "complete"), "of which A has not heard");
	run("for f in %s/leech-*; do touch %s/hashes-${f##*-}; done", b->state, b->state);
	tap_ok(is_left_over("leech-") && is_left_over("hashes-"), "a helper has left its hashes, as if it had died");
	unhide();
	tap_ok(until(host_is(a, "db", "complete")), "until it is back");
	tap_ok(until(!is_left_over("leech-")) && until(!is_left_over("hashes-")), "then nothing is left over");
	slow_release();
}

/* The record has gone, and a power cut has left the hashes. */
static void test_left_over(void)
{
	struct user user;

	name_copies("left");
	own_nothing("left", &user, NULL);
	run("touch %s/hashes-0123456789abcdef0123456789abcdef", b->state);
	restart();
	tap_ok(until(!is_left_over("hashes-0123456789abcdef")), "hashes that are nobody's go at the next start");
	tap_ok(is_left_over("hashes-"), "others stay");
	slow_release();
}

/* What A sends after all is older than what programs have written since. */
static void test_back(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	name_copies("back");
	own_nothing("back", &user, also(0));
	make_copy(0, 1 << 3);
	wait_for(1);
	hide();
	tap_ok(until(says("elsewhere_bytes") == 3 * CHUNK), "A is away: most of it comes from elsewhere");
	memset(bytes, 99, sizeof(bytes));
	tap_number(host_request(b, to->id, BACKEND_WRITE, 100, CHUNK, bytes), 0, "a program changes it");
	tap_ok(!says("lost_bytes") && host_is(b, "db", "owned"), "the last chunk is waited for");
	unhide();
	slow_release();
	tap_ok(until(!strncmp(to->source, "file:", 5)) && until(host_is(a, "db", "complete")), "A is back, and has it");
	tap_ok(!host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes) && bytes[99] == 10 && bytes[100] == 99 && bytes[CHUNK + 99] == 99 &&
	       bytes[CHUNK + 100] == 11 && bytes[SIZE - 1] == 13, "what was changed stays as it is");
}

/* Helpers of B, and its host, end as well. */
static void test_again(void)
{
	char command[256];
	struct user user;

	name_copies("again");
	own_nothing("again", &user, also(0));
	make_copy(0, 1 << 1);
	make_copy(1, 1 << 2);
	hide();
	host_kill(b);
	snprintf(command, sizeof(command), "rm -f %s/leech-*", b->run);
	tap_ok(!system(command), "A is away, and B is booted");
	start_b();
	tap_number(read_chunk(0), 0, "the next helper knows where to look, and what for");
	tap_ok(until(says("elsewhere_bytes") == 3 * CHUNK), "and does so");
	tap_number(host_resolve(b, lost(NULL)), 0, "A is lost");
	tap_number(read_chunk(1), -EIO, "with what nobody has");
	restart();
	tap_ok(until(says("lost_bytes") == CHUNK), "so it is for the next helper");
	tap_number(read_chunk(1), -EIO, "which looks again in vain");
	tap_number(host_resolve(b, lost(also(1))), 0, "until it is told of another place");
	tap_number(read_chunk(1), 0, "that has it");
	tap_ok(until(!strncmp(to->source, "file:", 5)), "all is here");
	slow_release();
}

static const char *also_of_b(void)
{
	static char text[1024];
	json_t *show = handover_show(region_of(b));
	char *dumped = json_dumps(json_object_get(show, "also"), JSON_COMPACT | JSON_ENCODE_ANY);

	snprintf(text, sizeof(text), "%s", dumped ? dumped : "");
	free(dumped);
	json_decref(show);
	return text;
}

/* One that is named with "resolve" is known to the next helper. */
static void test_named_later(void)
{
	struct user user;

	name_copies("later");
	own_nothing("later", &user, NULL);
	make_copy(0, 1);
	cut();
	tap_number(host_resolve(b, lost(json_pack("{s:[s,s]}", "also", "region:x", "nowhere:x"))), -EPROTONOSUPPORT, "of two places one is none");
	tap_ok(!strstr(also_of_b(), "region:x"), "so neither is looked at");
	tap_number(host_resolve(b, lost(also(0))), 0, "A is lost, and a place is named only then");
	tap_ok(until(says("elsewhere_bytes") == 3 * CHUNK), "what it has comes from there");
	restart();
	make_copy(0, 0);
	tap_ok(until(host_is(b, "db", "owned")), "the next helper is there");
	tap_ok(until(!read_chunk(0)), "and knows that place, too, which has got the rest");
	tap_ok(until(!strncmp(to->source, "file:", 5)), "so all is here");
}

/* A region of that host has what is in the first copy. */
static void add_copy(struct host *host, const char *name)
{
	char source[200];

	snprintf(source, sizeof(source), "file:%s?direct=no", copy[0]);
	host_add(host, name, source, SIZE);
}

/* Another region of B. */
static void test_region(void)
{
	struct user user;

	name_copies("region");
	own_nothing("region", &user, json_pack("{s:[s]}", "also", "region:/old"));
	make_copy(0, 1 << 1);
	add_copy(b, "old");
	cut();
	tap_ok(until(says("elsewhere_bytes") == 3 * CHUNK), "A is gone, and another region of B has most of it");
	restart();
	make_copy(0, 0);
	tap_ok(until(host_is(b, "db", "owned")), "the next helper knows that region, too");
	tap_ok(until(!read_chunk(1)), "which has got the rest");
	tap_number(host_resolve(b, lost(NULL)), 0, "the operator says that A is lost");
	tap_ok(until(!strncmp(to->source, "file:", 5)), "all is here");
	tap_number(read_chunk(3), 0, "as it was");
	tap_ok(b->kernel.asked[REGIONFS_CMD_WRITEBACK] > 0, "with what is dirty there");
}

/* A region of a third host. */
static void test_peer(void)
{
	char listen[160], uri[220];
	struct host *c = host_new("c-peer");
	struct user user;

	name_copies("peer");
	snprintf(listen, sizeof(listen), "unix:%s/s", c->run);
	snprintf(uri, sizeof(uri), "peer+%s?region=copy", listen);
	own_nothing("peer", &user, json_pack("{s:[s]}", "also", uri));
	make_copy(0, 0);
	host_start(c);
	add_copy(c, "copy");
	tap_number(host_do(c, "export", json_pack("{s:s,s:s,s:b}", "region", "copy", "listen", listen, "read_only", 1)), 0, "a third host has a copy");
	cut();
	tap_ok(until(!strncmp(to->source, "file:", 5)), "A is gone, and that one has it all");
	tap_number(read_chunk(2), 0, "as it was");
}

/* The last chunk is a short one, and was made longer here. */
static void test_short(void)
{
	static uint8_t bytes[SIZE + CHUNK];
	unsigned int zeroes = 0;
	struct user user;

	size = SIZE - 1000;
	name_copies("short");
	own_nothing("short", &user, also(0));
	size = SIZE;
	make_copy(0, 0);
	tap_number(host_request(b, to->id, BACKEND_WRITE, SIZE + 100, 10, bytes), 0, "a program here makes it longer");
	cut();
	tap_ok(until(!strncmp(to->source, "file:", 5)), "A is gone, and a file has all, and more");
	tap_number(host_request(b, to->id, BACKEND_READ, 0, sizeof(bytes), bytes), 0, "it is read");
	for (unsigned int i = SIZE - 1000; i < SIZE; i++)
		zeroes += !bytes[i];
	tap_ok(bytes[SIZE - 1001] == 13 && zeroes == 1000, "what was there, and zeroes behind it");
}

/* What is known to be zeroes need be nowhere. */
static void test_zeroes(void)
{
	static uint8_t bytes[SIZE];
	struct user user;

	zeroes = 1 << 1;
	name_copies("zeroes");
	own_nothing("zeroes", &user, NULL);
	zeroes = 0;
	cut();
	tap_number(host_resolve(b, lost(NULL)), 0, "A is lost, and there is nobody else");
	tap_ok(until(says("lost_bytes") == 3 * CHUNK), "a chunk of zeroes is not");
	tap_ok(!host_request(b, to->id, BACKEND_READ, CHUNK, CHUNK, bytes) && !bytes[0] && !bytes[CHUNK - 1], "it is there");
	tap_number(read_chunk(0), -EIO, "the others are not");
}

static bool state_is_synced;

static void state_synced(struct state_waiter *waiter, int error)
{
	(void)waiter;
	state_is_synced = !error;
}

/* What the next helper is told has something in it that it cannot use. */
static void test_noted(void)
{
	struct state_waiter synced;
	json_t *args, *noted;
	char path[128], hook[160];
	struct user user;

	begin("noted");
	name_copies("noted");
	snprintf(path, sizeof(path), "%s/resumed", b->run);
	snprintf(hook, sizeof(hook), "touch %s", path);
	args = also(0);
	json_object_set_new(args, "on_resume", json_string(hook));
	leech_with(&user, args);
	noted = json_loads(region_of(b)->info.handover, 0, NULL);
	json_object_set_new(noted, "on_stall", json_string("nothing that there is"));
	json_object_set_new(noted, "also", json_pack("[s]", "nowhere:x"));
	region_set_handover(region_of(b), json_dumps(noted, JSON_COMPACT));
	json_decref(noted);
	synced.done = state_synced;
	state_sync(b->regiond->state, &synced);
	tap_ok(until(state_is_synced), "the state directory has what there is no such thing of");
	restart();
	tap_ok(until(host_is(b, "db", "pulling")), "the next helper cannot use all that it finds, and goes on");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(!access(path, F_OK)), "and the resume hook runs");
	tap_ok(until(!strncmp(to->source, "file:", 5)), "all is here");
}

/* ---- programs change what is looked for ---- */

/* B's local store: the first request of a kind is done, or fails, but not answered before local_answer(). */
static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	enum backend_op op;
	int fails;			/* it is not done */
	struct backend_req inner, *outer;
	bool held, done;
} local;

static void local_done(struct backend_req *inner, int error)
{
	local.done = true;
}

static void local_submit(struct backend *backend, struct backend_req *req)
{
	if (local.held || req->op != local.op) {
		local.real->submit(backend, req);
		return;
	}
	local.held = true;
	local.outer = req;
	local.done = local.fails;
	if (local.fails)
		return;
	local.inner = *req;
	local.inner.loop = loop;
	local.inner.done = local_done;
	local.real->submit(backend, &local.inner);
}

static void local_watch(enum backend_op op, int fails)
{
	struct backend *backend = leech_of(region_of(b)->backend)->local;

	memset(&local, 0, sizeof(local));
	local.real = backend->ops;
	local.ops = *local.real;
	local.ops.submit = local_submit;
	local.op = op;
	local.fails = fails;
	backend->ops = &local.ops;
}

/* Another region of B, whose READs are held. */
static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	struct list held;
	unsigned int nr;
} old;

static void old_submit(struct backend *backend, struct backend_req *req)
{
	if (req->op != BACKEND_READ) {
		old.real->submit(backend, req);
		return;
	}
	list_add(&old.held, &req->list);
	old.nr++;
}

static void old_release(void)
{
	struct list *entry;

	while ((entry = list_pop(&old.held))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		old.real->submit(req->backend, req);
	}
}

static void add_old(void)
{
	struct region *region;
	uint8_t byte;

	add_copy(b, "old");
	region = region_find_path(b->regiond->regions, "old");
	tap_number(host_request(b, region->info.id, BACKEND_READ, 0, 1, &byte), 0, "another region is there");
	memset(&old, 0, sizeof(old));
	list_init(&old.held);
	old.real = region->backend->ops;
	old.ops = *old.real;
	old.ops.submit = old_submit;
	region->backend->ops = &old.ops;
	region_put(region);
}

static struct program *begin_change(enum backend_op op, uint64_t offset, uint64_t length)
{
	struct program *program = calloc(1, sizeof(*program));
	static uint8_t bytes[SIZE];

	memset(bytes, 99, sizeof(bytes));
	program->req = (struct backend_req){
		.op = op, .offset = offset, .length = length, .arg = op == BACKEND_RESIZE ? length : 0, .data = bytes, .flags = BACKEND_DEMAND,
		.attach_gen = 1, .epoch = 1, .loop = loop, .done = program_done,
	};
	region_submit(b->regiond->regions, to->id, &program->req);
	return program;
}

/* A program cuts it off, and the local store is at that when what it had comes from elsewhere. */
static void test_cut_off(void)
{
	static uint8_t bytes[SIZE];
	struct program *program;
	unsigned int bad = 0;
	struct user user;

	name_copies("cutoff");
	own_nothing("cutoff", &user, json_pack("{s:[s]}", "also", "region:old"));
	make_copy(0, 0);
	add_old();
	cut();
	tap_ok(until(old.nr == CHUNKS), "A is gone, and another region is asked for all");
	tap_number(host_resolve(b, lost(NULL)), 0, "for good");
	local_watch(BACKEND_RESIZE, 0);
	program = begin_change(BACKEND_RESIZE, 0, 0);
	tap_ok(until(local.done) && !program->done, "a program makes it empty, which is all but done");
	old_release();
	pass(200);
	tap_number((long long)says("elsewhere_bytes"), 0, "what comes now is too late");
	backend_done(local.outer, 0);
	tap_ok(until(program->done) && !program->error, "it is empty");
	tap_number(host_request(b, to->id, BACKEND_RESIZE, 0, SIZE, NULL), 0, "and longer again");
	tap_number(host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes), 0, "it is read");
	for (unsigned int i = 0; i < SIZE; i++)
		bad += bytes[i] != 0;
	tap_number(bad, 0, "nothing of what was there is back");
}

/* A program was about to overwrite a chunk when the rest was looked for, and could not. */
static void test_skipped(void)
{
	struct program *program;
	struct user user;

	name_copies("skipped");
	own_nothing("skipped", &user, NULL);
	make_copy(0, 0);
	local_watch(BACKEND_WRITE, 1);
	program = begin_change(BACKEND_WRITE, CHUNK, CHUNK);
	cut();
	tap_number(host_resolve(b, lost(also(0))), 0, "A is lost, and a file has it all");
	tap_ok(until(says("elsewhere_bytes") == 3 * CHUNK), "which is taken, but for what a program overwrites");
	pass(200);
	tap_ok(local.held && !program->done, "that is under way");
	tap_ok(!strstr(host_says(b, "db", "error"), "nobody else has"), "nobody says that it is lost");
	backend_done(local.outer, -EIO);
	tap_ok(until(program->done) && program->error == -EIO, "it fails");
	tap_ok(until(!strncmp(to->source, "file:", 5)), "and the chunk is had from the file, too");
	tap_number(read_chunk(1), 0, "as it was");
}

static void refused(const char *what, const char *uri)
{
	char source[256];
	struct user user;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", socket_path);
	host_begin(b, &user, "leech", json_pack("{s:s,s:s,s:s,s:[s]}", "region", "db", "source", source, "local_source", "memory:", "also", uri));
	tap_ok(user.done && (user.error == -EINVAL || user.error == -EPROTONOSUPPORT), "%s: %s", what, user.said);
}

static void test_refused(void)
{
	begin("refused");
	refused("what is no source is refused", "nowhere:x");
	refused("a peer without a key", "peer://host/region");
	refused("a region without a name", "region:");
	refused("the region itself", "region:db");
}

/* ---- the file of hashes ---- */

static void test_file(void)
{
	uint8_t hashes[4 * CHUNK_HASH], got[4 * CHUNK_HASH];
	struct hash_file *file;
	char path[256];

	hash_file_path(path, sizeof(path), dir, "tok");
	file = hash_file_new(path);
	memset(hashes, 3, sizeof(hashes));
	tap_number(hash_file_load(file), -ENOENT, "where none is, none is loaded");
	tap_ok(!hash_file_get(file, 0, 4, got) && !hash_is_known(got), "and nothing known");
	tap_number(hash_file_create(file, 65536, 3 * 65536 + 5), 0, "one is made");
	tap_ok(!hash_file_is_there(file) && !hash_file_length(file, 0), "that is not in use yet");
	hash_file_use(file);
	tap_ok(hash_file_length(file, 2) == 65536 && hash_file_length(file, 3) == 5 && !hash_file_length(file, 4) &&
	       !hash_file_length(file, UINT64_MAX), "that knows how long chunks are");
	tap_ok(!hash_file_put(file, 1, 2, hashes) && !hash_file_sync(file), "two hashes are put there");
	hash_file_free(file);
	if (truncate(path, 4096 + 3 * CHUNK_HASH - 1))
		exit(88);
	file = hash_file_new(path);
	tap_ok(!hash_file_load(file) && !hash_file_get(file, 0, 4, got), "it is loaded, though it was cut off");
	tap_ok(!hash_is_known(got) && hash_is_known(got + CHUNK_HASH) && !hash_is_known(got + 2 * CHUNK_HASH) && !hash_is_known(got + 3 * CHUNK_HASH),
	       "what is not there whole is not known");
	hash_file_free(file);
	if (truncate(path, 10))
		exit(87);
	file = hash_file_new(path);
	tap_number(hash_file_load(file), -ENOENT, "one without a whole head is none");
	hash_file_free(file);
	unlink(path);
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_file();
	test_lost();
	test_away();
	test_left_over();
	test_back();
	test_again();
	test_named_later();
	test_region();
	test_peer();
	test_short();
	test_zeroes();
	test_noted();
	test_cut_off();
	test_skipped();
	test_refused();
	return hosts_end();
}
