// SPDX-License-Identifier: GPL-2.0
/*
 * The peer backend against the export server, in one process and one loop, over TCP, TLS and UNIX sockets: random
 * operations against a reference array, with connections that are killed in the middle; who may write; who is let in.
 */
#include "peer-pair.h"
#include "raw-peer.h"

static char key_file[64], wrong_file[64];

/* ---- random operations, many at once, on ranges that do not overlap ---- */

#define LANES	16u
#define LANE	(SIZE / LANES)

struct lane {
	struct backend_req req;
	unsigned int nr, left;
	uint8_t data[LANE];
	bool bad;
};

static struct lane lanes[LANES];
static uint8_t model[SIZE];
static struct backend *random_backend;
static unsigned int lanes_left;

static void lane_next(struct lane *lane);

static void lane_done(struct backend_req *req, int error)
{
	struct lane *lane = container_of(req, struct lane, req);

	lane->bad |= error != 0;
	if (!error && req->op == BACKEND_READ)
		lane->bad |= memcmp(lane->data, model + req->offset, req->length) != 0;
	if (!error && req->op == BACKEND_WRITE)
		memcpy(model + req->offset, lane->data, req->length);
	if (!error && req->op == BACKEND_DISCARD)
		memset(model + req->offset, 0, req->length);
	if (lane->left--)
		lane_next(lane);
	else if (!--lanes_left)
		loop_stop(loop);
}

static void lane_next(struct lane *lane)
{
	static const enum backend_op ops[] = { BACKEND_READ, BACKEND_WRITE, BACKEND_READ, BACKEND_WRITE,
					       BACKEND_DISCARD, BACKEND_SYNC, BACKEND_WRITE };
	enum backend_op op = ops[random() % 7];
	uint32_t from = (uint32_t)random() % (LANE - 1), len = (uint32_t)random() % (LANE - from) + 1;

	if (random() % 2 && len > 4096)
		len = len % 4096 + 1;
	memset(&lane->req, 0, sizeof(lane->req));
	lane->req.op = op;
	lane->req.offset = lane->nr * LANE + from;
	lane->req.length = len;
	lane->req.flags = random() % 2 ? BACKEND_DEMAND : 0;
	lane->req.data = lane->data;
	lane->req.loop = loop;
	lane->req.done = lane_done;
	if (op == BACKEND_WRITE)
		memset(lane->data, (int)(random() % 5 ? random() % 256 : 0), len);
	else
		memset(lane->data, 0x5a, len);
	backend_submit(random_backend, &lane->req);
}

static unsigned int kills;

static void kill_one(struct loop_timer *timer)
{
	struct listener *listener = list_entry(server->listeners.next, struct listener, list);
	struct list *at;
	unsigned int n = (unsigned int)random() % 3;

	list_for_each(at, &listener->services) {
		if (n--)
			continue;
		service_close(list_entry(at, struct service, list), -ECONNRESET);
		kills++;
		break;
	}
	loop_timer_set(loop, timer, 40);
}

static bool run_random(struct backend *backend, unsigned int count, bool kill)
{
	struct loop_timer killer = { .fire = kill_one };
	bool bad = false;

	random_backend = backend;
	lanes_left = LANES;
	if (kill)
		loop_timer_set(loop, &killer, 20);
	for (unsigned int i = 0; i < LANES; i++) {
		lanes[i].nr = i;
		lanes[i].left = count;
		lanes[i].bad = false;
		lane_next(&lanes[i]);
	}
	turn();
	loop_timer_cancel(loop, &killer);
	for (unsigned int i = 0; i < LANES; i++)
		bad |= lanes[i].bad;
	return !bad && !memcmp(model, array.bytes, SIZE);
}

static void test_random(const char *what, const struct listener_options *options, const char *scheme,
			const char *uri_options)
{
	struct export *export = export_array(options, false);
	struct backend *backend;
	char source[256];

	source_of(source, sizeof(source), export, scheme, uri_options);
	if (!strcmp(scheme, "peer+exec"))
		snprintf(source, sizeof(source), "peer+exec:exec socat STDIO UNIX-CONNECT:%s?region=dir/db",
			 options->listen + 5);
	else if (!strncmp(options->listen, "unix:", 5))
		snprintf(source, sizeof(source), "peer+%s?region=dir/db", options->listen);
	backend = client_open(source, (struct who){ .instance = 1, .generation = 1 });
	if (!tap_ok(backend != NULL, "%s: opens", what))
		return;
	tap_ok(backend->caps.size == SIZE, "%s: the size is known", what);
	tap_ok(run_random(backend, 60, false), "%s: random operations", what);
	kills = 0;
	tap_ok(run_random(backend, 600, true) && kills,
	       "%s: random operations while connections are killed", what);
	printf("# %u killed\n", kills);
	client_close(backend);
	unexport(export);
}

/* ---- who writes ---- */

