/* SPDX-License-Identifier: MIT
 *
 * notify: tells the service manager how far the process is (sd_notify(3)): one datagram, no library.
 */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

/* It serves; it reads its policy again; it ends. Does nothing where nobody asked (NOTIFY_SOCKET). */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

#endif
