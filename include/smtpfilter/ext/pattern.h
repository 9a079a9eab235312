/* SPDX-License-Identifier: MIT */
/**
 * @file ext/pattern.h
 * Sets of regular expressions (PCRE2): hundreds of them over one text in about one pass. A set is compiled once, then
 * shared by all threads; what changes while matching lives in a room, one a thread. Stable within a minor version.
 *
 *     new -> add, add, ... -> seal -> scan (a whole text), or a stream (its pieces as they come) -> free
 *
 * The answer is the one PCRE2 gives pattern by pattern: which patterns match somewhere in the text. Most patterns
 * cannot match without certain literals; a first pass finds which of those occur, and only patterns whose literals
 * occur are tried. Nothing here does I/O or reads a clock.
 */
#ifndef SMTPFILTER_EXT_PATTERN_H
#define SMTPFILTER_EXT_PATTERN_H

#include "../error.h"
#include "../types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a pattern is read. Inside the pattern `(?i)` and its like do the same for a part of it. */
enum smtpf_pattern_flag {
  SMTPF_PATTERN_CASELESS = 1 << 0,  /**< letters match either case */
  SMTPF_PATTERN_MULTILINE = 1 << 1, /**< ^ and $ match at line ends too */
  SMTPF_PATTERN_DOTALL = 1 << 2,    /**< a dot matches newlines too */
  SMTPF_PATTERN_EXTENDED = 1 << 3,  /**< white space and # comments in the pattern mean nothing */
  SMTPF_PATTERN_UTF = 1 << 4,       /**< pattern and text are UTF-8; no match goes across a byte that is not */
  SMTPF_PATTERN_LITERAL = 1 << 5,   /**< the pattern is no expression: these very bytes */
};

/** What became of a pattern. One that is not reported does not match. */
enum smtpf_pattern_result {
  SMTPF_PATTERN_HIT = 1, /**< it matches */
  SMTPF_PATTERN_LIMIT,   /**< it could not be found out within the limits: unknown, not clear */
};

/** Longest pattern, in bytes. */
#define SMTPF_PATTERN_MAX 16384
/** Most patterns of one set. */
#define SMTPF_PATTERNS_MAX 65536

typedef struct smtpf_patterns smtpf_patterns;             /**< a set; immutable and shared once it is sealed */
typedef struct smtpf_pattern_room smtpf_pattern_room;     /**< what matching needs; of one thread */
typedef struct smtpf_pattern_stream smtpf_pattern_stream; /**< one text that comes in pieces */

/** What a pattern did. Valid during the call. */
typedef struct smtpf_pattern_hit {
  size_t size;       /**< sizeof(smtpf_pattern_hit) */
  uint32_t index;    /**< of the pattern, as smtpf_patterns_add() gave it */
  int result;        /**< smtpf_pattern_result */
  uint64_t from;     /**< HIT: the match's first byte, counted from the text's start */
  uint64_t to;       /**< HIT: the byte behind its last */
  smtpf_str text;    /**< HIT: the match itself */
  const char *cause; /**< LIMIT: a static word: `match-limit`, `depth-limit`, `heap-limit`, `stack-limit`,
                          `overlap-limit`, `tries-limit`, `error` */
} smtpf_pattern_hit;

/**
 * Called once for each pattern that matches or exceeds a limit; must not call the room's functions.
 * @return 0 to go on; anything else ends the scan, which then returns SMTPF_OK.
 */
typedef int (*smtpf_pattern_found)(void *user, const smtpf_pattern_hit *hit);

/** Limits of one attempt to match one pattern (pcre2api(3)); 0 in a member is its default. */
typedef struct smtpf_pattern_limits {
  size_t size;        /**< sizeof(smtpf_pattern_limits) */
  uint32_t match;     /**< backtracking points at one place of the text; default 20 000 */
  uint32_t depth;     /**< nesting of backtracking, where there is no JIT; default 5 000 */
  uint32_t heap;      /**< KiB of memory, where there is no JIT; default 4 096 */
  uint32_t jit_stack; /**< bytes of stack of compiled code; default 262 144, least 32 768 */
} smtpf_pattern_limits;

