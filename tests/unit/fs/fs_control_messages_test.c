/* messages/: inbox and outbox as files, and what is written into send. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs_fake_messages.h"
#include "fs_kernel_files.h"

#define TOP "desk/.loopsy/messages"
#define OWN ".loopsy/messages"

/* What one reads as; its size must be that, before and after. */
static const char *get(struct fs_kernel *kernel, const char *path)
{
	static char text[8 * 1024 * 1024];
	uint64_t node = fs_kernel_walk(kernel, path);
	struct fuse_attr_out before, after;
	struct fs_kernel_file file;
	size_t size = 0;
	int error, n;

	if (!node)
		return strerror(ENOENT);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &before), 0);
	error = fs_kernel_file_open(kernel, path, O_RDONLY, &file);
	if (error)
		return strerror(-error);
	do {
		n = fs_kernel_file_read(kernel, &file, size, text + size, 128 * 1024);
		cr_assert_geq(n, 0);
		size += (size_t)n;
	} while (n > 0);
	text[size] = '\0';
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &after), 0);
	cr_assert_eq(before.attr.size, size, "%s: %lu", path, (unsigned long)before.attr.size);
	cr_assert_eq(after.attr.size, size, "%s: %lu", path, (unsigned long)after.attr.size);
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	return text;
}

static bool last_error_has(struct fs_kernel *kernel, const char *part)
{
	struct fs_kernel_file file;
	char text[512];
	int n;

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/.loopsy/last-error", O_RDONLY, &file), 0);
	n = fs_kernel_file_read(kernel, &file, 0, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	return strstr(text, part) != NULL;
}

static int remove_file(struct fs_kernel *kernel, const char *dir, const char *name)
{
	return fs_kernel_name_op(kernel, FUSE_UNLINK, fs_kernel_walk(kernel, dir), NULL, 0, name,
				 NULL);
}

/* --- boxes ------------------------------------------------------------------------------------ */

Test(fs_control_messages, boxes_list_what_is_in_them)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	fs_fake_message_add(kernel->self, MSG_INBOX, "01a", "desk", "one");
	fs_fake_message_add(kernel->self, MSG_INBOX, "01b", "pad", "two");
	fs_fake_message_add(kernel->self, MSG_OUTBOX, "01c", "desk", "three");
	for (int i = 0; i < 5; i++)
		fs_fake_message_add(kernel->self, MSG_INBOX,
				    &"01d\0"
				     "01e\0"
				     "01f\0"
				     "01g\0"
				     "01h"[4 * i],
				    "desk", "more");
	cr_assert_str_eq(fs_kernel_list(kernel, TOP), ". .. send inbox outbox ");
	cr_assert_str_eq(fs_kernel_list(kernel, OWN), ". .. send inbox outbox ");
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/inbox"), ". .. 01a 01d 01e 01f 01g 01h ");
	cr_assert_str_eq(fs_kernel_list(kernel, OWN "/inbox"), ". .. 01a 01b 01d 01e 01f 01g 01h ");
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/outbox"), ". .. 01c ");
	kernel->self->error[OP_MSG_LIST] = -EIO;
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/inbox"), strerror(EIO));
	cr_assert(last_error_has(kernel, "messages/inbox: "));
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, a_message_reads_as_its_envelope_and_shows_its_size_and_time)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_message *sent;
	struct fuse_entry_out entry;

	kernel->self->part = 3;
	fs_fake_message_add(kernel->self, MSG_INBOX, "01a", "desk", "a \"b\"\n\tä");
	sent = fs_fake_message_add(kernel->self, MSG_OUTBOX, "01b", "desk", "x");
	cr_assert_str_eq(get(kernel, TOP "/inbox/01a"),
			 "{\"id\":\"01a\",\"from\":\"desk\",\"to\":\"lap\","
			 "\"ts\":\"2001-09-09T01:46:40.000Z\",\"type\":\"chat\","
			 "\"body\":\"a \\\"b\\\"\\n\\tä\",\"read\":false}\n");
	cr_assert_eq(fs_kernel_lookup(kernel, fs_kernel_walk(kernel, OWN "/inbox"), "01a", &entry),
		     0);
	cr_assert_eq(entry.attr.mode, S_IFREG | 0600);
	cr_assert_eq(entry.attr.mtime, 1000000005);
	cr_assert_str_eq(get(kernel, TOP "/outbox/01b"),
			 "{\"id\":\"01b\",\"from\":\"lap\",\"to\":\"desk\","
			 "\"ts\":\"2001-09-09T01:46:40.000Z\",\"type\":\"chat\",\"body\":\"x\","
			 "\"state\":\"queued\",\"queued_at\":\"2001-09-09T01:46:40.000Z\","
			 "\"delivered_at\":null,\"read_at\":null,\"expires_at\":null}\n");
	sent->state = MSG_READ_THERE;
	cr_assert(strstr(get(kernel, TOP "/outbox/01b"),
			 "\"state\":\"read\",\"queued_at\":\"2001-09-09T01:46:40.000Z\","
			 "\"delivered_at\":\"2001-09-09T01:46:45.000Z\","
			 "\"read_at\":\"2001-09-09T01:46:47.000Z\""));
	cr_assert_eq(fs_kernel_lookup(kernel, fs_kernel_walk(kernel, TOP "/outbox"), "01b", &entry),
		     0);
	cr_assert_eq(entry.attr.mode, S_IFREG | 0400);
	cr_assert_eq(entry.attr.mtime, 1000000007);
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, one_of_another_machine_is_not_in_a_peers_box)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	static const char *const names[] = {"01b", "01z", "none", "01B",
					    "a.b", "%2e", "..",   "x\ny"};

	fs_fake_message_add(kernel->self, MSG_INBOX, "01b", "pad", "x");
	fs_fake_message_add(kernel->self, MSG_OUTBOX, "01z", "desk", "x");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_eq(
		    fs_kernel_lookup(kernel, fs_kernel_walk(kernel, TOP "/inbox"), names[i], NULL),
		    -ENOENT, "%s", names[i]);
	cr_assert_neq(fs_kernel_walk(kernel, OWN "/inbox/01b"), 0);
	fs_kernel_free(kernel, true);
}

