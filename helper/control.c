// SPDX-License-Identifier: GPL-2.0
/*
 * control: the socket that regionctl talks to. Here are connections and lines; what a line asks for is found in the
 * tables below, whose handlers are in control-*.c. control-call.c has what they answer with.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control-private.h"
#include "log.h"
#include "netlink.h"
#include "region.h"
#include "regiond.h"

#define CLIENTS_MAX	64
#define READ_SIZE	16384
#define OUT_MAX		(4u << 20)	/* of progress and events; what has to be said is said */

extern const struct control_cmd control_region_cmds[], control_ls_cmds[], control_data_cmds[], control_freeze_cmds[],
	control_instance_cmds[], control_peer_cmds[], control_managed_cmds[];

const struct control_cmd *const control_tables[] = {
	control_region_cmds,
	control_ls_cmds,
	control_data_cmds,
	control_freeze_cmds,
	control_instance_cmds,
	control_peer_cmds,
	control_managed_cmds,
	NULL,
};

/* ---- a connection's end ---- */

/* Safe from anywhere: the client is freed later, by its operations or its timer. */
static void client_gone(struct control_client *client)
{
	struct control_call *call = client->call;

	if (client->closing)
		return;
	client->closing = true;
	if (call) {
		client->call = NULL;
		call->client = NULL;
		if (call->gone)
			call->gone(call);
	}
	shutdown(client->fd, SHUT_RDWR);
	loop_timer_set(client->control->regiond->loop, &client->more, 0);
}

/* Frees it when it is gone and no operation is under way; the last thing that is done with it. */
static void client_settle(struct control_client *client)
{
	if (!client->closing || client->receiving || client->sending)
		return;
	list_del(&client->list);
	client->control->nr_clients--;
	loop_timer_cancel(client->control->regiond->loop, &client->more);
	close(client->fd);
	free(client->in);
	free(client->out);
	free(client->sent);
	free(client);
}

/* ---- out ---- */

static void client_send(struct control_client *client);

static void client_sent(struct loop_op *op, int res)
{
	struct control_client *client = container_of(op, struct control_client, send);

	client->sending = false;
	if (res <= 0) {
		client_gone(client);
		client_settle(client);
		return;
	}
	client->sent_at += (size_t)res;
	client_send(client);
	client_settle(client);
}

static void client_send(struct control_client *client)
{
	struct loop *loop = client->control->regiond->loop;

	if (client->sending || client->closing)
		return;
	if (client->sent_at == client->sent_len) {
		free(client->sent);
		client->sent = client->out;
		client->sent_len = client->out_len;
		client->sent_at = 0;
		client->out = NULL;
		client->out_len = client->out_max = 0;
	}
	if (client->sent_at == client->sent_len)
		return;
	client->sending = true;
	client->send.done = client_sent;
	loop_send(loop, &client->send, client->fd, client->sent + client->sent_at,
		  client->sent_len - client->sent_at > 1u << 30 ? 1u << 30 : (uint32_t)(client->sent_len - client->sent_at));
}

static bool client_room(struct control_client *client, size_t len)
{
	size_t max = (client->out_len + len) * 2;
	char *out;

	if (client->out_len + len <= client->out_max)
		return true;
	out = realloc(client->out, max);
	if (!out)
		return false;
	client->out = out;
	client->out_max = max;
	return true;
}

void control_put_text(struct control_client *client, const char *text, size_t len)
{
	if (!client || client->closing)
		return;
	if (!client_room(client, len + 1)) {
		client_gone(client);
		return;
	}
	memcpy(client->out + client->out_len, text, len);
	client->out[client->out_len + len] = '\n';
	client->out_len += len + 1;
	client_send(client);
}

/* Takes line. One that can be left out is left out where the client reads too slowly. */
void control_put(struct control_client *client, json_t *line, bool optional)
{
	char *text = NULL;

	if (client && !client->closing && !(optional && client->out_len > OUT_MAX))
		text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	if (text)
		control_put_text(client, text, strlen(text));
	free(text);
}

/* ---- requests ---- */

static const struct control_cmd *find_cmd(const char *name)
{
	for (size_t i = 0; i < sizeof(control_tables) / sizeof(control_tables[0]); i++)
		for (const struct control_cmd *cmd = control_tables[i]; cmd && cmd->name; cmd++)
			if (!strcmp(cmd->name, name))
				return cmd;
	return NULL;
}

static bool check_call(struct control_call *call, const struct control_client *client, const char *name)
{
	if (!call->cmd) {
		control_fail(call, -EOPNOTSUPP, "regiond has no command \"%s\"", name);
		return false;
	}
	if (!client->may_write && !(call->cmd->flags & CONTROL_READ_ONLY)) {
		control_fail(call, -EPERM, "\"%s\" is for root", name);
		return false;
	}
	if (!control_takes(call))
		return false;
	if (client->control->regiond->stopping) {
		control_fail(call, -ESHUTDOWN, "regiond is stopping");
		return false;
	}
	return true;
}

static void refuse(struct control_client *client, const char *message)
{
	control_put(client, json_pack("{s:{s:i,s:s}}", "error", "errno", EINVAL, "message", message), false);
	client->last = true;
}

/* A whole line. */
static void take_request(struct control_client *client, char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_t *args = json_object_get(request, "args");
	struct control_call *call;

	if (!name || (args && !json_is_object(args))) {
		json_decref(request);
		refuse(client, "this is no request: {\"cmd\": NAME, \"args\": {...}}");
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		json_decref(request);
		client_gone(client);
		return;
	}
	call->regiond = client->control->regiond;
	call->client = client;
	call->args = args ? json_incref(args) : json_object();
	call->cmd = find_cmd(name);
	client->call = call;
	if (check_call(call, client, name))
		control_resolve(call);
	json_decref(request);
}

