/* SPDX-License-Identifier: MIT
 *
 * sign_lines KEY DOMAIN DAY-SECONDS [SEPARATOR [HASH-LENGTH]]: reads `forward ADDRESS`, `reverse ADDRESS`, `sign
 * ADDRESS` and `verify ADDRESS`, one a line; writes what the result is called, and the address when there is one.
 * DOMAIN is that of SRS. Addresses may be longer than mail allows: what others call right is compared with it. Ends
 * with 77 in a build without crypto.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forward/prvs.h"
#include "forward/srs.h"

enum { ROOM = 4096 };

static const char *name_of(int result, int signature)
{
  static const char *const names[] = {"none", "good", "expired", "bad"};
  switch (result) {
  case SMTPF_OK: return "OK";
  case SMTPF_ELIMIT: return "LIMIT";
  case SMTPF_EPARSE: return "PARSE";
  case SMTPF_ENOTFOUND: return names[signature];
  default: return "ERROR";
  }
}

static int answer(const smtpf_srs *srs, const smtpf_prvs *prvs, int64_t now, char *line)
{
  char out[ROOM];
  size_t n = 0;
  int r = SMTPF_EINVAL, signature = SMTPF_SIGNATURE_NONE;
  char *space = strchr(line, ' ');
  if (!space)
    return 1;
  *space = '\0';
  const smtpf_str address = smtpf_str_of(space + 1);
  if (strcmp(line, "forward") == 0)
    r = smtpf_srs_wrap(srs, address, now, out, sizeof out, &n);
  else if (strcmp(line, "reverse") == 0)
    r = smtpf_srs_unwrap(srs, address, now, out, sizeof out, &n, &signature);
  else if (strcmp(line, "sign") == 0)
    r = smtpf_prvs_sign(prvs, address, now, out, sizeof out, &n);
  else if (strcmp(line, "verify") == 0)
    r = smtpf_prvs_verify(prvs, address, now, out, sizeof out, &n, &signature);
  printf("%s %.*s\n", name_of(r, signature), (int)(r == SMTPF_OK ? n : 0), out);
  return 0;
}

int main(int argc, char **argv)
{
  static char line[2 * ROOM];
  const smtpf_crypto *crypto = smtpf_crypto_openssl();
  if (!crypto)
    return 77;
  if (argc < 4)
    return 2;
  const smtpf_str key = smtpf_str_of(argv[1]);
  const int64_t now = strtoll(argv[3], NULL, 10);
  const smtpf_signer signer = {crypto, NULL, &key, 1};
  const smtpf_srs srs = {
      signer, smtpf_str_of(argv[2]), argc > 4 ? *argv[4] : '=', (uint8_t)(argc > 5 ? strtoul(argv[5], NULL, 10) : 4), 4,
      21};
  const smtpf_prvs prvs = {signer, 7};
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = '\0';
    if (answer(&srs, &prvs, now, line))
      return 2;
  }
  return 0;
}
