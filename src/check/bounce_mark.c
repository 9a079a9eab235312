/* SPDX-License-Identifier: MIT
 *
 * bounce_mark: a header field that says, to us alone, that a message left here.
 *
 *     X-Smtpfilter-Sent: KEY.DAY.MAC
 *
 *     KEY   a digit of the key's own, so that keys that come and go do not renumber the others; it proves nothing
 *     DAY   days since 1970 when it was sent
 *     MAC   the first 128 bits, in hex, of HMAC-SHA256 over "bounce-mark" LF DAY LF Message-ID LF sender LF
 *
 * The sender is the envelope's, in lower case: that is where a bounce goes, so it need not be quoted, and a mark that
 * somebody finds in another one's mail proves nothing to him. Without spaces and short, it survives being folded.
 */
#include "bounce.h"

enum { MAC_BYTES = 16, SECRET_MIN = 16, DAY_S = 86400, DAY_DIGITS = 7, NUMBERS = 10 };

typedef struct key {
  int64_t number;
  smtpf_str secret;
} key;

struct bounce_keys {
  smtpf_mem mem;
  smtpf_str field;
  int64_t days; /* how old a mark may be */
  size_t n;
  key keys[];
};

/* ---- keys -------------------------------------------------------------------------------------------- */

/* Takes a number off the front; -1 when there is none. */
static int64_t take_number(smtpf_str *s, size_t digits)
{
  int64_t v = 0;
  size_t n = 0;
  while (n < s->n && n < digits && s->p[n] >= '0' && s->p[n] <= '9')
    v = v * 10 + (s->p[n++] - '0');
  *s = (smtpf_str){s->p + n, s->n - n};
  return n ? v : -1;
}

static int take_char(smtpf_str *s, char c)
{
  if (!s->n || s->p[0] != c)
    return 0;
  *s = (smtpf_str){s->p + 1, s->n - 1};
  return 1;
}

static int read_key(key *k, smtpf_str text)
{
  unsigned char digest[SMTPF_DIGEST_BYTES];
  if (text.n < SECRET_MIN)
    return SMTPF_EPARSE;
  smtpf_digest((const smtpf_str[]){SMTPF_LIT("bounce-key"), text}, 2, digest);
  *k = (key){digest[0] % NUMBERS, text};
  return SMTPF_OK;
}

static int is_field_name(smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == ':')
      return 0;
  return s.n > 0 && s.n < 77;
}

int bounce_keys_new(bounce_keys **out, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  const size_t n = smtpf_section_count(policy, "bounce.keys");
  const smtpf_str field = smtpf_section_string(policy, "bounce.mark");
  if (!is_field_name(field))
    return smtpf_section_fail(policy, "bounce.mark", err, SMTPF_EPARSE, "cannot be the name of a field", field, NULL);
  if (!n)
    return SMTPF_OK;
  bounce_keys *k = mem->alloc(mem->user, sizeof *k + n * sizeof *k->keys);
  if (!k)
    return SMTPF_ENOMEM;
  *k = (bounce_keys){.mem = *mem, .field = field};
  k->days = (smtpf_section_number(policy, "bounce.max_age") + DAY_S * 1000 - 1) / (DAY_S * 1000);
  for (; k->n < n; k->n++) {
    if (read_key(&k->keys[k->n], smtpf_section_string_at(policy, "bounce.keys", k->n)) != SMTPF_OK) {
      bounce_keys_free(k); /* the text is a secret: not told */
      return smtpf_section_fail(policy, "bounce.keys", err, SMTPF_EPARSE, "a key is too short", (smtpf_str){NULL, 0},
                                "16 characters or more");
    }
  }
  *out = k;
  return SMTPF_OK;
}

void bounce_keys_free(bounce_keys *k)
{
  if (k)
    k->mem.free(k->mem.user, k);
}

smtpf_str bounce_keys_field(const bounce_keys *k)
{
  return k ? k->field : (smtpf_str){NULL, 0};
}

/* ---- the mark ---------------------------------------------------------------------------------------- */

static void put_number(bounce_text *t, int64_t v)
{
  char digits[20];
  size_t n = sizeof digits;
  do {
    digits[--n] = (char)('0' + v % 10);
    v /= 10;
  } while (v);
  bounce_put(t, (smtpf_str){digits + n, sizeof digits - n});
}

