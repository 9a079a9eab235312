/* SPDX-License-Identifier: MIT */
#include "cast.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- hosts: the presets of examples/tools/replay_hosts.c, and a proxy whose client speaks PRDR ------------ */

#define BODY (SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_DELAY)
#define PROXY (BODY | SMTPF_CAN_QUARANTINE | SMTPF_CAN_REPORT_COMMIT)

const cast_host cast_hosts[] = {
    {"proxy", PROXY},
    {"proxy-prdr", PROXY | SMTPF_CAN_REPLY_PER_RCPT},
    {"milter", BODY | SMTPF_CAN_QUARANTINE | SMTPF_CAN_DROP_RCPT},
    {"policyd", SMTPF_CAN_DELAY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE},
    {"policyd-rcpt", SMTPF_CAN_DELAY},
    {"exim", BODY | SMTPF_CAN_DROP_RCPT},
    {"exim-prdr", BODY | SMTPF_CAN_DROP_RCPT | SMTPF_CAN_REPLY_PER_RCPT},
    {"opensmtpd", BODY},
    {"lmtp",
     PROXY | SMTPF_CAN_REPLY_PER_RCPT | SMTPF_CAN_DROP_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT},
    {"everything", 0x7ff},
    {"proxy, inline forward", PROXY | SMTPF_CAN_CUT_THROUGH},
};
const size_t cast_n_hosts = COUNT(cast_hosts);

/* ---- clients -------------------------------------------------------------------------------------------- */

#define SITE .backup_mx = SCOPE_BACKUP, .forwarders = SCOPE_FORWARDER
const cast_client cast_clients[] = {
    {"stranger", {SITE}},
    {"own", {SITE, .own = 1}},
    {"own, department", {SITE, .own = 1, .scopes = SCOPE_DEPARTMENT}},
    {"backup-mx", {SITE, .scopes = SCOPE_BACKUP}},
    {"forwarder", {SITE, .scopes = SCOPE_FORWARDER}},
    {"friend or list", {SITE, .scopes = SCOPE_FRIEND | SCOPE_LIST}},
    {"list, department", {SITE, .scopes = SCOPE_LIST | SCOPE_DEPARTMENT}},
    {"forwarder, open relay", {SITE, .scopes = SCOPE_FORWARDER | SCOPE_LIST, .open_relay = 1}},
    {"stranger, department", {SITE, .scopes = SCOPE_DEPARTMENT}},
    {"list, of another list", {SITE, .scopes = SCOPE_LIST, .other_list = SCOPE_LIST}},
};
const size_t cast_n_clients = COUNT(cast_clients);

/* ---- what is found -------------------------------------------------------------------------------------- */

#define FOUND(pos, fam, st, k, s, fl)                                                                                  \
  {                                                                                                                    \
    .check = "check", .code = "word", .position = (pos), .family = (fam), .stage = (st), .kind = (k), .score = (s),    \
    .flags = (fl)                                                                                                      \
  }
#define LIST(k, s, fl) FOUND(CHECK_LIST, SMTPF_FAMILY_LIST, SMTPF_CONNECT, k, s, fl)
#define SENDERS(k, s, fl) FOUND(CHECK_LIST, SMTPF_FAMILY_LIST, SMTPF_MAIL, k, s, fl)
#define SOURCE(k, s) FOUND(CHECK_LIST, SMTPF_FAMILY_LIST, SMTPF_EOM, k, s, 0)
#define GREY(k, fl) FOUND(CHECK_GREYLIST, SMTPF_FAMILY_GREYLIST, SMTPF_RCPT, k, 0, fl)
#define CLIENT(k, s, fl) FOUND(CHECK_CLIENT, SMTPF_FAMILY_CLIENT, SMTPF_CONNECT, k, s, fl)
#define RECIPIENT(k, fl) FOUND(CHECK_RECIPIENT, SMTPF_FAMILY_ENVELOPE, SMTPF_RCPT, k, 0, fl)
#define TARGET(st, k, fl) FOUND(CHECK_TARGET, SMTPF_FAMILY_CLIENT, st, k, 0, SMTPF_FINDING_ROUTE | (fl))
#define BOUNCE(fam, st, k, fl) FOUND(CHECK_BOUNCE, SMTPF_FAMILY_##fam, st, k, 0, fl)
#define CONTENT(k, s, fl) FOUND(CHECK_CONTENT, SMTPF_FAMILY_CONTENT, SMTPF_EOM, k, s, fl)
#define SCANNER(k, s, fl) FOUND(CHECK_SCANNER, SMTPF_FAMILY_CONTENT, SMTPF_EOM, k, s, fl)
#define HIT SMTPF_HIT
#define CLEAR SMTPF_CLEAR
#define UNKNOWN SMTPF_UNKNOWN

