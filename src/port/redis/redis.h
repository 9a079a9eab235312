/* SPDX-License-Identifier: MIT
 *
 * redis: what the files of the Redis store share (docs/decisions/0017-hiredis.md). From below: redis_adapter.c puts a
 * context of hiredis on the driver and bounds what a server can make it do; redis_link.c keeps one connection:
 * greeting, loss, back-off; redis_node.c knows which connection a key belongs to: one server, a master that Sentinels
 * name (redis_sentinel.c), or a cluster's map (redis_cluster.c); redis_request.c sends and reads answers; redis_scan.c
 * walks; store_redis.c is the port.
 *
 * A record is one string: byte 1, then its `expires` (8 bytes, little-endian), then its value. What has expired is
 * decided by our wall clock alone. Redis's own expiry comes SMTPF_REDIS_SLACK seconds later and only collects garbage:
 * the two clocks need not agree.
 */
#ifndef SMTPF_PORT_REDIS_H
#define SMTPF_PORT_REDIS_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "base/list.h"
#include "port/port.h"

enum {
  SMTPF_REDIS_SLOTS = 16384,
  SMTPF_REDIS_SERVERS = 64,  /* of the policy */
  SMTPF_REDIS_NODES = 1024,  /* of a cluster */
  SMTPF_REDIS_PREFIX = 64,   /* bytes */
  SMTPF_REDIS_HEAD = 9,      /* bytes of a record before its value */
  SMTPF_REDIS_FORMAT = 1,    /* the first of them */
  SMTPF_REDIS_SLACK = 86400, /* seconds */
  SMTPF_REDIS_REDIRECTS = 4, /* of one request */
  SMTPF_REDIS_AGAIN_MS = 30, /* before what a slot on its way could not do is asked again */
};

/* ---- settings (redis_settings.c) ------------------------------------------------------------------------------- */

/* Where a server is: a literal address and port, or the path of a socket. */
typedef struct smtpf_redis_address {
  char host[108]; /* address, or path */
  int port;       /* 0: a path */
  char text[120]; /* one form for each server: `192.0.2.1:6379`, `[2001:db8::1]:6379`, `unix:/path` */
} smtpf_redis_address;

typedef struct smtpf_redis_settings {
  smtpf_redis_address servers[SMTPF_REDIS_SERVERS];
  size_t n_servers;
  smtpf_str username, password, sentinel, sentinel_password, prefix; /* in `room`, NUL-terminated */
  int64_t database, timeout_ms, requests;
  int cluster, tls;
  smtpf_str tls_ca, tls_cert, tls_key, tls_name;
  char room[2048];
} smtpf_redis_settings;

/* SMTPF_OK, SMTPF_EINVAL or SMTPF_ELIMIT. */
int smtpf_redis_settings_read(smtpf_redis_settings *out, const smtpf_engine *engine);

/* ---- one connection (redis_adapter.c, redis_link.c) ------------------------------------------------------------ */

typedef struct smtpf_redis smtpf_redis;
typedef struct smtpf_redis_link smtpf_redis_link;

/* Waits for one reply. `fn` is called once: with the reply, or with NULL when the connection is gone. */
typedef struct smtpf_redis_call smtpf_redis_call;
struct smtpf_redis_call {
  void (*fn)(smtpf_redis_call *call, const redisReply *reply);
};

enum smtpf_redis_state {
  SMTPF_REDIS_IDLE,    /* nothing wanted */
  SMTPF_REDIS_OPENING, /* connecting, greeting */
  SMTPF_REDIS_UP,      /* takes commands */
  SMTPF_REDIS_WAITING, /* until the next try */
};

struct smtpf_redis_link {
  smtpf_redis *store;
  smtpf_redis_address address;
  int is_sentinel;
  int state;         /* smtpf_redis_state */
  int in_map;        /* of a cluster: it owns slots */
  size_t rank;       /* among those that do, by their first */
  unsigned failures; /* without a time of peace between them */
  uint64_t up_since; /* driver's nanoseconds */
  smtpf_op timer;    /* of OPENING and WAITING */
  int told_down;     /* the log knows */
  char sha[41];      /* of the script; empty: not loaded */
  char cause[128];   /* why it went down */
  size_t greetings;  /* answers to the greeting that are to come */
  smtpf_redis_call greeting[4];
  redisAsyncContext *context; /* NULL: closed */
  redisReplyObjectFunctions objects;
  size_t n_objects; /* of the reply being read */
  int fd;
  unsigned events; /* watched */
  smtpf_link sent; /* requests without an answer, oldest first */
};

