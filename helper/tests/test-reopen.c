// SPDX-License-Identifier: GPL-2.0
/* A region over a peer that says a final no, and is another one later: the region goes on with it, in the same helper. */
#include "fake-helper.h"
#include "../export.h"
#include "../listener.h"
#include "../target.h"

#define SIZE 65536

static struct server *server;
static char listen_text[48];
static uint8_t bytes[SIZE];

/* ---- what the peer exports ---- */

static void array_submit(struct target *target, struct backend_req *req)
{
	if (req->op == BACKEND_READ)
		memcpy(req->data, bytes + req->offset, req->length);
	else if (req->op == BACKEND_WRITE)
		memcpy(bytes + req->offset, req->data, req->length);
	req->done(req, 0);
}

static void array_info(struct target *target, struct wire_info *info)
{
	info->size = SIZE;
	info->flags = WIRE_INFO_DISCARD | WIRE_INFO_RESIZE;
}

static void array_claim(struct target *target, void (*done)(void *, int, const char *), void *arg)
{
	done(arg, 0, "");
}

static void array_nothing(struct target *target)
{
}

static const struct target_ops array_ops = {
	.submit = array_submit, .info = array_info, .claim = array_claim,
	.drop = array_nothing, .release = array_nothing, .close = array_nothing,
};

static struct target array = { .ops = &array_ops };

static struct export *export_it(bool read_only)
{
	struct listener_options options = { .listen = listen_text };
	struct listener *listener;
	struct export *export;
	char why[256] = "";

	if (listener_find(server, &options, &listener, why, sizeof(why)) ||
	    export_open(&export, listener, "db", &array, read_only))
		printf("# %s\n", why), exit(96);
	return export;
}

static void on_closed(void *arg)
{
	loop_stop(regiond.loop);
}

static void unexport(struct export *export)
{
	export_close(export, on_closed, NULL);
	turn();
	while (!list_empty(&server->listeners))
		settle();
}

int main(void)
{
	struct export *export;
	char command[96];

	if (helper_dir())
		return 99;
	snprintf(listen_text, sizeof(listen_text), "unix:%s/socket", dir);
	snprintf(source, sizeof(source), "peer+%s?region=db&connections=1", listen_text);
	helper_open(SIZE);
	if (server_open(&server, regiond.loop))
		return 98;
	export = export_it(false);
	tap_number(request(BACKEND_WRITE, 0, 4096, 0), 0, "the region is written");
	unexport(export);
	export = export_it(true);
	tap_number(request(BACKEND_WRITE, 0, 4096, 0), -EROFS, "a peer that only lets read now says so");
	tap_number(request(BACKEND_READ, 0, 4096, 0), 0, "and is read");
	unexport(export);
	export = export_it(false);
	tap_number(request(BACKEND_READ, 0, 4096, 0), 0, "when it lets write again, it is read");
	tap_number(request(BACKEND_WRITE, 4096, 4096, 0), 0, "and written");
	tap_ok(bytes[4096] == 'x', "and the bytes are there");
	unexport(export);
	server_close(server);
	helper_end();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}