/** How a stream is cut into windows; 0 in a member is its default. */
typedef struct smtpf_pattern_window {
  size_t size;      /**< sizeof(smtpf_pattern_window) */
  uint32_t window;  /**< bytes matched at a time, from 64 to 16 777 216; default 32 768 */
  uint32_t overlap; /**< of them, seen again with the next ones; at most half a window; default 4 096 */
} smtpf_pattern_window;

/* ---- a set ---------------------------------------------------------------------------------------- */

/** A new empty set. @param[out] out the set @param mem copied; NULL for malloc(3). @return SMTPF_OK or SMTPF_ENOMEM.
 * Since 0.1. */
SMTPF_API SMTPF_USE_RESULT int smtpf_patterns_new(smtpf_patterns **out, const smtpf_mem *mem);
/** Frees; no room or stream uses it any more. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_patterns_free(smtpf_patterns *set);

/**
 * Adds a pattern. What reaches outside the text or its limits is refused: `\C`, and `(*UTF)` without the flag.
 * @param set      not sealed yet
 * @param pattern  copied; may hold NUL
 * @param flags    smtpf_pattern_flag
 * @param index    its number: 0, 1, 2, ...; may be NULL
 * @param offset   written when the pattern has a fault: the byte of `pattern` where it was noticed; may be NULL
 * @param err      what is wrong, for a person, without a file; may be NULL
 * @return SMTPF_OK, SMTPF_EPARSE (a fault in the pattern), SMTPF_ELIMIT (too long, or too many), SMTPF_ENOMEM,
 * SMTPF_EINVAL (flags), SMTPF_ESTATE (sealed). The set is as it was when it fails. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_patterns_add(smtpf_patterns *set, smtpf_str pattern, uint32_t flags,
                                                  uint32_t *index, size_t *offset, smtpf_error *err);

/**
 * Makes the set ready: builds the first pass. Afterwards nothing in it changes, and any number of threads may use it,
 * each with a room of its own. An empty set may be sealed. @return SMTPF_OK, SMTPF_ENOMEM or SMTPF_ESTATE. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_patterns_seal(smtpf_patterns *set);

/** How many patterns it has. Since 0.1. */
SMTPF_API uint32_t smtpf_patterns_count(const smtpf_patterns *set);
/** How many 64-bit words a mask of this set has. Bit `i % 64` of word `i / 64` stands for pattern i. Since 0.1. */
SMTPF_API size_t smtpf_patterns_mask_words(const smtpf_patterns *set);
/** 1 when a pattern is tried on every text, because no literal is known that its matches must hold. Since 0.1. */
SMTPF_API int smtpf_patterns_always(const smtpf_patterns *set, uint32_t index);
/**
 * Most bytes that a match of a pattern spans, with what it looks at before and behind; SIZE_MAX when there is no bound
 * or it is not known. Not more than a stream's overlap: the stream misses no match of it. Since 0.1.
 */
SMTPF_API size_t smtpf_patterns_reach(const smtpf_patterns *set, uint32_t index);

/* ---- a room --------------------------------------------------------------------------------------- */

/** A new room, for any number of sets, one scan at a time. @param[out] out the room @param limits NULL for the
 * defaults. @param mem as in smtpf_patterns_new(). @return SMTPF_OK, SMTPF_EINVAL or SMTPF_ENOMEM. Since 0.1. */
SMTPF_API SMTPF_USE_RESULT int smtpf_pattern_room_new(smtpf_pattern_room **out, const smtpf_pattern_limits *limits,
                                                      const smtpf_mem *mem);
/** Frees. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_pattern_room_free(smtpf_pattern_room *room);
/**
 * Bounds what all scans together cost from here on. An attempt first gets 256 backtracking points at each place; only
 * where it needs more, the whole `match` limit is granted, to at most 256 places at a time: that is a try. When none is
 * left, patterns that need one are LIMIT, with the cause `tries-limit`. Who shares a room among several messages sets
 * what each has left before a scan, and keeps what is left behind it.
 * @param room  the room
 * @param tries how many more are granted; UINT64_MAX, as in a new room: no bound
 * @return how many were left. Since 0.1.
 */
