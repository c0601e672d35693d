/* SPDX-License-Identifier: GPL-2.0 */
/* fuzz: what all fuzzers have in common. */
#ifndef REGIONFS_FUZZ_H
#define REGIONFS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do {								\
	if (!(condition)) {								\
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);	\
		abort();								\
	}										\
} while (0)

#endif
