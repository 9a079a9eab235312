/* SPDX-License-Identifier: MIT */
#include "prvs.h"

#include <smtpfilter/ext/mail.h>

#include "base/sha256.h"

enum {
  DAY_S = 86400,
  DAYS = 1000, /* a day has three digits */
  SKEW_DAYS = 1,
  TAG = 4,       /* KDDD */
  SIGNATURE = 6, /* SSSSSS */
  MAC_BYTES = 3, /* of them */
  NUMBERS = 10,
};

/* A digit of the key's own, so that keys that come and go do not renumber the others. It names, and proves nothing. */
static char key_number(smtpf_str key)
{
  unsigned char digest[SMTPF_SHA256_BYTES];
  smtpf_sha256 c;
  smtpf_sha256_init(&c);
  smtpf_sha256_add(&c, key.p, key.n);
  smtpf_sha256_end(&c, digest);
  return (char)('0' + digest[0] % NUMBERS);
}

static int64_t today(int64_t wall_s)
{
  return wall_s / DAY_S % DAYS;
}

/* `KDDD` and the mailbox, signed: six digits. */
static int sign_with(const smtpf_prvs *prvs, size_t key, smtpf_str tag, const smtpf_mailbox *m, char out[SIGNATURE])
{
  const smtpf_str said[] = {tag, m->local, SMTPF_LIT("@"), m->domain};
  unsigned char mac[SMTPF_MAC_BYTES];
  int r = smtpf_signer_mac(&prvs->signer, key, said, sizeof said / sizeof *said, mac);
  for (size_t i = 0; r == SMTPF_OK && i < MAC_BYTES; i++) {
    out[2 * i] = "0123456789abcdef"[mac[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
  }
  return r;
}

/* ---- verify -------------------------------------------------------------------------------------------------------
 */

static int is_hex(char c)
{
  return smtpf_is_digit(c) || (smtpf_lower(c) >= 'a' && smtpf_lower(c) <= 'f');
}

/* Takes `prvs=KDDDSSSSSS=` off a local part. 0 when it has another form; there are many (`prvs=` with nine digits,
 * `msprvs1=`, `btv1==`), and none is ours. */
static int take_tag(smtpf_str *local, smtpf_str *tag, char signature[SIGNATURE])
{
  static const smtpf_str prefix = {"prvs=", 5};
  const size_t length = prefix.n + TAG + SIGNATURE + 1;
  if (local->n <= length || !smtpf_str_equal_nocase((smtpf_str){local->p, prefix.n}, prefix) ||
      local->p[length - 1] != '=')
    return 0;
  *tag = (smtpf_str){local->p + prefix.n, TAG};
  for (size_t i = 0; i < TAG; i++)
    if (!smtpf_is_digit(tag->p[i]))
      return 0;
  for (size_t i = 0; i < SIGNATURE; i++) {
    signature[i] = smtpf_lower(tag->p[TAG + i]);
    if (!is_hex(signature[i]))
      return 0;
  }
  *local = (smtpf_str){local->p + length, local->n - length};
  return 1;
}

static int check(const smtpf_prvs *prvs, smtpf_str tag, const smtpf_mailbox *m, const char given[SIGNATURE])
{
  char made[SIGNATURE];
  int found = 0;
  for (size_t key = 0; key < prvs->signer.n; key++) {
    int r = sign_with(prvs, key, tag, m, made);
    if (r != SMTPF_OK)
      return r == SMTPF_ELIMIT ? SMTPF_ENOTFOUND : r;
    found |= smtpf_same_bytes(made, given, SIGNATURE);
  }
  return found ? SMTPF_OK : SMTPF_ENOTFOUND;
}

static int is_fresh(const smtpf_prvs *prvs, smtpf_str tag, int64_t wall_s)
{
  int64_t day = 0;
  for (size_t i = 1; i < TAG; i++)
    day = day * 10 + (tag.p[i] - '0');
  const int64_t left = (day - today(wall_s) + DAYS) % DAYS;
  return left <= prvs->max_age_days + SKEW_DAYS || left >= DAYS - SKEW_DAYS;
}

static int write_mailbox(const char *prefix, smtpf_str tag, smtpf_str signature, const smtpf_mailbox *m, char *out,
                         size_t cap, size_t *n)
{
  smtpf_out o;
  smtpf_out_init(&o, out, cap);
  if (m->quoted)
    smtpf_out_char(&o, '"');
  smtpf_out_cstr(&o, prefix);
  smtpf_out_str(&o, tag);
  smtpf_out_str(&o, signature);
  if (tag.n)
    smtpf_out_char(&o, '=');
  smtpf_out_str(&o, m->local);
  if (m->quoted)
    smtpf_out_char(&o, '"');
  smtpf_out_char(&o, '@');
  smtpf_out_str(&o, m->domain);
  return smtpf_rewritten(&o, n);
}

int smtpf_prvs_has_form(smtpf_str address)
{
  char given[SIGNATURE];
  smtpf_mailbox m;
  smtpf_str tag;
  return smtpf_mailbox_split(address, &m) == SMTPF_OK && take_tag(&m.local, &tag, given);
}

int smtpf_prvs_verify(const smtpf_prvs *prvs, smtpf_str address, int64_t wall_s, char *out, size_t cap, size_t *n,
                      int *signature)
{
  const smtpf_str nothing = {NULL, 0};
  char given[SIGNATURE];
  smtpf_mailbox m;
  smtpf_str tag;
  *signature = SMTPF_SIGNATURE_NONE;
  if (smtpf_mailbox_split(address, &m) != SMTPF_OK || !take_tag(&m.local, &tag, given))
    return SMTPF_ENOTFOUND;
  *signature = SMTPF_SIGNATURE_BAD;
  int r = check(prvs, tag, &m, given);
  if (r != SMTPF_OK)
    return r;
  *signature = is_fresh(prvs, tag, wall_s) ? SMTPF_SIGNATURE_GOOD : SMTPF_SIGNATURE_EXPIRED;
  return *signature == SMTPF_SIGNATURE_GOOD ? write_mailbox("", nothing, nothing, &m, out, cap, n) : SMTPF_ENOTFOUND;
}

/* ---- sign ---------------------------------------------------------------------------------------------------------
 */

/* Without a signature of ours, old or new. */
static int strip_own(const smtpf_prvs *prvs, smtpf_mailbox *m)
{
  smtpf_mailbox inner = *m;
  char given[SIGNATURE];
  smtpf_str tag;
  if (!take_tag(&inner.local, &tag, given))
    return SMTPF_OK;
  int r = check(prvs, tag, &inner, given);
  if (r == SMTPF_OK)
    *m = inner;
  return r == SMTPF_ENOTFOUND ? SMTPF_OK : r;
}

int smtpf_prvs_sign(const smtpf_prvs *prvs, smtpf_str sender, int64_t wall_s, char *out, size_t cap, size_t *n)
{
  char room[SMTPF_ADDRESS_ROOM], tag[TAG], signature[SIGNATURE];
  smtpf_mailbox m;
  smtpf_path path;
  size_t length = 0;
  if (smtpf_mailbox_parse(sender, &path) != SMTPF_OK || smtpf_mailbox_split(sender, &m) != SMTPF_OK || wall_s < 0)
    return SMTPF_EPARSE;
  const int64_t day = (today(wall_s) + prvs->max_age_days) % DAYS;
  tag[0] = key_number(prvs->signer.keys[0]);
  tag[1] = (char)('0' + day / 100);
  tag[2] = (char)('0' + day / 10 % 10);
  tag[3] = (char)('0' + day % 10);
  int r = strip_own(prvs, &m);
  if (r == SMTPF_OK)
    r = sign_with(prvs, 0, (smtpf_str){tag, TAG}, &m, signature);
  if (r == SMTPF_OK)
    r = write_mailbox("prvs=", (smtpf_str){tag, TAG}, (smtpf_str){signature, SIGNATURE}, &m, room, sizeof room,
                      &length);
  if (r == SMTPF_OK && smtpf_mailbox_parse((smtpf_str){room, length}, &path) != SMTPF_OK)
    r = SMTPF_ELIMIT;
  if (r != SMTPF_OK)
    return r;
  smtpf_out o;
  smtpf_out_init(&o, out, cap);
  smtpf_out_str(&o, (smtpf_str){room, length});
  return smtpf_rewritten(&o, n);
}
