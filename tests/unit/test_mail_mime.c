/* SPDX-License-Identifier: MIT
 *
 * The walker: events as text, the same for every way to cut; limits; and what HTML says.
 */
#include "mail/mime.h"

#include "mail/text.h"
#include "suites.h"

/* `(0 text/plain` a part begins, `"text"` its data, `)0` it ends, `!0:4` a defect, `~text~` outside. */
struct log {
  char room[16384];
  smtpf_out o;
};

static void on_begin(void *user, const smtpf_mime_part *p)
{
  struct log *log = user;
  smtpf_out_char(&log->o, '(');
  smtpf_out_uint(&log->o, p->index);
  smtpf_out_char(&log->o, ' ');
  smtpf_out_str(&log->o, p->type);
  if (p->filename.n || p->name.n) {
    smtpf_out_char(&log->o, ' ');
    smtpf_out_str(&log->o, p->filename.n ? p->filename : p->name);
  }
}

static void on_data(void *user, const smtpf_mime_part *p, smtpf_str piece)
{
  struct log *log = user;
  MUST(p->kind == SMTPF_MIME_LEAF && piece.n > 0);
  smtpf_out_char(&log->o, '"');
  smtpf_out_str(&log->o, piece);
  smtpf_out_char(&log->o, '"');
}

static void on_outside(void *user, uint32_t part, int where, smtpf_str piece)
{
  struct log *log = user;
  MUST(part < 1000 && where >= SMTPF_MIME_PREAMBLE && where <= SMTPF_MIME_BEYOND);
  smtpf_out_char(&log->o, '~');
  smtpf_out_str(&log->o, piece);
  smtpf_out_char(&log->o, '~');
}

static void on_end(void *user, uint32_t part, uint64_t offset)
{
  struct log *log = user;
  MUST(offset < 100000);
  smtpf_out_char(&log->o, ')');
  smtpf_out_uint(&log->o, part);
}

static void on_defect(void *user, uint32_t part, int defect, uint64_t offset)
{
  struct log *log = user;
  int bit = 0;
  MUST(offset < 100000 && defect > 0);
  while (defect >> bit != 1)
    bit++;
  smtpf_out_char(&log->o, '!');
  smtpf_out_uint(&log->o, part);
  smtpf_out_char(&log->o, ':');
  smtpf_out_uint(&log->o, (uint64_t)bit);
}

static smtpf_str walk(struct log *log, smtpf_str text, size_t piece, const smtpf_mime_limits *limits)
{
  const smtpf_mime_handler handler = {NULL, on_begin, on_data, on_outside, on_end, on_defect};
  smtpf_mime m;
  void *room = malloc(smtpf_mime_room(limits ? limits : &smtpf_mime_limits_default));
  MUST(room);
  smtpf_out_init(&log->o, log->room, sizeof log->room);
  MUST(smtpf_mime_init(&m, limits, room, &handler, log) == SMTPF_OK);
  for (size_t at = 0, n; at < text.n; at += n) {
    n = text.n - at < piece ? text.n - at : piece;
    char *exact = malloc(n);
    MUST(exact);
    memcpy(exact, text.p + at, n);
    smtpf_mime_feed(&m, exact, n);
    free(exact);
  }
  smtpf_mime_finish(&m);
  MUST(m.bytes == text.n && !log->o.full);
  free(room);
  return smtpf_out_done(&log->o);
}

static struct log log_;

#define WALKS_IN(limits, text, want)                                                                                   \
  do {                                                                                                                 \
    for (size_t piece_ = 1; piece_ <= sizeof(text); piece_++)                                                          \
      ASSERT_STR(walk(&log_, S(text), piece_, limits), want);                                                          \
  } while (0)
#define WALKS(text, want) WALKS_IN(NULL, text, want)

START_TEST(leaves)
{
  WALKS("", "(0 text/plain)0");
  WALKS("\r\n", "(0 text/plain)0");
  WALKS("A: b\r\n\r\nbody\r\n", "(0 text/plain\"body\r\n\")0");
  WALKS("Content-Type: Text/HTML; charset=x\n\n<a>", "(0 text/html\"<a>\")0");
  WALKS("Content-Transfer-Encoding: BASE64\n\nZm9v\nYmFy\n", "(0 text/plain\"foobar\")0");
  WALKS("Content-Transfer-Encoding: quoted-printable\n\na=3D=\nb \n", "(0 text/plain\"a=b\n\")0");
  WALKS("Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n#0V%T\n`\nend\n", "(0 text/plain\"Cat\")0");
  WALKS("Content-Transfer-Encoding: rot13\n\nabc", "!0:15(0 text/plain\"abc\")0");
  WALKS("Content-Transfer-Encoding: base64\n\nZm9v!", "(0 text/plain\"foo\"!0:17)0");
  WALKS("Content-Type: nothing\n\n", "!0:13(0 text/plain)0");
  WALKS("Content-Type: a/b\nContent-Type: c/d\n\n", "!0:12(0 a/b)0");
  WALKS("no field\nA: b\n\n\0", "!0:11(0 text/plain\"\0\"!0:18)0");
  WALKS("Content-Disposition: attachment; filename*=utf-8''caf%C3%A9.exe\n\n", "(0 text/plain caf\xc3\xa9.exe)0");
}
END_TEST

