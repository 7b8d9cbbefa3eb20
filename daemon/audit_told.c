#include "daemon/audit_told.h"

#include <errno.h>
#include <string.h>

#include "daemon/daemon.h"

static json_t *describe_job(const struct job_info *info, bool has_ended)
{
	json_t *detail = json_object();
	struct bytes cmd = info->cmd, name = info->name;

	json_object_set_new(detail, "cmd", json_stringn((const char *)cmd.data, cmd.size));
	if (name.size)
		json_object_set_new(detail, "name",
				    json_stringn((const char *)name.data, name.size));
	if (has_ended && info->state == JOB_EXITED)
		json_object_set_new(detail, "exit", json_integer((json_int_t)info->exit));
	if (has_ended && info->state == JOB_KILLED)
		json_object_set_new(detail, "signal", json_integer((json_int_t)info->signal));
	return detail;
}

void audit_told_job(void *arg, const char *peer, const struct job_info *info, int error,
		    int64_t duration_ms)
{
	struct daemon *daemon = arg;
	bool has_ended = error == 0 && info->state != JOB_RUNNING;
	const char *outcome = error == -EPERM || error == -EACCES || error == -EAGAIN ? "denied"
			      : error < 0 ? strerror(-error)
					  : "ok";

	audit_write(daemon->audit, peer, has_ended ? "exec-end" : "exec", outcome, duration_ms,
		    describe_job(info, has_ended));
}

void audit_told_kv(void *arg, const struct kv_told *told)
{
	struct daemon *daemon = arg;
	struct bytes key = told->key, new_key = told->new_key;
	json_t *detail = json_object();

	json_object_set_new(detail, "op", json_string(told->what));
	json_object_set_new(detail, "key", json_stringn((const char *)key.data, key.size));
	if (new_key.size > 0)
		json_object_set_new(detail, "new_key",
				    json_stringn((const char *)new_key.data, new_key.size));
	json_object_set_new(detail, "version", json_integer((json_int_t)told->version));
	json_object_set_new(detail, "size", json_integer((json_int_t)told->size));
	audit_write(daemon->audit, told->peer, "kv", "ok", told->duration_ms, detail);
}

void audit_told_msg(void *arg, const struct msg_told *told)
{
	struct daemon *daemon = arg;
	json_t *detail = json_pack("{s:s, s:s, s:s, s:I}", "op", told->what, "id", told->id, "type",
				   ops_msg_type_name(told->type), "size", (json_int_t)told->size);

	if (detail && told->with)
		json_object_set_new(detail, "with", json_string(told->with));
	audit_write(daemon->audit, told->peer, "message", "ok", -1, detail);
}
