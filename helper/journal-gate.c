// SPDX-License-Identifier: GPL-2.0
/*
 * journal-gate: who is at the source. A request is counted before the gate is looked at, and the gate is closed before it
 * is looked whether anyone is there: so none gets past one that is closed. While the batch is being done, READs of what it leaves alone pass;
 * they count, too: the next batch waits for them.
 */
#include "journal-private.h"

static void enter_again(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	backend_submit(req->backend, req);
}

static bool may_pass(const struct journal *journal, const struct backend_req *req)
{
	return req->op == BACKEND_READ && req->offset <= UINT64_MAX - req->length &&
	       !extents_any(&journal->touched, req->offset, req->offset + req->length);
}

/* Nobody is at the source. Who was held, and may pass now, does. */
static void gate_idle(struct journal *journal)
{
	void (*idle)(struct journal *journal) = journal->idle;
	struct list *at, *next;

	journal->idle = NULL;
	pthread_mutex_lock(&journal->lock);
	atomic_store(&journal->gate, GATE_APPLYING);
	list_for_each_safe(at, next, &journal->held) {
		struct backend_req *req = list_entry(at, struct backend_req, list);

		if (!may_pass(journal, req))
			continue;
		list_del(&req->list);
		req->task.run = enter_again;
		loop_post(req->loop, &req->task);
	}
	pthread_mutex_unlock(&journal->lock);
	idle(journal);
}

static void gate_drained(struct loop_task *task)
{
	struct journal *journal = container_of(task, struct journal, drained);

	atomic_store(&journal->drain_posted, false);
	/* who came, saw it closed, and left, has it looked at once more */
	if (journal->idle && !atomic_load(&journal->in_flight))
		gate_idle(journal);
}

void gate_init(struct journal *journal)
{
	pthread_mutex_init(&journal->lock, NULL);
	list_init(&journal->held);
	journal->drained.run = gate_drained;
}

static void leave(struct journal *journal)
{
	if (atomic_fetch_sub(&journal->in_flight, 1) == 1 && atomic_load(&journal->gate) == GATE_CLOSED &&
	    !atomic_exchange(&journal->drain_posted, true))
		loop_post(journal->backend->loop, &journal->drained);
}

/* The gate as it is now, or open to this one, which counts then; a request that it is closed to stays here. */
static enum journal_gate hold(struct journal *journal, struct backend_req *req)
{
	enum journal_gate gate;

	pthread_mutex_lock(&journal->lock);
	gate = atomic_load(&journal->gate);
	if (gate == GATE_APPLYING && may_pass(journal, req)) {
		atomic_fetch_add(&journal->in_flight, 1);
		req->entered = true;
		gate = GATE_OPEN;
	} else if (gate == GATE_CLOSED || gate == GATE_APPLYING) {
		/* from here on it may be another thread's */
		list_add(&journal->held, &req->list);
	}
	pthread_mutex_unlock(&journal->lock);
	return gate;
}

bool journal_enter(struct journal *journal, struct backend_req *req)
{
	enum journal_gate gate;

	do {
		atomic_fetch_add(&journal->in_flight, 1);
		if (atomic_load(&journal->gate) == GATE_OPEN) {
			req->entered = true;
			return true;
		}
		leave(journal);
		gate = hold(journal, req);
	} while (gate == GATE_OPEN && !req->entered);
	if (gate == GATE_OPEN)
		return true;
	if (gate == GATE_BROKEN)
		backend_done(req, journal->error);
	return false;
}

void journal_leave(struct journal *journal, struct backend_req *req)
{
	req->entered = false;
	leave(journal);
}

void gate_close(struct journal *journal, void (*idle)(struct journal *journal))
{
	journal->idle = idle;
	atomic_store(&journal->gate, GATE_CLOSED);
	if (!atomic_load(&journal->in_flight))
		gate_idle(journal);
}

void gate_open(struct journal *journal, int error)
{
	struct list held, *entry;

	list_init(&held);
	pthread_mutex_lock(&journal->lock);
	journal->error = error;
	atomic_store(&journal->gate, error ? GATE_BROKEN : GATE_OPEN);
	list_splice(&held, &journal->held);
	pthread_mutex_unlock(&journal->lock);
	while ((entry = list_pop(&held))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		if (error) {
			backend_done(req, error);
			continue;
		}
		req->task.run = enter_again;
		loop_post(req->loop, &req->task);
	}
}
