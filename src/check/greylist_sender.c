/* SPDX-License-Identifier: MIT
 *
 * greylist_sender: what of an address is compared. Some senders write a new address for every message, or for every
 * recipient, and would be strangers for ever:
 *
 *     prvs=0123abcdef=alice@example.org                    BATV            alice@example.org
 *     btv1==0123abcdef==alice@example.org                  the same        alice@example.org
 *     SRS0=Ab1c=4T=example.org=alice@forwarder.example     SRS             alice@example.org
 *     SRS1=Xy9z=first.example==Ab1c=4T=example.org=alice@second.example    alice@example.org
 *     list-return-17-bob=example.net@list.example          VERP            list-return-#@list.example
 *     bounces+17-bob=example.net@list.example              VERP, detail    bounces@list.example
 *     0100018c-5d2e-4a71@mail.example                      numbered        #-#-#@mail.example
 *
 * Case means nothing. The local part is that of the first line that fits, then the next is looked for in what is left.
 */
#include "greylist.h"

static smtpf_str from(smtpf_str s, size_t at)
{
  return at < s.n ? (smtpf_str){s.p + at, s.n - at} : (smtpf_str){s.p + s.n, 0};
}

static int begins(smtpf_str s, const char *word)
{
  const smtpf_str w = smtpf_str_of(word);
  return s.n >= w.n && smtpf_str_equal_nocase((smtpf_str){s.p, w.n}, w);
}

/* What is behind the next `c`; empty without one. The first part is *head. */
static smtpf_str behind(smtpf_str s, char c, smtpf_str *head)
{
  size_t i = 0;
  while (i < s.n && s.p[i] != c)
    i++;
  *head = (smtpf_str){s.p, i};
  return from(s, i + 1);
}

/* ---- BATV ---------------------------------------------------------------------------------------------- */

/* prvs=K DDD SSSSSS=local: ten digits, the last six hexadecimal (draft-levine-smtp-batv). */
static int is_prvs_tag(smtpf_str tag)
{
  if (tag.n != 10)
    return 0;
  for (size_t i = 0; i < tag.n; i++)
    if (!greylist_is_hex(tag.p[i]) || (i < 4 && !greylist_is_digit(tag.p[i])))
      return 0;
  return 1;
}

static int take_batv(smtpf_str local, smtpf_str *inner)
{
  smtpf_str tag, rest;
  if (!begins(local, "prvs="))
    return 0;
  rest = behind(from(local, 5), '=', &tag);
  if (!rest.n || !is_prvs_tag(tag))
    return 0;
  *inner = rest;
  return 1;
}

/* ---- VERP, numbers --------------------------------------------------------------------------------------- */

/* Where `local=domain` of the recipient stands in it, with the sign before it; its length otherwise. */
static size_t verp_at(smtpf_str local, const smtpf_path *to)
{
  const size_t n = to->local_part.n + 1 + to->domain.n;
  for (size_t i = 1; to->domain.n && i + n <= local.n; i++)
    if (local.p[i + to->local_part.n] == '=' &&
        smtpf_str_equal_nocase((smtpf_str){local.p + i, to->local_part.n}, to->local_part) &&
        smtpf_str_equal_nocase((smtpf_str){local.p + i + to->local_part.n + 1, to->domain.n}, to->domain))
      return i - 1;
  return local.n;
}

static int is_word(char c)
{
  const char l = greylist_lower(c);
  return greylist_is_digit(c) || (l >= 'a' && l <= 'z') || (unsigned char)c > 0x7f;
}

/* A number, a hexadecimal run, or a long mixture: nobody's name. Beside such a word a hexadecimal one without a digit
 * is by chance one: in an UUID every fiftieth is. */
static int is_serial(smtpf_str word, int beside)
{
  enum { HEX_MIN = 4, MIXED_MIN = 16 };
  size_t digits = 0, hex = 0;
  for (size_t i = 0; i < word.n; i++) {
    digits += (size_t)greylist_is_digit(word.p[i]);
    hex += (size_t)greylist_is_hex(word.p[i]);
  }
  if (!digits)
    return beside && hex == word.n && word.n >= HEX_MIN;
  return digits == word.n || (hex == word.n && word.n >= HEX_MIN) || word.n >= MIXED_MIN;
}

/* The word in front, or one byte that is in none. */
static smtpf_str next_word(smtpf_str s)
{
  size_t n = 0;
  while (n < s.n && is_word(s.p[n]))
    n++;
  return (smtpf_str){s.p, n ? n : 1};
}

static void put_local(greylist_text *t, smtpf_str local)
{
  int beside = 0;
  smtpf_str w;
  for (smtpf_str s = local; s.n; s = from(s, w.n)) {
    w = next_word(s);
    beside |= is_serial(w, 0);
  }
  for (; local.n; local = from(local, w.n)) {
    w = next_word(local);
    if (is_serial(w, beside))
      greylist_put(t, '#');
    else
      for (size_t k = 0; k < w.n; k++)
        greylist_put(t, greylist_lower(w.p[k]));
  }
}

/* Without detail and without the recipient. What would leave nothing stays. */
static smtpf_str bare(smtpf_str local, const smtpf_path *to)
{
  smtpf_str head;
  const size_t at = verp_at(local, to);
  if (at && at < local.n)
    local.n = at;
  (void)behind(local, '+', &head);
  return head.n ? head : local;
}

/* ---- addresses ------------------------------------------------------------------------------------------- */

smtpf_str greylist_sender(const smtpf_path *sender, const smtpf_path *recipient, char room[GREYLIST_ADDRESS_MAX])
{
  greylist_text t = {room, 0, GREYLIST_ADDRESS_MAX};
  smtpf_str local, domain;
  if (sender->form == SMTPF_PATH_NULL)
    return (smtpf_str){room, 0};
  (void)smtpf_path_unwrap(sender, SMTPF_UNWRAP_SIGNED | SMTPF_UNWRAP_FORWARDED, &local, &domain);
  put_local(&t, sender->quoted ? local : bare(local, recipient));
  greylist_put(&t, '@');
  for (size_t i = 0; i < domain.n; i++)
    greylist_put(&t, greylist_lower(domain.p[i]));
  return (smtpf_str){room, t.n};
}

smtpf_str greylist_recipient(const smtpf_path *recipient, char room[GREYLIST_ADDRESS_MAX])
{
  greylist_text t = {room, 0, GREYLIST_ADDRESS_MAX};
  smtpf_str local = recipient->local_part;
  (void)take_batv(local, &local);
  if (recipient->form == SMTPF_PATH_POSTMASTER)
    local = SMTPF_LIT("postmaster");
  for (size_t i = 0; i < local.n; i++)
    greylist_put(&t, greylist_lower(local.p[i]));
  if (recipient->domain.n)
    greylist_put(&t, '@');
  for (size_t i = 0; i < recipient->domain.n; i++)
    greylist_put(&t, greylist_lower(recipient->domain.p[i]));
  return (smtpf_str){room, t.n};
}

int greylist_is_callout(const smtpf_path *sender)
{
  return sender->form == SMTPF_PATH_NULL || smtpf_str_equal_nocase(sender->local_part, SMTPF_LIT("postmaster")) ||
         smtpf_str_equal_nocase(sender->local_part, SMTPF_LIT("double-bounce"));
}