static void lie_in_ids(struct fs_fake *fake, uint16_t op, struct transport_reply *reply,
		       void *result)
{
	static const char *const ids[] = {"../x", "", "a/b", "bad\nname", ".", "ok", "Upper"};
	static struct buffer elements;
	struct result_msg_list *list = result;

	if (op != OP_MSG_LIST || reply->error)
		return;
	elements.size = 0;
	list->messages = (struct list){0};
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct msg_info info = {.number = i + 1,
					.id = {(const uint8_t *)ids[i], strlen(ids[i])}};

		codec_list_append(&list->messages, &elements, &msg_info_record, &info);
	}
	codec_list_finish(&list->messages, &elements);
	list->rest = fake->has_lied; /* and so it goes on for ever */
}

Test(fs_control_messages, what_is_no_id_is_no_name_and_a_list_that_goes_on_for_ever_ends)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	kernel->self->lie = lie_in_ids;
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/inbox"), ". .. ok ");
	kernel->self->has_lied = true;
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/inbox"), strerror(EPROTO));
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, removing_one_acknowledges_it)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	struct fuse_attr_out attr;
	char text[256];

	fs_fake_message_add(kernel->self, MSG_INBOX, "01a", "desk", "x");
	fs_fake_message_add(kernel->self, MSG_OUTBOX, "01b", "desk", "x");
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/inbox/01a", O_RDONLY, &file), 0);
	kernel->self->error[OP_MSG_ACK] = -ENOSPC;
	cr_assert_eq(remove_file(kernel, TOP "/inbox", "01a"), -ENOSPC);
	kernel->self->error[OP_MSG_ACK] = 0;
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/inbox"), ". .. 01a ");
	cr_assert_eq(remove_file(kernel, TOP "/inbox", "01a"), 0);
	cr_assert_eq(remove_file(kernel, TOP "/inbox", "01a"), -ENOENT);
	cr_assert_eq(remove_file(kernel, TOP "/inbox", "../x"), -ENOENT);
	cr_assert_eq(remove_file(kernel, TOP "/outbox", "01b"), -EPERM);
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/inbox"), ". .. ");
	cr_assert_eq(fs_kernel_walk(kernel, TOP "/inbox/01a"), 0);
	/* It is still open. */
	cr_assert_gt(fs_kernel_file_read(kernel, &file, 0, text, sizeof(text)), 0);
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &attr), 0);
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, nothing_else_can_be_done_with_them)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fuse_setattr_in attr = {.valid = FATTR_SIZE};
	struct fs_kernel_reply *reply;
	struct fs_kernel_file file;

	fs_fake_message_add(kernel->self, MSG_INBOX, "01a", "desk", "x");
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/inbox/01a", O_WRONLY, &file), -EACCES);
	cr_assert(last_error_has(kernel, "messages/inbox/01a: a message is read"));
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/inbox/01a", O_RDWR | O_TRUNC, &file),
		     -EACCES);
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/send", O_RDONLY, &file), -EACCES);
	cr_assert_eq(fs_kernel_file_create(kernel, TOP "/inbox", "new", O_WRONLY, &file), -EPERM);
	cr_assert_eq(fs_kernel_rename(kernel, fs_kernel_walk(kernel, TOP "/inbox"), "01a",
				      fs_kernel_walk(kernel, OWN "/inbox"), "01b", 0),
		     -EXDEV);
	reply = fs_kernel_ask(kernel, FUSE_SETATTR, fs_kernel_walk(kernel, TOP "/inbox/01a"), &attr,
			      sizeof(attr));
	cr_assert_eq(reply->error, -EPERM);
	free(reply);
	cr_assert_eq(remove_file(kernel, TOP, "send"), -EPERM);
	fs_kernel_free(kernel, true);
}

