/* SPDX-License-Identifier: MIT
 *
 * A DNS response, read as the answer to its own question and to one of another type.
 */
#include <stddef.h>
#include <stdint.h>

#include "../unit/port_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char asked[SMTPF_DNS_NAME_MAX + 1] = "x";
  size_t n = 1;
  int type = SMTPF_DNS_A;
  (void)packet_question(data, size, asked, &n, &type);
  packet_check(data, size, type, (smtpf_str){asked, n});
  packet_check(data, size, SMTPF_DNS_TXT, (smtpf_str){asked, n});
  return 0;
}
