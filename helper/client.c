// SPDX-License-Identifier: GPL-2.0
/* The caller's side of regiond's control socket: one request, lines of progress, one answer. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"

#define READ_STEP	(64u << 10)

const char *regionfs_client_run_dir(void)
{
	const char *dir = getenv("REGIONFS_RUN_DIR");

	return dir && *dir ? dir : "/run/regionfs";
}

/* What regiond takes as an instance's name (config.h). */
static bool is_name(const char *name)
{
	size_t length = strlen(name);

	return isalnum((unsigned char)*name) && length < REGIONFS_CLIENT_NAME &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		      "0123456789._-") == length;
}

static int is_instance(const struct dirent *entry)
{
	char path[4096];
	struct stat st;

	if (!is_name(entry->d_name))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", regionfs_client_run_dir(), entry->d_name);
	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int regionfs_client_instances(char ***names, size_t *count)
{
	struct dirent **entries;
	int n = scandir(regionfs_client_run_dir(), &entries, is_instance, alphasort);

	*names = NULL;
	*count = 0;
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	*names = calloc((size_t)n + 1, sizeof(**names));
	for (int i = 0; i < n; i++) {
		if (*names)
			(*names)[i] = strdup(entries[i]->d_name);
		if (*names && (*names)[i])
			(*count)++;
		free(entries[i]);
	}
	free(entries);
	if (*count == (size_t)n && *names)
		return 0;
	regionfs_client_instances_free(*names, *count);
	return -ENOMEM;
}

void regionfs_client_instances_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static void list_names(char **names, size_t count, char *message, size_t room)
{
	size_t used;

	snprintf(message, room, "there are several instances; choose one with --instance:");
	for (size_t i = 0; i < count; i++) {
		used = strlen(message);
		snprintf(message + used, room - used, "%s %s", i ? "," : "", names[i]);
	}
}

static int pick_only(char name[REGIONFS_CLIENT_NAME], char *message, size_t room)
{
	char **names;
	size_t count;
	int err = regionfs_client_instances(&names, &count);

	if (err) {
		snprintf(message, room, "cannot list %s: %s", regionfs_client_run_dir(),
			 strerror(-err));
		return err;
	}
	if (count == 1) {
		snprintf(name, REGIONFS_CLIENT_NAME, "%s", names[0]);
	} else if (count) {
		list_names(names, count, message, room);
		err = -ENOTUNIQ;
	} else {
		snprintf(message, room, "no regiond runs here: mount an instance with "
			 "'mount -t regionfs NAME DIR'");
		err = -ENOENT;
	}
	regionfs_client_instances_free(names, count);
	return err;
}

int regionfs_client_pick(const char *wanted, char name[REGIONFS_CLIENT_NAME], char *message,
			 size_t room)
{
	if (!wanted)
		return pick_only(name, message, room);
	if (!is_name(wanted)) {
		snprintf(message, room,
			 "'%s' is no instance name: 1 to %d letters, digits and . _ -",
			 wanted, REGIONFS_CLIENT_NAME - 1);
		return -EINVAL;
	}
	snprintf(name, REGIONFS_CLIENT_NAME, "%s", wanted);
	return 0;
}

static int fail_connect(struct regionfs_client *client, const char *instance, int err)
{
	if (err == ENOENT || err == ECONNREFUSED) {
		snprintf(client->message, sizeof(client->message),
			 "regiond of instance '%s' is not running: start it with "
			 "'regionctl instance start %s'", instance, instance);
		return -ESRCH;
	}
	snprintf(client->message, sizeof(client->message),
		 "cannot reach regiond of instance '%s': %s%s", instance, strerror(err),
		 err == EACCES || err == EPERM ? "; try as root" : "");
	return -err;
}

int regionfs_client_open(struct regionfs_client *client, const char *instance)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memset(client, 0, sizeof(*client));
	client->stop_fd = -1;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return fail_connect(client, instance, errno);
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s/control",
			     regionfs_client_run_dir(), instance) >= sizeof(address.sun_path))
		return fail_connect(client, instance, ENAMETOOLONG);
	if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)))
		return fail_connect(client, instance, errno);
	return 0;
}

void regionfs_client_close(struct regionfs_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	free(client->buffer);
	client->buffer = NULL;
	client->fd = -1;
}

static int fail(struct regionfs_client *client, int err, const char *text)
{
	snprintf(client->message, sizeof(client->message), "%s", text);
	return err;
}

static int fail_gone(struct regionfs_client *client)
{
	return fail(client, -EPIPE, "regiond closed the connection before it had answered; "
		    "the system's log may tell why");
}