/* --- send ------------------------------------------------------------------------------------- */

static struct fs_kernel_file open_send(struct fs_kernel *kernel, const char *path)
{
	struct fs_kernel_file file;

	cr_assert_eq(fs_kernel_file_open(kernel, path, O_WRONLY | O_TRUNC, &file), 0);
	return file;
}

static void release(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	fs_kernel_release(kernel, FUSE_RELEASE, file->node, file->handle);
	fs_kernel_run(kernel);
}

static int write_text(struct fs_kernel *kernel, const struct fs_kernel_file *file, const char *text)
{
	return fs_kernel_file_write(kernel, file, 0, text, strlen(text));
}

static bool is_body(const struct fs_fake_message *message, const char *body)
{
	return message && message->body.size == strlen(body) &&
	       memcmp(message->body.data, body, strlen(body)) == 0;
}

/* As a shell's `>`. */
Test(fs_control_messages, what_is_written_between_open_and_close_is_one_message)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_send(kernel, TOP "/send");

	cr_assert_eq(fs_kernel_file_flush(kernel, &file), 0);
	cr_assert_eq(write_text(kernel, &file, "hello "), 6);
	cr_assert_eq(write_text(kernel, &file, "desk\n"), 5);
	cr_assert_null(kernel->self->drafts);
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), 0);
	cr_assert(kernel->self->drafts && kernel->self->drafts->is_stored);
	cr_assert_null(kernel->self->messages);
	release(kernel, &file);
	cr_assert(is_body(kernel->self->messages, "hello desk\n"));
	cr_assert_str_eq(kernel->self->messages->peer, "desk");
	cr_assert_eq(kernel->self->messages->type, MSG_CHAT);
	cr_assert_null(kernel->self->drafts);
	cr_assert_eq(kernel->self->n_sent, 1);

	file = open_send(kernel, OWN "/send");
	cr_assert_eq(write_text(kernel, &file, "all"), 3);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert(is_body(fs_fake_message_last(kernel->self), "all"));
	cr_assert_str_eq(fs_fake_message_last(kernel->self)->peer, "");
	cr_assert_eq(fs_fake_message_last(kernel->self)->type, MSG_BROADCAST);

	file = open_send(kernel, TOP "/send");
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert_eq(kernel->self->n_sent, 2, "nothing was written");
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, a_close_by_another_process_stores_nothing_yet)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_send(kernel, TOP "/send");
	uint32_t writer = kernel->pid;

	cr_assert_eq(write_text(kernel, &file, "half "), 5);
	kernel->pid = (uint32_t)getppid();
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), 0);
	cr_assert_null(kernel->self->drafts);
	kernel->pid = writer;
	cr_assert_eq(write_text(kernel, &file, "and half"), 8);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert(is_body(kernel->self->messages, "half and half"));
	cr_assert_eq(kernel->self->n_sent, 1);

	/* One whose writer is never heard of again is sent all the same. */
	file = open_send(kernel, TOP "/send");
	cr_assert_eq(write_text(kernel, &file, "x"), 1);
	release(kernel, &file);
	cr_assert(is_body(fs_fake_message_last(kernel->self), "x"));
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, a_mebibyte_goes_in_parts_and_a_byte_more_is_refused)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_send(kernel, TOP "/send");
	static char body[OPS_MSG_BODY_MAX + 1];
	const struct fs_fake_message *sent;

	for (size_t i = 0; i < OPS_MSG_BODY_MAX; i++)
		body[i] = (char)('a' + i % 26);
	for (size_t at = 0; at < OPS_MSG_BODY_MAX; at += 100000) {
		size_t n = OPS_MSG_BODY_MAX - at < 100000 ? OPS_MSG_BODY_MAX - at : 100000;

		cr_assert_eq(fs_kernel_file_write(kernel, &file, at, body + at, n), (int)n);
		if (at == 500000) /* in the middle of it */
			cr_assert_eq(fs_kernel_file_flush(kernel, &file), 0);
	}
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert(is_body(kernel->self->messages, body));
	sent = kernel->self->messages;
	cr_assert_eq(strlen(get(kernel, TOP "/outbox/sent1")) > OPS_MSG_BODY_MAX, true);

	file = open_send(kernel, TOP "/send");
	for (size_t at = 0; at < OPS_MSG_BODY_MAX; at += 131072)
		cr_assert_eq(fs_kernel_file_write(kernel, &file, at, body + at, 131072), 131072);
	cr_assert_eq(write_text(kernel, &file, "x"), -EFBIG);
	cr_assert(last_error_has(kernel, "messages/send: a message is not larger than 1 MiB"));
	cr_assert_eq(fs_kernel_file_close(kernel, &file), -EFBIG);
	cr_assert_eq(fs_fake_message_last(kernel->self), sent, "it was not sent");
	cr_assert_null(kernel->self->drafts);
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, what_is_no_text_is_refused_where_it_is_written)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_send(kernel, TOP "/send");

	/* A character may come in two writes, also when a copy is closed between them. */
	cr_assert_eq(write_text(kernel, &file, "\xe2\x82"), 2);
	cr_assert_eq(write_text(kernel, &file, "\xac"), 1);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert(is_body(kernel->self->messages, "€"));

	file = open_send(kernel, TOP "/send");
	cr_assert_eq(write_text(kernel, &file, "good"), 4);
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), 0);
	cr_assert_eq(write_text(kernel, &file, "\xff"), -EILSEQ);
	cr_assert(last_error_has(kernel, "messages/send: a message is UTF-8 text"));
	cr_assert_eq(write_text(kernel, &file, "good"), -EILSEQ);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), -EILSEQ);
	file = open_send(kernel, TOP "/send");
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "a\0b", 3), -EILSEQ);
	release(kernel, &file);
	cr_assert_eq(kernel->self->n_sent, 1);
	cr_assert_null(kernel->self->drafts, "what was stored of it is given up");
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, what_is_not_accepted_is_said_and_not_sent)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	kernel->self->error[OP_MSG_DRAFT] = -EACCES;
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/send", O_WRONLY, &file), -EACCES);
	cr_assert(last_error_has(kernel, "messages/send: the peer does not take messages"));
	kernel->self->error[OP_MSG_DRAFT] = 0;

	file = open_send(kernel, TOP "/send");
	cr_assert_eq(write_text(kernel, &file, "x"), 1);
	kernel->self->store_error = -ENOSPC;
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), -ENOSPC);
	cr_assert(last_error_has(kernel, "the outbox is full, or the disk of this machine"));
	cr_assert_eq(fs_kernel_file_close(kernel, &file), -ENOSPC, "it was tried again");
	cr_assert_eq(kernel->self->n_sent, 0);
	cr_assert_null(kernel->self->drafts);

	/* There is room again before the last close. */
	file = open_send(kernel, TOP "/send");
	cr_assert_eq(write_text(kernel, &file, "x"), 1);
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), -ENOSPC);
	kernel->self->store_error = 0;
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert_eq(kernel->self->n_sent, 1);

	/* Unpaired before it is sent. */
	file = open_send(kernel, TOP "/send");
	cr_assert_eq(write_text(kernel, &file, "x"), 1);
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), 0);
	kernel->self->error[OP_MSG_SEND] = -ENOENT;
	release(kernel, &file);
	cr_assert_null(kernel->self->drafts);
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, a_close_that_is_interrupted_sends_once)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_send(kernel, TOP "/send");
	uint64_t unique;

	cr_assert_eq(write_text(kernel, &file, "x"), 1);
	kernel->self->is_held = true;
	unique = fs_kernel_file_send_flush(kernel, &file);
	fs_kernel_run(kernel);
	fs_kernel_file_interrupt(kernel, unique);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, unique), -EINTR);
	release(kernel, &file);
	cr_assert_eq(kernel->self->n_asked[OP_MSG_SEND], 0);
	kernel->self->is_held = false;
	fs_kernel_run(kernel);
	cr_assert(is_body(kernel->self->messages, "x"));
	cr_assert_eq(kernel->self->n_sent, 1);
	cr_assert_null(kernel->self->drafts);
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, two_writers_send_two_messages)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file one = open_send(kernel, TOP "/send");
	struct fs_kernel_file other = open_send(kernel, TOP "/send");

	cr_assert_neq(one.node, other.node, "a write to one would keep the other waiting");
	cr_assert_eq(write_text(kernel, &one, "a"), 1);
	cr_assert_eq(write_text(kernel, &other, "x"), 1);
	cr_assert_eq(write_text(kernel, &one, "b"), 1);
	cr_assert_eq(fs_kernel_file_close(kernel, &other), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &one), 0);
	cr_assert(is_body(kernel->self->messages, "x"));
	cr_assert(is_body(fs_fake_message_last(kernel->self), "ab"));
	fs_kernel_free(kernel, true);
}

Test(fs_control_messages, a_removed_peer_leaves_nothing_behind)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_send(kernel, TOP "/send");
	uint64_t inbox = fs_kernel_walk(kernel, TOP "/inbox"), handle;

	cr_assert_eq(write_text(kernel, &file, "x"), 1);
	fs_peer_remove(kernel->peer);
	fs_kernel_run(kernel);
	cr_assert_eq(write_text(kernel, &file, "y"), -ESTALE);
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), -ESTALE);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, inbox, &handle), -ESTALE);
	/* It is left open, and one to all with it: the mount ends under them. */
	file = open_send(kernel, OWN "/send");
	cr_assert_eq(write_text(kernel, &file, "z"), 1);
	fs_kernel_free(kernel, false);
}
