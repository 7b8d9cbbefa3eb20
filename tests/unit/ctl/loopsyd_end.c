#include "loopsyd_end.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/errors.h"
#include "proto/ops_ctl.h"

void loopsyd_end_init(struct loopsyd_end *end)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*end = (struct loopsyd_end){.path = "/tmp/loopsy-remote-XXXXXX"};
	cr_assert_not_null(mkdtemp(end->path));
	strcpy(address.sun_path, end->path);
	strcat(address.sun_path, "/s");
	end->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(end->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(end->listener, 1), 0);
	cr_assert_eq(remote_new(address.sun_path, &end->remote), 0);
	end->fd = accept(end->listener, NULL, NULL);
	cr_assert_geq(end->fd, 0);
}

void loopsyd_end_close(struct loopsyd_end *end)
{
	close(end->fd);
	end->fd = -1;
}

void loopsyd_end_deinit(struct loopsyd_end *end)
{
	char path[80];

	remote_free(end->remote);
	if (end->fd >= 0)
		close(end->fd);
	close(end->listener);
	snprintf(path, sizeof(path), "%s/s", end->path);
	unlink(path);
	rmdir(end->path);
}

void loopsyd_end_send(struct loopsyd_end *end, const struct frame *frame,
		      const struct record *record, const void *value)
{
	struct buffer buffer = {0};

	cr_assert_eq(frame_encode(frame, record, value, &buffer, NULL), 0);
	cr_assert_eq(send(end->fd, buffer.data, buffer.size, 0), (ssize_t)buffer.size);
	buffer_deinit(&buffer);
}

void loopsyd_end_send_reason(struct loopsyd_end *end, uint64_t id, const char *text)
{
	struct args_ctl_reason reason = {.id = id, .text = bytes_of_text(text)};

	loopsyd_end_send(end, &(struct frame){.kind = FRAME_EVENT, .op = OP_CTL_REASON},
			 &args_ctl_reason_record, &reason);
}

void loopsyd_end_send_status(struct loopsyd_end *end, uint64_t id, int error)
{
	struct frame frame = {.kind = FRAME_REPLY, .id = id, .status = error_from_errno(error)};

	loopsyd_end_send(end, &frame, NULL, NULL);
}
