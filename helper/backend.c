// SPDX-License-Identifier: GPL-2.0
/* backend: what all backends have in common: the table, opening and closing, answers, errors. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "journal.h"
#include "split.h"

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

#define REPLAY_MS 15000u
#define REPLAY_LOOK_MS 200u

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
	source = ops && ops->child ? ops->child(&uri, name) : journal_is_name(name) ? NULL : default_child(&uri, name);
	uri_free(&uri);
	if (source && !backend_owned(source))
		source = add_option(source, "owned");
	if (!source || backend_owned(source))
		return source;
	/* it has as many options as a source can have */
	free(source);
	return NULL;
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

char *backend_disown(const char *source)
{
	char *copy = strdup(source), *options = copy ? strchr(copy, '?') : NULL, *save = NULL, *to;
	unsigned int n = 0;
	struct uri uri;

	if (!options || uri_parse(&uri, source, NULL, 0))
		return copy;
	*options = 0;
	to = malloc(strlen(source) + 1);
	if (to)
		strcpy(to, copy);
	/* those that are not empty are the parsed ones, in order; a key may be encoded */
	for (char *option = strtok_r(options + 1, "&", &save), mark = '?'; to && option; option = strtok_r(NULL, "&", &save)) {
		if (!strcmp(uri.option[n++].key, "owned"))
			continue;
		sprintf(to + strlen(to), "%c%s", mark, option);
		mark = '&';
	}
	uri_free(&uri);
	free(copy);
	return to;
}

/* ---- life ---- */

static void as_writer(struct backend_open *open)
{
	open->replaying = true;
	open->read_only = false;
	open->readers_patience_ms = open->patience_ms;
	open->patience_ms = REPLAY_LOOK_MS;
}

static void as_reader(struct backend_open *open)
{
	if (!open->replaying)
		return;
	open->replaying = false;
	open->read_only = true;
	open->patience_ms = open->readers_patience_ms;
}

/* It may be used once more. */
static void tell_opened(struct backend_open *open, struct backend *backend, int error)
{
	as_reader(open);
	open->replayed_it = false;
	open->replay_until = 0;
	open->done(open, backend, error);
}

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
		tell_opened(open, NULL, err);
		return;
	}
	backend->ops = ops;
	backend->uri = open->uri;
	memset(&open->uri, 0, sizeof(open->uri));
	backend->loop = open->loop;
	backend->open = open;
	backend->caps = (struct backend_caps){ .chunk = 4096, .align = 1, .max_request = UINT32_MAX, .local_fd = -1, .local_map = -1 };
	ops->open(backend);
}

static void backend_free(struct backend *backend)
{
	if (backend->journal)
		journal_close(backend->journal);
	uri_free(&backend->uri);
	free(backend->why);
	free(backend);
}

static void keep_why(const struct backend *backend, struct backend_open *open, int error)
{
	backend_why((struct backend *)backend, open->why, sizeof(open->why));
	if (!*open->why)
		snprintf(open->why, sizeof(open->why), "%s: %s", backend->uri.text, strerror(-error));
}

static void journal_closed(void *arg)
{
	struct backend_open *open = arg;

	if (open->error)
		tell_opened(open, NULL, open->error);
	else
		backend_open(open);
}

/* Closes it, and opens it once more. */
static void open_again(struct backend *backend)
{
	struct backend_open *open = backend->open;

	open->error = 0;
	open->uri = backend->uri;
	memset(&backend->uri, 0, sizeof(backend->uri));
	backend_close(backend, journal_closed, open);
}

/* Who only wants to read a source with a batch that has to be done first, writes it once. */
static void open_as_writer(struct backend *backend)
{
	struct backend_open *open = backend->open;

	if (!open->replay_until)
		open->replay_until = loop_now_ns() + 1000000ULL * (open->patience_ms ? open->patience_ms : REPLAY_MS);
	as_writer(open);
	open_again(backend);
}

static void opened_well(struct backend *backend)
{
	struct backend_open *open = backend->open;

	if (open->replaying) {
		/* what it has for that, others may want: the lock */
		as_reader(open);
		open->replayed = backend->replayed;
		open->replayed_it = !backend->replayed_before;
		open_again(backend);
		return;
	}
	if (open->replayed_it) {
		backend->replayed = open->replayed;
		backend->replayed_before = false;
	}
	backend->open = NULL;
	tell_opened(open, backend, 0);
}

