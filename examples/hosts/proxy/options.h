/* SPDX-License-Identifier: MIT
 *
 * options: the command line.
 */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include "settings.h"

/* Fills `a`. -1 to go on, else the exit status. */
int options_read(arguments *a, int argc, char **argv);
void options_free(arguments *a);

#endif
