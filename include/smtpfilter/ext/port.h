/* SPDX-License-Identifier: MIT */
/**
 * @file ext/port.h
 * Ports: the only places where the library touches the outside. Each is a table of functions that a
 * host may replace: clock, random, poller, resolver, directory, store. Stable within a minor version.
 *
 * A port starts an operation when asked, under a token (smtpf_op) the core gave, and completes it later,
 * or at once inside the call, with the matching smtpf_op_* function. A token completes once: late or
 * double completions return SMTPF_ENOTFOUND and do nothing. `start` runs once for each driver, after
 * fork; what all drivers share is handed to it as `shared`.
 */
#ifndef SMTPFILTER_EXT_PORT_H
#define SMTPFILTER_EXT_PORT_H

#include "../config.h"
#include "../driver.h"
#include "../types.h"
#include "mail.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The token of one operation: an index and a generation, never a pointer; 0 is no operation. */
typedef uint64_t smtpf_op;

/* ---- clock, random ------------------------------------------------------------------------------ */

/** Where time comes from. Read once for each public call. */
typedef struct smtpf_clock {
  size_t size;                     /**< sizeof(smtpf_clock) */
  void *user;                      /**< passed back */
  uint64_t (*mono_ns)(void *user); /**< monotonic nanoseconds, for deadlines */
  int64_t (*wall_s)(void *user);   /**< seconds since 1970, for stored data */
} smtpf_clock;

/** Where unpredictable bytes come from (session ids, hash keys). */
typedef struct smtpf_random {
  size_t size;                                  /**< sizeof(smtpf_random) */
  void *user;                                   /**< passed back */
  int (*fill)(void *user, void *out, size_t n); /**< SMTPF_OK or SMTPF_EIO */
} smtpf_random;

/* ---- poller ------------------------------------------------------------------------------------- */

/** How a driver waits (epoll, kqueue ...). All functions but `wake` are called on the driver's thread. */
typedef struct smtpf_poller {
  size_t size;                                     /**< sizeof(smtpf_poller) */
  const char *name;                                /**< `epoll` */
  int (*start)(void *shared, void **self);         /**< SMTPF_OK or an error */
  int (*set)(void *self, int fd, unsigned events); /**< smtpf_fd_event bits; 0 removes the descriptor */
  int (*arm)(void *self, int64_t in_ms);           /**< make fd() readable after so long; -1 disarms */
  int (*wait)(void *self, int64_t timeout_ms, smtpf_pollfd *ready, size_t cap); /**< how many are ready */
  int (*fd)(void *self);      /**< one descriptor for them all, or -1 */
  int (*wake)(void *self);    /**< any thread: make fd() readable once */
  int64_t (*pid)(void *self); /**< this process */
  void (*stop)(void *self);   /**< frees */
} smtpf_poller;

/** Called when a watched descriptor is ready (smtpf_fd_event bits). */
typedef void (*smtpf_watch_fn)(void *user, int fd, unsigned events);

/**
 * Watches a descriptor on a driver, for ports.
 * @param driver  the driver
 * @param fd      the descriptor; the port's own
 * @param events  smtpf_fd_event bits; 0 ends the watch
 * @param fn,user receiver
 * @return SMTPF_OK, SMTPF_ENOMEM or SMTPF_EIO. Since 0.1.
 */
SMTPF_API int smtpf_driver_watch(smtpf_driver *driver, int fd, unsigned events, smtpf_watch_fn fn, void *user);

/** Called when a timer is due. */
typedef void (*smtpf_timer_fn)(void *user);

/**
 * Starts a timer on a driver, for ports and hosts. It fires once: inside smtpf_driver_process(), where it may tell
 * events and free sessions, or inside smtpf_session_wait(), where session events get SMTPF_EBUSY and no session may be
 * freed.
 * @param driver    the driver
 * @param in_ms     from now
 * @param fn,user   receiver
 * @param[out] out  token for smtpf_driver_timer_cancel()
 * @return SMTPF_OK or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API int smtpf_driver_timer(smtpf_driver *driver, int64_t in_ms, smtpf_timer_fn fn, void *user, smtpf_op *out);

/** Cancels a timer. @return SMTPF_OK, or SMTPF_ENOTFOUND when it has fired. Since 0.1. */
SMTPF_API int smtpf_driver_timer_cancel(smtpf_driver *driver, smtpf_op timer);