const cast_scene cast_envelope[] = {
    {"nothing", {{0}}},
    {"list 4.0", {LIST(HIT, 4000, 0)}},
    {"list 6.0", {LIST(HIT, 6000, 0)}},
    {"client 6.0", {CLIENT(HIT, 6000, 0)}},
    {"list 10.0", {LIST(HIT, 10000, 0)}},
    {"list clear -3.0", {LIST(CLEAR, -3000, 0)}},
    {"list unknown", {LIST(UNKNOWN, 0, 0)}},
    {"greylist", {GREY(HIT, SMTPF_FINDING_ELECTIVE)}},
    {"greylist unknown", {GREY(UNKNOWN, 0)}},
    {"client fact", {CLIENT(HIT, 0, SMTPF_FINDING_REFUSE)}},
    {"list fact", {LIST(HIT, 0, SMTPF_FINDING_REFUSE)}},
    {"no such mailbox", {RECIPIENT(HIT, SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO)}},
    {"no relaying", {RECIPIENT(HIT, SMTPF_FINDING_REFUSE)}},
    {"conduct, own too", {CLIENT(HIT, 0, SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO)}},
    {"two facts", {CLIENT(HIT, 1000, SMTPF_FINDING_REFUSE), RECIPIENT(HIT, SMTPF_FINDING_REFUSE)}},
    {"list 3.0, client 5.0", {LIST(HIT, 3000, 0), CLIENT(HIT, 5000, 0)}},
    {"directory down", {RECIPIENT(UNKNOWN, SMTPF_FINDING_DEFER)}},
    {"list 10.0, greylist", {LIST(HIT, 10000, 0), GREY(HIT, SMTPF_FINDING_ELECTIVE)}},
    {"list 10.0, of the connection, late",
     {FOUND(CHECK_LIST, SMTPF_FAMILY_LIST, SMTPF_RCPT, HIT, 10000, SMTPF_FINDING_CONNECTION)}},
    {"list of senders 10.0", {SENDERS(HIT, 10000, 0)}},
    {"list of senders unknown", {SENDERS(UNKNOWN, 0, 0)}},
    {"target refuses", {TARGET(SMTPF_RCPT, HIT, SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO)}},
    {"target refuses, not for own", {TARGET(SMTPF_RCPT, HIT, SMTPF_FINDING_REFUSE)}},
    {"target doubtful, greylist", {GREY(HIT, SMTPF_FINDING_ELECTIVE), TARGET(SMTPF_RCPT, HIT, 0)}},
    {"target unknown", {TARGET(SMTPF_RCPT, UNKNOWN, 0)}},
    {"no such mailbox, target refuses",
     {RECIPIENT(HIT, SMTPF_FINDING_REFUSE), TARGET(SMTPF_RCPT, HIT, SMTPF_FINDING_REFUSE)}},
    {"unsigned", {BOUNCE(BOUNCE, SMTPF_RCPT, HIT, SMTPF_FINDING_REFUSE)}},
    {"signature unknown", {BOUNCE(BOUNCE, SMTPF_RCPT, UNKNOWN, 0)}},
};
const size_t cast_n_envelope = COUNT(cast_envelope);

