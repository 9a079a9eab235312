/* SPDX-License-Identifier: MIT
 *
 * libcurl on a driver: its sockets are watched there, its time is a timer there. It is told to do the one thing we
 * want: HTTP/1.1 to a literal address. No resolver (the only address it may connect to is the one that was parsed), no
 * proxy, no redirect, no cookie, no other protocol, no signal, nothing from the environment.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <smtpfilter/version.h>

#include "base/mem.h"
#include "base/str.h"
#include "pool.h"
#include "rspamd.h"

struct smtpf_rspamd_http {
  smtpf_driver *driver;
  const smtpf_rspamd_http_user *calls;
  void *owner;
  CURLM *multi;
  smtpf_op timer;
};

struct smtpf_rspamd_transfer {
  smtpf_rspamd_http *http;
  void *user;
  CURL *easy;
  const struct sockaddr *address;
  size_t address_n;
  struct curl_slist fields[3]; /* before those of the request: what libcurl is not to add, what it is to add */
  int64_t size;                /* of what is sent; -1: not known */
  int64_t passed;              /* bytes of it that libcurl has */
  int ended;                   /* all of it */
  int fd;                      /* what it goes through; -1: not known */
  int paused;
  int early;    /* an answer came before */
  int too_much; /* an answer too long */
};

/* ---- on the driver ---------------------------------------------------------------------------------------------- */

static void finish(smtpf_rspamd_http *http);

static void on_ready(void *user, int fd, unsigned events)
{
  smtpf_rspamd_http *http = user;
  int running;
  curl_multi_socket_action(
      http->multi, fd,
      (events & SMTPF_FD_READ ? CURL_CSELECT_IN : 0) | (events & SMTPF_FD_WRITE ? CURL_CSELECT_OUT : 0), &running);
  finish(http);
}

static void on_timer(void *user)
{
  smtpf_rspamd_http *http = user;
  int running;
  http->timer = 0;
  curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  finish(http);
}

/* Without memory for the watch nothing is seen, and deadlines end what waits. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket)
{
  smtpf_rspamd_http *http = user;
  void *t = NULL;
  (void)socket;
  if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t) == CURLE_OK && t)
    ((smtpf_rspamd_transfer *)t)->fd = what == CURL_POLL_REMOVE ? -1 : fd;
  (void)smtpf_driver_watch(http->driver, fd,
                           (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? SMTPF_FD_READ : 0u) |
                               (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? SMTPF_FD_WRITE : 0u),
                           on_ready, http);
  return 0;
}

static int on_time(CURLM *multi, long ms, void *user)
{
  smtpf_rspamd_http *http = user;
  (void)multi;
  if (http->timer)
    smtpf_driver_timer_cancel(http->driver, http->timer);
  http->timer = 0;
  if (ms >= 0)
    (void)smtpf_driver_timer(http->driver, ms, on_timer, http, &http->timer);
  return 0;
}

/* ---- inside libcurl --------------------------------------------------------------------------------------------- */

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
  const smtpf_rspamd_transfer *t = user;
  if (purpose != CURLSOCKTYPE_IPCXN || a->family != t->address->sa_family)
    return CURL_SOCKET_BAD;
  const void *address = (const char *)a + offsetof(struct curl_sockaddr, addr); /* may be longer than it says */
  if (a->family != AF_UNIX && (a->addrlen != t->address_n || memcmp(address, t->address, t->address_n) != 0))
    return CURL_SOCKET_BAD;
  return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
}

static size_t on_read(char *room, size_t size, size_t n, void *user)
{
  smtpf_rspamd_transfer *t = user;
  int more = 1;
  const size_t got = t->http->calls->read(t->user, room, size * n, &more);
  t->passed += (int64_t)got;
  t->ended = t->ended || (!got && !more) || t->passed == t->size;
  if (got || !more)
    return got;
  t->paused = 1;
  return CURL_READFUNC_PAUSE;
}

