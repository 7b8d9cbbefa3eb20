/* Limits between two authenticated peers, per session. A client keeps within them; a server that
 * meets more holds the work back, and at twice as much ends the link. */
#ifndef DAEMON_NET_LIMITS_H
#define DAEMON_NET_LIMITS_H

#define LIMITS_CALLS       1024               /* requests in flight */
#define LIMITS_WRITE_BYTES (16 * 1024 * 1024) /* of payload in them */
#define LIMITS_STREAMS     256                /* requests of operations with streams */
#define LIMITS_WINDOW      (1024 * 1024)      /* of a request's stream data not yet consumed */
#define LIMITS_PROMISED    (8 * 1024 * 1024)  /* bytes that running requests may answer with */
#define LIMITS_KEPT        2048               /* replies kept for a repeated request */
#define LIMITS_KEPT_BYTES  (4 * 1024 * 1024)
#define LIMITS_EVENTS      1024        /* kept for when the link is back */
#define LIMITS_COPY        (16 * 1024) /* frames below are copied rather than hold their chunk */

#endif
