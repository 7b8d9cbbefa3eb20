#include "proto/msg_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_TEXT 64

static json_t *json_text(struct bytes text)
{
	return json_stringn(text.size ? (const char *)text.data : "", text.size);
}

/* "2026-01-31T12:00:00.123Z"; null for 0. */
static json_t *json_time(struct timespec time)
{
	char text[TIME_TEXT], ms[8];
	struct tm tm;

	if ((time.tv_sec == 0 && time.tv_nsec == 0) || !gmtime_r(&time.tv_sec, &tm))
		return json_null();
	strftime(text, sizeof(text) - sizeof(ms), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ms, sizeof(ms), ".%03uZ", (unsigned)(time.tv_nsec / 1000000) % 1000);
	return json_string(strcat(text, ms));
}

static void set_times(json_t *object, const struct msg_info *info)
{
	json_object_set_new(object, "queued_at", json_time(info->sent));
	json_object_set_new(object, "delivered_at", json_time(info->delivered));
	json_object_set_new(object, "read_at", json_time(info->read));
}

json_t *msg_json_envelope(const struct msg_info *info, struct bytes body)
{
	json_t *object = json_object();

	json_object_set_new(object, "id", json_text(info->id));
	json_object_set_new(object, "from", json_text(info->from));
	json_object_set_new(object, "to", json_text(info->to));
	json_object_set_new(object, "ts", json_time(info->sent));
	json_object_set_new(object, "type", json_string(ops_msg_type_name(info->type)));
	if (info->reply_to.size > 0)
		json_object_set_new(object, "reply_to", json_text(info->reply_to));
	json_object_set_new(object, "body", json_text(body));
	if (info->box == MSG_INBOX) {
		json_object_set_new(object, "read", json_false()); /* what is read leaves it */
	} else {
		json_object_set_new(object, "state", json_string(ops_msg_state_name(info->state)));
		set_times(object, info);
		json_object_set_new(object, "expires_at", json_time(info->expires));
	}
	return object;
}

json_t *msg_json_status(const struct msg_info *info)
{
	json_t *object = json_object();

	json_object_set_new(object, "id", json_text(info->id));
	json_object_set_new(object, "to", json_text(info->to));
	json_object_set_new(object, "state", json_string(ops_msg_state_name(info->state)));
	set_times(object, info);
	return object;
}
