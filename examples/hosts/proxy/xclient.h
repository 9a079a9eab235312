/* SPDX-License-Identifier: MIT
 *
 * xclient: what a client that may says about who the client is (Postfix's XCLIENT_README).
 */
#ifndef PROXY_XCLIENT_H
#define PROXY_XCLIENT_H

#include <smtpfilter/types.h>

enum xclient_attribute {
  XCLIENT_NAME,
  XCLIENT_ADDR,
  XCLIENT_PORT,
  XCLIENT_PROTO,
  XCLIENT_HELO,
  XCLIENT_LOGIN,
  XCLIENT_DESTADDR,
  XCLIENT_DESTPORT,
  XCLIENT_ATTRIBUTES
};

enum { XCLIENT_VALUE = 256 };

typedef struct xclient {
  unsigned told;                                 /* bits 1 << xclient_attribute */
  char value[XCLIENT_ATTRIBUTES][XCLIENT_VALUE]; /* decoded, NUL-terminated; empty for what is not known. Addresses are
                                                     canonical, ports are numbers. */
} xclient;

/* Reads the argument of an XCLIENT command. NULL, or what is wrong with it. */
const char *xclient_read(smtpf_str arg, xclient *out);

#endif
