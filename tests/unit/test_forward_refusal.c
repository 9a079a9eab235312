/* SPDX-License-Identifier: MIT
 *
 * Why a forward was refused, by what was said: words as servers write them, and, where the folder of shared data is
 * there, those of real bounces.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <smtpfilter/ext/mail.h>
#include <smtpfilter/forward.h>

#include "base/str.h"
#include "port_run.h"
#include "suites.h"

enum { R = SMTPF_FORWARD_RECIPIENT, S = SMTPF_FORWARD_SPAM, P = SMTPF_FORWARD_POLICY, O = SMTPF_FORWARD_OTHER };

static const struct {
  int code;
  const char *enhanced, *text;
  int expected;
} rows[] = {
    {550, "5.1.1", "<bob@t.example>: Recipient address rejected: User unknown in virtual mailbox table", R},
    {550, "", "No such user here", R},
    {550, "5.7.1", "<bob@t.example>... User unknown", R},
    {550, "", "Requested action not taken: mailbox unavailable", R},
    {550, "5.2.1", "The email account that you tried to reach is disabled", R},
    {550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", R},
    {550, "5.4.1", "[bob@t.example]: Recipient address rejected: Access denied", R},
    {550, "5.1.351", "Remote server returned unknown recipient", R},
    {551, "", "not our customer", R},
    {551, "", "", R},
    {553, "", "", R},
    {556, "", "", R},
    {556, "5.1.10", "domain does not take mail", R},
    {550, "5.4.4", "Invalid domain", R},
    {550, "5.1.6", "moved", R},
    {550, "5.1.3", "hm", R},
    {554, "", "delivery error: dd This user doesn't have a t.example account", R},
    {550, "5.7.1", "Message content rejected, UBE, id=00000", S},
    {554, "5.7.1", "This message scored as SPAM", S},
    {552, "5.7.0", "This message was blocked because its content presents a potential security issue", S},
    {550, "", "Virus Detected; Content Rejected", S},
    {550, "5.2.0", "Message Filtered", S},
    {554, "", "we take no bulk mail", S},
    {550, "5.7.1", "Service unavailable; client [192.0.2.1] blocked using zen.spamhaus.org", P},
    {554, "5.7.1", "<mx[192.0.2.1]>: Client host rejected: Access denied", P},
    {550, "5.7.26", "Unauthenticated email from t.example is not accepted due to domain's DMARC policy", P},
    {550, "5.1.0", "192.0.2.1 is not allowed to send from <t.example> per its SPF Record", P},
    {550, "5.1.8", "Domain of sender address ann@origin.example does not exist", P},
    {501, "5.1.8", "Sender address rejected", P},
    {550, "5.1.7", "who", P},
    {554, "5.7.1", "<bob@t.example>: Relay access denied", P},
    {550, "5.7.606", "Access denied, banned sending IP [192.0.2.1]", P},
    {550, "5.7.1", "Your message was rejected due to", P},
    {550, "", "Denied by policy", P},
    {554, "", "Host network not allowed", P},
    {550, "5.2.2", "<bob@t.example>... Mailbox Full", O},
    {552, "", "Over quota", O},
    {552, "5.3.4", "Message size exceeds fixed limit", O},
    {554, "5.4.6", "Too many hops", O},
    {550, "", "Rejected", O},
    {554, "", "Transaction failed", O},
    {550, "", "", O},
    {550, "", "the warbler sings, disliked by antispammers", O}, /* words inside words */
    {450, "4.1.1", "User unknown", O},
    {250, "", "User unknown", O},
    {0, "", "", O},
    {600, "5.1.1", "User unknown", O},
};

START_TEST(words_count_before_codes)
{
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const int got = smtpf_forward_classify(rows[i].code, smtpf_str_of(rows[i].enhanced), smtpf_str_of(rows[i].text));
    ck_assert_msg(got == rows[i].expected, "%d %s %s: %d, not %d", rows[i].code, rows[i].enhanced, rows[i].text, got,
                  rows[i].expected);
  }
}
END_TEST

