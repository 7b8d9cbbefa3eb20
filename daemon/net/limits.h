/*
 * Limits between two authenticated peers, per session.
 *
 * How many calls, streams and bytes of writes a peer may have under way is the server's to say: an
 * option, told in hello. A client keeps within it; a client that is not told keeps to the defaults.
 * A server that meets more holds the work back, but for streams, which it refuses with ENFILE; at
 * twice as much as any honest client sends it ends the link.
 */
#ifndef DAEMON_NET_LIMITS_H
#define DAEMON_NET_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct limits {
	uint64_t calls;       /* requests in flight */
	uint64_t streams;     /* of them, of operations with streams */
	uint64_t write_bytes; /* of payload in them */
};

#define LIMITS_CALLS       1024
#define LIMITS_STREAMS     256
#define LIMITS_WRITE_BYTES (16 * 1024 * 1024)

/* What a client makes use of, whatever it is told; as much as the options allow. */
#define LIMITS_CALLS_MOST       65536
#define LIMITS_WRITE_BYTES_MOST (1024 * 1024 * 1024)

/* Those that are 0 become the defaults. */
static inline struct limits limits_with_defaults(struct limits limits)
{
	return (struct limits){
	    .calls = limits.calls ? limits.calls : LIMITS_CALLS,
	    .streams = limits.streams ? limits.streams : LIMITS_STREAMS,
	    .write_bytes = limits.write_bytes ? limits.write_bytes : LIMITS_WRITE_BYTES,
	};
}

/* Twice the larger of what was told and the default. */
static inline uint64_t limits_hard(uint64_t told, uint64_t standard)
{
	return 2 * (told > standard ? told : standard);
}

#define LIMITS_WINDOW      (1024 * 1024)      /* of a stream's data not yet consumed, at first */
#define LIMITS_WINDOW_MAX  (32 * 1024 * 1024) /* with what is granted later */
#define LIMITS_WINDOW_MORE (64 * 1024 * 1024) /* by which those of all our streams may grow */
#define LIMITS_PROMISED    (8 * 1024 * 1024)  /* bytes that running requests may answer with */
#define LIMITS_KEPT        2048 /* replies kept for a repeated request, or 2 * calls */
#define LIMITS_KEPT_BYTES  (4 * 1024 * 1024)
#define LIMITS_EVENTS      1024 /* kept for when the link is back */
/* A client counts larger requests without payload among the bytes of writes. */
#define LIMITS_BULK (4 * 1024)
#define LIMITS_KEY  512 /* requests below may be keys that somebody types (OP_TYPED) */
/* Requests below are copied rather than hold the chunk they came in, which they would be the only
 * ones to use in the end. */
#define LIMITS_HOLD (64 * 1024)
#define LIMITS_COPY (16 * 1024) /* frames below are copied rather than hold their chunk */

#endif
