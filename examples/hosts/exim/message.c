/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exim.h"

/* ---- to the session ----------------------------------------------------------------------------------- */

/* All of it, waiting where the session is behind. */
static int give(smtpf_session *s, const char *p, size_t n)
{
  while (n) {
    size_t taken = 0;
    int r = smtpf_session_body(s, p, n, &taken);
    p += taken;
    n -= taken;
    if (r == SMTPF_PENDING)
      r = smtpf_session_wait(s, -1);
    if (r != SMTPF_OK)
      return r;
  }
  return SMTPF_OK;
}

/* Exim keeps lines with LF alone. */
static int give_lines(smtpf_session *s, const char *p, size_t n)
{
  int r = SMTPF_OK;
  while (r == SMTPF_OK && n) {
    const char *lf = memchr(p, '\n', n);
    const size_t line = lf ? (size_t)(lf - p) : n;
    r = give(s, p, line);
    if (r == SMTPF_OK && lf)
      r = give(s, "\r\n", 2);
    p += line + (lf != NULL);
    n -= line + (lf != NULL);
  }
  return r;
}

/* The field that Exim itself has put before the client's: it bears the message's id. */
static int is_own(const header_line *h)
{
  static const char name[] = "Received:";
  return h == header_list && strncasecmp((const char *)h->text, name, sizeof name - 1) == 0 && message_id &&
         strstr((const char *)h->text, (const char *)message_id);
}

static int give_header(smtpf_session *s)
{
  int r = SMTPF_OK;
  for (const header_line *h = header_list; h && r == SMTPF_OK; h = h->next)
    if (h->type != '*' && h->text && !is_own(h)) /* `*`: taken away */
      r = give_lines(s, (const char *)h->text, strlen((const char *)h->text));
  return r == SMTPF_OK ? give(s, "\r\n", 2) : r;
}

static int give_body(smtpf_session *s, int fd)
{
  char room[65536];
  ssize_t n;
  int r = SMTPF_OK;
  while (r == SMTPF_OK && (n = read(fd, room, sizeof room)) > 0)
    r = give_lines(s, room, (size_t)n);
  return r == SMTPF_OK && n < 0 ? SMTPF_EIO : r;
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

int message_feed(exim_state *x, int fd)
{
  const int own = fd < 0 ? open_spool() : -1;
  const int from = fd < 0 ? own : fd;
  if (from < 0)
    return SMTPF_EIO;
  int r = give_header(x->session);
  if (r == SMTPF_OK)
    r = give_body(x->session, from);
  if (own >= 0)
    close(own);
  return r;
}

/* ---- to Exim ------------------------------------------------------------------------------------------ */

static void apply_edit(const smtpf_edit_info *e)
{
  char name[256];
  const int n = snprintf(name, sizeof name, "%.*s", (int)e->name.n, e->name.p);
  if (n <= 0 || n >= (int)sizeof name)
    return;
  if (e->op == SMTPF_EDIT_DELETE)
    header_remove(e->occurrence, (const uschar *)name);
  else
    header_add_at_position(e->op == SMTPF_EDIT_APPEND, NULL, FALSE, ' ', "%s: %.*s\n", name, (int)e->value.n,
                           e->value.p);
}

/* `DELETE` counts fields as they came: from the last, so that the numbers stay true. */
static void apply_edits(const smtpf_verdict *v)
{
  const size_t n = smtpf_verdict_edit_count(v);
  for (int deletes = 1; deletes >= 0; deletes--)
    for (size_t i = n; i-- > 0;) {
      smtpf_edit_info e = {.size = sizeof e};
      if (smtpf_verdict_edit(v, deletes ? i : n - 1 - i, &e) == SMTPF_OK && (e.op == SMTPF_EDIT_DELETE) == deletes &&
          e.recipient == SMTPF_ALL)
        apply_edit(&e);
    }
}

/* Exim keeps recipients as the client wrote them; its ACLs, and so the session, see the domain and by default the local
 * part in lower case. */
static void remove_recipient(smtpf_str path)
{
  const smtpf_str address = {path.p + 1, path.n - 2};
  for (int i = 0; i < recipients_count; i++) {
    uschar *listed = recipients_list[i].address;
    if (strlen((const char *)listed) != address.n || strncasecmp((const char *)listed, address.p, address.n) != 0)
      continue;
    receive_remove_recipient(listed);
    return;
  }
}

void message_apply(const smtpf_verdict *v)
{
  apply_edits(v);
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r) == SMTPF_OK && (r.disposition == SMTPF_DISCARDED || r.known) && r.path.n > 2)
      remove_recipient(r.path);
  }
}
