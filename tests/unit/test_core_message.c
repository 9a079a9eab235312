/* SPDX-License-Identifier: MIT */
#include "test_core.h"
TCase *message_cases(void)
{
  return tcase_create("message");
}