const cast_scene cast_message[] = {
    {"nothing", {{0}}},
    {"content 3.999", {CONTENT(HIT, 3999, 0)}},
    {"content 4.0", {CONTENT(HIT, 4000, 0)}},
    {"content 6.0", {CONTENT(HIT, 6000, 0)}},
    {"content 7.999", {CONTENT(HIT, 7999, 0)}},
    {"content 8.0", {CONTENT(HIT, 8000, 0)}},
    {"content 9.999", {CONTENT(HIT, 9999, 0)}},
    {"content 10.0", {CONTENT(HIT, 10000, 0)}},
    {"content 15.0", {CONTENT(HIT, 15000, 0)}},
    {"content clear -5.0", {CONTENT(CLEAR, -5000, 0)}},
    {"scanner unknown", {SCANNER(UNKNOWN, 0, 0)}},
    {"scanner elective", {SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE)}},
    {"content 10.0, scanner elective", {CONTENT(HIT, 10000, 0), SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE)}},
    {"content 4.0, scanner elective", {CONTENT(HIT, 4000, 0), SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE)}},
    {"scanner quarantine", {SCANNER(UNKNOWN, 0, SMTPF_FINDING_QUARANTINE)}},
    {"scanner tag", {SCANNER(UNKNOWN, 0, SMTPF_FINDING_TAG)}},
    {"content 4.0, scanner tag", {CONTENT(HIT, 4000, 0), SCANNER(UNKNOWN, 0, SMTPF_FINDING_TAG)}},
    {"content 10.0, scanner quarantine", {CONTENT(HIT, 10000, 0), SCANNER(UNKNOWN, 0, SMTPF_FINDING_QUARANTINE)}},
    {"scanner tag, then elective",
     {CONTENT(UNKNOWN, 0, SMTPF_FINDING_TAG), SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE)}},
    {"scanner quarantine, then elective",
     {CONTENT(UNKNOWN, 0, SMTPF_FINDING_QUARANTINE), SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE)}},
    {"own too: elective", {SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE | SMTPF_FINDING_OWN_TOO)}},
    {"own too: quarantine", {SCANNER(UNKNOWN, 0, SMTPF_FINDING_QUARANTINE | SMTPF_FINDING_OWN_TOO)}},
    {"own too: tag, content 15.0",
     {CONTENT(HIT, 15000, 0), SCANNER(UNKNOWN, 0, SMTPF_FINDING_TAG | SMTPF_FINDING_OWN_TOO)}},
    {"scanner asks again", {SCANNER(HIT, 1000, SMTPF_FINDING_ELECTIVE)}},
    {"two electives", {CONTENT(HIT, 0, SMTPF_FINDING_ELECTIVE), SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE)}},
    {"two answers missing", {CONTENT(UNKNOWN, 0, SMTPF_FINDING_DEFER), SCANNER(UNKNOWN, 0, SMTPF_FINDING_DEFER)}},
    {"content 5.0 twice", {CONTENT(HIT, 5000, 0), SCANNER(HIT, 5000, 0)}},
    {"answer missing", {CONTENT(UNKNOWN, 0, SMTPF_FINDING_DEFER)}},
    {"content 15.0, answer missing", {CONTENT(HIT, 15000, 0), SCANNER(UNKNOWN, 0, SMTPF_FINDING_DEFER)}},
    {"virus", {SCANNER(HIT, 0, SMTPF_FINDING_REFUSE)}},
    {"source 10.0", {SOURCE(HIT, 10000)}},
    {"source unknown", {SOURCE(UNKNOWN, 0)}},
    {"target refuses it", {TARGET(SMTPF_EOM, HIT, SMTPF_FINDING_REFUSE)}},
    {"target refuses it, content 4.0", {CONTENT(HIT, 4000, 0), TARGET(SMTPF_EOM, HIT, SMTPF_FINDING_REFUSE)}},
    {"target refuses it, scanner elective",
     {SCANNER(UNKNOWN, 0, SMTPF_FINDING_ELECTIVE), TARGET(SMTPF_EOM, HIT, SMTPF_FINDING_REFUSE)}},
    {"target refuses it, asked again",
     {SCANNER(HIT, 1000, SMTPF_FINDING_ELECTIVE),
      TARGET(SMTPF_DATA, HIT, SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO)}},
    {"target doubtful", {TARGET(SMTPF_EOM, HIT, 0)}},
    {"unproven", {BOUNCE(PROOF, SMTPF_EOM, HIT, SMTPF_FINDING_REFUSE)}},
    {"unproven 5.0, proof unknown",
     {FOUND(CHECK_BOUNCE, SMTPF_FAMILY_PROOF, SMTPF_EOM, HIT, 5000, 0), BOUNCE(PROOF, SMTPF_EOM, UNKNOWN, 0)}},
};
const size_t cast_n_message = COUNT(cast_message);