/** Monotonic nanoseconds at the entry of the public call in progress. Since 0.1. */
SMTPF_API uint64_t smtpf_driver_now(const smtpf_driver *driver);

/** The allocator of this driver, for ports; valid as long as the driver. Since 0.1. */
SMTPF_API const smtpf_mem *smtpf_driver_mem(const smtpf_driver *driver);

/* ---- resolver ----------------------------------------------------------------------------------- */

/** How a DNS question ended (RFC 1035, RFC 2308); all told apart. */
enum smtpf_dns_status {
  SMTPF_DNS_OK = 1,   /**< records of the type asked for */
  SMTPF_DNS_NXDOMAIN, /**< the name does not exist */
  SMTPF_DNS_NODATA,   /**< the name exists, without this type */
  SMTPF_DNS_SERVFAIL, /**< the server failed, refused, or answered nonsense */
  SMTPF_DNS_TIMEOUT,  /**< no answer in time */
};

/** Record types, by their IANA numbers. */
enum smtpf_dns_type {
  SMTPF_DNS_A = 1,
  SMTPF_DNS_NS = 2,
  SMTPF_DNS_CNAME = 5,
  SMTPF_DNS_PTR = 12,
  SMTPF_DNS_MX = 15,
  SMTPF_DNS_TXT = 16,
  SMTPF_DNS_AAAA = 28,
};

/** One record of the type asked for (aliases have been followed). */
typedef struct smtpf_dns_record {
  int type;            /**< smtpf_dns_type */
  uint32_t ttl;        /**< seconds */
  uint16_t preference; /**< MX */
  smtpf_ip ip;         /**< A, AAAA */
  smtpf_str text;      /**< TXT: all strings joined; PTR, MX, NS, CNAME: the name without trailing dot */
} smtpf_dns_record;

/** A whole answer. */
typedef struct smtpf_dns_answer {
  size_t size;                     /**< sizeof(smtpf_dns_answer) */
  int status;                      /**< smtpf_dns_status */
  uint32_t ttl;                    /**< seconds this answer may be kept, negative ones too */
  size_t count;                    /**< records */
  const smtpf_dns_record *records; /**< in the order of the answer */
} smtpf_dns_answer;

/** Asks the DNS. Answers are cached and equal questions joined by the core, not by the port. */
typedef struct smtpf_resolver {
  size_t size;                                                       /**< sizeof(smtpf_resolver) */
  const char *name;                                                  /**< `c-ares`, `zone` */
  int (*start)(void *shared, smtpf_driver *driver, void **self);     /**< SMTPF_OK or an error */
  int (*query)(void *self, smtpf_op op, int type, const char *name); /**< SMTPF_OK: smtpf_op_dns() follows */
  void (*cancel)(void *self, smtpf_op op);                           /**< no completion is wanted any more */
  void (*stop)(void *self);                                          /**< frees; completes nothing */
} smtpf_resolver;

/** Completes a DNS operation. The answer is copied. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_dns(smtpf_driver *driver, smtpf_op op, const smtpf_dns_answer *answer);

/** The static resolver: reads the zone-like text of smtpf-replay(1). */
typedef struct smtpf_zone smtpf_zone;
/**
 * Reads a zone text: `NAME [TTL] TYPE RDATA` and `NAME [TYPE] NXDOMAIN|NODATA|SERVFAIL|TIMEOUT`.
 * @param[out] out  the zone, owned by the caller, immutable, may be shared by threads
 * @param text      the whole text
 * @param mem       copied; NULL for malloc(3)
 * @param[out] line line at fault, from 1
 * @return SMTPF_OK, SMTPF_EPARSE or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_zone_new(smtpf_zone **out, smtpf_str text, const smtpf_mem *mem, size_t *line);
/** Frees. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_zone_free(smtpf_zone *zone);
/** The resolver port over a zone: pass the zone as `resolver_shared`. Answers inside the call. Since 0.1. */
SMTPF_API const smtpf_resolver *smtpf_resolver_zone(void);
/** The default resolver port, c-ares; `resolver_shared` is NULL or a smtpf_resolver_cares_options. Since 0.1. */
SMTPF_API const smtpf_resolver *smtpf_resolver_cares(void);

