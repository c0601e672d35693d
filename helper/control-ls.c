// SPDX-License-Identifier: GPL-2.0
/* control-ls: the regions of the instance. There may be very many, so the answer is made as text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "control-json.h"
#include "instance.h"
#include "netlink.h"
#include "regiond.h"
#include "text.h"

/* Where it stands in the texts. */
struct row {
	size_t path;
	size_t at;
	size_t len;
};

struct ls {
	struct netlink_call call;
	struct control_call *control;
	const char *path;
	size_t path_len;
	struct json_fields fields;
	bool picks;		/* only these fields */
	struct text paths;	/* to sort by, each with its NUL */
	struct text text;
	struct row *rows;
	size_t nr_rows, max_rows;
};

static void ls_free(struct ls *ls)
{
	text_free(&ls->paths);
	text_free(&ls->text);
	free(ls->rows);
	free(ls);
}

static struct row *new_row(struct ls *ls)
{
	size_t max = ls->max_rows ? ls->max_rows * 2 : 64;
	struct row *rows;

	if (ls->nr_rows < ls->max_rows)
		return &ls->rows[ls->nr_rows++];
	rows = realloc(ls->rows, max * sizeof(*rows));
	if (!rows) {
		ls->text.failed = true;
		return NULL;
	}
	ls->rows = rows;
	ls->max_rows = max;
	return &ls->rows[ls->nr_rows++];
}

static bool is_wanted(const struct ls *ls, const struct netlink_attrs *attrs, const char *path)
{
	if (netlink_has(attrs, NLINK) && !attrs->nlink)
		return false;
	return !ls->path_len ||
	       (!strncmp(path, ls->path, ls->path_len) && (!path[ls->path_len] || path[ls->path_len] == '/'));
}

static void ls_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct ls *ls = container_of(call, struct ls, call);
	const char *path = attrs->path ? attrs->path : "";
	struct row *row = is_wanted(ls, attrs, path) ? new_row(ls) : NULL;

	if (!row)
		return;
	row->path = ls->paths.len;
	text_add(&ls->paths, path, strlen(path) + 1);
	row->at = ls->text.len;
	json_region_text(&ls->text, ls->control->regiond, attrs, ls->picks ? &ls->fields : NULL);
	row->len = ls->text.len - row->at;
}

static int compare_paths(const void *a, const void *b, void *arg)
{
	const struct ls *ls = arg;

	return strcmp(ls->paths.data + ((const struct row *)a)->path, ls->paths.data + ((const struct row *)b)->path);
}

static void ls_answer(struct ls *ls)
{
	struct text line = { .failed = ls->paths.failed || ls->text.failed };

	if (!line.failed && ls->nr_rows)
		qsort_r(ls->rows, ls->nr_rows, sizeof(*ls->rows), compare_paths, ls);
	text_string(&line, ls->picks ? "{\"ok\":{\"rows\":[" : "{\"ok\":{\"regions\":[");
	for (size_t i = 0; i < ls->nr_rows && !line.failed; i++) {
		if (i)
			text_add(&line, ",", 1);
		text_add(&line, ls->text.data + ls->rows[i].at, ls->rows[i].len);
	}
	text_string(&line, "]}}");
	control_ok_text(ls->control, &line);
}

static void ls_done(struct netlink_call *call, int error, const char *why)
{
	struct ls *ls = container_of(call, struct ls, call);

	instance_suspect(ls->control->regiond, error);
	if (error)
		control_fail(ls->control, error, "%s", *why ? why : strerror(-error));
	else
		ls_answer(ls);
	ls_free(ls);
}

static int ls_args(struct ls *ls)
{
	const char *fields = NULL;
	char bad[32];
	int err = control_string(ls->control, "path", &ls->path);

	if (!err)
		err = control_string(ls->control, "fields", &fields);
	if (err)
		return err;
	if (ls->path && *ls->path == '/')
		ls->path++;
	ls->path_len = ls->path ? strlen(ls->path) : 0;
	ls->picks = fields != NULL;
	err = fields ? json_fields_parse(&ls->fields, fields, bad) : 0;
	if (err)
		control_fail(ls->control, err, "a region has no \"%s\"", bad);
	return err;
}

static void run_ls(struct control_call *call)
{
	struct ls *ls = calloc(1, sizeof(*ls));

	if (!ls) {
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	ls->control = call;
	if (ls_args(ls)) {
		free(ls);
		return;
	}
	ls->call.cmd = REGIONFS_CMD_REGION_GET;
	ls->call.dump = true;
	ls->call.item = ls_item;
	ls->call.done = ls_done;
	netlink_call(call->regiond->netlink, &ls->call);
}

extern const struct control_cmd control_ls_cmds[];

const struct control_cmd control_ls_cmds[] = {
	{ "ls", CONTROL_READ_ONLY, "path fields", run_ls },
	{ NULL, 0, NULL, NULL },
};
