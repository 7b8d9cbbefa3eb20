/*
 * The files of the peer in memory: open ones, contents, locks, extended attributes.
 */
#ifndef TESTS_FS_FAKE_FILES_H
#define TESTS_FS_FAKE_FILES_H

#include "fs_fake.h"

union fs_fake_result {
	struct result_lookup lookup;
	struct result_getattr getattr;
	struct result_readdir readdir;
	struct result_readlink readlink;
	struct result_exports exports;
	struct result_create create;
	struct result_open open;
	struct result_statfs statfs;
	struct result_write write;
	struct result_read read;
	struct result_fallocate fallocate;
	struct result_lseek lseek;
	struct result_copy_range copy_range;
	struct result_lock lock;
	struct result_getxattr getxattr;
	struct result_job_start job_start;
	struct result_job_attach job_attach;
	struct result_job_list job_list;
	struct result_job_read job_read;
	struct result_job_screen job_screen;
	struct result_kv_watch kv_watch;
	struct result_msg_draft msg_draft;
	struct result_msg_send msg_send;
	struct result_msg_list msg_list;
	struct result_msg_show msg_show;
};

/* Opens; returns the handle's number. */
uint64_t fs_fake_file_open(struct fs_fake *fake, struct fs_fake_object *object, uint64_t flags);
/* An operation on a file: 0 or -errno. ret_frame: what bytes of the result are in, or NULL. */
int fs_fake_file_answer(struct fs_fake *fake, struct fs_fake_object *node, uint16_t op,
			const void *args, union fs_fake_result *result, void **ret_frame);
/* Whether it is a lock that somebody else has, and waits for it. */
bool fs_fake_file_waits(struct fs_fake *fake, uint16_t op, const void *args);
/* Nothing is open any more. */
void fs_fake_files_lost(struct fs_fake *fake);
void fs_fake_file_free(struct fs_fake_object *object);
void fs_fake_frame_ref(void *frame);
void fs_fake_frame_unref(void *frame);

#endif
