/* SPDX-License-Identifier: MIT
 *
 * transfer: who owns each recipient's copy after the end of data, told by the server's replies to it.
 *
 * Which replies come, to `.` or to BDAT LAST, for n recipients that were accepted at RCPT:
 *
 *   kind   n     replies                                    belongs to
 *   any    0     one                                        all
 *   SMTP   1...  one                                        all                        RFC 5321 4.1.1.4
 *   LMTP   1...  n                                          each its recipient         RFC 2033 4.2
 *   PRDR   any   353, then n, then the final one            nobody; each its           draft-hall-prdr-00
 *                                                           recipient; all
 *                or one that is not 353                     all (also for the whole message refused or taken at once)
 *
 * What becomes of a recipient. The rows are its own reply, the columns the one for all; `-` where there is none:
 *
 *   own \ all    2xx        4xx        5xx        -, complete (LMTP)    -, connection lost
 *   -            taken      deferred   refused                          deferred
 *   2xx          taken      deferred   refused    taken                 PRDR: deferred, LMTP: taken
 *   4xx          deferred   deferred   deferred   deferred              deferred
 *   5xx          refused    refused    refused    refused               refused
 *
 * In short: an own 4xx or 5xx stands, an own 2xx under PRDR is worth what the final reply says. So a final 250 behind
 * refusals alone, as Exim's server sends it, takes nothing. A 421 is a 4xx like others: further replies may come, and
 * mostly the end of the connection does. Anything else (3xx, a second 353) is out of step with us: as connection lost.
 *
 * `codes` holds of each recipient the code of the reply that stands so far, 0 for none.
 */
#include <smtpfilter/wire.h>

enum { WAIT_FIRST, WAIT_OWN, WAIT_FINAL, DONE };

int smtpf_transfer_begin(smtpf_transfer *t, int kind, uint16_t *codes, size_t n)
{
  if (kind < SMTPF_TRANSFER_SMTP || kind > SMTPF_TRANSFER_PRDR || (n && !codes))
    return SMTPF_EINVAL;
  *t = (smtpf_transfer){.codes = codes, .n = n, .kind = kind};
  t->state = kind == SMTPF_TRANSFER_LMTP && n ? WAIT_OWN : kind == SMTPF_TRANSFER_PRDR ? WAIT_FIRST : WAIT_FINAL;
  for (size_t i = 0; i < n; i++)
    codes[i] = 0;
  return SMTPF_OK;
}

/* The reply for all decides where there is no own one, and where that one was a 2xx. 0: there will be none. */
static void decide_all(smtpf_transfer *t, int code)
{
  for (size_t i = 0; i < t->n; i++)
    if (!t->codes[i] || (t->codes[i] / 100 == 2 && t->kind == SMTPF_TRANSFER_PRDR))
      t->codes[i] = (uint16_t)code;
  t->state = DONE;
}

void smtpf_transfer_lost(smtpf_transfer *t)
{
  if (t->state != DONE)
    decide_all(t, 0);
}

static int take_own(smtpf_transfer *t, int code, size_t *recipient)
{
  *recipient = t->next;
  t->codes[t->next++] = (uint16_t)code;
  if (t->next < t->n)
    return SMTPF_PENDING;
  t->state = t->kind == SMTPF_TRANSFER_PRDR ? WAIT_FINAL : DONE;
  return t->state == DONE ? SMTPF_OK : SMTPF_PENDING;
}

int smtpf_transfer_feed(smtpf_transfer *t, int code, size_t *recipient)
{
  if (t->state == DONE)
    return SMTPF_ESTATE;
  if (t->state == WAIT_FIRST && code == 353) {
    *recipient = SMTPF_TRANSFER_NONE;
    t->state = t->n ? WAIT_OWN : WAIT_FINAL;
    return SMTPF_PENDING;
  }
  int class = code / 100;
  if (class != 2 && class != 4 && class != 5) {
    smtpf_transfer_lost(t);
    return SMTPF_EPARSE;
  }
  if (t->state == WAIT_OWN)
    return take_own(t, code, recipient);
  *recipient = SMTPF_TRANSFER_ALL;
  decide_all(t, code);
  return SMTPF_OK;
}

int smtpf_transfer_fate(const smtpf_transfer *t, size_t i)
{
  int class = i < t->n ? t->codes[i] / 100 : 0;
  if (i >= t->n || (t->state != DONE && (!class || (class == 2 && t->kind == SMTPF_TRANSFER_PRDR))))
    return SMTPF_FATE_OPEN;
  return class == 2 ? SMTPF_FATE_TAKEN : class == 5 ? SMTPF_FATE_REFUSED : SMTPF_FATE_DEFERRED;
}

int smtpf_transfer_code(const smtpf_transfer *t, size_t i)
{
  return smtpf_transfer_fate(t, i) == SMTPF_FATE_OPEN ? 0 : t->codes[i];
}