/** Settings of the c-ares port. The defaults come from the policy's `resolver` group. */
typedef struct smtpf_resolver_cares_options {
  size_t size;         /**< sizeof(smtpf_resolver_cares_options) */
  const char *servers; /**< `address[:port]`, comma separated; NULL for the system's */
  int timeout_ms;      /**< for one try; 0 for 3000 */
  int tries;           /**< 0 for 2 */
} smtpf_resolver_cares_options;

/** Receives an answer of the DNS for a program of its own; valid during the call. In smtpf_driver_process() or inside
 *  the call that asked. */
typedef void (*smtpf_dns_fn)(void *user, const smtpf_dns_answer *answer);

/**
 * Asks the DNS for a port or program, through the driver's cache. @param driver,type,name as smtpf_task_query()
 * @param fn,user  receiver
 * @return SMTPF_OK: `fn` is called once, unless the driver goes first; SMTPF_EINVAL, SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API int smtpf_driver_query(smtpf_driver *driver, int type, smtpf_str name, smtpf_dns_fn fn, void *user);

/** Why there are no hosts to send mail for a domain to. */
enum smtpf_mail_hosts_status {
  SMTPF_MAIL_HOSTS_OK = 1,  /**< some */
  SMTPF_MAIL_HOSTS_NULL,    /**< it takes no mail (null MX, RFC 7505) */
  SMTPF_MAIL_HOSTS_ABSENT,  /**< no such domain, or it has neither MX nor address */
  SMTPF_MAIL_HOSTS_UNKNOWN, /**< the DNS did not say */
};

/** One host to try. */
typedef struct smtpf_mail_host {
  size_t size;         /**< sizeof(smtpf_mail_host) */
  smtpf_str name;      /**< host name */
  smtpf_ip ip;         /**< its address */
  uint16_t preference; /**< of the MX; 0 for the domain itself */
} smtpf_mail_host;

/** Receives the hosts of a domain, the best first; valid during the call. */
typedef void (*smtpf_mail_hosts_fn)(void *user, int status, const smtpf_mail_host *hosts, size_t n);

/**
 * Where mail for a domain goes: its MXs by preference, equal ones in random order, else its own addresses (RFC 5321
 * 5.1). An address literal is its own host. At most 16. @param driver the driver @param domain without brackets
 * @param fn,user receiver
 * @return as smtpf_driver_query(). Since 0.1.
 */
SMTPF_API int smtpf_driver_mail_hosts(smtpf_driver *driver, smtpf_str domain, smtpf_mail_hosts_fn fn, void *user);

/* ---- crypto ------------------------------------------------------------------------------------- */

/** Keyed hashes (RFC 2104). */
enum smtpf_hmac {
  SMTPF_HMAC_SHA1 = 1, /**< 20 bytes: SRS and BATV, whose partners expect it */
  SMTPF_HMAC_SHA256,   /**< 32 bytes: what is our own */
};

/** Cryptography, for signed addresses. All functions compute and return; any thread. */
typedef struct smtpf_crypto {
  size_t size;      /**< sizeof(smtpf_crypto) */
  const char *name; /**< `openssl` */
  int (*hmac)(void *shared, int algorithm, smtpf_str key, smtpf_str data,
              unsigned char out[32]); /**< SMTPF_OK, or SMTPF_EIO */
} smtpf_crypto;

/** The default: OpenSSL's libcrypto. NULL in a build without it, where a driver of a policy with keys is refused with
 *  SMTPF_EUNSUPPORTED unless it brings its own. Since 0.1. */
