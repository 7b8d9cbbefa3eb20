/*
 * Values of the peer in memory (fs_fake.h): keys and sizes, no bytes; and those who watch them.
 */
#ifndef TESTS_FS_FAKE_KV_H
#define TESTS_FS_FAKE_KV_H

#include "fs_fake.h"

/* As if somebody else there did it. ttl_ms 0: it stays. */
void fs_fake_kv_set(struct fs_fake *fake, const char *key, uint64_t size, uint64_t ttl_ms);
void fs_fake_kv_del(struct fs_fake *fake, const char *key);

/* For fs_fake.c: answers. `call_at`: where a watch is. */
int fs_fake_kv_answer(struct fs_fake *fake, uint16_t op, const void *args, void *result,
		      size_t *call_at, struct buffer *scratch);
/* What is told next: 1 and its bytes, or 0. */
int fs_fake_kv_next(struct fs_fake *fake, size_t *call_at, struct buffer *ret_data);
void fs_fake_kv_free(struct fs_fake *fake);

#endif