/* The adapter. Opens a context: SMTPF_OK or SMTPF_EIO with the cause in the link. */
int smtpf_redis_context_open(smtpf_redis_link *link);
/* Closes it: every call waiting on it gets NULL. */
void smtpf_redis_context_close(smtpf_redis_link *link);
/* Sends one command in wire form, with a NUL behind it that is not counted. SMTPF_OK: the call will be answered;
 * SMTPF_EIO: it will not. */
int smtpf_redis_send(smtpf_redis_link *link, smtpf_redis_call *call, smtpf_str command);
/* The adapter says: hiredis has closed the context by itself. */
void smtpf_redis_link_lost(smtpf_redis_link *link);

void smtpf_redis_link_init(smtpf_redis_link *link, smtpf_redis *store);
/* Connects to `link->address`. What comes of it is told to the store by smtpf_redis_changed(). */
void smtpf_redis_link_open(smtpf_redis_link *link);
/* Closes. With a cause it is a failure that is told to the store; without, it is idle. */
void smtpf_redis_link_close(smtpf_redis_link *link, const char *cause);
/* Waits, longer after each failure, then tells the store by smtpf_redis_retry(). */
void smtpf_redis_link_wait(smtpf_redis_link *link);
/* With `tls`: redis_tls.c, or, where hiredis has none, redis_tls_none.c, which the policy never lets come so far. */
int smtpf_redis_tls_policy(const smtpf_section *policy, smtpf_error *err);
int smtpf_redis_tls_start(smtpf_redis *s); /* SMTPF_OK or SMTPF_EINVAL */
int smtpf_redis_tls_begin(smtpf_redis_link *link);
void smtpf_redis_tls_stop(smtpf_redis *s);
/* 1 when a request may wait for it: nothing has failed yet. */
int smtpf_redis_link_hopeful(const smtpf_redis_link *link);

/* ---- commands and replies (redis_command.c, redis_script.c, redis_reply.c) -------------------------------------- */

/* Bytes that grow. A command in wire form is an array of bulk strings. */
typedef struct smtpf_redis_bytes {
  const smtpf_mem *mem;
  char *p;
  size_t n, cap;
  int broken; /* no memory */
} smtpf_redis_bytes;

void smtpf_redis_array(smtpf_redis_bytes *b, size_t n);
void smtpf_redis_bulk(smtpf_redis_bytes *b, smtpf_str s);
void smtpf_redis_words(smtpf_redis_bytes *b, const char *words); /* one or more, separated by one space each */
void smtpf_redis_key(smtpf_redis_bytes *b, smtpf_str prefix, smtpf_str key);
void smtpf_redis_number(smtpf_redis_bytes *b, uint64_t v);
void smtpf_redis_raw(smtpf_redis_bytes *b, smtpf_str s);
void smtpf_redis_bytes_free(smtpf_redis_bytes *b);

/* The script that makes a commit, all or none. */
extern const char *const smtpf_redis_script[]; /* its parts, NULL behind the last */
void smtpf_redis_script_bulk(smtpf_redis_bytes *b);

/* Of one commit, the changes of one slot (`slots` NULL: all of them): the arguments behind the script, in wire form.
 * *count is how many. */
void smtpf_redis_changes(smtpf_redis_bytes *b, smtpf_str prefix, const smtpf_change *changes, size_t n,
                         const uint16_t *slots, uint16_t slot, int64_t wall, size_t *count);

