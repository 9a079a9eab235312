/* SPDX-License-Identifier: MIT */
/**
 * @file ext/record.h
 * Records that merge: the value of a stored record, built of fields that each say how two of it become one. Two servers
 * that were apart can join what they know in any order, as often as they like: the join is commutative, associative and
 * idempotent. Stores execute it inside the write (SMTPF_CHANGE_JOIN); tools do it with files. Stable within a minor
 * version.
 *
 *     bytes   0 `J`   1 version, 1   2 kind   3 number of fields   then the fields, by ascending id:
 *     field   0 id   1 how (smtpf_join)   2-3 length, little-endian   then that many bytes
 *
 * Numbers are signed 64-bit, little-endian. All functions are pure; any thread.
 */
#ifndef SMTPFILTER_EXT_RECORD_H
#define SMTPFILTER_EXT_RECORD_H

#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How two fields of one id become one. */
enum smtpf_join {
  SMTPF_JOIN_MIN = 1,   /**< the lesser number: when something was first seen */
  SMTPF_JOIN_MAX = 2,   /**< the greater number: when something was last seen */
  SMTPF_JOIN_NODES = 3, /**< numbers by node, the greater for each node, ordered by node: counts that only grow */
  SMTPF_JOIN_TEXT =
      4, /**< bytes; the lesser, bytewise: what a key stands for, which is the same wherever it is written */
};

/** Most bytes of a record. */
#define SMTPF_RECORD_MAX 4096

/** A record being written. */
typedef struct smtpf_record {
  char *p;    /**< caller's room */
  size_t n;   /**< bytes written */
  size_t cap; /**< bytes that fit */
  int broken; /**< it did not fit, or fields came out of order */
} smtpf_record;

/** Begins a record in caller's room. `kind` is 1-255: what the record is about. Since 0.1. */
SMTPF_API void smtpf_record_begin(smtpf_record *r, char *room, size_t cap, int kind);
/** Adds a number; `how` is MIN or MAX. Ids ascend. Since 0.1. */
SMTPF_API void smtpf_record_number(smtpf_record *r, int id, int how, int64_t value);
/** Adds the count of one node (NODES); further nodes of the same id follow in ascending order. Since 0.1. */
SMTPF_API void smtpf_record_count(smtpf_record *r, int id, uint64_t node, int64_t value);
/** Adds a text (TEXT). Since 0.1. */
SMTPF_API void smtpf_record_text(smtpf_record *r, int id, smtpf_str text);
/** Ends it. @return SMTPF_OK with the bytes in *out, or SMTPF_ELIMIT when they did not fit. Since 0.1. */
SMTPF_API SMTPF_USE_RESULT int smtpf_record_end(smtpf_record *r, smtpf_str *out);

/** The kind of a record; 0 when the bytes are none: every bound and order is looked at. Since 0.1. */
SMTPF_API int smtpf_record_kind(smtpf_str record);
/** Reads a number. @return SMTPF_OK, or SMTPF_ENOTFOUND (no such field, no record; *out untouched). Since 0.1. */
SMTPF_API int smtpf_record_read(smtpf_str record, int id, int64_t *out);
/** The sum over all nodes of a NODES field, saturating; 0 without it. Since 0.1. */
SMTPF_API int64_t smtpf_record_total(smtpf_str record, int id);
/** The count of one node; 0 without it. Since 0.1. */
SMTPF_API int64_t smtpf_record_of_node(smtpf_str record, int id, uint64_t node);
/** Reads a text, inside `record`; empty without it. Since 0.1. */
SMTPF_API smtpf_str smtpf_record_read_text(smtpf_str record, int id);

/**
 * Joins two records of one kind. Fields that only one has are taken over; fields that disagree on `how` are taken from
 * the one whose bytes are the lesser, so that the order of joining does not matter.
 * @param a,b       records
 * @param room,cap  caller's room; not overlapping a or b
 * @param[out] out  the joined record in `room`
 * @return SMTPF_OK, SMTPF_EINVAL (no records, or of two kinds) or SMTPF_ELIMIT (does not fit). Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_record_join(smtpf_str a, smtpf_str b, char *room, size_t cap, smtpf_str *out);

#ifdef __cplusplus
}
#endif
#endif
