/* SPDX-License-Identifier: GPL-2.0 */
/* The source's answers to READs: read when they are asked for, told when they are let go. With managed-file.h and --wrap=remote_submit. */
#ifndef REGIONFS_TESTS_HELD_READS_H
#define REGIONFS_TESTS_HELD_READS_H

struct answer {
	struct list list;
	struct backend_req *req;
	void (*done)(struct backend_req *req, int error);
	int error;
	bool came;
};

static bool hold_reads;
static unsigned int nr_reads, nr_came;
static struct list answers;

void __real_remote_submit(struct remote *remote, struct backend_req *req);
void __wrap_remote_submit(struct remote *remote, struct backend_req *req);

static inline void tell(struct answer *answer, int error)
{
	struct backend_req *req = answer->req;

	req->done = answer->done;
	list_del(&answer->list);
	free(answer);
	req->done(req, error);
}

static inline void came(struct backend_req *req, int error)
{
	struct list *at;

	list_for_each(at, &answers) {
		struct answer *answer = list_entry(at, struct answer, list);

		if (answer->req != req)
			continue;
		if (!hold_reads) {
			tell(answer, error);
			return;
		}
		answer->came = true;
		answer->error = error;
		nr_came++;
		loop_stop(regiond.loop);
		return;
	}
}

void __wrap_remote_submit(struct remote *remote, struct backend_req *req)
{
	struct answer *answer;

	nr_reads += req->op == BACKEND_READ;
	if (req->op != BACKEND_READ || !hold_reads) {
		__real_remote_submit(remote, req);
		return;
	}
	answer = calloc(1, sizeof(*answer));
	answer->req = req;
	answer->done = req->done;
	req->done = came;
	list_add(&answers, &answer->list);
	__real_remote_submit(remote, req);
}

static inline void wait_came(unsigned int n)
{
	while (nr_came < n) {
		loop_run(regiond.loop);
		loop_again(regiond.loop);
	}
}

static inline void let_reads_go(void)
{
	struct list *at, *next;

	hold_reads = false;
	nr_came = 0;
	list_for_each_safe(at, next, &answers)
		if (list_entry(at, struct answer, list)->came)
			tell(list_entry(at, struct answer, list), list_entry(at, struct answer, list)->error);
}

#endif
