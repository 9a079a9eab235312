/* SPDX-License-Identifier: MIT */
#include "wire/ehlo.h"

/* In the order in which they are announced. */
static const struct extension {
  const char *name;
  unsigned bit;
} extensions[] = {
    {"PIPELINING", SMTPF_EXT_PIPELINING},
    {"SIZE", SMTPF_EXT_SIZE},
    {"8BITMIME", SMTPF_EXT_8BITMIME},
    {"SMTPUTF8", SMTPF_EXT_SMTPUTF8},
    {"DSN", SMTPF_EXT_DSN},
    {"CHUNKING", SMTPF_EXT_CHUNKING},
    {"PRDR", SMTPF_EXT_PRDR},
    {"STARTTLS", SMTPF_EXT_STARTTLS},
    {"AUTH", SMTPF_EXT_AUTH},
    {"XCLIENT", SMTPF_EXT_XCLIENT},
    {"XFORWARD", SMTPF_EXT_XFORWARD},
    {"ENHANCEDSTATUSCODES", SMTPF_EXT_ENHANCEDSTATUSCODES},
};

enum { N_EXTENSIONS = sizeof extensions / sizeof extensions[0] };

/* The attributes we know how to take (Postfix's XCLIENT and XFORWARD). */
static const char xclient[] = " NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
static const char xforward[] = " NAME ADDR PORT PROTO HELO IDENT SOURCE";

void smtpf_ehlo_write(smtpf_out *o, smtpf_str hostname, smtpf_str auth, const smtpf_announced *a)
{
  smtpf_out_str(o, hostname);
  for (size_t i = 0; i < N_EXTENSIONS; i++) {
    const struct extension *e = &extensions[i];
    if (!(a->extensions & e->bit))
      continue;
    smtpf_out_char(o, '\n');
    smtpf_out_cstr(o, e->name);
    if (e->bit == SMTPF_EXT_SIZE && a->message_max) {
      smtpf_out_char(o, ' ');
      smtpf_out_uint(o, a->message_max);
    } else if (e->bit == SMTPF_EXT_AUTH && auth.n) {
      smtpf_out_char(o, ' ');
      smtpf_out_str(o, auth);
    } else if (e->bit == SMTPF_EXT_XCLIENT) {
      smtpf_out_cstr(o, xclient);
    } else if (e->bit == SMTPF_EXT_XFORWARD) {
      smtpf_out_cstr(o, xforward);
    }
  }
}

static unsigned bit_of(smtpf_str keyword)
{
  for (size_t i = 0; i < N_EXTENSIONS; i++)
    if (smtpf_str_equal_nocase(keyword, smtpf_str_of(extensions[i].name)))
      return extensions[i].bit;
  return 0;
}

unsigned smtpf_smtpc_extensions(smtpf_str text, uint64_t *size)
{
  unsigned bits = 0;
  uint64_t figure = 0;
  smtpf_str rest = text;
  (void)smtpf_str_cut(&rest, '\n'); /* who they are */
  while (rest.n) {
    smtpf_str line = smtpf_str_trim(smtpf_str_cut(&rest, '\n'));
    smtpf_str keyword = smtpf_str_cut(&line, ' ');
    if (smtpf_str_starts(keyword, SMTPF_LIT("AUTH="))) /* as servers wrote it before RFC 2554 */
      keyword.n = 4;
    unsigned bit = bit_of(keyword);
    bits |= bit;
    if (bit == SMTPF_EXT_SIZE && smtpf_str_uint(smtpf_str_trim(line), UINT64_MAX, &figure) != SMTPF_OK)
      figure = 0;
  }
  if (size)
    *size = figure;
  return bits;
}