START_TEST(any_bytes_will_do)
{
  uint64_t state = 7;
  char text[3000];
  for (int i = 0; i < 2000; i++) {
    const size_t n = next_random(&state) % sizeof text;
    for (size_t k = 0; k < n; k++)
      text[k] = (char)(next_random(&state) >> 17);
    const int got =
        smtpf_forward_classify((int)(next_random(&state) % 700), (smtpf_str){text, n / 300}, (smtpf_str){text, n});
    ck_assert_int_ge(got, R);
    ck_assert_int_le(got, O);
  }
}
END_TEST

/* ---- real ones ---- */

static int seen[5], total;

static int three_digits(const char *p)
{
  for (int i = 0; i < 3; i++)
    if (!smtpf_is_digit(p[i]))
      return 0;
  return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

/* `Diagnostic-Code: smtp; 550 5.1.1 words`: what the status code says where it says it clearly must come out. */
static void look(const char *line)
{
  static const struct {
    const char *enhanced;
    int expected;
  } clear[] = {{"5.1.1", R}, {"5.2.1", R}, {"5.2.2", O}, {"5.2.3", O}, {"5.1.8", P}, {"5.7.26", P}, {"5.7.606", P}};
  char enhanced[16] = "";
  const char *p = strchr(line, ';');
  while (p && (*++p == ' '))
    ;
  const int code = p ? three_digits(p) : 0;
  if (code < 500)
    return;
  size_t n = 0;
  for (const char *q = p + 4; n < sizeof enhanced - 1 && (smtpf_is_digit(*q) || *q == '.'); q++)
    enhanced[n++] = *q;
  enhanced[n] = '\0';
  const int got = smtpf_forward_classify(code, smtpf_str_of(enhanced), smtpf_str_of(p + 4 + n));
  seen[got]++;
  total++;
  for (size_t i = 0; i < sizeof clear / sizeof *clear; i++)
    ck_assert_msg(strcmp(clear[i].enhanced, enhanced) != 0 || got == clear[i].expected, "%d: %s", got, line);
}

static void read_bounce(const char *path)
{
  char line[4096];
  FILE *f = fopen(path, "rb");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "Diagnostic-Code:", 16) == 0) {
      line[strcspn(line, "\r\n")] = '\0';
      look(line);
    }
  if (f)
    (void)fclose(f);
}

/* Every file below a folder, at most a few thousand. */
static void walk(const char *folder, int depth)
{
  DIR *d = opendir(folder);
  for (struct dirent *e; d && depth < 5 && (e = readdir(d));) {
    char path[2048];
    struct stat st;
    if (e->d_name[0] == '.')
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
      walk(path, depth + 1);
    else
      read_bounce(path);
  }
  if (d)
    (void)closedir(d);
}

START_TEST(real_bounces_are_told_apart)
{
  const char *shared = getenv("SMTPF_SHARED"), *root = getenv("srcdir");
  char folder[1024];
  if (shared)
    snprintf(folder, sizeof folder, "%s/data/corpus-dsn-sisimai", shared);
  else
    snprintf(folder, sizeof folder, "%s/../shared/data/corpus-dsn-sisimai", root ? root : ".");
  walk(folder, 0);
  if (!total) {
    printf("SKIP no bounces in %s\n", folder);
    return;
  }
  printf("%d refusals: recipient %d, spam %d, policy %d, other %d\n", total, seen[R], seen[S], seen[P], seen[O]);
  ck_assert_int_gt(total, 50);
  ck_assert_int_gt(seen[R], seen[O]);
  ck_assert(seen[S] && seen[P]);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("refusal");
  const TTest *const tests[] = {words_count_before_codes, any_bytes_will_do, real_bounces_are_told_apart, NULL};
  add_case(s, "refusal", tests);
  return port_run(s);
}