static void take_lines(struct control_client *client)
{
	while (!client->call && !client->closing && !client->last) {
		char *newline = memchr(client->in, '\n', client->in_len);
		size_t len;
		char *line;

		if (!newline)
			return;
		len = (size_t)(newline - client->in);
		line = strndup(client->in, len);
		client->in_len -= len + 1;
		memmove(client->in, newline + 1, client->in_len);
		if (!line) {
			client_gone(client);
			return;
		}
		take_request(client, line, len);
		free(line);
	}
}

/* The call has ended: the next one's turn, from the loop, since the caller may be deep inside. */
static void take_more(struct loop_timer *timer)
{
	struct control_client *client = container_of(timer, struct control_client, more);

	take_lines(client);
	client_settle(client);
}

void control_ended(struct control_client *client)
{
	client->call = NULL;
	loop_timer_set(client->control->regiond->loop, &client->more, 0);
}

/* ---- in ---- */

static void client_receive(struct control_client *client);

static void client_received(struct loop_op *op, int res)
{
	struct control_client *client = container_of(op, struct control_client, receive);

	client->receiving = false;
	if (res <= 0 || client->closing) {
		client_gone(client);
		client_settle(client);
		return;
	}
	client->in_len += (size_t)res;
	take_lines(client);
	client_receive(client);
	client_settle(client);
}

static void client_receive(struct control_client *client)
{
	char *in;

	if (client->closing)
		return;
	if (client->in_len >= CONTROL_LINE) {
		refuse(client, "the request is too long");
		client_gone(client);
		return;
	}
	in = realloc(client->in, client->in_len + READ_SIZE);
	if (!in) {
		client_gone(client);
		return;
	}
	client->in = in;
	client->receiving = true;
	client->receive.done = client_received;
	loop_recv(client->control->regiond->loop, &client->receive, client->fd, in + client->in_len, READ_SIZE);
}

/* ---- connections ---- */

static bool in_group(const struct control *control, const struct ucred *peer, int fd)
{
	gid_t groups[256];
	socklen_t len = sizeof(groups);

	if (!control->have_group)
		return false;
	if (peer->gid == control->group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == control->group)
			return true;
	return false;
}

static struct control_client *client_new(struct control *control, int fd)
{
	struct control_client *client;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || (peer.uid && !in_group(control, &peer, fd)))
		return NULL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return NULL;
	client->control = control;
	client->fd = fd;
	client->may_write = !peer.uid;
	client->more.fire = take_more;
	list_add(&control->clients, &client->list);
	control->nr_clients++;
	return client;
}

static void accept_again(struct loop_timer *timer)
{
	struct control *control = container_of(timer, struct control, pause);

	loop_accept(control->regiond->loop, &control->accept, control->fd);
}

static void accepted(struct loop_op *op, int res)
{
	struct control *control = container_of(op, struct control, accept);
	struct control_client *client = NULL;

	if (control->closed) {
		if (res >= 0)
			close(res);
		return;
	}
	if (res >= 0 && control->nr_clients < CLIENTS_MAX)
		client = client_new(control, res);
	if (client)
		client_receive(client);
	else if (res >= 0)
		close(res);
	/* short of descriptors, say: not at full speed */
	if (res < 0)
		loop_timer_set(control->regiond->loop, &control->pause, 100);
	else
		accept_again(&control->pause);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = -1, err = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* a killed helper's; that it is dead the state directory's lock has shown */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 64))
		err = -errno;
	if (err)
		close(fd);
	return err ? err : fd;
}

int control_open(struct control **out, struct regiond *regiond, const char *path, gid_t allow_group, bool have_group)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return -ENOMEM;
	control->path = strdup(path);
	control->fd = control->path ? listen_at(path) : -ENOMEM;
	if (control->fd < 0) {
		int err = control->fd;

		free(control->path);
		free(control);
		return err;
	}
	if (have_group && (chown(path, 0, allow_group) || chmod(path, 0660)))
		log_warning("%s can't be opened to its group: %s", path, strerror(errno));
	control->regiond = regiond;
	control->group = allow_group;
	control->have_group = have_group;
	list_init(&control->clients);
	control->accept.done = accepted;
	control->pause.fire = accept_again;
	loop_accept(regiond->loop, &control->accept, control->fd);
	*out = control;
	return 0;
}

/* At the end of the process: what is left of it is left. */
void control_close(struct control *control)
{
	struct list *entry, *next;

	control->closed = true;
	unlink(control->path);
	loop_timer_cancel(control->regiond->loop, &control->pause);
	shutdown(control->fd, SHUT_RDWR);
	list_for_each_safe(entry, next, &control->clients) {
		struct control_client *client = list_entry(entry, struct control_client, list);

		if (client->call && !client->call->ends_regiond)
			control_put(client, json_pack("{s:{s:i,s:s}}", "error", "errno", ESHUTDOWN, "message",
						      "regiond is stopping"), false);
	}
}

bool control_flushed(const struct control *control)
{
	struct list *entry;

	list_for_each(entry, &control->clients) {
		const struct control_client *client = list_entry(entry, struct control_client, list);

		if (!client->closing && (client->sending || client->out_len))
			return false;
	}
	return true;
}
