/* SPDX-License-Identifier: MIT
 *
 * The envelope as fields of a request. Sender and recipients go with their brackets, the null sender as `<>`.
 */
#include <curl/curl.h>

#include "base/str.h"
#include "rspamd.h"

enum {
  FIELD_MAX = 1200,
  RECIPIENTS_MAX = 32 * 1024, /* bytes of their fields: rspamd takes 80 KiB of fields */
};

/* As it may stand there; nothing for an empty value. 1, or 0 without memory. */
static int add(struct curl_slist **fields, const char *name, const char *before, smtpf_str value, const char *behind)
{
  char line[FIELD_MAX];
  smtpf_out o;
  if (!value.n && !*before)
    return 1;
  smtpf_out_init(&o, line, sizeof line - 1);
  smtpf_out_cstr(&o, name);
  smtpf_out_cstr(&o, ": ");
  smtpf_out_cstr(&o, before);
  for (size_t i = 0; i < value.n; i++)
    smtpf_out_char(&o, (unsigned char)value.p[i] < ' ' || value.p[i] == '\x7f' ? '?' : value.p[i]);
  smtpf_out_cstr(&o, behind);
  line[o.n] = '\0';
  struct curl_slist *more = curl_slist_append(*fields, line);
  *fields = more ? more : *fields;
  return more != NULL;
}

static int add_recipients(struct curl_slist **fields, const smtpf_scan_request *r)
{
  size_t used = 0;
  for (size_t i = 0; i < r->n_recipients && used < RECIPIENTS_MAX; i++) {
    if (!add(fields, "Rcpt", "<", r->recipients[i], ">"))
      return 0;
    used += r->recipients[i].n + 10;
  }
  return 1;
}

int smtpf_rspamd_fields(void **out, const smtpf_scan_request *r, smtpf_str settings_id)
{
  const smtpf_event *ev = r->event;
  struct curl_slist *fields = NULL;
  const smtpf_str sender = ev->sender ? ev->sender->address : SMTPF_LIT("");
  if (add(&fields, "IP", "", ev->client_text, "") && add(&fields, "Helo", "", ev->helo, "") &&
      add(&fields, "Hostname", "", ev->rdns, "") && add(&fields, "User", "", ev->identity, "") &&
      add(&fields, "From", "<", sender, ">") && add_recipients(&fields, r) &&
      add(&fields, "Deliver-To", "", r->user, "") && add(&fields, "Queue-Id", "", r->session, "") &&
      add(&fields, "Settings-ID", "", settings_id, "")) {
    *out = fields;
    return SMTPF_OK;
  }
  curl_slist_free_all(fields);
  return SMTPF_ENOMEM;
}

void smtpf_rspamd_fields_free(void *fields)
{
  curl_slist_free_all(fields);
}