/* A failure here is none yet: a server that refuses the client has answered before it closed. */
static void send_all(struct regionfs_client *client, const char *text, size_t length)
{
	ssize_t n;

	while (length) {
		n = send(client->fd, text, length, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

static int send_request(struct regionfs_client *client, const char *command, json_t *args)
{
	json_t *request = args ? json_pack("{s:s, s:O}", "cmd", command, "args", args) :
				 json_pack("{s:s, s:{}}", "cmd", command, "args");
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	char *line = NULL;
	int length = text ? asprintf(&line, "%s\n", text) : -1;

	json_decref(request);
	free(text);
	if (length < 0)
		return fail(client, -ENOMEM, "out of memory, or an argument is no UTF-8");
	send_all(client, line, (size_t)length);
	free(line);
	return 0;
}

/* Waits until there is something to read; -EINTR when the user wants to leave. */
static int wait_readable(struct regionfs_client *client)
{
	struct pollfd fds[2] = {
		{ .fd = client->fd, .events = POLLIN },
		{ .fd = client->stop_fd, .events = POLLIN },
	};

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return -errno;
	/* An answer that is already here counts more than the wish to leave. */
	client->interrupted = !fds[0].revents && fds[1].revents;
	return client->interrupted ? fail(client, -EINTR, "interrupted") : 0;
}

static int grow(struct regionfs_client *client)
{
	size_t room = client->room ? client->room * 2 : READ_STEP;
	char *buffer;

	if (client->used + 1 < client->room)
		return 0;
	if (room > REGIONFS_CLIENT_LINE)
		return fail(client, -EMSGSIZE, "regiond's answer is too long");
	buffer = realloc(client->buffer, room);
	if (!buffer)
		return fail(client, -ENOMEM, "out of memory");
	client->buffer = buffer;
	client->room = room;
	return 0;
}

static int read_some(struct regionfs_client *client)
{
	ssize_t n;
	int err;

	err = wait_readable(client);
	if (!err)
		err = grow(client);
	if (err)
		return err;
	n = read(client->fd, client->buffer + client->used, client->room - client->used);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return fail_gone(client);
	client->used += (size_t)n;
	return 0;
}

/* Its length, newline and all, in *length. */
static int read_line(struct regionfs_client *client, size_t *length)
{
	char *end;
	int err;

	while (!client->used || !(end = memchr(client->buffer + client->scanned, '\n',
					       client->used - client->scanned))) {
		client->scanned = client->used;
		err = read_some(client);
		if (err)
			return err;
	}
	*length = (size_t)(end - client->buffer) + 1;
	return 0;
}

/* What came behind the line stays in the buffer. */
static void drop_line(struct regionfs_client *client, size_t length)
{
	memmove(client->buffer, client->buffer + length, client->used - length);
	client->used -= length;
	client->scanned = 0;
}

static int parse_line(struct regionfs_client *client, json_t **line)
{
	size_t length;
	int err = read_line(client, &length);

	if (err)
		return err;
	*line = json_loadb(client->buffer, length, JSON_REJECT_DUPLICATES, NULL);
	drop_line(client, length);
	if (json_is_object(*line))
		return 0;
	json_decref(*line);
	return fail(client, -EPROTO, "regiond's answer is not understood: is it another version?");
}

/* {"ok":VALUE} as regiond writes it: 1, and client->text is VALUE; 0 for other lines, which are left there. */
static int take_text(struct regionfs_client *client)
{
	static const char head[] = "{\"ok\":";
	size_t length, skip = sizeof(head) - 1;
	int err = read_line(client, &length);

	if (err)
		return err;
	if (length < skip + 2 || memcmp(client->buffer, head, skip) || client->buffer[length - 2] != '}')
		return 0;
	*client->text = strndup(client->buffer + skip, length - skip - 2);
	drop_line(client, length);
	return *client->text ? 1 : fail(client, -ENOMEM, "out of memory");
}

static int fail_answer(struct regionfs_client *client, const json_t *error)
{
	json_int_t number = json_integer_value(json_object_get(error, "errno"));
	const char *message = json_string_value(json_object_get(error, "message"));

	if (number <= 0 || number > 4095)
		number = EIO;
	return fail(client, (int)-number, message && *message ? message : strerror((int)number));
}

static void tell_line(const struct regionfs_client *client, json_t *line)
{
	const char *key;
	json_t *value;

	if (!client->line)
		return;
	json_object_foreach(line, key, value)
		client->line(client->context, key, value);
}

int regionfs_client_call(struct regionfs_client *client, const char *command, json_t *args,
			 json_t **result)
{
	json_t *line, *ok, *error;
	int err;

	*result = NULL;
	err = send_request(client, command, args);
	while (!err) {
		err = client->text ? take_text(client) : 0;
		if (err == 1)
			return 0;
		if (!err)
			err = parse_line(client, &line);
		if (err)
			break;
		ok = json_object_get(line, "ok");
		error = json_object_get(line, "error");
		if (ok)
			*result = json_incref(ok);
		else if (error)
			err = fail_answer(client, error);
		else
			tell_line(client, line);
		json_decref(line);
		if (ok)
			return 0;
	}
	return err;
}