static void put_lower(bounce_text *t, smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++) {
    const char c = bounce_lower(s.p[i]);
    bounce_put(t, (smtpf_str){&c, 1});
  }
}

/* What stands in the field, for one key and day. */
static int make(const key *k, int64_t day, smtpf_task *t, smtpf_str id, smtpf_str sender, bounce_text *out)
{
  enum { ROOM = 1024 };
  static const char hex[] = "0123456789abcdef";
  char room[ROOM];
  unsigned char mac[32];
  bounce_text data = {.p = room, .cap = sizeof room};
  bounce_put(&data, SMTPF_LIT("bounce-mark\n"));
  put_number(&data, day);
  bounce_put(&data, SMTPF_LIT("\n"));
  bounce_put(&data, id);
  bounce_put(&data, SMTPF_LIT("\n"));
  put_lower(&data, sender);
  bounce_put(&data, SMTPF_LIT("\n"));
  const int r = data.cut ? SMTPF_ELIMIT : smtpf_task_hmac(t, k->secret, bounce_str(&data), mac);
  if (r != SMTPF_OK)
    return r;
  put_number(out, k->number);
  bounce_put(out, SMTPF_LIT("."));
  put_number(out, day);
  bounce_put(out, SMTPF_LIT("."));
  for (size_t i = 0; i < MAC_BYTES; i++)
    bounce_put(out, (smtpf_str){(const char[]){hex[mac[i] >> 4], hex[mac[i] & 15]}, 2});
  return SMTPF_OK;
}

static int64_t today(smtpf_task *t)
{
  const int64_t s = smtpf_task_event(t)->wall_s;
  return s > 0 ? s / DAY_S : 0;
}

int bounce_mark_make(const bounce_keys *k, smtpf_task *t, smtpf_str id, smtpf_str sender, char room[BOUNCE_MARK_MAX],
                     smtpf_str *out)
{
  bounce_text text = {.p = room, .cap = BOUNCE_MARK_MAX};
  const int r = make(&k->keys[0], today(t), t, id, sender, &text);
  if (r == SMTPF_OK)
    *out = bounce_str(&text);
  return r;
}

/* Number of the key and day of a mark that has the form; -1 when it has not. */
static int64_t read_mark(smtpf_str mark, int64_t *day)
{
  const int64_t number = take_number(&mark, 1);
  if (number < 0 || !take_char(&mark, '.'))
    return -1;
  *day = take_number(&mark, DAY_DIGITS);
  return *day >= 0 && take_char(&mark, '.') && mark.n == 2 * MAC_BYTES ? number : -1;
}

int bounce_mark_known(const bounce_keys *k, smtpf_str mark)
{
  int64_t day;
  const int64_t number = read_mark(mark, &day);
  size_t i = 0;
  while (i < k->n && k->keys[i].number != number)
    i++;
  return i < k->n;
}

/* In a time that does not depend on where they differ. */
static int same(smtpf_str a, smtpf_str b)
{
  unsigned differ = a.n != b.n;
  for (size_t i = 0; i < a.n && i < b.n; i++)
    differ |= (unsigned char)a.p[i] ^ (unsigned char)b.p[i];
  return !differ;
}

int bounce_mark_check(const bounce_keys *k, smtpf_task *t, smtpf_str mark, smtpf_str id, smtpf_str sender, int *out)
{
  int64_t day = 0;
  const int64_t number = read_mark(mark, &day), age = today(t) - day;
  *out = SMTPF_SIGNATURE_BAD;
  for (size_t i = 0; i < k->n; i++) {
    char room[BOUNCE_MARK_MAX];
    bounce_text want = {.p = room, .cap = sizeof room};
    if (k->keys[i].number != number)
      continue;
    const int r = make(&k->keys[i], day, t, id, sender, &want);
    if (r != SMTPF_OK)
      return r;
    if (same(bounce_str(&want), mark))
      *out = age >= -1 && age <= k->days ? SMTPF_SIGNATURE_GOOD : SMTPF_SIGNATURE_EXPIRED;
  }
  return SMTPF_OK;
}
