/* SPDX-License-Identifier: MIT
 *
 * replay: the library without a network. A script plays the client's side of SMTP conversations; what the library
 * decides comes out as records. Holds the script reader, the ports that make a run repeatable (virtual clock,
 * fixed random, virtual poller), the runner, and the two writers. Calls the public headers alone; never reads the
 * system's clock, never opens a socket. smtpf-replay(1), the transcripts, the allocation-failure test and the
 * session fuzzer are made of it.
 */
#ifndef SMTPF_TOOLS_REPLAY_H
#define SMTPF_TOOLS_REPLAY_H

#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/ext/scan.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>

#include "../common/text.h"

/* ---- replay_text.c: more of examples/common/text.h ------------------------------------------------------ */

void replay_format(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void replay_escaped(text *t, smtpf_str s);  /* printable ASCII; the rest as \xHH */
const char *replay_cstr(text *t);           /* NUL-terminated, until the text changes */
int replay_read(text *t, const char *path); /* adds a whole file, `-` is stdin; 0, or -1 and errno */
void *replay_alloc(size_t n);               /* zeroed; ends the program without memory */
char *replay_strdup(const char *s, size_t n);

/* ---- replay_script.c: what the client does ------------------------------------------------------------ */

enum replay_kind {
  REPLAY_BYTES = 1, /* a command line with its CRLF, or @raw */
  REPLAY_MESSAGE,   /* what follows an accepted DATA, with its final dot */
  REPLAY_BDAT,      /* a message for BDAT; number: size of a chunk, 0 for one chunk */
  REPLAY_CONNECT,   /* words: address [rdns] */
  REPLAY_REBIND,    /* words: address [rdns] */
  REPLAY_EARLY_TALK,
  REPLAY_STARTTLS, /* words: [protocol [cipher]] */
  REPLAY_AUTH,     /* words: mechanism identity */
  REPLAY_OVERRULE, /* words: stage code; number: code */
  REPLAY_QUEUE_ID, /* words: id */
  REPLAY_COMMIT,   /* words: [address] result; number: smtpf_commit_result; pairs: code, enhanced, text */
  REPLAY_ABORT,
  REPLAY_ADVANCE,   /* number: milliseconds */
  REPLAY_SET_BACK,  /* number: milliseconds, of which whole seconds count */
  REPLAY_DIRECTORY, /* words: address status [profile]; number: smtpf_directory_status; pairs: canonical, ttl */
  REPLAY_MEMBER,    /* words: alias address; pairs: profile, route, forward */
  REPLAY_STORE,     /* number: 1 when it works, 2 when it fails */
  REPLAY_FINDING,   /* words: stage, or none; see replay_finding_read() */
  REPLAY_SCANNER,   /* words: instance, or none, answer, name or cause; see replay_scanner_read() */
  REPLAY_LOCAL,     /* words: address, ours */
  REPLAY_CHUNK,     /* number: bytes fed at a time, 0 for all at once */
  REPLAY_CALLOUT,   /* words: address status; number: smtpf_callout_status; pairs: code, enhanced, cause, text */
  REPLAY_REPORT,    /* words: recipient target; number: smtpf_forward_class; pairs: code, enhanced, class ... */
};

enum { REPLAY_PAIRS = 12 };

/* `name=value` among a directive's arguments. */
struct replay_pair {
  char *name, *value;
};

struct replay_item {
  int kind;
  int line;       /* in the script, from 1 */
  int64_t number; /* see replay_kind */
  char *words[3]; /* arguments; NULL when there are no more */
  char *arg;      /* the arguments as they were written */
  struct replay_pair pairs[REPLAY_PAIRS];
  smtpf_str bytes; /* BYTES, MESSAGE, BDAT */
};

struct replay_script {
  char *name; /* for errors */
  struct replay_item *items;
  size_t n, cap;
};

/* Reads a script out of `source`. `folder` is where @file and @bdat look for files; NULL for the current one.
 * Returns 0, or -1 with `error` (name:line: what). The script must be freed either way. */
int replay_script_read(struct replay_script *s, const char *name, const char *folder, smtpf_str source, text *error);
void replay_script_free(struct replay_script *s);
const char *replay_value(const struct replay_item *item, const char *name); /* of a pair; NULL when there is none */
/* Digits, at most `max`, up to the end or, where `end` is given, to what follows them. 0 or -1. */
int replay_number(const char *s, int64_t max, int64_t *out, const char **end);
/* Where `word` stands in `list`, from 1, which ends with NULL. 0, with what was expected in `error`: it is not there.
 */
int replay_choice(const char *word, const char *const *list, text *error);

/* ---- replay_record.c: what came of it ------------------------------------------------------------------ */

struct replay_reply {
  int code; /* 0: no reply */
  char *enhanced, *text;
};

struct replay_finding {
  const char *check;
  int stage, kind;
  int32_t score;
  char *code, *detail;
};

struct replay_recipient {
  char *address;
  int disposition, dsn, overridden, origin, wish, route, fallback, known;
  char *reason, *forward, *sender, *dsn_to;
  struct replay_reply reply; /* its own */
};

struct replay_edit {
  int op, occurrence;
  char *name, *value;
  size_t recipient; /* index, (size_t)-1 for all */
};

struct replay_record {
  const char *event; /* `connect`, `rcpt` ...: the name in JSON */
  const char *label; /* `CONNECT`, `EHLO` ...: the name in text */
  int item;          /* index of the script's item */
  int line;          /* its line */
  char *arg, *params;
  struct replay_reply reply;
  int64_t delay_ms;
  int closes, stage;
  char *rule;
  struct replay_finding *findings;
  size_t n_findings;
  struct replay_recipient *recipients; /* at end of message */
  size_t n_recipients;
  struct replay_edit *edits; /* with recipients: what is done to the header */
  size_t n_edits;
  int each;     /* each recipient has a reply of its own: LMTP, PRDR */
  char *sender; /* with recipients: the envelope sender as it came, without brackets */
};

void replay_record_reply(struct replay_record *r, const smtpf_verdict *v);           /* reply, delay, rule; replaces */
void replay_record_evidence(struct replay_record *r, const smtpf_verdict *v);        /* replaces */
void replay_record_recipients(struct replay_record *r, const smtpf_verdict *v);      /* and edits; replaces */
void replay_record_overruled(struct replay_record *r, int code, const char *reason); /* the reply is the host's */
void replay_record_clear(struct replay_record *r);

const char *replay_route_name(int route);       /* `mailbox`, `forward` */
const char *replay_fallback_name(int fallback); /* `quarantine`, `postmaster` */

/* One record as text for people, or as one line of JSON. */
void replay_record_text(text *out, const struct replay_record *r);
void replay_record_json(text *out, const struct replay_record *r);

/* ---- replay_hosts.c: capability sets --------------------------------------------------------------------- */

struct replay_host {
  unsigned capabilities;
  int protocol; /* smtpf_protocol */
};

/* Names of capabilities and presets, comma separated. 0, or -1 with the bad word in `error`. */
int replay_host_parse(struct replay_host *out, const char *names, text *error);

/* ---- replay_ports.c, replay_defer.c, replay_store.c: the outside, made repeatable -------------------------- */

struct replay_clock {
  uint64_t mono_ns;
  int64_t wall_start;
};

struct replay_poller {
  struct replay_clock *clock;
  int64_t armed_at_ns; /* -1: not armed */
  int woken;
  unsigned idle_waits; /* waits in a row that nothing could end */
};

/* A port that answers later, inside smtpf_driver_process(), by asking another port then. */
struct replay_defer {
  smtpf_driver *driver;
  int later;               /* 0: pass on at once */
  int fails;               /* store: @store fail */
  struct replay_ask *asks; /* open questions */
  const void *inner;       /* smtpf_resolver, smtpf_directory or smtpf_store */
  void *inner_shared, *inner_self;
  struct replay_fact *facts; /* directory: what @directory and @member said */
};

struct replay_random {
  uint64_t state;
};

void replay_ports_clock(smtpf_clock *out, struct replay_clock *clock);
void replay_ports_random(smtpf_random *out, struct replay_random *random);
extern const smtpf_poller replay_poller;       /* shared: struct replay_poller */
extern const smtpf_resolver replay_resolver;   /* shared: struct replay_defer */
extern const smtpf_directory replay_directory; /* shared: struct replay_defer */
extern const smtpf_store replay_store;         /* shared: struct replay_defer */

/* ---- replay_facts.c: what the directory knows ---- */
void replay_facts_add(struct replay_defer *d, const struct replay_item *item);   /* @directory, @member */
int replay_facts_answer(struct replay_defer *d, smtpf_op op, smtpf_str address); /* 1 when it was answered */
void replay_facts_free(struct replay_defer *d);

/* A store kept in one text file, `DIR/records`. */
struct replay_store;
extern const smtpf_store replay_store_file;                                         /* shared: struct replay_store */
struct replay_store *replay_store_open(const char *dir, text *error);               /* reads it; NULL and `error` */
struct replay_store *replay_store_again(const struct replay_store *s, text *error); /* the same file, as it is now */
int replay_store_save(struct replay_store *s);                                      /* 0, or -1 and errno */
void replay_store_close(struct replay_store *s);

/* ---- replay_checks.c: checks that find what a script says ----------------------------------------------------- */

/* What @finding says, for one check at one stage. Strings are the script's. */
struct replay_said {
  struct replay_said *next;
  const char *check, *recipient; /* recipient: only for this one; NULL for any */
  int stage, family;
  smtpf_finding finding;
};

enum { REPLAY_CHECKS = 8 };

struct replay_checks {
  smtpf_check checks[REPLAY_CHECKS];
  struct replay_checks *self[REPLAY_CHECKS]; /* what a check has for `self`: its place says which one it is */
  size_t n;
  int later;                /* report after a sleep of no length */
  struct replay_said *said; /* from here on, in this order */
};

/* 0, or -1 with what is wrong in `error`. */
int replay_finding_read(struct replay_said *out, const struct replay_item *item, text *error);
/* One check for each name the scripts mention. They live as long as the engines made from `cfg`. */
int replay_checks_declare(struct replay_checks *c, smtpf_config *cfg, const struct replay_script *const *scripts,
                          smtpf_error *err);
/* Around smtpf_engine_new(): whose checks are being opened. */
void replay_checks_opening(struct replay_checks *c);
void replay_checks_say(struct replay_checks *c, const struct replay_item *item); /* @finding */
void replay_checks_clear(struct replay_checks *c);

/* ---- replay_scanner.c: scanners that answer what a script says ------------------------------------------------- */

/* What @scanner says of one instance. Strings are the script's. */
struct replay_scanned {
  struct replay_scanned *next;
  const char *scanner, *what, *user, *detail, *add, *remove; /* user: only of scans for this one; NULL for any */
  int answer, scored;
  int32_t score;
  int64_t seen, early, after, takes, again; /* bytes, bytes, ms, bytes, times; -1: not said */
};

enum { REPLAY_SCANNERS = 6, REPLAY_ROWS = 128 };

struct replay_scanners {
  smtpf_scanner types[REPLAY_SCANNERS];
  smtpf_option rows[REPLAY_ROWS]; /* those of the types that were replaced */
  size_t n_rows;
  int later;                   /* answer after a sleep of no length */
  struct replay_scanned *said; /* last first */
};

/* 0, or -1 with what is wrong in `error`. */
int replay_scanner_read(struct replay_scanned *out, const struct replay_item *item, text *error);
/* In the place of every type there is. They live as long as the engines made from `cfg`. */
int replay_scanner_declare(struct replay_scanners *s, smtpf_config *cfg);
void replay_scanner_say(struct replay_scanners *s, const struct replay_item *item); /* @scanner */
void replay_scanner_clear(struct replay_scanners *s);
/* Thousandths: `-2.5`; NULL is 0. 0, or -1 with what is wrong in `error`. */
int replay_score(const char *s, int32_t *out, text *error);

/* ---- replay_forward.c: where forwards go to ---------------------------------------------------------------------- */

struct replay_callouts {
  smtpf_driver *driver;
  int later;                  /* answer after a sleep of no length */
  struct replay_called *said; /* last first */
  struct replay_call *calls;  /* open questions */
};

extern const smtpf_callout replay_callout; /* shared: struct replay_callouts */

/* 0, or -1 with what is wrong in `error`. */
int replay_callout_read(struct replay_item *item, text *error);
int replay_report_read(struct replay_item *item, text *error);
void replay_callout_say(struct replay_callouts *c, const struct replay_item *item); /* @callout */
void replay_callout_clear(struct replay_callouts *c);

/* ---- replay_run.c: the runner ------------------------------------------------------------------------------ */

/* How a pending verdict is waited for. */
enum replay_wait {
  REPLAY_SYNC = 1,  /* ports answer at once; smtpf_session_wait() */
  REPLAY_LATER = 2, /* ports answer later; smtpf_session_wait() */
  REPLAY_READY = 3, /* ports answer later; ready callback inside smtpf_driver_process() */
};

typedef void (*replay_sink)(void *user, const struct replay_record *r);

struct replay_options {
  const char *policy;         /* a file; NULL for the defaults */
  const smtpf_zone *zone;     /* NULL: every question times out */
  struct replay_store *store; /* NULL for the memory store */
  int64_t now;                /* wall clock at the start */
  struct replay_host host;
  int wait;                    /* replay_wait */
  size_t feed;                 /* bytes fed at a time; 0: as the script says */
  const smtpf_mem *mem;        /* the library's allocator; NULL for malloc(3) */
  const char *const *settings; /* option, value, option, value ... NULL; `+` before an option appends to its list */
  int single;                  /* every arena request is an allocation of its own */
  const struct replay_script *const *scripts; /* those that will be played, for their @finding; NULL at the end */
  replay_sink sink;
  void *user;
};

struct replay {
  struct replay_options options;
  smtpf_config *config;
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_session *session;
  smtpf_smtpd *codec;
  smtpf_smtpc *client; /* reads what the codec answers */
  struct replay_clock clock;
  struct replay_random random;
  struct replay_poller poller;
  struct replay_defer resolver, directory, store;
  struct replay_checks checks;
  struct replay_scanners scanners;
  struct replay_callouts callouts;
  smtpf_clock clock_port;
  smtpf_random random_port;
  const struct replay_script *script;
  const char *local;       /* our address, of @local */
  size_t item;             /* being played */
  size_t feed;             /* bytes at a time, now */
  int in_message;          /* DATA was answered 354 */
  int early;               /* @early-talk before @connect */
  int over;                /* no session, or a closed one: nothing but @connect goes on */
  int ready;               /* the ready callback was called */
  int code;                /* of the last reply */
  text sender;             /* of the transaction, without brackets */
  size_t events, verdicts; /* so far */
  text fault;              /* a broken promise of the library; empty when all is well */
};

/* The clock's default, 2026-01-01 00:00:00 UTC: the same input gives the same bytes. */
#define REPLAY_NOW 1767225600

/* Loads the policy and starts a driver. SMTPF_OK, or an error with `err` for people. */
int replay_open(struct replay *r, const struct replay_options *options, smtpf_error *err);

/* Plays a script. SMTPF_OK, SMTPF_ENOMEM, or SMTPF_EINVAL when r->fault says what went wrong. */
int replay_play(struct replay *r, const struct replay_script *script);

/* Also after a failed replay_open(). */
void replay_close(struct replay *r);

/* Makes a configuration with the rows of all programs, and loads the policy. With scripts (NULL for none) it has their
 * checks, and scanners that answer what they say. The caller frees *out. */
int replay_config(smtpf_config **out, const char *policy, const smtpf_mem *mem, struct replay *r,
                  const struct replay_script *const *scripts, smtpf_error *err);

/* file:line: what, from whichever of them is known. */
void replay_error(text *out, const char *policy, int result, const smtpf_error *err);

/* Between the runner's files. All return SMTPF_OK or an error that ends the run. */
int replay_fault(struct replay *r, const char *where, const char *what); /* keeps the first; SMTPF_EINVAL */
int replay_settle(struct replay *r, int result, const char *event);      /* after an event: its verdict is there */
/* Through the codec, and read back: one reply with `code` (0: any); or all that a message has, as `rec` has them, whose
 * `each` it sets. */
int replay_answer(struct replay *r, const smtpf_verdict *v, int code);
int replay_answer_message(struct replay *r, const smtpf_verdict *v, struct replay_record *rec);
int replay_reply(struct replay *r, int code, const char *reason);       /* the same with a reply of the host's own */
int replay_feed(struct replay *r, smtpf_str bytes);                     /* into the codec, in pieces */
int replay_directive(struct replay *r, const struct replay_item *item); /* all but bytes */
int replay_report(struct replay *r, const struct replay_item *item);    /* @forward-report */
int replay_commit(struct replay *r, struct replay_record *eom);         /* after an accepted end of message */
void replay_end(struct replay *r);                                      /* of the session */
void replay_begin(const struct replay *r, struct replay_record *rec, const char *event, const char *label);
void replay_emit(struct replay *r, struct replay_record *rec); /* hands on and clears */

/* When the next item overrules `stage`, and the verdict was accepting: does so, and fills `rec`. */
int replay_overrule(struct replay *r, int stage, struct replay_record *rec);

/* ---- replay_diff.c, replay_lint.c -------------------------------------------------------------------------- */

/* Plays `script` under both policies, writes what changes. The number of changes, or a negative result. */
int replay_diff(text *out, const struct replay_options *options, const char *other, const struct replay_script *script,
                int json, smtpf_error *err);

/* Loads a policy and looks for what cannot be meant, or kept by a host with these smtpf_capability bits. 0, or 1 with
 * the problems in `out`. */
int replay_lint(text *out, const char *policy, unsigned capabilities);

#endif
