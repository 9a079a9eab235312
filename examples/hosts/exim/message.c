/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exim.h"

/* ---- to the asker --------------------------------------------------------------------------------------- */

/* The field that Exim itself has put before the client's: it bears the message's id. */
static int is_own(const header_line *h)
{
  static const char name[] = "Received:";
  return h == header_list && strncasecmp((const char *)h->text, name, sizeof name - 1) == 0 && message_id &&
         strstr((const char *)h->text, (const char *)message_id);
}

static int give_fields(const exim_asker *to)
{
  int good = 1;
  for (const header_line *h = header_list; h && good; h = h->next)
    if (h->type != '*' && h->text && !is_own(h)) /* `*`: taken away */
      good = to->field((smtpf_str){(const char *)h->text, strlen((const char *)h->text)});
  return good;
}

/* Exim keeps lines with LF alone. */
static size_t with_crlf(const char *from, size_t n, char *into)
{
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    if (from[i] == '\n')
      into[at++] = '\r';
    into[at++] = from[i];
  }
  return at;
}

static int give_body(const exim_asker *to, int fd)
{
  enum { PIECE = 32768 };
  static char room[PIECE], lines[2 * PIECE];
  ssize_t n = 0;
  int good = 1;
  while (good && (n = read(fd, room, sizeof room)) > 0)
    good = to->body((smtpf_str){lines, with_crlf(room, (size_t)n, lines)});
  return good && n == 0;
}

/* The data file, where the ACLs run; with split spools a folder is named by a character of the id. */
static int open_spool(void)
{
  enum { SPLIT = 5 };
  const smtpf_str folder = exim_expand("$spool_directory");
  char path[1024];
  int fd = -1;
  if (!message_id || strlen((const char *)message_id) <= SPLIT)
    return -1;
  for (int split = 0; split < 2 && fd < 0; split++) {
    const char between[] = {'/', (char)message_id[SPLIT], '\0'};
    const int n = snprintf(path, sizeof path, "%.*s/input%s/%s-D", (int)folder.n, folder.p, split ? between : "",
                           (const char *)message_id);
    if (n > 0 && n < (int)sizeof path)
      fd = open(path, O_RDONLY | O_CLOEXEC);
  }
  if (fd >= 0 && lseek(fd, SPOOL_DATA_START_OFFSET, SEEK_SET) != SPOOL_DATA_START_OFFSET) {
    close(fd);
    return -1;
  }
  return fd;
}

int message_feed(const exim_asker *to, int fd)
{
  const int own = fd < 0 ? open_spool() : -1;
  const int from = fd < 0 ? own : fd;
  if (from < 0)
    return 0;
  const int good = give_fields(to) && give_body(to, from);
  if (own >= 0)
    close(own);
  return good;
}

/* ---- to Exim ------------------------------------------------------------------------------------------ */

static void edit(int op, smtpf_str field, smtpf_str value, int occurrence)
{
  char name[256];
  const int n = snprintf(name, sizeof name, "%.*s", (int)field.n, field.p);
  if (n <= 0 || n >= (int)sizeof name)
    return;
  if (op != SMTPF_EDIT_DELETE && strcmp(name, "Delivered-To") == 0) /* of a forward: Exim forwards by itself */
    return;
  if (op == SMTPF_EDIT_DELETE)
    header_remove(occurrence, (const uschar *)name);
  else
    header_add_at_position(op == SMTPF_EDIT_APPEND, NULL, FALSE, ' ', "%s: %.*s\n", name, (int)value.n, value.p);
}

/* Exim keeps recipients as the client wrote them; its ACLs, and so the session, see the domain and by default the local
 * part in lower case. */
static void drop(smtpf_str path)
{
  const smtpf_str address = path.n > 2 ? (smtpf_str){path.p + 1, path.n - 2} : path;
  for (int i = 0; i < recipients_count; i++) {
    uschar *listed = recipients_list[i].address;
    if (path.n &&
        (strlen((const char *)listed) != address.n || strncasecmp((const char *)listed, address.p, address.n) != 0))
      continue;
    if (!receive_remove_recipient(listed) || path.n)
      return;
    i = -1; /* the list has moved up */
  }
}

const exim_changes message_changes = {edit, drop};