/* What an error says, from its first word. */
enum smtpf_redis_error {
  SMTPF_REDIS_OTHER = 1, /* refuses this request, the server is well */
  SMTPF_REDIS_NOSCRIPT,  /* the script must be sent again */
  SMTPF_REDIS_MOVED,     /* the slot is another node's */
  SMTPF_REDIS_ASK,
  /* this once, another node */ SMTPF_REDIS_MAP, /* CLUSTERDOWN: the map may be about to change */
  SMTPF_REDIS_AGAIN,                             /* TRYAGAIN: a slot is on its way, some of the keys here, some there */
  SMTPF_REDIS_REPLICA,                           /* READONLY: no master any more */
  SMTPF_REDIS_UNFIT,                             /* LOADING, MASTERDOWN, NOAUTH ...: not now */
};

int smtpf_redis_error_of(const redisReply *reply); /* smtpf_redis_error, 0 when it is none */
/* Of MOVED and ASK. SMTPF_OK or SMTPF_EPARSE; a host that is empty is `asked`'s. */
int smtpf_redis_error_target(const redisReply *reply, const smtpf_redis_address *asked, uint16_t *slot,
                             smtpf_redis_address *out);
smtpf_str smtpf_redis_text(const redisReply *reply); /* of strings, states and errors; else empty, p NULL */
/* A record as it was stored. SMTPF_OK with value and expiry in *out; SMTPF_EPARSE. */
int smtpf_redis_record(smtpf_str bytes, smtpf_stored *out);
/* From host and port. SMTPF_OK or SMTPF_EPARSE: only literal addresses. */
int smtpf_redis_address_of(smtpf_str host, uint64_t port, smtpf_redis_address *out);
/* `address:port`, `[address]:port`, `unix:/path`. */
int smtpf_redis_address_parse(smtpf_str text, smtpf_redis_address *out);
uint16_t smtpf_redis_slot(smtpf_str prefix, smtpf_str key); /* of the two together */

/* ---- requests (redis_request.c) --------------------------------------------------------------------------------- */

typedef struct smtpf_redis_scan smtpf_redis_scan;

/* What the core has asked. It lives until its last request has come back. */
typedef struct smtpf_redis_operation {
  smtpf_link in_running; /* by deadline; alone when it is finished */
  smtpf_redis *store;
  smtpf_op op;
  uint64_t deadline; /* driver's nanoseconds */
  size_t requests;   /* not come back */
  size_t undone;     /* of a commit, parts that are not done */
  int finished;
  smtpf_redis_scan *scan; /* of a scan */
} smtpf_redis_operation;

enum smtpf_redis_form { SMTPF_REDIS_WHOLE, SMTPF_REDIS_EVALSHA, SMTPF_REDIS_EVAL };

/* One command of it. */
typedef struct smtpf_redis_request {
  smtpf_redis_call call; /* first */
  smtpf_link in_list;    /* of those that wait for a connection, or of those sent on one */
  smtpf_redis_operation *operation;
  smtpf_redis_link *link;   /* it was sent on */
  smtpf_redis_link *target; /* where it must go; NULL: to whom the slot belongs, or */
  size_t rank;              /* of a cluster: to the node of this rank, from 1 */
  uint64_t sent_at;         /* driver's nanoseconds */
  void (*done)(struct smtpf_redis_request *q, const redisReply *reply); /* reply is no error */
  uint16_t slot;
  int form;         /* smtpf_redis_form */
  int asking;       /* ASKING goes before it */
  int takes_errors; /* of this request alone: `done` is told */
  int redirects;
  size_t place;            /* of a scan: which record */
  size_t arguments;        /* in `bytes` */
  smtpf_redis_bytes bytes; /* the whole command, or what stands behind the script */
} smtpf_redis_request;