SMTPF_API const smtpf_crypto *smtpf_crypto_openssl(void);

/* ---- callout ------------------------------------------------------------------------------------ */

/** How a recipient callout ended. */
enum smtpf_callout_status {
  SMTPF_CALLOUT_ACCEPTED = 1, /**< the server took the recipient */
  SMTPF_CALLOUT_REFUSED,      /**< 5xx for the recipient itself */
  SMTPF_CALLOUT_UNKNOWN,      /**< it could not be found out: 4xx, no server, too many callouts, refused before RCPT */
};

/** What a callout found. */
typedef struct smtpf_callout_answer {
  size_t size;        /**< sizeof(smtpf_callout_answer) */
  int status;         /**< smtpf_callout_status */
  int code;           /**< the reply to RCPT; 0 when there was none */
  smtpf_str enhanced; /**< with it, or empty */
  smtpf_str text;     /**< with it; for the log and for the sender */
  smtpf_str cause;    /**< UNKNOWN: a short word: `timeout`, `connect`, `rate`, `dns`, `mail-refused` ... */
} smtpf_callout_answer;

/** Asks another server whether it would take a recipient. */
typedef struct smtpf_callout {
  size_t size;                                                   /**< sizeof(smtpf_callout) */
  const char *name;                                              /**< `smtp` */
  int (*start)(void *shared, smtpf_driver *driver, void **self); /**< SMTPF_OK or an error */
  int (*ask)(void *self, smtpf_op op, smtpf_str recipient,
             smtpf_str sender);            /**< without brackets; SMTPF_OK: smtpf_op_callout() follows */
  void (*cancel)(void *self, smtpf_op op); /**< no completion is wanted any more */
  void (*stop)(void *self);                /**< frees; completes nothing */
} smtpf_callout;

/** Completes a callout. The answer is copied. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_callout(smtpf_driver *driver, smtpf_op op, const smtpf_callout_answer *answer);

/** The default: SMTP to the hosts of the recipient's domain, or to `callout.servers`. Since 0.1. */
SMTPF_API const smtpf_callout *smtpf_callout_smtp(void);

/* ---- directory ---------------------------------------------------------------------------------- */

/** What a directory knows of a recipient. */
enum smtpf_directory_status {
  SMTPF_DIRECTORY_EXISTS = 1, /**< a mailbox here */
  SMTPF_DIRECTORY_ABSENT,     /**< not a mailbox here: 550 5.1.1 */
  SMTPF_DIRECTORY_UNKNOWN,    /**< could not be found out: 4xx, never 5xx */
};

/** One mailbox behind a recipient: an alias or list of users expands to several. */
typedef struct smtpf_directory_member {
  size_t size;       /**< sizeof(smtpf_directory_member) */
  smtpf_str address; /**< canonical address */
  smtpf_str profile; /**< name of the profile; empty for the policy's choice for `address` */
  int route;         /**< smtpf_route; 0 for the profile's */
  smtpf_str forward; /**< FORWARD: where to; empty for the profile's */
} smtpf_directory_member;

/** What a directory says. */
typedef struct smtpf_directory_answer {
  size_t size;         /**< sizeof(smtpf_directory_answer) */
  int status;          /**< smtpf_directory_status */
  smtpf_str canonical; /**< canonical address; empty for as asked */
  smtpf_str profile;   /**< name of the profile; empty for the policy's choice */
  smtpf_str cause;     /**< UNKNOWN: why, for the log */
  uint32_t ttl;        /**< seconds this may be kept; 0: not at all */
  size_t n_members;    /**< mailboxes it expands to, at most `directory.members`; 0: itself alone. Their wishes are
                            joined: one recipient, one copy, one reply */
  const smtpf_directory_member *members; /**< those */
} smtpf_directory_answer;

