/* SPDX-License-Identifier: GPL-2.0 */
/* Answers to FUSE's READ that leave later, each as long after its request as the others, and none behind another. Up to 1024 wait. */
#ifndef BENCH_DELAY_H
#define BENCH_DELAY_H

#include <stddef.h>

#include <fuse_lowlevel.h>

/* Once, after the process has gone into the background. 0, or -1 with errno. */
int delay_start(unsigned long long us);

/* bytes stay where they are until they are sent. */
void delay_reply(fuse_req_t req, const char *bytes, size_t len);

#endif
