/* SPDX-License-Identifier: GPL-2.0 */
/* Two hosts in one process, A and B, the network between them, and B's helper. What moves is two-hosts.h's, or group-hosts.h's. */
#ifndef REGIONFS_TESTS_HOST_PAIR_H
#define REGIONFS_TESTS_HOST_PAIR_H

#include "backends/leech-private.h"
#include "host.h"
#include "leecher.h"
#include "listener.h"
#include "service.h"

#define CHUNK	LEECH_CHUNK
#define SIZE	(4 * CHUNK)

static struct host *a, *b;
static char socket_path[128];		/* where A listens */

/* They have no regions and no helpers yet. */
static void pair_new(const char *name)
{
	char names[2][16];

	snprintf(names[0], sizeof(names[0]), "a-%.10s", name);
	snprintf(names[1], sizeof(names[1]), "b-%.10s", name);
	a = host_new(names[0]);
	b = host_new(names[1]);
	snprintf(socket_path, sizeof(socket_path), "%s/s", a->run);
}

static __attribute__((unused)) void make_file(const char *path, int fill)
{
	static uint8_t bytes[SIZE];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(bytes, fill, sizeof(bytes));
	if (fd < 0 || write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		exit(96);
	close(fd);
}

/* What A has in that file, for its kernel. */
static __attribute__((unused)) struct kernel_region *add_file(const char *name, const char *path, uint64_t size)
{
	char source[160];
	struct netlink_attrs attrs = { 0 };

	snprintf(source, sizeof(source), "file:%s?direct=no", path);
	netlink_set(&attrs, PATH, path, name);
	netlink_set(&attrs, SOURCE, source, source);
	netlink_set(&attrs, SIZE, size, size);
	netlink_set(&attrs, MODE, mode, 0640);
	netlink_set(&attrs, EPOCH, epoch, 1);
	return kernel_add(&a->kernel, &attrs);
}

static __attribute__((unused)) json_t *db(void)
{
	return json_pack("{s:s}", "region", "db");
}

static __attribute__((unused)) bool is_on(const struct kernel_region *region, uint32_t flag)
{
	return region->flags & flag;
}

/* What a host that leeches db from that socket is told. more: arguments, or NULL; taken. */
static __attribute__((unused)) json_t *db_from(const char *path, const struct host *host, json_t *more)
{
	char source[256], local[160];
	json_t *args;

	snprintf(source, sizeof(source), "peer+unix:%s?region=db", path);
	snprintf(local, sizeof(local), "file:%s/bytes", host->run);
	args = json_pack("{s:s,s:s,s:s}", "region", "db", "source", source, "local_source", local);
	json_object_update(args, more);
	json_decref(more);
	return args;
}

/* It does so; the command ends with the migration. */
static __attribute__((unused)) struct kernel_region *leech_from(const char *path, struct host *host, struct user *user, json_t *more)
{
	host_begin(host, user, "leech", db_from(path, host, more));
	/* it may be refused, or handed over at once */
	until(host_is(host, "db", "pulling") || host_is(host, "db", "owned") || user->done);
	if (!host_is(host, "db", "pulling"))
		printf("# on %s it is %s: %s\n", host->name, host_says(host, "db", "state"), user->said);
	return host_region(host, "db");
}

/* ---- what can happen to them ---- */

/* The connections of those that it serves break. */
static __attribute__((unused)) void break_connections(struct host *host)
{
	struct server *server = host->regiond->server;
	struct list *at, *next, *service, *more;

	list_for_each_safe(at, next, &server->listeners) {
		struct listener *listener = list_entry(at, struct listener, list);

		list_for_each_safe(service, more, &listener->services)
			service_close(list_entry(service, struct service, list), -ECONNRESET);
	}
	pass(50);
}

/* What the other side says does not come, and it does not come back. */
static __attribute__((unused)) void cut(void)
{
	unlink(socket_path);
	break_connections(a);
}

static char away_path[160];

/* The network: what was listening there goes on listening. */
static __attribute__((unused)) void hide(void)
{
	snprintf(away_path, sizeof(away_path), "%s.away", socket_path);
	if (rename(socket_path, away_path))
		exit(93);
	break_connections(a);
}

static __attribute__((unused)) void unhide(void)
{
	if (rename(away_path, socket_path))
		exit(92);
}

/* Nobody hears anything of it any more, as when its process and the host's end together. */
static __attribute__((unused)) void kill_b(void)
{
	hide();
	host_kill(b);
	pass(100);
	unhide();
}

/* The next helper of B. */
static __attribute__((unused)) void start_b(void)
{
	host_start(b);
	leecher_restart(b->regiond);
}

/* How many files of regions it has. */
static __attribute__((unused)) unsigned int files(struct host *host)
{
	char command[256], text[16] = "";
	FILE *list;

	snprintf(command, sizeof(command), "find %s -maxdepth 1 -type f -size +63k ! -name '*.map' ! -name 'track*' | wc -l", host->run);
	list = popen(command, "r");
	if (!list || !fgets(text, sizeof(text), list))
		exit(91);
	pclose(list);
	return (unsigned int)atoi(text);
}

#endif