#define MIXED "Content-Type: multipart/mixed; boundary=b\n\n"

START_TEST(multiparts)
{
  WALKS(MIXED "pre\n--b\n\none\n--b\nContent-Type: x/y\n\ntwo\n--b--\nepi\n",
        "(0 multipart/mixed~pre~(1 text/plain\"one\")1(2 x/y\"two\")2~epi\n~)0");
  WALKS("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n\r\n--b--\r\n",
        "(0 multipart/mixed(1 text/plain\"one\r\n\")1)0");
  WALKS(MIXED "--b  \n\na\r\n--b-- x\n", "(0 multipart/mixed(1 text/plain\"a\")1)0");
  WALKS(MIXED "--b\n\n--bb\n--b-\n-b\n --b\n--b--", "(0 multipart/mixed(1 text/plain\"--bb\n--b-\n-b\n --b\")1)0");
  WALKS(MIXED "--b\n--b\n\n--b--", "(0 multipart/mixed(1 text/plain)1(2 text/plain)2)0");
  WALKS(MIXED "--b\n\na\rb\r\r\n--b--", "(0 multipart/mixed(1 text/plain\"a\rb\r\")1)0");
  WALKS(MIXED "--b\nContent-Type: multipart/alternative; boundary=\"c d\"\n\n--c d\n\nx\n--c d--\n\ne\n--b--\n",
        "(0 multipart/mixed(1 multipart/alternative(2 text/plain\"x\")2~\ne~)1)0");
  /* The same boundary within itself: the innermost that is open takes it. */
  WALKS(MIXED "--b\n" MIXED "--b\n\nx\n--b--\n--b\n\ny\n--b--\n",
        "(0 multipart/mixed(1 multipart/mixed(2 text/plain\"x\")2)1(3 text/plain\"y\")3)0");
  /* One boundary begins another. */
  WALKS(MIXED "--b\nContent-Type: multipart/x; boundary=b--\n\n--b--\n\nx\n--b----\n--b--\n",
        "(0 multipart/mixed(1 multipart/x(2 text/plain\"x\")2)1)0");
}
END_TEST

START_TEST(multiparts_odd)
{
  WALKS(MIXED "--b\n\none\n", "(0 multipart/mixed(1 text/plain\"one\n\")1!0:0)0");
  WALKS(MIXED "only\n", "(0 multipart/mixed~only\n~!0:1)0");
  WALKS("Content-Type: multipart/mixed\n\n--b\n", "!0:2(0 multipart/mixed\"--b\n\")0");
  WALKS(MIXED "--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n--b--\n",
        "(0 multipart/mixed(1 multipart/x(2 text/plain\"x\")2!1:0)1)0");
  WALKS("Content-Type: multipart/mixed; boundary=b\n--b\n\nx\n--b--\n",
        "!0:19(0 multipart/mixed(1 text/plain\"x\")1)0");
  WALKS(MIXED "--b\n\nx\n--b--\n--b\n\ny\n", "(0 multipart/mixed(1 text/plain\"x\")1~--b\n\ny\n~)0");
  WALKS("Content-Transfer-Encoding: base64\n" MIXED "--b\n\nx\n--b--", "!0:16(0 multipart/mixed(1 text/plain\"x\")1)0");
  WALKS("Content-Type: multipart/mixed; boundary="
        "0123456789012345678901234567890123456789012345678901234567890123456789x\n\n--"
        "0123456789012345678901234567890123456789012345678901234567890123456789x\n\nx",
        "!0:3(0 multipart/mixed(1 text/plain\"x\")1!0:0)0");
}
END_TEST

START_TEST(messages)
{
  WALKS("Content-Type: message/rfc822\n\nSubject: x\n\nbody", "(0 message/rfc822(1 text/plain\"body\")1)0");
  WALKS("Content-Type: message/global\n\n", "(0 message/global(1 text/plain)1)0");
  WALKS("Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\nm\n--b\nContent-Type: text/plain\n\n"
        "t\n--b\n\n--b--",
        "(0 multipart/digest(1 message/rfc822(2 text/plain\"m\")2)1(3 text/plain\"t\")3(4 message/rfc822(5 "
        "text/plain)5)4)0");
  WALKS("Content-Type: multipart/digest; boundary=b\n\n--b\n--b--",
        "(0 multipart/digest(1 message/rfc822(2 text/plain)2)1)0");
  WALKS("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYg==\n",
        "!0:16(0 message/rfc822\"A: b\")0");
}
END_TEST

static const smtpf_mime_limits tight = {
    .depth = 1, .parts = 3, .header = 80, .field = 60, .text = 30, .boundary = 70, .piece = 512};