/** Says who a recipient is. The default reads the policy file's `recipients` and `local_domains`. */
typedef struct smtpf_directory {
  size_t size;                                                   /**< sizeof(smtpf_directory) */
  const char *name;                                              /**< for the log */
  int (*start)(void *shared, smtpf_driver *driver, void **self); /**< SMTPF_OK or an error */
  int (*lookup)(void *self, smtpf_op op, smtpf_str address);     /**< SMTPF_OK: smtpf_op_directory() follows */
  void (*cancel)(void *self, smtpf_op op);                       /**< no completion is wanted any more */
  void (*stop)(void *self);                                      /**< frees; completes nothing */
} smtpf_directory;

/** The default directory: the policy's `recipients` and `local_domains`. Answers inside the call; a host's own
 *  directory may ask it for what it does not know itself (`directory_shared` is NULL). Since 0.1. */
SMTPF_API const smtpf_directory *smtpf_directory_policy(void);

/** Completes a directory operation. The answer is copied. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_directory(smtpf_driver *driver, smtpf_op op, const smtpf_directory_answer *answer);

/* ---- store -------------------------------------------------------------------------------------- */

/** How a change is made; inside the store's write transaction. */
enum smtpf_change_op {
  SMTPF_CHANGE_SET = 1,       /**< value replaces what is there */
  SMTPF_CHANGE_ADD,           /**< value is a signed 64-bit number, added to what is there (absent: 0) */
  SMTPF_CHANGE_SET_IF_ABSENT, /**< only when there is no record, or it has expired */
  SMTPF_CHANGE_DELETE,        /**< removes the record */
  SMTPF_CHANGE_JOIN, /**< value is a record that merges (ext/record.h): joined with what is there, and the later
                          of both `expires` holds. What is there and is no record of that kind is replaced */
};

/** One change. */
typedef struct smtpf_change {
  size_t size;     /**< sizeof(smtpf_change) */
  int op;          /**< smtpf_change_op */
  smtpf_str key;   /**< 1-64 bytes */
  smtpf_str value; /**< at most 4096 bytes; ADD: 8 bytes, little-endian */
  int64_t expires; /**< wall seconds after which the record is as if absent; 0 for never */
} smtpf_change;

/** How a store operation ended. */
enum smtpf_store_status {
  SMTPF_STORE_FOUND = 1, /**< get: here is the value */
  SMTPF_STORE_ABSENT,    /**< get: no record, or expired */
  SMTPF_STORE_DONE,      /**< commit: all changes made */
  SMTPF_STORE_FAILED,    /**< down, full, broken: unknown */
  SMTPF_STORE_MORE,      /**< scan: here are records, and there are more */
};

/** One record, as a scan gives it. */
typedef struct smtpf_stored {
  size_t size;     /**< sizeof(smtpf_stored) */
  smtpf_str key;   /**< its key */
  smtpf_str value; /**< its value */
  int64_t expires; /**< wall seconds; 0 for never */
} smtpf_stored;

/** A key-value store. */
typedef struct smtpf_store {
  size_t size;                                                   /**< sizeof(smtpf_store) */
  const char *name;                                              /**< `memory` */
  int (*start)(void *shared, smtpf_driver *driver, void **self); /**< SMTPF_OK or an error */
  int (*get)(void *self, smtpf_op op, smtpf_str key);            /**< SMTPF_OK: smtpf_op_store() follows */
  int (*commit)(void *self, smtpf_op op, const smtpf_change *changes, size_t n); /**< all or none */
  void (*cancel)(void *self, smtpf_op op); /**< no completion is wanted any more */
  void (*stop)(void *self);                /**< frees; completes nothing */
  /** For tools: at most `most` records behind a cursor; the empty one begins. A record that is there from the first
   *  call to the last is given once at least. SMTPF_OK: smtpf_op_scan() follows. NULL when the store cannot. */
  int (*scan)(void *self, smtpf_op op, smtpf_str cursor, size_t most);
  /** Counters of its own, for smtpf_driver_stats(); names begin with "store" and a dot. `store.down` is 1 while it
   *  cannot be asked, 0 else. NULL: none. */
  void (*stats)(void *self, smtpf_stat_fn fn, void *user);
} smtpf_store;