SMTPF_API uint64_t smtpf_pattern_room_tries(smtpf_pattern_room *room, uint64_t tries);

/* ---- a whole text --------------------------------------------------------------------------------- */

/**
 * Finds which patterns match in a text. Patterns are reported in ascending order, each at most once, with one of
 * its matches; `^` and `\A` are the text's start, `$` and `\z` its end; lines end with LF. A pattern that exceeds a
 * limit is not tried again.
 * @param set   sealed
 * @param room  of this thread
 * @param text  any bytes
 * @param mask  which patterns are wanted (smtpf_patterns_mask_words()); NULL for all
 * @param found told of each
 * @param user  handed to it
 * @return SMTPF_OK, SMTPF_ENOMEM (the room could not grow for this set: nothing was reported), SMTPF_ESTATE (not
 * sealed), SMTPF_EBUSY (called from `found`). Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_patterns_scan(const smtpf_patterns *set, smtpf_pattern_room *room, smtpf_str text,
                                                   const uint64_t *mask, smtpf_pattern_found found, void *user);

/* ---- a text that comes in pieces -------------------------------------------------------------------- */

/**
 * A new stream. It holds at most `window` bytes of the text (and what patterns look back at), and matches whenever a
 * window is full. Windows lie at fixed places of the text, whatever the pieces: the same text gives the same answer.
 *
 * A text that fits one window is scanned as smtpf_patterns_scan() does it. In a longer one
 *  - a match is found when it, with what the pattern looks at behind it, is not longer than `overlap`;
 *  - a longer one is found when it lies within one window, else it may be missed (smtpf_patterns_reach() tells which
 *    patterns have such matches);
 *  - what is reported is a match of the whole text: the end of a window is not the end of the text, nor is its start
 *    the start, for `\b`, look-ahead, look-behind, `^`, `$`, `\A`, `\z` too.
 *  - patterns with backtracking verbs such as `(*COMMIT)` or with `\G` begin anew in each window.
 * @param[out] out the stream
 * @param set     sealed; outlives the stream
 * @param mask    copied; NULL for all patterns
 * @param window  NULL for the defaults
 * @param mem     as in smtpf_patterns_new()
 * @return SMTPF_OK, SMTPF_ENOMEM, SMTPF_ESTATE or SMTPF_EINVAL. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_pattern_stream_new(smtpf_pattern_stream **out, const smtpf_patterns *set,
                                                        const uint64_t *mask, const smtpf_pattern_window *window,
                                                        const smtpf_mem *mem);
/** Frees. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_pattern_stream_free(smtpf_pattern_stream *stream);
/**
 * The next bytes. Patterns are reported window by window, in ascending order within one, each at most once a stream.
 * @return SMTPF_OK, SMTPF_ENOMEM (the stream is broken: every further call returns it), SMTPF_ESTATE (it was finished),
 * SMTPF_EBUSY. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_pattern_stream_feed(smtpf_pattern_stream *stream, smtpf_pattern_room *room,
                                                         smtpf_str bytes, smtpf_pattern_found found, void *user);
/** The text is complete. @return as smtpf_pattern_stream_feed(). Since 0.1. */
SMTPF_API SMTPF_USE_RESULT int smtpf_pattern_stream_finish(smtpf_pattern_stream *stream, smtpf_pattern_room *room,
                                                           smtpf_pattern_found found, void *user);
/** Makes the stream ready for another text of the same patterns, its memory kept. Since 0.1. */
SMTPF_API void smtpf_pattern_stream_reset(smtpf_pattern_stream *stream);
/** The same, and patterns that were reported before, by whatever result, are not looked for again. Since 0.1. */
SMTPF_API void smtpf_pattern_stream_next(smtpf_pattern_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
