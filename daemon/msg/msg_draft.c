/* Bodies that come in parts, in memory until they are sent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/msg/msg_private.h"

#define DRAFTS_MAX 256 /* the oldest one goes, unless it is stored */

struct msg_draft {
	TAILQ_ENTRY(msg_draft) entry;
	uint64_t number;
	bool is_kept;
	struct buffer body;
};

struct msg_draft *msg_draft_find(struct msg *msg, uint64_t number)
{
	struct msg_draft *draft;

	TAILQ_FOREACH(draft, &msg->drafts, entry)
	if (draft->number == number)
		return draft;
	return NULL;
}

void msg_draft_free(struct msg *msg, struct msg_draft *draft)
{
	if (!draft)
		return;
	TAILQ_REMOVE(&msg->drafts, draft, entry);
	msg->n_drafts--;
	buffer_deinit(&draft->body);
	free(draft);
}

/* Room for one more. */
static int drop_one(struct msg *msg)
{
	struct msg_draft *draft;

	if (msg->n_drafts < DRAFTS_MAX)
		return 0;
	TAILQ_FOREACH(draft, &msg->drafts, entry)
	if (!draft->is_kept)
		break;
	if (!draft)
		return -ENFILE;
	msg_draft_free(msg, draft);
	return 0;
}

static int make(struct msg *msg, uint64_t number, struct msg_draft **ret_draft)
{
	struct msg_draft *draft;
	int r = drop_one(msg);

	if (r < 0)
		return r;
	draft = calloc(1, sizeof(*draft));
	if (!draft)
		return -ENOMEM;
	draft->number = number;
	draft->body.limit = OPS_MSG_BODY_MAX;
	TAILQ_INSERT_TAIL(&msg->drafts, draft, entry);
	msg->n_drafts++;
	*ret_draft = draft;
	return 0;
}

int msg_draft_write(struct msg *msg, uint64_t number, size_t offset, struct bytes bytes,
		    struct msg_draft **ret_draft)
{
	struct msg_draft *draft = msg_draft_find(msg, number);
	size_t end = offset + bytes.size, size = draft ? draft->body.size : 0;
	int r = 0;

	if (end > OPS_MSG_BODY_MAX)
		return -EFBIG;
	if (number == 0 || offset > size)
		return -EINVAL;
	if (!draft)
		r = make(msg, number, &draft);
	if (r == 0 && end > size)
		r = buffer_reserve(&draft->body, end - size);
	if (r < 0)
		return r;
	if (bytes.size > 0)
		memcpy(draft->body.data + offset, bytes.data, bytes.size);
	if (end > size)
		draft->body.size = end;
	TAILQ_REMOVE(&msg->drafts, draft, entry);
	TAILQ_INSERT_TAIL(&msg->drafts, draft, entry);
	*ret_draft = draft;
	return 0;
}

struct bytes msg_draft_body(const struct msg_draft *draft)
{
	return (struct bytes){draft->body.data, draft->body.size};
}

void msg_draft_keep(struct msg_draft *draft)
{
	draft->is_kept = true;
}

struct msg_draft *msg_draft_oldest(struct msg *msg)
{
	return TAILQ_FIRST(&msg->drafts);
}

bool msg_draft_is_kept(const struct msg_draft *draft)
{
	return draft->is_kept;
}