START_TEST(limits)
{
  WALKS_IN(&tight, MIXED "--b\n" MIXED "--b\n\nx\n--b--\n",
           "(0 multipart/mixed!1:4(1 multipart/mixed)1(2 text/plain\"x\")2)0");
  WALKS_IN(&tight, MIXED "--b\n\n1\n--b\n\n2\n--b\n\n3\n--b--\n",
           "(0 multipart/mixed(1 text/plain\"1\")1(2 text/plain\"2\")2!0:5~\n3\n--b--\n~)0");
  WALKS_IN(&tight, "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n",
           "(0 message/rfc822!1:4(1 message/rfc822\"A: b\n\")1)0");
  WALKS_IN(&tight, "A: 0123456789012345678901234567890123456789012345678901234567890123456789\nB: 01234567890\n\n",
           "!0:7!0:6(0 text/plain)0");
  WALKS_IN(&tight, "Content-Type: a/b; name=0123456789012345678901234567890123456789\n\n",
           "!0:7!0:8(0 a/b 012345678901234567890123456)0");
  smtpf_mime m;
  const smtpf_mime_handler none = {0};
  smtpf_mime_limits small = tight;
  small.piece = 1;
  ck_assert_int_eq(smtpf_mime_init(&m, &small, &small, &none, NULL), SMTPF_EINVAL);
  small = tight;
  small.boundary = 69;
  ck_assert_int_eq(smtpf_mime_init(&m, &small, &small, &none, NULL), SMTPF_EINVAL);
}
END_TEST

/* Pieces end where they are full, wherever the message was cut. */
START_TEST(pieces)
{
  char text[3000] = "\n";
  for (size_t i = 1; i < sizeof text; i++)
    text[i] = i % 77 ? 'x' : '\n';
  static struct log other;
  smtpf_str whole = walk(&log_, (smtpf_str){text, sizeof text}, sizeof text, &tight);
  for (size_t piece = 1; piece < 700; piece += 11) {
    smtpf_str cut = walk(&other, (smtpf_str){text, sizeof text}, piece, &tight);
    ck_assert(cut.n == whole.n && memcmp(cut.p, whole.p, whole.n) == 0);
  }
  size_t quotes = 0;
  for (size_t i = 0; i < whole.n; i++)
    quotes += whole.p[i] == '"';
  ck_assert_uint_eq(quotes, 2 * 6);
}
END_TEST

static smtpf_str said(smtpf_str type, int charset, smtpf_str in, size_t piece)
{
  static char all[1024];
  smtpf_text t;
  size_t written = 0;
  smtpf_text_init(&t, type, charset);
  for (size_t at = 0, n; at <= in.n; at += n ? n : 1) {
    n = in.n - at < piece ? in.n - at : piece;
    char *from = malloc(n + 1), *to = malloc(SMTPF_TEXT_ROOM(n));
    MUST(from && to);
    if (n)
      memcpy(from, in.p + at, n);
    const size_t out = n ? smtpf_text_feed(&t, from, n, to) : smtpf_text_finish(&t, to);
    MUST(out <= SMTPF_TEXT_ROOM(n) && written + out <= sizeof all);
    memcpy(all + written, to, out);
    written += out;
    free(from);
    free(to);
  }
  return (smtpf_str){all, written};
}

#define HTML(in, want)                                                                                                 \
  do {                                                                                                                 \
    for (size_t piece_ = 1; piece_ <= sizeof(in); piece_++)                                                            \
      ASSERT_STR(said(S("text/html"), smtpf_charset_named(S("iso-8859-1")), S(in), piece_), want);                     \
  } while (0)

START_TEST(html)
{
  HTML("plain  text\n here", "plain text here");
  HTML("<html><head><title>T</title></head><body>one<br>two <b>th</b>ree</body></html>", "T\none\ntwo three");
  HTML("V<!-- x > y -->I<b></b>A<font size=1>G</font>RA", "VIAGRA");
  HTML("a<script>var x = '<b>no</b>';</script>b<STYLE>p{}</STYLE >c", "abc");
  HTML("a<a href=\"x>y\" title='>'>link</a>", "alink");
  HTML("&lt;&amp;&gt; &#65;&#x42;&nbsp;&euro;&#150;", "<&> AB \xe2\x82\xac\xe2\x80\x93");
  HTML("a & b &unknown; &# &#xg; 1 < 2 &", "a & b &unknown; &# &#xg; 1 < 2 &");
  HTML("caf\xe9&#0;&#xd800;&#99999999;", "caf\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  HTML("<!DOCTYPE html><p>x</p><!-->y<", "x\ny<");
  HTML("a<div>b", "a\nb");
  HTML("open <b", "open");
  ASSERT_STR(said(S("text/plain"), SMTPF_CHARSET_UTF8, S("<b>\xff"), 2), "<b>\xef\xbf\xbd");
}
END_TEST

Suite *smtpf_suite_mail_mime(void)
{
  Suite *s = suite_create("mime");
  const TTest *const parts[] = {leaves, multiparts, multiparts_odd, messages, limits, pieces, NULL};
  const TTest *const text[] = {html, NULL};
  add_case(s, "parts", parts);
  add_case(s, "text", text);
  return s;
}