static size_t on_field(char *line, size_t size, size_t n, void *user)
{
  smtpf_rspamd_transfer *t = user;
  n *= size;
  if (n > 9 && memcmp(line, "HTTP/", 5) == 0) {
    const char *code = memchr(line, ' ', n - 1);
    if (code && code[1] == '2' && (!t->ended || smtpf_scan_fd_left(t->fd))) {
      t->early = 1;
      return 0; /* it cannot have judged the message */
    }
  }
  return n;
}

static size_t on_write(char *bytes, size_t size, size_t n, void *user)
{
  smtpf_rspamd_transfer *t = user;
  if (t->http->calls->write(t->user, bytes, size * n))
    return size * n;
  t->too_much = 1;
  return 0;
}

/* ---- how it ended ----------------------------------------------------------------------------------------------- */

static const char *cause_of(CURLcode code)
{
  switch (code) {
  case CURLE_COULDNT_CONNECT: return "refused";
  case CURLE_OPERATION_TIMEDOUT: return "timeout";
  case CURLE_OUT_OF_MEMORY: return "no-memory";
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_GOT_NOTHING:
  case CURLE_PARTIAL_FILE:
  case CURLE_SEND_FAIL_REWIND: return "closed";
  default: return "garbage";
  }
}

static void ended(smtpf_rspamd_transfer *t, CURLcode code)
{
  smtpf_rspamd_http *http = t->http;
  void *user = t->user;
  long status = 0, fresh = 1;
  const char *cause = code == CURLE_OK ? NULL : cause_of(code),
             *text = code == CURLE_OK ? "" : curl_easy_strerror(code);
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &fresh);
  if (t->early || t->too_much) {
    cause = "garbage";
    text = t->early ? "an answer before the message was complete" : "an answer that is too long";
  }
  /* CURLE_SEND_FAIL_REWIND: libcurl has noticed it, and would begin again on another connection. */
  const int stale = code == CURLE_SEND_FAIL_REWIND || (cause && !fresh && !status && strcmp(cause, "closed") == 0);
  smtpf_rspamd_transfer_close(t);
  http->calls->done(user, cause, text, status, cause && code != CURLE_OUT_OF_MEMORY && !stale, stale);
}

