/* SPDX-License-Identifier: MIT
 *
 * hold SINK-PORT SERVER-PORT SESSIONS SEED THINK-MS: holds so many sessions at SERVER-PORT, one after another, and is
 * its next hop on SINK-PORT. Each line on the standard input is answered with one JSON object: `report`, or `stop`,
 * which begins no more sessions and answers when the last has ended, after 100 seconds at most. The end of the input
 * ends it.
 */
#define _GNU_SOURCE
#include "hold.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, RAMP_MS = 3000, STOP_MS = 100000 };

world hold;

uint32_t hold_random(uint32_t below)
{
  uint64_t x = hold.random += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (uint32_t)((x ^ (x >> 31)) >> 32) % below;
}

void hold_watch(item *it, uint32_t events, int op)
{
  struct epoll_event e = {.events = events, .data.ptr = it};
  if (epoll_ctl(hold.epoll, op, it->fd, &e)) {
    perror("epoll_ctl");
    exit(2);
  }
}

void hold_due(item *it, int64_t in_ms)
{
  wheel_add(&hold.wheel, &it->due, hold.now_ms + in_ms);
}

int hold_stream(int fd)
{
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  return fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void read_clock(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  hold.now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void report(void)
{
  const tally *t = &hold.tally;
  unsigned long lost = 0, unanswered = 0, unwanted = 0;
  for (unsigned long i = 0; i < t->messages; i++) {
    const int fate = hold.fate[i];
    lost += (fate & ANSWERED) && !(fate & ARRIVED);
    unanswered += (fate & ARRIVED) && !(fate & ANSWERED);
    unwanted += (fate & UNWANTED) && (fate & (ARRIVED | ANSWERED));
  }
  printf(
      "{\"sessions\":%lu,\"open\":%lu,\"completed\":%lu,\"messages\":%lu,\"answered\":%lu,\"arrived\":%lu,\"lost\":%lu,"
      "\"unanswered\":%lu,\"unwanted\":%lu,\"later\":%lu,\"refused\":%lu,\"cut\":%lu,\"cut_message\":%lu,"
      "\"unreachable\":%lu}\n",
      t->sessions, t->open, t->completed, t->messages, t->answered, t->arrived, lost, unanswered, unwanted, t->later,
      t->refused, t->cut, t->cut_message, t->unreachable);
  fflush(stdout);
}

/* 0 at the end of the input. */
static int take_orders(int64_t *stop_by)
{
  char line[64];
  if (!fgets(line, sizeof line, stdin))
    return 0;
  if (line[0] == 's') {
    hold.stopping = 1;
    *stop_by = hold.now_ms + STOP_MS;
  } else {
    report();
  }
  return 1;
}

static void serve(void)
{
  struct epoll_event events[EVENTS];
  int64_t stop_by = 0;
  for (int more = 1; more;) {
    const int n = epoll_wait(hold.epoll, events, EVENTS, WHEEL_MS);
    read_clock();
    for (int i = 0; i < n; i++) {
      item *it = events[i].data.ptr;
      if (it)
        it->event(it, events[i].events);
      else
        more = take_orders(&stop_by);
    }
    for (due *d; (d = wheel_next(&hold.wheel, hold.now_ms)) != NULL;) {
      item *it = (item *)(void *)((char *)d - offsetof(item, due));
      it->timer(it);
    }
    if (stop_by && (!hold.tally.open || hold.now_ms >= stop_by)) {
      stop_by = 0;
      report();
    }
  }
}

int main(int argc, char **argv)
{
  struct rlimit r;
  if (argc != 6) {
    fprintf(stderr, "usage: hold SINK-PORT SERVER-PORT SESSIONS SEED THINK-MS\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  if (!getrlimit(RLIMIT_NOFILE, &r)) {
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
  }
  const int sessions = atoi(argv[3]);
  hold.epoll = epoll_create1(EPOLL_CLOEXEC);
  hold.random = strtoull(argv[4], NULL, 10);
  hold.think_ms = (uint32_t)strtoul(argv[5], NULL, 10);
  hold.port = (uint16_t)atoi(argv[2]);
  hold.fate = calloc(MESSAGES_MAX, 1);
  if (hold.epoll < 0 || !hold.fate)
    return 2;
  setvbuf(stdin, NULL, _IONBF, 0);
  struct epoll_event orders = {.events = EPOLLIN}; /* its owner is nobody */
  if (epoll_ctl(hold.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &orders))
    return 2;
  read_clock();
  wheel_init(&hold.wheel, hold.now_ms);
  sink_open((uint16_t)atoi(argv[1]));
  for (int i = 0; i < sessions; i++)
    client_begin(hold_random(RAMP_MS));
  puts("ready");
  fflush(stdout);
  serve();
  return 0;
}
