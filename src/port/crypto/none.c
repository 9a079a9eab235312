/* SPDX-License-Identifier: MIT
 *
 * A build without libcrypto.
 */
#include "port/port.h"

const smtpf_crypto *smtpf_crypto_openssl(void)
{
  return NULL;
}