/** Completes a store operation. The value is copied. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_store(smtpf_driver *driver, smtpf_op op, int status, smtpf_str value);

/**
 * Completes a scan.
 * @param driver,op  as it was asked
 * @param status     SMTPF_STORE_MORE, SMTPF_STORE_DONE (these are the last) or SMTPF_STORE_FAILED
 * @param records,n  what was found; used during the call
 * @param cursor     MORE: where to go on; at most 64 bytes. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1.
 */
SMTPF_API int smtpf_op_scan(smtpf_driver *driver, smtpf_op op, int status, const smtpf_stored *records, size_t n,
                            smtpf_str cursor);

/** Receives the answer of a store operation of a program's own. Called in smtpf_driver_process() or inside the call
 *  that asked. */
typedef void (*smtpf_store_fn)(void *user, int status, smtpf_str value);
/** Receives records of a scan; the same. */
typedef void (*smtpf_scan_fn)(void *user, int status, const smtpf_stored *records, size_t n, smtpf_str cursor);

/** Reads a record for a program of its own (tools, hosts), without a session. `key` is copied by the store.
 *  @return SMTPF_OK: `fn` is called once, unless the driver goes first; SMTPF_ENOMEM. Since 0.1. */
SMTPF_API int smtpf_driver_get(smtpf_driver *driver, smtpf_str key, smtpf_store_fn fn, void *user);
/** Changes records, all or none. Results as smtpf_driver_get(). Since 0.1. */
SMTPF_API int smtpf_driver_commit(smtpf_driver *driver, const smtpf_change *changes, size_t n, smtpf_store_fn fn,
                                  void *user);
/** Reads records in the store's own order. Results as smtpf_driver_get(), or SMTPF_EUNSUPPORTED. Since 0.1. */
SMTPF_API int smtpf_driver_scan(smtpf_driver *driver, smtpf_str cursor, size_t most, smtpf_scan_fn fn, void *user);

/** The store in this process's memory, one for each driver; bounded by `store.memory`. Since 0.1. */
SMTPF_API const smtpf_store *smtpf_store_memory(void);

/**
 * The store on disk, LMDB: one database for all drivers and processes of this machine, in the folder `store.path`. Its
 * settings are the policy's `store` group; `store_shared` is NULL. Unless `store.writer` is `inline`, the first driver
 * of a process starts a thread that writes (signals blocked), the last one ends it; a process that forks makes its
 * drivers afterwards. Since 0.1.
 */
SMTPF_API const smtpf_store *smtpf_store_lmdb(void);

/**
 * The store on Redis: one server, a master that Sentinels name, or a cluster, for several machines. Its settings are
 * the policy's `store.redis` group; `store_shared` is NULL. Each driver has a connection to each server it needs. NULL
 * in a build without hiredis, in which a policy with `store.type = "redis"` does not load. Since 0.1.
 */
SMTPF_API const smtpf_store *smtpf_store_redis(void);

/** Wall seconds at the entry of the public call in progress. Since 0.1. */
SMTPF_API int64_t smtpf_driver_wall(const smtpf_driver *driver);

/** The engine new sessions get, for ports that read options at start. Since 0.1. */
SMTPF_API smtpf_engine *smtpf_driver_engine(const smtpf_driver *driver);

/* ---- log ---------------------------------------------------------------------------------------- */

/**
 * Writes a line to the policy's log, for ports: what a postmaster must know and no session says, such as a server that
 * is gone. Say it when it changes, not each time.
 * @param driver    the driver
 * @param level     smtpf_log_level
 * @param event     static, `store-down`
 * @param fields, n names and values; values are escaped here, and cut to 256 bytes. Since 0.1.
 */
SMTPF_API void smtpf_driver_log(const smtpf_driver *driver, int level, const char *event, const smtpf_log_field *fields,
                                size_t n);

/* ---- journal ------------------------------------------------------------------------------------ */

