/* SPDX-License-Identifier: GPL-2.0 */
/* crc32c: the Castagnoli checksum of what the local store keeps on a disk. Any thread. */
#ifndef REGIONFS_CRC32C_H
#define REGIONFS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of data that follows what crc is of; crc of nothing is 0. crc32c(0, "123456789", 9) is 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The same of len zeroes, without looking at any: O(log len). */
uint32_t crc32c_zeroes(uint32_t crc, size_t len);

#endif
