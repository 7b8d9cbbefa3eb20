/*
 * Records: the typed, bounded fields of the wire, described once.
 *
 * A record is an X-macro `RECORD_x(F, O, X)`: F(X, kind, name, bound) is a field that must be
 * there, O(X, kind, name, bound) one that an older sender may leave out at the end (it is then
 * zero). X is handed through untouched.
 * RECORD_DECLARE(x) makes `struct x` from it and declares `x_record`, its description;
 * RECORD_DEFINE(x) defines the description. One generic codec (codec.h) walks descriptions, so
 * nothing is encoded or decoded by hand.
 *
 * On the wire a record is a msgpack array with one element per field; unknown elements at the end
 * are skipped.
 */
#ifndef PROTO_RECORD_H
#define PROTO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* Bytes that belong to somebody else: decoded ones point into the frame. Not terminated. */
struct bytes {
	const uint8_t *data;
	size_t size;
};

/* A copy with a NUL behind it, to be freed; NULL: out of memory. (No bytes may be a NULL pointer.) */
static inline char *bytes_to_text(struct bytes bytes)
{
	return strndup(bytes.size ? (const char *)bytes.data : "", bytes.size);
}

/* The bytes of a string, without its NUL; none of NULL. Borrowed. */
static inline struct bytes bytes_of_text(const char *text)
{
	return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

/* A list as it stands in the frame: elements are taken out one by one (codec_list_next). When
 * encoding, `data` holds n already encoded elements. */
struct list {
	struct bytes raw;
	uint32_t n;
};

enum field_kind {
	FIELD_UINT,    /* uint64_t, at most `bound` */
	FIELD_INT,     /* int64_t; bound unused */
	FIELD_BOOL,    /* bool */
	FIELD_BIN,     /* struct bytes, at most `bound` bytes */
	FIELD_TEXT,    /* struct bytes: valid UTF-8 without NUL, at most `bound` bytes */
	FIELD_NAME,    /* struct bytes: one file name component, 1 to `bound` bytes, no '/' or NUL,
	                  neither "." nor ".." */
	FIELD_TIME,    /* struct timespec; on the wire [seconds, nanoseconds < 10^9] */
	FIELD_RECORD,  /* an embedded record; `bound` is its type's name */
	FIELD_LIST,    /* struct list of at most `bound` elements of any type */
	FIELD_PAYLOAD, /* struct bytes, like BIN; must be the last field: its bytes are not copied to
	                  be framed */
};

struct record;

struct field {
	const char *name;
	enum field_kind kind;
	bool optional;
	uint16_t offset;             /* in the struct */
	uint64_t bound;
	const struct record *record; /* of FIELD_RECORD, else NULL */
};

struct record {
	const char *name;
	size_t size; /* of the struct */
	uint8_t n_fields;
	uint8_t n_required;
	const struct field *fields;
};

#define RECORD_TYPE_UINT(bound)    uint64_t
#define RECORD_TYPE_INT(bound)     int64_t
#define RECORD_TYPE_BOOL(bound)    bool
#define RECORD_TYPE_BIN(bound)     struct bytes
#define RECORD_TYPE_TEXT(bound)    struct bytes
#define RECORD_TYPE_NAME(bound)    struct bytes
#define RECORD_TYPE_TIME(bound)    struct timespec
#define RECORD_TYPE_RECORD(bound)  struct bound
#define RECORD_TYPE_LIST(bound)    struct list
#define RECORD_TYPE_PAYLOAD(bound) struct bytes

#define RECORD_BOUND_UINT(bound)    (bound)
#define RECORD_BOUND_INT(bound)     0
#define RECORD_BOUND_BOOL(bound)    0
#define RECORD_BOUND_BIN(bound)     (bound)
#define RECORD_BOUND_TEXT(bound)    (bound)
#define RECORD_BOUND_NAME(bound)    (bound)
#define RECORD_BOUND_TIME(bound)    0
#define RECORD_BOUND_RECORD(bound)  0
#define RECORD_BOUND_LIST(bound)    (bound)
#define RECORD_BOUND_PAYLOAD(bound) (bound)

#define RECORD_OF_UINT(bound)    NULL
#define RECORD_OF_INT(bound)     NULL
#define RECORD_OF_BOOL(bound)    NULL
#define RECORD_OF_BIN(bound)     NULL
#define RECORD_OF_TEXT(bound)    NULL
#define RECORD_OF_NAME(bound)    NULL
#define RECORD_OF_TIME(bound)    NULL
#define RECORD_OF_RECORD(bound)  &bound##_record
#define RECORD_OF_LIST(bound)    NULL
#define RECORD_OF_PAYLOAD(bound) NULL

#define RECORD_MEMBER(X, kind, name, bound) RECORD_TYPE_##kind(bound) name;
#define RECORD_ONE(X, kind, name, bound)    +1
#define RECORD_NONE(X, kind, name, bound)
#define RECORD_FIELD(X, kind_, name_, bound_, optional_)                                           \
	{.name = #name_,                                                                           \
	 .kind = FIELD_##kind_,                                                                    \
	 .optional = optional_,                                                                    \
	 .offset = offsetof(struct X, name_),                                                      \
	 .bound = RECORD_BOUND_##kind_(bound_),                                                    \
	 .record = RECORD_OF_##kind_(bound_)},
#define RECORD_NEEDED(X, kind, name, bound)   RECORD_FIELD(X, kind, name, bound, false)
#define RECORD_OPTIONAL(X, kind, name, bound) RECORD_FIELD(X, kind, name, bound, true)

/* Declares `struct x` and `x_record` from RECORD_x. (`record_end` keeps an empty struct legal.) */
#define RECORD_DECLARE(x)                                                                          \
	struct x {                                                                                 \
		RECORD_##x(RECORD_MEMBER, RECORD_MEMBER, x) char record_end[1];                    \
	};                                                                                         \
	extern const struct record x##_record;

/* Defines `x_record`; in one .c file. */
#define RECORD_DEFINE(x)                                                                           \
	static const struct field x##_fields[] = {                                                 \
	    RECORD_##x(RECORD_NEEDED, RECORD_OPTIONAL, x){.name = NULL}};                          \
	const struct record x##_record = {                                                         \
	    .name = #x,                                                                            \
	    .size = sizeof(struct x),                                                              \
	    .n_fields = 0 RECORD_##x(RECORD_ONE, RECORD_ONE, x),                                   \
	    .n_required = 0 RECORD_##x(RECORD_ONE, RECORD_NONE, x),                                \
	    .fields = x##_fields,                                                                  \
	};

#endif