/** One promise: a copy the host has committed and whose client is about to be told 2xx. */
typedef struct smtpf_promise {
  size_t size;         /**< sizeof(smtpf_promise) */
  smtpf_str message;   /**< the host's queue id, or `SESSION.N` for its Nth message, when it told none */
  smtpf_str sender;    /**< envelope sender without brackets */
  smtpf_str recipient; /**< canonical address */
  int disposition;     /**< smtpf_disposition */
  int64_t wall_s;      /**< seconds since 1970 */
  smtpf_str memory; /**< key in the store under which a retry of this copy is recognised (`lost_ack`); empty when that
                         is off. A host that finds the promise after a crash puts it there again, with any value */
} smtpf_promise;

/** Where promises are written down before the client is told: a host that spools finds them after a crash. */
typedef struct smtpf_journal {
  size_t size;                                                   /**< sizeof(smtpf_journal) */
  const char *name;                                              /**< for the log */
  int (*start)(void *shared, smtpf_driver *driver, void **self); /**< SMTPF_OK or an error */
  int (*promise)(void *self, smtpf_op op, const smtpf_promise *promises,
                 size_t n); /**< all or none; SMTPF_OK: smtpf_op_journal() follows once they are on disk */
  void (*cancel)(void *self, smtpf_op op); /**< no completion is wanted any more */
  void (*stop)(void *self);                /**< frees; completes nothing */
} smtpf_journal;

/** Completes a journal operation: SMTPF_OK (on disk) or SMTPF_EIO (the client is answered 4xx). @return SMTPF_OK or
 * SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_journal(smtpf_driver *driver, smtpf_op op, int result);

/* ---- spool -------------------------------------------------------------------------------------- */

/** Where the library keeps what does not fit into memory of a message that scanners read (`spool` group). All functions
 *  return at once: a local file. */
typedef struct smtpf_spool {
  size_t size;                                          /**< sizeof(smtpf_spool) */
  const char *name;                                     /**< for the log */
  int (*open)(void *shared, smtpf_str folder, int *fd); /**< an empty file without a name: SMTPF_OK or SMTPF_EIO */
  int (*write)(void *shared, int fd, uint64_t at, const void *bytes, size_t n); /**< all of it: SMTPF_OK or SMTPF_EIO */
  int (*read)(void *shared, int fd, uint64_t at, void *out, size_t n,
              size_t *got);            /**< at most n: SMTPF_OK or SMTPF_EIO */
  void (*close)(void *shared, int fd); /**< and gone */
} smtpf_spool;

/** The default: unlinked files in `spool.path`. Since 0.1. */
SMTPF_API const smtpf_spool *smtpf_spool_file(void);

/* ---- all together ------------------------------------------------------------------------------- */

/** The ports of a driver. A NULL member stands for the default; all tables must outlive the driver. */
typedef struct smtpf_ports {
  size_t size;                      /**< sizeof(smtpf_ports) */
  const smtpf_clock *clock;         /**< default: the system's */
  const smtpf_random *random;       /**< default: getrandom(2) */
  const smtpf_poller *poller;       /**< default: epoll */
  void *poller_shared;              /**< handed to start */
  const smtpf_resolver *resolver;   /**< default: c-ares */
  void *resolver_shared;            /**< handed to start */
  const smtpf_directory *directory; /**< default: the policy file */
  void *directory_shared;           /**< handed to start */
  const smtpf_store *store;         /**< default: memory */
  void *store_shared;               /**< handed to start */
  const smtpf_journal *journal;     /**< default: none. With one, sessions need SMTPF_CAN_REPORT_COMMIT */
  void *journal_shared;             /**< handed to start */
  const smtpf_spool *spool;         /**< default: unlinked files in `spool.path` */
  void *spool_shared;               /**< handed to each function */
  const smtpf_crypto *crypto;       /**< default: OpenSSL's */
  void *crypto_shared;              /**< handed to each function */
  const smtpf_callout *callout;     /**< default: SMTP */
  void *callout_shared;             /**< handed to start */
} smtpf_ports;

#ifdef __cplusplus
}
#endif
#endif
