/* SPDX-License-Identifier: MIT
 *
 * The servers that a transaction speaks with: a leg for each next hop, by the domains of its recipients, and one for
 * each target.
 */
#include <stdlib.h>

#include "target.h"

leg *transaction_add_leg(transaction *t)
{
  leg *legs = realloc(t->legs, (t->n_legs + 1) * sizeof *legs);
  if (!legs)
    return NULL;
  t->legs = legs;
  legs[t->n_legs] = (leg){0};
  return &legs[t->n_legs++];
}

int transaction_hop_leg(transaction *t, smtpf_str path, uint32_t *on)
{
  route *r = routes_find(&t->settings->routes, path);
  for (size_t i = 0; i < t->n_legs; i++)
    if (t->legs[i].route == r) {
      *on = (uint32_t)i;
      return 1;
    }
  leg *l = transaction_add_leg(t);
  if (!l)
    return 0;
  l->route = r;
  *on = (uint32_t)(l - t->legs);
  return 1;
}

int transaction_forward_leg(transaction *t, smtpf_str forward, uint32_t *on)
{
  return t->settings->forward_inline ? target_leg(t, forward, on) : transaction_hop_leg(t, forward, on);
}
