// SPDX-License-Identifier: GPL-2.0
/* spawner: regiond's side. See spawner.h. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawner-private.h"
#include "spawner.h"

struct spawner {
	int sock;
	pid_t pid;
	struct loop *loop;
	struct loop_op op;
	uint64_t next_id;
	struct list jobs;
	/* jobs that could not be sent end from the loop */
	struct list failed;
	struct loop_task fail;
	bool failing;
	char packet[sizeof(struct spawner_answer) + SPAWNER_OUTPUT + 1];
};

int spawner_fork(struct spawner **out)
{
	struct spawner *spawner = calloc(1, sizeof(*spawner));
	int socks[2];

	if (!spawner)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks)) {
		free(spawner);
		return -errno;
	}
	spawner->pid = fork();
	if (!spawner->pid) {
		close(socks[0]);
		spawner_process(socks[1]);
	}
	close(socks[1]);
	if (spawner->pid < 0) {
		close(socks[0]);
		free(spawner);
		return -EAGAIN;
	}
	spawner->sock = socks[0];
	list_init(&spawner->jobs);
	list_init(&spawner->failed);
	*out = spawner;
	return 0;
}

static void job_end(struct spawner_job *job, int status, const char *output)
{
	list_del(&job->list);
	job->done(job, status, output);
}

static void fail_all(struct spawner *spawner)
{
	while (!list_empty(&spawner->jobs))
		job_end(list_entry(spawner->jobs.next, struct spawner_job, list), -EPIPE, "the spawner process is gone");
}

static void answer_take(struct spawner *spawner, int len)
{
	struct spawner_answer answer;
	struct list *entry;

	memcpy(&answer, spawner->packet, sizeof(answer));
	spawner->packet[len] = '\0';
	list_for_each(entry, &spawner->jobs) {
		struct spawner_job *job = list_entry(entry, struct spawner_job, list);

		if (job->id == answer.id) {
			job_end(job, answer.status, spawner->packet + sizeof(answer));
			return;
		}
	}
}

static void answered(struct loop_op *op, int res)
{
	struct spawner *spawner = container_of(op, struct spawner, op);

	if (res <= 0 && res != -EINTR && res != -EAGAIN) {
		fail_all(spawner);
		return;
	}
	if (res >= (int)sizeof(struct spawner_answer))
		answer_take(spawner, res);
	loop_recv(spawner->loop, op, spawner->sock, spawner->packet, sizeof(spawner->packet) - 1);
}

int spawner_start(struct spawner *spawner, struct loop *loop)
{
	spawner->loop = loop;
	spawner->op.done = answered;
	loop_recv(loop, &spawner->op, spawner->sock, spawner->packet, sizeof(spawner->packet) - 1);
	return 0;
}

static int packet_add(char *packet, size_t *len, const char *text)
{
	size_t add = strlen(text) + 1;

	if (*len + add > SPAWNER_PACKET)
		return -E2BIG;
	memcpy(packet + *len, text, add);
	*len += add;
	return 0;
}

static int packet_send(struct spawner *spawner, char *packet, size_t len, int fd)
{
	struct iovec iov = { .iov_base = packet, .iov_len = len };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *head;

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &fd, sizeof(int));
	}
	/* the spawner does nothing but read this: a full socket means that it hangs */
	return sendmsg(spawner->sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int job_send(struct spawner *spawner, const struct spawner_job *job)
{
	struct spawner_ask ask = { .id = job->id, .kind = SPAWNER_RUN, .timeout_ms = job->timeout_ms };
	char *packet = malloc(SPAWNER_PACKET);
	size_t len = sizeof(ask);
	int err;

	if (!packet)
		return -ENOMEM;
	memcpy(packet, &ask, sizeof(ask));
	err = packet_add(packet, &len, job->command);
	for (size_t i = 0; !err && job->env && job->env[i]; i++)
		err = packet_add(packet, &len, job->env[i]);
	if (!err)
		err = packet_send(spawner, packet, len, job->stdio);
	free(packet);
	return err;
}

static void fail_jobs(struct loop_task *task)
{
	struct spawner *spawner = container_of(task, struct spawner, fail);

	spawner->failing = false;
	while (!list_empty(&spawner->failed))
		job_end(list_entry(spawner->failed.next, struct spawner_job, list), -EPIPE,
			"the command could not be given to the spawner process");
}

void spawner_run(struct spawner *spawner, struct spawner_job *job)
{
	job->id = ++spawner->next_id;
	if (!job_send(spawner, job)) {
		list_add(&spawner->jobs, &job->list);
		return;
	}
	list_add(&spawner->failed, &job->list);
	if (spawner->failing)
		return;
	spawner->failing = true;
	spawner->fail.run = fail_jobs;
	loop_post(spawner->loop, &spawner->fail);
}

void spawner_kill(struct spawner *spawner, struct spawner_job *job)
{
	struct spawner_ask ask = { .id = job->id, .kind = SPAWNER_KILL };

	packet_send(spawner, (char *)&ask, sizeof(ask), -1);
}

int spawner_clear(struct spawner *spawner, const char *run_dir, int lock)
{
	struct spawner_ask ask = { .kind = SPAWNER_CLEAR };
	char packet[sizeof(ask) + PATH_MAX];
	size_t len = sizeof(ask);
	int err;

	memcpy(packet, &ask, sizeof(ask));
	if (strlen(run_dir) >= PATH_MAX)
		return -ENAMETOOLONG;
	err = packet_add(packet, &len, run_dir);
	return err ? err : packet_send(spawner, packet, len, lock);
}

/* shutdown: the loop may still be reading from it, which would keep it open. */
void spawner_close(struct spawner *spawner)
{
	fail_all(spawner);
	shutdown(spawner->sock, SHUT_RDWR);
	close(spawner->sock);
	waitpid(spawner->pid, NULL, 0);
	free(spawner);
}
