// SPDX-License-Identifier: GPL-2.0
/* backend: what all backends have in common: the table, opening and closing, answers, errors. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

extern const struct backend_ops memory_backend, file_backend, dir_backend;
extern const struct backend_ops leech_backend, peer_backend, peer_plain_backend, peer_unix_backend, peer_exec_backend;

const struct backend_ops *const backend_table[] = {
	&memory_backend,
	&file_backend,
	&dir_backend,
	&peer_backend,
	&peer_plain_backend,
	&peer_unix_backend,
	&peer_exec_backend,
	&leech_backend,
	NULL,
};

/* Guards every backend's why: errors are rare. */
static pthread_mutex_t why_lock = PTHREAD_MUTEX_INITIALIZER;

const struct backend_ops *backend_find(const char *scheme)
{
	for (size_t i = 0; backend_table[i]; i++)
		if (!strcmp(backend_table[i]->scheme, scheme))
			return backend_table[i];
	return NULL;
}

static int check_uri(const struct uri *uri, const struct backend_ops **ops, char *why, size_t why_len)
{
	*ops = backend_find(uri->scheme);
	if (!*ops) {
		snprintf(why, why_len, "there is no backend for %s:", uri->scheme);
		return -EPROTONOSUPPORT;
	}
	return (*ops)->check ? (*ops)->check(uri, why, why_len) : 0;
}

int backend_check(const char *source, char *why, size_t why_len)
{
	const struct backend_ops *ops;
	struct uri uri;
	int err = uri_parse(&uri, source, why, why_len);

	if (err)
		return err;
	err = check_uri(&uri, &ops, why, why_len);
	uri_free(&uri);
	return err;
}

/* BASE/NAME, before the options */
static char *default_child(const struct uri *base, const char *name)
{
	size_t len = strcspn(base->text, "?");
	const char *slash = len && base->text[len - 1] == '/' ? "" : "/";
	char *source;

	if (asprintf(&source, "%.*s%s%s%s", (int)len, base->text, slash, name, base->text + len) < 0)
		return NULL;
	return source;
}

/* Takes source. */
static char *add_option(char *source, const char *option)
{
	char *with = NULL;

	if (source && asprintf(&with, "%s%c%s", source, strchr(source, '?') ? '&' : '?', option) < 0)
		with = NULL;
	free(source);
	return with;
}

char *backend_child(const char *base, const char *name)
{
	const struct backend_ops *ops;
	struct uri uri;
	char why[256];
	char *source;

	if (uri_parse(&uri, base, why, sizeof(why)))
		return NULL;
	ops = backend_find(uri.scheme);
	source = ops && ops->child ? ops->child(&uri, name) : default_child(&uri, name);
	if (!uri_option(&uri, "owned"))
		source = add_option(source, "owned");
	uri_free(&uri);
	return source;
}

bool backend_generic(const char *source)
{
	const struct backend_ops *ops;
	struct uri uri;
	bool generic;

	if (uri_parse(&uri, source, NULL, 0))
		return false;
	ops = backend_find(uri.scheme);
	generic = ops && ops->generic && ops->generic(&uri);
	uri_free(&uri);
	return generic;
}

bool backend_local(const char *source)
{
	const struct backend_ops *ops;
	struct uri uri;

	if (uri_parse(&uri, source, NULL, 0))
		return false;
	ops = backend_find(uri.scheme);
	uri_free(&uri);
	return ops && ops->local;
}

bool backend_owned(const char *source)
{
	struct uri uri;
	bool owned;

	if (uri_parse(&uri, source, NULL, 0))
		return false;
	owned = uri_option(&uri, "owned") != NULL;
	uri_free(&uri);
	return owned;
}

/* ---- life ---- */

void backend_open(struct backend_open *open)
{
	const struct backend_ops *ops;
	struct backend *backend = NULL;
	int err = check_uri(&open->uri, &ops, open->why, sizeof(open->why));

	if (!err) {
		backend = calloc(1, ops->size);
		err = backend ? 0 : -ENOMEM;
	}
	if (err) {
		uri_free(&open->uri);
		open->done(open, NULL, err);
		return;
	}
	backend->ops = ops;
	backend->uri = open->uri;
	memset(&open->uri, 0, sizeof(open->uri));
	backend->loop = open->loop;
	backend->open = open;
	backend->caps = (struct backend_caps){ .chunk = 4096, .align = 1, .max_request = UINT32_MAX, .local_fd = -1 };
	ops->open(backend);
}

static void backend_free(struct backend *backend)
{
	uri_free(&backend->uri);
	free(backend->why);
	free(backend);
}

void backend_opened(struct backend *backend, int error)
{
	struct backend_open *open = backend->open;

	backend->open = NULL;
	if (!error) {
		open->done(open, backend, 0);
		return;
	}
	backend_why(backend, open->why, sizeof(open->why));
	if (!*open->why)
		snprintf(open->why, sizeof(open->why), "%s: %s", backend->uri.text, strerror(-error));
	backend_free(backend);
	open->done(open, NULL, error);
}

void backend_close(struct backend *backend, void (*closed)(void *arg), void *arg)
{
	backend->closed = closed;
	backend->closed_arg = arg;
	backend->ops->close(backend);
}

void backend_closed(struct backend *backend)
{
	void (*closed)(void *) = backend->closed;
	void *arg = backend->closed_arg;

	backend_free(backend);
	if (closed)
		closed(arg);
}

/* ---- requests ---- */

void backend_submit(struct backend *backend, struct backend_req *req)
{
	req->backend = backend;
	backend->ops->submit(backend, req);
}

static void done_there(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	req->done(req, req->error);
}

void backend_done(struct backend_req *req, int error)
{
	if (req->loop == loop_current()) {
		req->done(req, error);
		return;
	}
	req->error = error;
	req->task.run = done_there;
	loop_post(req->loop, &req->task);
}

int backend_error(struct backend *backend, int error, const char *fmt, ...)
{
	char *why = NULL, *old;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&why, fmt, args) < 0)
		why = NULL;
	va_end(args);
	pthread_mutex_lock(&why_lock);
	old = backend->why;
	backend->why = why;
	pthread_mutex_unlock(&why_lock);
	free(old);
	return error;
}

void backend_why(struct backend *backend, char *buf, size_t len)
{
	pthread_mutex_lock(&why_lock);
	snprintf(buf, len, "%s", backend->why ? backend->why : "");
	pthread_mutex_unlock(&why_lock);
}
