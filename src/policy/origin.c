/* SPDX-License-Identifier: MIT */
#include "origin.h"

int smtpf_origin_of(const smtpf_standing *client, const smtpf_profile *profile)
{
  if (client->own)
    return SMTPF_ORIGIN_OWN;
  if (client->open_relay)
    return SMTPF_ORIGIN_STRANGER;
  if (client->scopes & client->backup_mx)
    return SMTPF_ORIGIN_BACKUP_MX;
  if (client->scopes & (client->forwarders | profile->forwarders))
    return SMTPF_ORIGIN_FORWARDER;
  return client->scopes & profile->lists & ~client->other_list ? SMTPF_ORIGIN_LIST : SMTPF_ORIGIN_STRANGER;
}

uint64_t smtpf_origin_trust(const smtpf_standing *client, const smtpf_profile *profile)
{
  if (client->own)
    return 0;
  if (client->scopes & client->backup_mx)
    return client->scopes & client->backup_mx;
  const uint64_t forwarders = client->scopes & (client->forwarders | profile->forwarders);
  return forwarders ? forwarders : client->scopes & profile->lists & ~client->other_list;
}

int smtpf_origin_restricted(const smtpf_standing *client, const smtpf_profile *profile, int null_sender)
{
  if (!profile->only_from || (client->scopes & profile->only_from))
    return 0;
  return !(null_sender && profile->null_sender);
}

int smtpf_origin_may_refuse(int origin, int family, unsigned flags)
{
  if (origin == SMTPF_ORIGIN_OWN)
    return (flags & SMTPF_FINDING_OWN_TOO) != 0;
  return origin == SMTPF_ORIGIN_STRANGER || family == SMTPF_FAMILY_ENVELOPE || (flags & SMTPF_FINDING_ROUTE);
}
