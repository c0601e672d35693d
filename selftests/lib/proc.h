/* SPDX-License-Identifier: GPL-2.0 */
/* Processes, waiting and files: what several tests need. */
#ifndef SELFTESTS_PROC_H
#define SELFTESTS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_KILLED	256		/* reap(): PROC_KILLED + signal */

long long now_ms(void);
/* Sleeps until *word is no longer seen, or ms have passed: 0, or -ETIMEDOUT. Across processes. */
int poll_event(uint32_t *word, uint32_t seen, int ms);
void wake_event(uint32_t *word);
/* Runs cond(arg) every 10 ms until it is true, for what has no event to wait for; false after ms. */
bool wait_until(bool (*cond)(void *arg), void *arg, int ms);

/* Runs fn(arg) in a child process that dies with the test; its result is the exit status. */
pid_t spawn(int (*fn)(void *arg), void *arg);
/* Waits for a child: its exit status, PROC_KILLED + signal, or -ETIMEDOUT. */
int reap(pid_t pid, int ms);
/* Prints where in the kernel a process is, for whoever reads a failure. */
void tell_stack(pid_t pid);
/* kill -9, then reap: true when it was gone in time. */
bool kill_in_time(pid_t pid, int ms);
/* As /proc/PID/stat has it: R, S, D, T ...; '?': there is no such process. */
char proc_state(pid_t pid);
/* Is the process asleep (S or D) in a system call or fault? */
bool wait_asleep(pid_t pid, int ms);

/* A file's one-line content; write gives 0 or -errno. */
int write_file(const char *path, const char *text);
long read_number(const char *path);
void drop_caches(void);
void remove_tree(const char *path);
/* Runs a shell command; its exit status. */
int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Does fn(arg), and says whether it got SIGBUS. */
bool gets_sigbus(void (*fn)(void *arg), void *arg);

#endif
