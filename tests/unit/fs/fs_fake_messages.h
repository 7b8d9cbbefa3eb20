/*
 * Messages of the machine in memory (fs_fake.h), and changes of its values: nothing is delivered; a
 * test says what has come and what happens.
 */
#ifndef TESTS_FS_FAKE_MESSAGES_H
#define TESTS_FS_FAKE_MESSAGES_H

#include "fs_fake_files.h"
#include "fs_fake_jobs.h"

struct fs_fake_message {
	struct fs_fake_message *next;
	uint64_t number, box, state, type;
	char *id, *peer;
	struct buffer body;
};

struct fs_fake_draft {
	struct fs_fake_draft *next;
	uint64_t number;
	bool is_stored;
	struct buffer body;
};

/* In the order of their coming. */
struct fs_fake_message *fs_fake_message_add(struct fs_fake *fake, enum msg_box box, const char *id,
					    const char *peer, const char *body);
/* The last one, or NULL. */
struct fs_fake_message *fs_fake_message_last(struct fs_fake *fake);
/* Something that MSG_EVENTS tells. */
void fs_fake_message_event(struct fs_fake *fake, enum msg_event_kind kind, const char *id,
			   const char *peer);
/* That many values are set: "k" and the version of each. With counts_values. */
void fs_fake_values_set(struct fs_fake *fake, unsigned n);

/* For fs_fake.c: as those of jobs. */
bool fs_fake_message_is_op(uint16_t op);
int fs_fake_message_answer(struct fs_fake *fake, uint16_t op, const void *args,
			   union fs_fake_result *result, struct fs_fake_job_call *call,
			   struct buffer *scratch);
/* After -1 the stream ends with stream_error, and others do not. */
int fs_fake_message_next(struct fs_fake *fake, uint16_t op, struct fs_fake_job_call *call,
			 struct buffer *ret_data);
void fs_fake_messages_free(struct fs_fake *fake);

#endif
