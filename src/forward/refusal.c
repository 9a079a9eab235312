/* SPDX-License-Identifier: MIT
 *
 * Why a forward was refused, by what the other server said. Codes alone do not tell: 550 5.7.1 stands before "user
 * unknown" as well as before "spam". So words count first, in this order, the first that holds:
 *
 *   1  5.1.7, 5.1.8; words about the sender                        -> policy
 *   2  5.2.2 to 5.2.4; words about a full mailbox                  -> other
 *   3  5.1.1, 5.1.2, 5.1.6, 5.1.10, 5.2.1, 5.4.4; words about a
 *      mailbox or domain that is not there                         -> recipient
 *   4  words about lists, and about SPF, DKIM, DMARC               -> policy
 *   5  words about spam and viruses                                -> spam
 *   6  other words about policies; 5.7.x                           -> policy
 *   7  5.1.x; 551, 553, 556 without anything else                  -> recipient
 *   8                                                              -> other
 *
 * Pure. A phrase begins at the beginning of a word; one of four letters or fewer also ends at the end of one: `spam` is
 * not in `spamhaus`.
 */
#include <smtpfilter/forward.h>

#include "base/str.h"

static const char *const of_sender[] = {"sender address rejected",
                                        "domain of sender",
                                        "sender rejected",
                                        "sender domain",
                                        "sending domain",
                                        "mailfrom",
                                        NULL};

static const char *const full[] = {"mailbox full",   "mailbox is full", "quota",           "over quota",
                                   "out of storage", "too large",       "maximum message", NULL};

static const char *const absent[] = {"user unknown",
                                     "unknown user",
                                     "no such user",
                                     "no such recipient",
                                     "no such mailbox",
                                     "no such address",
                                     "no mailbox",
                                     "user not found",
                                     "user not exist",
                                     "user does not exist",
                                     "does not exist",
                                     "doesn't exist",
                                     "doesn't have a",
                                     "mailbox unavailable",
                                     "mailbox not found",
                                     "mailbox is frozen",
                                     "unknown mailbox",
                                     "invalid mailbox",
                                     "unknown recipient",
                                     "recipient unknown",
                                     "invalid recipient",
                                     "recipient not found",
                                     "recipientnotfound",
                                     "recipnotfound",
                                     "recipient address rejected",
                                     "not our customer",
                                     "is disabled",
                                     "is inactive",
                                     "inactive email",
                                     "account has been disabled",
                                     "unrouteable address",
                                     "unroutable address",
                                     "host unknown",
                                     "domain is not reachable",
                                     "invalid domain",
                                     NULL};

static const char *const lists[] = {
    "spf",    "dkim",        "dmarc",     "spamhaus",        "spamcop",        "sorbs",          "barracuda",
    "dnsbl",  "rbl",         "blacklist", "blocklist",       "black list",     "block list",     "blocked using",
    "listed", "reverse dns", "ptr",       "unauthenticated", "authentication", "banned sending", "reputation",
    NULL};

static const char *const spam[] = {"spam",    "ube",   "uce",     "unsolicited", "bulk",       "junk",   "virus",
                                   "malware", "phish", "content", "filtered",    "suspicious", "spammy", NULL};

static const char *const policy[] = {"policy",  "policies",     "access denied", "denied",
                                     "relay",   "not allowed",  "client host",   "ip address",
                                     "network", "not accepted", "sender",        NULL};

static int at_phrase(smtpf_str text, size_t i, smtpf_str phrase)
{
  enum { WHOLE = 4 };
  if (text.n - i < phrase.n || (i && smtpf_is_alnum(text.p[i - 1])))
    return 0;
  if (!smtpf_str_equal_nocase((smtpf_str){text.p + i, phrase.n}, phrase))
    return 0;
  return phrase.n > WHOLE || i + phrase.n == text.n || !smtpf_is_alnum(text.p[i + phrase.n]);
}

static int says(smtpf_str text, const char *const *phrases)
{
  for (; *phrases; phrases++) {
    const smtpf_str phrase = smtpf_str_of(*phrases);
    for (size_t i = 0; i < text.n; i++)
      if (at_phrase(text, i, phrase))
        return 1;
  }
  return 0;
}

static int is(smtpf_str enhanced, const char *detail)
{
  return smtpf_str_equal(enhanced, smtpf_str_of(detail));
}

static int is_one(smtpf_str enhanced, const char *const *details)
{
  while (*details && !is(enhanced, *details))
    details++;
  return *details != NULL;
}

int smtpf_forward_classify(int code, smtpf_str enhanced, smtpf_str text)
{
  enum { TEXT_MAX = 1024, NOT_LOCAL = 551, NO_NAME = 553, NO_MAIL = 556 };
  static const char *const senders[] = {"5.1.7", "5.1.8", NULL};
  static const char *const fulls[] = {"5.2.2", "5.2.3", "5.2.4", NULL};
  static const char *const absents[] = {"5.1.1", "5.1.2", "5.1.6", "5.1.10", "5.2.1", "5.4.4", NULL};
  if (code < 500 || code > 599)
    return SMTPF_FORWARD_OTHER;
  if (text.n > TEXT_MAX)
    text.n = TEXT_MAX;
  if (is_one(enhanced, senders) || says(text, of_sender))
    return SMTPF_FORWARD_POLICY;
  if (is_one(enhanced, fulls) || says(text, full))
    return SMTPF_FORWARD_OTHER;
  if (is_one(enhanced, absents) || says(text, absent))
    return SMTPF_FORWARD_RECIPIENT;
  if (says(text, lists))
    return SMTPF_FORWARD_POLICY;
  if (says(text, spam))
    return SMTPF_FORWARD_SPAM;
  if (says(text, policy) || smtpf_str_starts(enhanced, SMTPF_LIT("5.7.")))
    return SMTPF_FORWARD_POLICY;
  if (smtpf_str_starts(enhanced, SMTPF_LIT("5.1.")) ||
      (!enhanced.n && (code == NOT_LOCAL || code == NO_NAME || code == NO_MAIL)))
    return SMTPF_FORWARD_RECIPIENT;
  return SMTPF_FORWARD_OTHER;
}
