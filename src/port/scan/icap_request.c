/* SPDX-License-Identifier: MIT
 *
 * What an ICAP server is asked (RFC 3507 4.3, 4.4, 4.10). The message is the body of an HTTP response, of type
 * message/rfc822, to a request nobody made; some services ask for that one too.
 */
#include "icap.h"

#include "base/str.h"

int smtpf_icap_service_valid(smtpf_str service)
{
  for (size_t i = 0; i < service.n; i++)
    if (service.p[i] <= ' ' || service.p[i] > '~')
      return 0;
  return service.n > 0 && service.n <= SMTPF_ICAP_SERVICE && service.p[0] != '/';
}

/* The first lines of every request. */
static void begin(smtpf_out *o, const char *method, const smtpf_icap_request *q)
{
  const smtpf_str host = q->local ? SMTPF_LIT("localhost") : q->server;
  smtpf_out_cstr(o, method);
  smtpf_out_cstr(o, " icap://");
  smtpf_out_str(o, host);
  smtpf_out_char(o, '/');
  smtpf_out_str(o, q->service);
  smtpf_out_cstr(o, " ICAP/1.0\r\nHost: ");
  smtpf_out_str(o, host);
  smtpf_out_cstr(o, "\r\nUser-Agent: libsmtpfilter\r\n");
}

size_t smtpf_icap_write_options(char *room, const smtpf_icap_request *q)
{
  smtpf_out o;
  smtpf_out_init(&o, room, SMTPF_ICAP_REQUEST);
  begin(&o, "OPTIONS", q);
  smtpf_out_cstr(&o, "Encapsulated: null-body=0\r\n\r\n");
  return o.n;
}

/* A word for a URL: other characters are left out, and what is too long. */
static void word(smtpf_out *o, smtpf_str s)
{
  for (size_t i = 0; i < s.n && i < 64; i++)
    if (smtpf_is_alnum(s.p[i]) || s.p[i] == '-' || s.p[i] == '.' || s.p[i] == ':')
      smtpf_out_char(o, s.p[i]);
}

size_t smtpf_icap_write_respmod(char *room, const smtpf_icap_request *q)
{
  char request_room[160], response_room[160];
  smtpf_out o, request, response;
  smtpf_out_init(&request, request_room, sizeof request_room);
  smtpf_out_cstr(&request, "GET http://smtp.invalid/");
  word(&request, q->session);
  smtpf_out_cstr(&request, " HTTP/1.1\r\nHost: smtp.invalid\r\n\r\n");
  smtpf_out_init(&response, response_room, sizeof response_room);
  smtpf_out_cstr(&response, "HTTP/1.1 200 OK\r\nContent-Type: message/rfc822\r\n");
  if (q->size >= 0) {
    smtpf_out_cstr(&response, "Content-Length: ");
    smtpf_out_int(&response, q->size);
    smtpf_out_cstr(&response, "\r\n");
  }
  smtpf_out_cstr(&response, "\r\n");

  smtpf_out_init(&o, room, SMTPF_ICAP_REQUEST);
  begin(&o, "RESPMOD", q);
  smtpf_out_cstr(&o, "Allow: 204\r\n");
  if (q->preview >= 0) {
    smtpf_out_cstr(&o, "Preview: ");
    smtpf_out_int(&o, q->preview);
    smtpf_out_cstr(&o, "\r\n");
  }
  if (q->client.n) {
    smtpf_out_cstr(&o, "X-Client-IP: ");
    word(&o, q->client);
    smtpf_out_cstr(&o, "\r\n");
  }
  smtpf_out_cstr(&o, "Encapsulated: req-hdr=0, res-hdr=");
  smtpf_out_uint(&o, request.n);
  smtpf_out_cstr(&o, ", res-body=");
  smtpf_out_uint(&o, request.n + response.n);
  smtpf_out_cstr(&o, "\r\n\r\n");
  smtpf_out_str(&o, smtpf_out_done(&request));
  smtpf_out_str(&o, smtpf_out_done(&response));
  return o.n;
}
