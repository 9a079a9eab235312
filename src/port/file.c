/* SPDX-License-Identifier: MIT
 *
 * A small file that the policy names, read when it is loaded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "port.h"

int smtpf_file_read(const char *path, char *room, size_t cap, size_t *n, int *exposed)
{
  struct stat st;
  FILE *in = fopen(path, "rbe");
  if (!in)
    return errno == ENOENT ? SMTPF_ENOTFOUND : SMTPF_EIO;
  setvbuf(in, NULL, _IONBF, 0); /* no copy of it stays behind */
  const size_t got = fread(room, 1, cap, in);
  const int more = got == cap && fgetc(in) != EOF;
  int r = ferror(in) || fstat(fileno(in), &st) != 0 || S_ISDIR(st.st_mode) ? SMTPF_EIO : SMTPF_OK;
  if (r == SMTPF_OK && more)
    r = SMTPF_ELIMIT;
  if (r == SMTPF_OK) {
    *n = got;
    *exposed = (st.st_mode & (S_IRWXG | S_IRWXO) & ~(unsigned)S_IRGRP) != 0;
  }
  fclose(in);
  return r;
}
