// SPDX-License-Identifier: GPL-2.0
/* The control socket's client, against a server of a few lines. */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"
#include "../client.h"

static char run_dir[] = "/tmp/test-client.XXXXXX";

/*
 * What the server answers to the one request that it gets; step: bytes at a time. NULL: it says
 * nothing until the client has gone.
 */
struct mock {
	const char *answer;
	size_t step;
	int fd;
	pthread_t thread;
	char request[65536];
};

static void *serve(void *arg)
{
	struct mock *mock = arg;
	int fd = accept(mock->fd, NULL, NULL);
	size_t used = 0, left = mock->answer ? strlen(mock->answer) : 0;
	ssize_t n;

	while (used < sizeof(mock->request) - 1 && !strchr(mock->request, '\n') &&
	       (n = read(fd, mock->request + used, sizeof(mock->request) - 1 - used)) > 0)
		used += (size_t)n;
	for (const char *at = mock->answer; left; at += n, left -= (size_t)n) {
		n = write(fd, at, left < mock->step ? left : mock->step);
		if (n <= 0)
			break;
	}
	if (!mock->answer)
		n = read(fd, mock->request, sizeof(mock->request));
	close(fd);
	return NULL;
}

static void make_instance(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", run_dir, name);
	mkdir(path, 0700);
}

static void start_mock(struct mock *mock, const char *answer, size_t step)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memset(mock, 0, sizeof(*mock));
	mock->answer = answer;
	mock->step = step;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/a/control", run_dir);
	unlink(address.sun_path);
	mock->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(mock->fd, (struct sockaddr *)&address, sizeof(address)) || listen(mock->fd, 4))
		perror(address.sun_path);
	pthread_create(&mock->thread, NULL, serve, mock);
}

static void stop_mock(struct mock *mock)
{
	pthread_join(mock->thread, NULL);
	close(mock->fd);
}

static int lines;
static char last_key[32];

static void count_line(void *context, const char *key, const json_t *value)
{
	lines++;
	snprintf(last_key, sizeof(last_key), "%s", key);
}

/* One call against a server that answers so; client->message and *result are for the caller. */
static int call(struct mock *mock, const char *answer, size_t step, json_t *args,
		struct regionfs_client *client, json_t **result)
{
	int err;

	lines = 0;
	start_mock(mock, answer, step);
	err = regionfs_client_open(client, "a");
	client->line = count_line;
	if (!err)
		err = regionfs_client_call(client, "stat", args, result);
	regionfs_client_close(client);
	stop_mock(mock);
	return err;
}

static void check_ok(void)
{
	json_t *args = json_pack("{s:s}", "region", "db"), *result;
	struct regionfs_client client;
	struct mock mock;

	tap_number(call(&mock, "{\"ok\":{\"size\":5}}\n", 100, args, &client, &result), 0, "an answer");
	tap_is(mock.request, "{\"cmd\":\"stat\",\"args\":{\"region\":\"db\"}}\n", "the request");
	tap_number(json_integer_value(json_object_get(result, "size")), 5, "its value");
	json_decref(result);
	json_decref(args);
	tap_number(call(&mock, "{\"progress\":{\"done\":1}}\n{\"progress\":{\"done\":2}}\n{\"ok\":{}}\n", 1,
			NULL, &client, &result), 0, "an answer that comes a byte at a time");
	tap_number(lines, 2, "after two lines of progress");
	tap_is(last_key, "progress", "which are told apart");
	tap_is(mock.request, "{\"cmd\":\"stat\",\"args\":{}}\n", "no arguments are an empty object");
	json_decref(result);
}

static void check_errors(void)
{
	struct regionfs_client client;
	struct mock mock;
	json_t *result;

	tap_number(call(&mock, "{\"error\":{\"errno\":2,\"message\":\"no region named x\"}}\n", 100, NULL,
			&client, &result), -ENOENT, "an error has its errno");
	tap_is(client.message, "no region named x", "and its sentence");
	tap_number(call(&mock, "{\"error\":{}}\n", 100, NULL, &client, &result), -EIO,
		   "an error without a number is EIO");
	tap_number(call(&mock, "", 1, NULL, &client, &result), -EPIPE, "a server that goes away");
	tap_number(call(&mock, "{\"ok\":{", 100, NULL, &client, &result), -EPIPE,
		   "a server that goes away in a line");
	tap_number(call(&mock, "hello\n", 100, NULL, &client, &result), -EPROTO, "no JSON");
	tap_number(call(&mock, "[1]\n", 100, NULL, &client, &result), -EPROTO, "no object");
	tap_number(call(&mock, "\n", 100, NULL, &client, &result), -EPROTO, "an empty line");
}

static void check_large(void)
{
	size_t size = 3 << 20;
	char *answer = malloc(size + 32);
	struct regionfs_client client;
	struct mock mock;
	json_t *result;

	strcpy(answer, "{\"ok\":{\"x\":\"");
	memset(answer + 12, 'y', size);
	strcpy(answer + 12 + size, "\"}}\n");
	tap_number(call(&mock, answer, size + 32, NULL, &client, &result), 0, "a long answer");
	tap_number((long long)json_string_length(json_object_get(result, "x")), (long long)size,
		   "is whole");
	json_decref(result);
	free(answer);
}

static void check_stop(void)
{
	struct regionfs_client client;
	struct mock mock;
	json_t *result;
	int pipes[2];

	start_mock(&mock, NULL, 1);
	if (pipe(pipes) || write(pipes[1], "x", 1) != 1)
		perror("pipe");
	regionfs_client_open(&client, "a");
	client.stop_fd = pipes[0];
	tap_number(regionfs_client_call(&client, "sync", NULL, &result), -EINTR, "the user leaves");
	tap_ok(client.interrupted, "which is told from an answer of EINTR");
	regionfs_client_close(&client);
	stop_mock(&mock);
	close(pipes[0]);
	close(pipes[1]);
}

static void check_pick(void)
{
	char name[REGIONFS_CLIENT_NAME], message[256];

	tap_number(regionfs_client_pick(NULL, name, message, sizeof(message)), -ENOENT, "no instance");
	make_instance("a");
	tap_ok(!regionfs_client_pick(NULL, name, message, sizeof(message)) && !strcmp(name, "a"),
	       "the only one");
	make_instance("b");
	tap_number(regionfs_client_pick(NULL, name, message, sizeof(message)), -ENOTUNIQ, "two");
	tap_is(message, "there are several instances; choose one with --instance: a, b", "are listed");
	tap_ok(!regionfs_client_pick("b", name, message, sizeof(message)) && !strcmp(name, "b"),
	       "the one that was named");
	tap_number(regionfs_client_pick("../x", name, message, sizeof(message)), -EINVAL,
		   "a name is no path");
	tap_number(regionfs_client_pick("", name, message, sizeof(message)), -EINVAL,
		   "an empty name is none");
}

static void check_absent(void)
{
	struct regionfs_client client;

	tap_number(regionfs_client_open(&client, "b"), -ESRCH, "no regiond");
	tap_is(client.message, "regiond of instance 'b' is not running: start it with "
	       "'regionctl instance start b'", "says so, and what to do");
	regionfs_client_close(&client);
}

int main(void)
{
	char command[128];

	if (!mkdtemp(run_dir))
		return EXIT_FAILURE;
	setenv("REGIONFS_RUN_DIR", run_dir, 1);
	check_pick();
	check_absent();
	check_ok();
	check_errors();
	check_large();
	check_stop();
	snprintf(command, sizeof(command), "rm -r %s", run_dir);
	if (system(command))
		perror(command);
	return tap_end();
}