/* The operation ends here; what comes back later is dropped. */
void smtpf_redis_finish(smtpf_redis_operation *o, int status, smtpf_str value);
/* New ones; NULL without memory, or when too many are under way. */
smtpf_redis_operation *smtpf_redis_begin(smtpf_redis *s, smtpf_op op);
smtpf_redis_request *smtpf_redis_request_new(smtpf_redis_operation *o, uint16_t slot);
/* Sends it to whom the slot belongs, or lets it wait; on failure its operation is finished. */
void smtpf_redis_dispatch(smtpf_redis_request *q);
/* Sends it on one connection. */
void smtpf_redis_dispatch_on(smtpf_redis_request *q, smtpf_redis_link *link);
/* Frees the operation when nothing of it is left. */
void smtpf_redis_release(smtpf_redis_operation *o);
int smtpf_redis_get(smtpf_redis *s, smtpf_op op, smtpf_str key);
int smtpf_redis_commit(smtpf_redis *s, smtpf_op op, const smtpf_change *changes, size_t n);
int smtpf_redis_scan_start(smtpf_redis *s, smtpf_op op, smtpf_str cursor, size_t most);
/* What an operation's scan holds; nothing for other operations. */
void smtpf_redis_scan_free(smtpf_redis_operation *o);
void smtpf_redis_rests_free(smtpf_redis *s);

/* ---- the store (store_redis.c, redis_node.c, redis_sentinel.c, redis_cluster.c) --------------------------------- */

/* What a scan found and has not told yet. */
typedef struct smtpf_redis_rest smtpf_redis_rest;
enum { SMTPF_REDIS_RESTS = 4 };

struct smtpf_redis {
  smtpf_driver *driver;
  const smtpf_mem *mem;
  smtpf_redis_settings settings;
  int stopping;
  size_t n_operations;
  smtpf_link running; /* operations, by deadline */
  smtpf_link waiting; /* requests for a connection */
  smtpf_link again;   /* requests that were told to come again */
  smtpf_op again_timer;
  smtpf_op deadline; /* timer of the first of `running` */
  smtpf_redis_link **nodes;
  size_t n_nodes, cap_nodes;
  smtpf_redis_link *master; /* where there is one */
  size_t next;              /* Sentinel, or node, to ask next */
  size_t tried;             /* Sentinels without an answer */
  smtpf_redis_call ask;     /* to a Sentinel, or for the map */
  smtpf_redis_link *asked;  /* NULL: nobody */
  uint16_t *slots;          /* of a cluster: node + 1; 0: nobody's */
  int has_map, map_wanted;
  uint64_t map_print; /* of the map: two processes with the same one have the same */
  uint64_t map_at;    /* when it was last asked for */
  smtpf_op ask_timer; /* for an answer, or until the next question */
  int last_error;     /* smtpf_redis_error that the log was told last */
  uint64_t told_at;
  smtpf_redis_rest *rests[SMTPF_REDIS_RESTS];
  uint32_t rest_count;
  void *tls; /* redisSSLContext */
};

int smtpf_redis_nodes_start(smtpf_redis *s); /* SMTPF_OK or SMTPF_ENOMEM */
/* The connection of a request. NULL: nobody's. *hope: a request may wait. */
smtpf_redis_link *smtpf_redis_route(smtpf_redis *s, const smtpf_redis_request *q, int *hope);
/* The one with this address, made when it is new; NULL without memory or room. */
smtpf_redis_link *smtpf_redis_node(smtpf_redis *s, const smtpf_redis_address *address);
/* A link says: it is up, or was lost. */
void smtpf_redis_changed(smtpf_redis_link *link);
/* A link says: it has waited. */
void smtpf_redis_retry(smtpf_redis_link *link);
/* Requests that wait: they are sent, go on waiting, or fail. */
void smtpf_redis_flush(smtpf_redis *s);

void smtpf_redis_sentinel_ask(smtpf_redis *s);
void smtpf_redis_sentinel_changed(smtpf_redis_link *link);
/* MOVED: the slot is `to`'s; NULL: nobody knows whose. */
void smtpf_redis_map_moved(smtpf_redis *s, uint16_t slot, smtpf_redis_link *to);
/* The map should be looked at again, soon. */
void smtpf_redis_map_refresh(smtpf_redis *s);
void smtpf_redis_map_changed(smtpf_redis_link *link);
/* The node of a rank, from 0; NULL behind the last. */
smtpf_redis_link *smtpf_redis_map_node(const smtpf_redis *s, size_t rank);
/* 1 while the first map may still come. */
int smtpf_redis_map_hopeful(const smtpf_redis *s);

/* Tells the log what a server refused, when it is news. */
void smtpf_redis_log_error(smtpf_redis *s, const smtpf_redis_link *link, int error, smtpf_str text);

#endif