static void test_writers(void)
{
	struct export *export = export_array(&plain, false);
	struct backend *first, *reader, *next;
	struct backend_req late;
	static uint8_t old[4096], new[4096];
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "");
	first = client_open(source, (struct who){ .instance = 1, .generation = 1 });
	tap_ok(first != NULL, "the first writer is let in");
	client_open(source, (struct who){ .instance = 2, .generation = 9 });
	tap_number(open_error, -EBUSY, "a second one is refused");
	tap_ok(strstr(open_why, "is written by") != NULL, "and told who holds it");
	reader = client_open(source, (struct who){ .instance = 2, .generation = 9, .read_only = true });
	tap_ok(reader != NULL, "a reader is let in");
	tap_number(request(reader, BACKEND_WRITE, 0, 4096, old), -EROFS, "who must not write");

	/* The helper of the first client dies with a WRITE in the backend; its successor overwrites. */
	memset(old, 1, sizeof(old));
	memset(new, 2, sizeof(new));
	array.hold = true;
	start(first, &late, BACKEND_WRITE, 8192, 4096, old);
	tap_ok(until(!list_empty(&array.held)), "a WRITE of the old helper is under way");
	{
		struct backend_open open = {
			.loop = loop, .instance = "test", .run_dir = dir, .credentials = dir,
			.instance_id = 1, .region = 1, .attach_gen = 2, .epoch = 1, .done = on_open,
		};

		uri_parse(&open.uri, source, open.why, sizeof(open.why));
		opened = NULL;
		open_told = false;
		backend_open(&open);
		pass(300);
		tap_ok(!open_told, "the next helper waits for it");
		array_release_held();
		turn();
		next = opened;
	}
	tap_ok(next != NULL, "and is let in when it has landed");
	tap_number(request(next, BACKEND_WRITE, 8192, 4096, new), 0, "the new helper writes");
	tap_ok(array.bytes[8192] == 2, "and its bytes stand");
	tap_ok(request(first, BACKEND_WRITE, 8192, 4096, old) < 0 && array.bytes[8192] == 2,
	       "the old helper can't write any more");
	client_open(source, (struct who){ .instance = 1, .generation = 1 });
	tap_number(open_error, -ESTALE, "nor come back");
	client_close(first);
	client_close(reader);
	client_close(next);
	next = client_open(source, (struct who){ .instance = 2, .generation = 1 });
	tap_ok(next != NULL, "another writes when the first has closed");
	if (next)
		client_close(next);
	unexport(export);
}

static void test_read_only(void)
{
	struct export *export = export_array(&plain, true);
	struct backend *client;
	char source[256];

	source_of(source, sizeof(source), export, "peer+plain", "");
	client = client_open(source, (struct who){ .instance = 1 });
	tap_ok(client && client->caps.read_only, "a read-only export has readers");
	tap_number(request(client, BACKEND_WRITE, 0, 512, array.bytes), -EROFS, "and no writers");
	client_close(client);
	source_of(source, sizeof(source), export, "peer+plain", "x");
	client_open(source, (struct who){ .instance = 1, .read_only = true });
	tap_number(open_error, -ENOENT, "what is not exported is not there");
	unexport(export);
}

/* ---- who is let in ---- */

static void test_keys(void)
{
	struct listener_options tls = { .listen = "127.0.0.1:0", .tls_psk = key_file };
	struct listener_options outside = { .listen = "0.0.0.0:0" };
	struct export *export = export_array(&tls, false);
	struct listener *listener;
	char source[256], why[256];

	source_of(source, sizeof(source), export, "peer", "?credential=wrong");
	client_open(source, (struct who){ .instance = 1 });
	tap_number(open_error, -EACCES, "the wrong key is refused");
	source_of(source, sizeof(source), export, "peer+plain", "");
	client_open(source, (struct who){ .instance = 1 });
	tap_ok(open_error < 0, "clear text is refused where TLS is wanted");
	tap_number(listener_find(server, &outside, &listener, why, sizeof(why)), -EPERM,
		   "off loopback clear text needs the word insecure");
	tap_ok(strstr(why, "--insecure") != NULL, "which the refusal names");
	unexport(export);
}

/* ---- what is not acceptable ---- */