/* ---- profiles ------------------------------------------------------------------------------------------- */

static const uint16_t half[CHECKS] = {100, 100, 100, 100, 50, 100, 100, 100},
                      deaf[CHECKS] = {100, 0, 0, 100, 100, 0, 100, 100}, silent[CHECKS] = {0}, mute[CHECKS] = {0};

#define OFF SMTPF_SCORE_OFF
#define WISHES(lists, content, grey)                                                                                   \
  .reject_lists = (lists), .reject_content = (content), .greylist = (grey), .fallback = SMTPF_FALLBACK_QUARANTINE
#define ASKS WISHES(1, 1, 1)
#define MARKS .quarantine = 6000, .tag = 4000
#define NAMED(s) .name = {s, sizeof s - 1}
#define AT(where, f) .forward = {where, sizeof where - 1}, .route = SMTPF_WISH_##f
#define TO(f) AT(elsewhere, f)
static const char elsewhere[] = "me@elsewhere.example", other[] = "me@other.example", s1[] = "srs1@example.net",
                  s2[] = "srs2@example.net";
#define WITH(s) .forward_sender = {s, sizeof s - 1}

const smtpf_profile cast_profiles[] = {
    /* the six of the promise */
    {NAMED("plain"), ASKS, MARKS, .reject = 10000, .discard = OFF},
    {NAMED("no-reject"), ASKS, MARKS, .reject = OFF, .discard = OFF},
    {NAMED("discard"), ASKS, MARKS, .reject = 10000, .discard = 15000},
    {NAMED("restricted"), ASKS, MARKS, .reject = 10000, .discard = OFF, .only_from = SCOPE_DEPARTMENT},
    {NAMED("forward"), ASKS, MARKS, .reject = 10000, .discard = OFF, TO(FORWARD)},
    {NAMED("forward-nonspam"), ASKS, MARKS, .reject = 10000, .discard = OFF, TO(FORWARD_NONSPAM)},
    /* what else may differ */
    {NAMED("discard 8"), ASKS, MARKS, .reject = 10000, .discard = 8000},
    {NAMED("no refusal by lists"), WISHES(0, 1, 1), MARKS, .reject = 10000, .discard = OFF},
    {NAMED("trusts a friend"), ASKS, MARKS, .reject = 10000, .discard = OFF, .forwarders = SCOPE_FRIEND},
    {NAMED("subscribed, discard"), ASKS, MARKS, .reject = 10000, .discard = 15000, .lists = SCOPE_LIST},
    {NAMED("no quarantine"), ASKS, .quarantine = OFF, .tag = 4000, .reject = 10000, .discard = OFF},
    {NAMED("forward as srs1"), ASKS, MARKS, .reject = 10000, .discard = OFF, TO(FORWARD), WITH(s1)},
    {NAMED("nonspam as srs1"), ASKS, MARKS, .reject = 10000, .discard = OFF, TO(FORWARD_NONSPAM), WITH(s1)},
    {NAMED("forward as srs2"), ASKS, MARKS, .reject = OFF, .discard = OFF, TO(FORWARD), WITH(s2)},
    {NAMED("nothing"), .quarantine = OFF, .tag = OFF, .reject = OFF, .discard = OFF},
    {NAMED("no refusal by content"), WISHES(1, 0, 1), MARKS, .reject = 10000, .discard = OFF},
    {NAMED("no greylist"), WISHES(1, 1, 0), MARKS, .reject = 10000, .discard = OFF},
    {NAMED("half of content"), ASKS, MARKS, .reject = 10000, .discard = OFF, .weights = half},
    {NAMED("deaf to lists"), ASKS, MARKS, .reject = 10000, .discard = OFF, .weights = deaf},
    {NAMED("deaf to all"), ASKS, MARKS, .reject = 10000, .discard = 15000, .weights = silent},
    {NAMED("reject or discard"), ASKS, MARKS, .reject = 10000, .discard = 10000},
    {NAMED("discard, no reject"), ASKS, MARKS, .reject = OFF, .discard = 10000},
    {NAMED("reject only"), ASKS, .quarantine = OFF, .tag = OFF, .reject = 10000, .discard = OFF},
    {NAMED("late tag"), ASKS, .quarantine = OFF, .tag = 10000, .reject = OFF, .discard = OFF},
    {NAMED("bounces pass"), ASKS, MARKS, .reject = 10000, .discard = OFF, .only_from = SCOPE_DEPARTMENT,
     .null_sender = 1},
    {NAMED("subscribed, no content"), WISHES(1, 0, 1), MARKS, .reject = 10000, .discard = OFF, .lists = SCOPE_LIST},
    {NAMED("late quarantine"), WISHES(0, 1, 1), .quarantine = 12000, .tag = 4000, .reject = 10000, .discard = OFF},
    {NAMED("forward or mailbox"), ASKS, MARKS, .reject = 10000, .discard = OFF, TO(FORWARD),
     .forward_failed = SMTPF_FAILED_MAILBOX},
    {NAMED("nonspam or mailbox"), ASKS, MARKS, .reject = 10000, .discard = 15000, TO(FORWARD_NONSPAM),
     .forward_failed = SMTPF_FAILED_MAILBOX, .bounces = SMTPF_BOUNCES_PROVEN},
    {NAMED("nonspam, deaf to all"), ASKS, MARKS, .reject = 10000, .discard = OFF, TO(FORWARD_NONSPAM), .weights = mute,
     .bounces = SMTPF_BOUNCES_SIGNED},
    {NAMED("forward elsewhere"), ASKS, MARKS, .reject = 10000, .discard = OFF, AT(other, FORWARD),
     .bounces = SMTPF_BOUNCES_SIGNED},
    {NAMED("proven bounces"), ASKS, .quarantine = OFF, .tag = 4000, .reject = 10000, .discard = OFF,
     .bounces = SMTPF_BOUNCES_PROVEN},
};
const size_t cast_n_profiles = COUNT(cast_profiles);

/* ---- together ------------------------------------------------------------------------------------------- */

smtpf_will cast_will(const cast_client *client, const cast_variant *v, int null_sender)
{
  return (smtpf_will){.profile = v->profile,
                      .origin = (uint8_t)smtpf_origin_of(&client->standing, v->profile),
                      .restricted = (uint8_t)(smtpf_origin_restricted(&client->standing, v->profile, null_sender) != 0),
                      .entry = v->entry,
                      .budget = v->budget,
                      .bounces = null_sender ? v->profile->bounces : SMTPF_BOUNCES_ALL,
                      .sender = v->profile->forward_sender};
}

smtpf_view cast_view(const cast_scene *a, const cast_scene *b, const smtpf_evidence *room[])
{
  smtpf_view view = {room, 0};
  for (size_t i = 0; i < FINDINGS && a && a->found[i].check; i++)
    room[view.n++] = &a->found[i];
  for (size_t i = 0; i < FINDINGS && b && b->found[i].check; i++)
    room[view.n++] = &b->found[i];
  return view;
}