static void journal_opened(struct backend *backend, int error)
{
	struct backend_open *open = backend->open;

	if (error == JOURNAL_WANTS_WRITER) {
		open_as_writer(backend);
	} else if (error) {
		open->error = error;
		keep_why(backend, open, error);
		backend_close(backend, journal_closed, open);
	} else {
		opened_well(backend);
	}
}

/* Who has the source is about to do the batch: a look at it will tell. */
static bool look_again(struct backend *backend, int error)
{
	struct backend_open *open = backend->open;

	if (!open->replaying || error != -EBUSY || loop_now_ns() > open->replay_until)
		return false;
	as_reader(open);
	open->uri = backend->uri;
	memset(&backend->uri, 0, sizeof(backend->uri));
	backend_free(backend);
	backend_open(open);
	return true;
}

void backend_opened(struct backend *backend, int error)
{
	struct backend_open *open = backend->open;

	if (error && look_again(backend, error))
		return;
	if (error) {
		keep_why(backend, open, error);
		backend_free(backend);
		tell_opened(open, NULL, error);
	} else if (backend->ops->journal) {
		journal_open(backend, journal_opened);
	} else {
		backend->open = NULL;
		tell_opened(open, backend, 0);
	}
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

struct finding {
	struct loop_work work;
	uint64_t start, end;
};

static int find_work(struct loop_work *work)
{
	struct finding *finding = container_of(work, struct finding, work);
	const struct backend_req *req = backend_req_of(finding);

	return req->backend->ops->data(req->backend, req->offset, &finding->start, &finding->end);
}

static void found_data(struct loop_work *work, int res)
{
	struct finding *finding = container_of(work, struct finding, work);
	struct backend_req *req = backend_req_of(finding);

	if (!res) {
		req->offset = finding->start;
		req->length = finding->end - finding->start;
	}
	backend_done(req, res);
}

static void find_data(struct backend *backend, struct backend_req *req)
{
	struct finding *finding = backend_private(req, struct finding);

	if (!backend->ops->data) {
		backend_done(req, -EOPNOTSUPP);
		return;
	}
	finding->work.work = find_work;
	finding->work.done = found_data;
	loop_work(req->loop, &finding->work);
}

void backend_submit_source(struct backend *backend, struct backend_req *req)
{
	bool moves = req->op == BACKEND_READ || req->op == BACKEND_WRITE;

	req->backend = backend;
	if (req->op == BACKEND_DATA && !backend->ops->finds_data)
		find_data(backend, req);
	else if (moves && req->length > backend->caps.max_request)
		split_submit(backend, req);
	else
		backend->ops->submit(backend, req);
}

void backend_submit(struct backend *backend, struct backend_req *req)
{
	bool publishes = req->op == BACKEND_PUBLISH || req->op == BACKEND_DROP || req->flags & BACKEND_STAGED;

	req->backend = backend;
	req->entered = false;
	if (publishes && !backend->caps.publish)
		backend_done(req, -EOPNOTSUPP);
	else if (backend->journal && (publishes || req->op == BACKEND_DESTROY))
		journal_submit(backend->journal, req);
	else if (!backend->journal || journal_enter(backend->journal, req))
		backend_submit_source(backend, req);
}

static void done_there(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	req->done(req, req->error);
}

void backend_done(struct backend_req *req, int error)
{
	if (req->entered)
		journal_leave(req->backend->journal, req);
	req->error = error;
	req->task.run = done_there;
	loop_call(req->loop, &req->task);
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

int backend_unfenced(struct backend *backend)
{
	return backend_error(backend, -EPERM, "%s: no lock that all hosts hear of keeps away what the host that had it before has sent, and is still on its way",
			     backend->uri.path);
}

void backend_why(struct backend *backend, char *buf, size_t len)
{
	pthread_mutex_lock(&why_lock);
	snprintf(buf, len, "%s", backend->why ? backend->why : "");
	pthread_mutex_unlock(&why_lock);
}

bool backend_is_temporary(int error)
{
	switch (error) {
	case -EAGAIN:
	case -EBUSY:
	case -EINTR:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -ETIMEDOUT:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -ECONNABORTED:
	case -EPIPE:
	case -EHOSTUNREACH:
	case -EHOSTDOWN:
	case -ENETUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL:
		return true;
	default:
		return false;
	}
}