/* Sends a frame of that type and length (only its first 64 bytes); is the connection closed on it, and nothing answered? */
static bool is_shut_out(const struct export *export, uint8_t type, uint32_t length)
{
	struct wire_head head = { .length = length, .type = type, .id = 1 };
	uint8_t frame[64] = { 0 }, reply[64];
	int fd = raw_connect(export);
	ssize_t n;

	wire_head_encode(frame, &head);
	if (write(fd, frame, length < sizeof(frame) ? length : sizeof(frame)) < 0)
		exit(94);
	until((n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
	close(fd);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void test_strangers(void)
{
	char listen[64];
	struct listener_options options = { .listen = listen };
	struct export *export;
	struct stat st;

	snprintf(listen, sizeof(listen), "unix:%s/strangers", dir);
	export = export_array(&options, false);
	tap_ok(!stat(listen + 5, &st) && (st.st_mode & 077) == 0, "the UNIX socket is its owner's");
	tap_ok(is_shut_out(export, WIRE_HELLO, 4097), "a frame over 4 KiB is refused at first");
	tap_ok(is_shut_out(export, WIRE_LIST, 34), "nothing is listed before authorization");
	tap_ok(is_shut_out(export, WIRE_READ, 48), "nothing is read before authorization");
	tap_ok(is_shut_out(export, 77, 40), "an unknown request is refused");
	unexport(export);
	tap_ok(stat(listen + 5, &st), "the socket is gone with its listener");
}

/* ---- more clients at once than strangers are let in ---- */

static void test_crowd(void)
{
	char listen[64], source[128];
	struct listener_options options = { .listen = listen };
	int crowd[DOOR_STRANGERS];
	struct backend *client;
	struct export *export;

	snprintf(listen, sizeof(listen), "unix:%s/crowd", dir);
	export = export_array(&options, false);
	for (unsigned int i = 0; i < DOOR_STRANGERS; i++)
		crowd[i] = raw_connect(export);
	until(export->listener->door.nr_strangers == DOOR_STRANGERS);
	tap_number(export->listener->door.nr_strangers, DOOR_STRANGERS, "as many strangers as there may be");
	for (unsigned int i = 0; i < DOOR_STRANGERS; i++)
		introduce_raw(crowd[i]);
	until(!export->listener->door.nr_strangers);
	tap_number(export->listener->nr_services, DOOR_STRANGERS, "all of them are known then");
	tap_ok(export->listener->accepting, "and the door is open again");
	snprintf(source, sizeof(source), "peer+%s?region=dir/db", options.listen);
	client = client_open(source, (struct who){ .instance = 1 });
	tap_ok(client != NULL, "the next one is let in when they have introduced themselves");
	if (client)
		client_close(client);
	for (unsigned int i = 0; i < DOOR_STRANGERS; i++)
		close(crowd[i]);
	unexport(export);
}

/* ---- a client that opens and closes at once: the OPEN of its bulk connection may be read when all is over ---- */

static void test_left_over(void)
{
	struct wire_open open = { .flags = WIRE_OPEN_WRITE, .session = "gone", .slot = 1, .region = "dir/db" };
	struct listener_options options;
	char listen[64], source[128];
	struct backend *next;
	struct export *export;
	int fd;

	snprintf(listen, sizeof(listen), "unix:%s/left-over", dir);
	options = (struct listener_options){ .listen = listen };
	export = export_array(&options, false);
	fd = raw_connect(export);
	introduce_raw(fd);
	send_frame(fd, WIRE_OPEN, WIRE_S_OPEN, &open);
	pass(100);
	close(fd);
	pass(50);
	snprintf(source, sizeof(source), "peer+%s?region=dir/db", listen);
	next = client_open(source, (struct who){ .instance = 1 });
	tap_ok(next, "a bulk connection of a session that is gone keeps nobody from writing");
	if (next)
		client_close(next);
	unexport(export);
}

static const char *write_key(const char *name, char *path, size_t len, char digit)
{
	FILE *file;

	snprintf(path, len, "%s/%s", dir, name);
	file = fopen(path, "w");
	fprintf(file, "me:%c0112233445566778899aabbccddeeff\n", digit);
	fclose(file);
	chmod(path, 0600);
	return path;
}

static void test_exec(const struct listener_options *local)
{
	if (system("command -v socat > /dev/null"))
		tap_skip("a command's stdin and stdout", "no socat");
	else
		test_random("exec", local, "peer+exec", "");
}

int main(void)
{
	struct spawner *spawner;
	struct listener_options tls = { .listen = "127.0.0.1:0", .tls_psk = key_file };
	struct listener_options local;
	char listen[64];

	if (!mkdtemp(dir) || spawner_fork(&spawner) || loop_open(&loop, 0) || server_open(&server, loop) ||
	    spawner_start(spawner, loop))
		return 99;
	dial_set_spawner(spawner);
	array.target.ops = &array_ops;
	list_init(&array.held);
	write_key("right", key_file, sizeof(key_file), '0');
	write_key("wrong", wrong_file, sizeof(wrong_file), '1');
	snprintf(listen, sizeof(listen), "unix:%s/socket", dir);
	local = (struct listener_options){ .listen = listen };
	test_random("clear text", &plain, "peer+plain", "");
	test_random("TLS", &tls, "peer", "?credential=right&connections=3");
	test_random("UNIX", &local, "peer+unix", "");
	test_exec(&local);
	test_writers();
	test_read_only();
	test_keys();
	test_strangers();
	test_crowd();
	test_left_over();
	tap_ok(!array.lends, "no READ asked for an address that could go while it is looked at");
	return pair_end();
}
