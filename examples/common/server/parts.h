/* SPDX-License-Identifier: MIT
 *
 * parts: what the files of the server say to each other.
 */
#ifndef COMMON_SERVER_PARTS_H
#define COMMON_SERVER_PARTS_H

#include "server.h"

/* ---- arguments.c */
/* -1 to go on, else the exit status. */
int server_arguments_read(server_arguments *a, const server_program *program, int argc, char **argv);
void server_arguments_free(server_arguments *a);

/* ---- settings.c */
int server_settings_load(server_settings **out, const server_program *program, const server_arguments *a,
                         smtpf_error *err);

/* ---- listener.c */
/* Those that systemd gave us (sd_listen_fds(3)), else every address of `s`. 0, or -1 after a log line. */
int server_listen(server_process *p, const server_settings *s);
/* No more connections: a successor may listen at once. What was accepted goes on. */
void server_listen_stop(server_process *p);
void server_listen_close(server_process *p);
/* Takes what waits, within bounds. */
void server_accept(server_loop *l, const listening *from);

/* ---- loop.c */
/* SMTPF_OK or a negative result. All loops are made before the first one starts, and all have ended before the first
 * one is freed: each may speak to each. */
int server_loop_new(server_loop **out, server_process *p, server_settings *s);
int server_loop_start(server_loop *l);
/* Any thread: gives the loop another policy, a reference of which is taken. */
void server_loop_reload(server_loop *l, server_settings *s);
/* Waits for the thread to end, where it was started. */
void server_loop_join(server_loop *l);
void server_loop_free(server_loop *l);
/* Begins (1) or stops (0) to take new connections. 0, or -1 with errno. */
int server_loop_listen(server_loop *l, int on);

#endif