static void finish(smtpf_rspamd_http *http)
{
  CURLMsg *m;
  int left;
  while ((m = curl_multi_info_read(http->multi, &left))) {
    void *t = NULL;
    const CURLcode code = m->data.result;
    if (m->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
    ended(t, code);
  }
  http->calls->idle(http->owner);
}

/* ---- opening, closing ------------------------------------------------------------------------------------------- */

/* libcurl changes nothing in them. */
static void set_fields(smtpf_rspamd_transfer *t, void *rest)
{
  static char expect[] = "Expect:", type[] = "Content-Type:", chunked[] = "Transfer-Encoding: chunked";
  t->fields[0] = (struct curl_slist){expect, &t->fields[1]};
  t->fields[1] = (struct curl_slist){type, t->size < 0 ? &t->fields[2] : rest};
  t->fields[2] = (struct curl_slist){chunked, rest};
}

#define SET(t, option, value) (curl_easy_setopt((t)->easy, (option), (value)) == CURLE_OK)

static int set_up(smtpf_rspamd_transfer *t, const smtpf_rspamd_request *r)
{
  return SET(t, CURLOPT_PRIVATE, t) && SET(t, CURLOPT_NOSIGNAL, 1L) && SET(t, CURLOPT_URL, r->url) &&
#if LIBCURL_VERSION_NUM >= 0x075500
         SET(t, CURLOPT_PROTOCOLS_STR, "http") &&
#else
         SET(t, CURLOPT_PROTOCOLS, CURLPROTO_HTTP) &&
#endif
         SET(t, CURLOPT_PROXY, "") && SET(t, CURLOPT_NOPROXY, "*") && SET(t, CURLOPT_FOLLOWLOCATION, 0L) &&
         SET(t, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
         SET(t, CURLOPT_USERAGENT, "libsmtpfilter/" SMTPF_VERSION_STRING) &&
         (!r->unix_path || SET(t, CURLOPT_UNIX_SOCKET_PATH, r->unix_path)) &&
         SET(t, CURLOPT_OPENSOCKETFUNCTION, on_open) && SET(t, CURLOPT_OPENSOCKETDATA, t) &&
         SET(t, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_ms) && SET(t, CURLOPT_FRESH_CONNECT, (long)r->fresh) &&
         SET(t, CURLOPT_POST, 1L) && SET(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->size) &&
         SET(t, CURLOPT_HTTPHEADER, t->fields) && SET(t, CURLOPT_READFUNCTION, on_read) &&
         SET(t, CURLOPT_READDATA, t) && SET(t, CURLOPT_HEADERFUNCTION, on_field) && SET(t, CURLOPT_HEADERDATA, t) &&
         SET(t, CURLOPT_WRITEFUNCTION, on_write) && SET(t, CURLOPT_WRITEDATA, t);
}

int smtpf_rspamd_transfer_open(smtpf_rspamd_transfer **out, smtpf_rspamd_http *http, const smtpf_rspamd_request *r,
                               void *user)
{
  smtpf_rspamd_transfer *t = smtpf_mem_zalloc(smtpf_driver_mem(http->driver), sizeof *t);
  if (!t)
    return SMTPF_ENOMEM;
  t->http = http;
  t->user = user;
  t->address = r->address;
  t->address_n = r->address_n;
  t->size = r->size;
  t->ended = r->size == 0;
  t->fd = -1;
  set_fields(t, r->fields);
  t->easy = curl_easy_init();
  if (!t->easy || !set_up(t, r) || curl_multi_add_handle(http->multi, t->easy) != CURLM_OK) {
    if (t->easy)
      curl_easy_cleanup(t->easy);
    smtpf_mem_free(smtpf_driver_mem(http->driver), t);
    return SMTPF_ENOMEM;
  }
  *out = t;
  return SMTPF_OK;
}

void smtpf_rspamd_transfer_more(smtpf_rspamd_transfer *t)
{
  if (!t->paused)
    return;
  t->paused = 0;
  curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

void smtpf_rspamd_transfer_close(smtpf_rspamd_transfer *t)
{
  if (!t)
    return;
  curl_multi_remove_handle(t->http->multi, t->easy);
  curl_easy_cleanup(t->easy);
  smtpf_mem_free(smtpf_driver_mem(t->http->driver), t);
}

/* For the whole process, and never undone: the host may use libcurl too. */
static CURLcode library_result;

static void start_library(void)
{
  library_result = curl_global_init(CURL_GLOBAL_ALL);
}

int smtpf_rspamd_http_start(smtpf_rspamd_http **out, smtpf_driver *driver, const smtpf_rspamd_http_user *calls,
                            void *owner, size_t connections)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start_library);
  smtpf_rspamd_http *http = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *http);
  if (!http)
    return SMTPF_ENOMEM;
  *http = (smtpf_rspamd_http){driver, calls, owner, library_result == CURLE_OK ? curl_multi_init() : NULL, 0};
  if (!http->multi || curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
      curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) != CURLM_OK ||
      curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_time) != CURLM_OK ||
      curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) != CURLM_OK ||
      curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)connections) != CURLM_OK) {
    smtpf_rspamd_http_stop(http);
    return SMTPF_ENOMEM;
  }
  *out = http;
  return SMTPF_OK;
}

void smtpf_rspamd_http_stop(smtpf_rspamd_http *http)
{
  if (!http)
    return;
  if (http->multi)
    curl_multi_cleanup(http->multi);
  if (http->timer)
    smtpf_driver_timer_cancel(http->driver, http->timer);
  smtpf_mem_free(smtpf_driver_mem(http->driver), http);
}
