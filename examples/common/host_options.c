/* SPDX-License-Identifier: MIT */
#include "host_options.h"

#define ADDRESS "An address with its port, `127.0.0.1:10025` or `[::1]:10025`; names are not resolved. "
#define LMTP "With `lmtp:` before it, LMTP is spoken there; a Unix socket is `unix:/path`. "
#define HOP_TLS "none|may|encrypt|verify"
#define METRICS                                                                                                        \
  "Where metrics are asked for, as OpenMetrics text of `/metrics`: an address with its port, `127.0.0.1:9125`, or "    \
  "`unix:/path`. Whoever can connect may read them. Empty: nowhere."
#define USER                                                                                                           \
  "The user that it goes on as, by name and with that one's groups, once its sockets are open. What it reads again "   \
  "at a reload that user must be able to read. Empty: as it was started."
#define SANDBOX                                                                                                        \
  "Whether system calls that no mail filter makes (ptrace, mount, bpf ..., and execve where no scanner is of type "    \
  "`command`) fail; false for debuggers. New privileges cannot be had either way (no_new_privs)."
#define VERDICTS "Which verdicts get a log line."
#define SECOND 1000
#define HOUR (3600 * (int64_t)SECOND)
#define NUMBER(path, type, deflt, min, max, doc)                                                                       \
  {                                                                                                                    \
    path, type, deflt, min, max, NULL, doc                                                                             \
  }
#define TEXT(path, deflt, doc)                                                                                         \
  {                                                                                                                    \
    path, SMTPF_OPTION_STRING, deflt, 0, 0, NULL, doc                                                                  \
  }
#define TEXTS(path, doc)                                                                                               \
  {                                                                                                                    \
    path, SMTPF_OPTION_STRINGS, NULL, 0, 16, NULL, doc                                                                 \
  }
#define NETWORKS(path, doc)                                                                                            \
  {                                                                                                                    \
    path, SMTPF_OPTION_STRINGS, NULL, 0, 256, NULL, doc                                                                \
  }
#define CHOICE(path, deflt, words, doc)                                                                                \
  {                                                                                                                    \
    path, SMTPF_OPTION_CHOICE, deflt, 0, 0, words, doc                                                                 \
  }
#define FLAG(path, deflt, doc) NUMBER(path, SMTPF_OPTION_BOOL, deflt, 0, 1, doc)
#define TIME(path, deflt, min, max, doc) NUMBER(path, SMTPF_OPTION_TIME, deflt, min, max, doc)
#define COUNT(path, deflt, min, max, doc) NUMBER(path, SMTPF_OPTION_INT, deflt, min, max, doc)

const smtpf_option host_options[] = {
    TEXTS(
        "proxy.listen",
        "Where smtpf-proxy listens. " ADDRESS LMTP
        "With `tls:` in front TLS is spoken from the first byte on (RFC 8314 3), with `proxy:` in front of all a load "
        "balancer says first who the client is (`proxy.proxy_protocol_from`). Without any: `127.0.0.1:2525`. Sockets "
        "that systemd hands over (LISTEN_FDS) take the place of all; their names say the same: words of `proxy`, "
        "`tls`, `lmtp` with a dash between."),
    TEXT("proxy.socket_mode", "0660", "The mode of its Unix sockets, octal: who may write may connect."),
    TEXT("proxy.socket_group", NULL, "The group of its Unix sockets, by name."),
    {"proxy.next_hop", SMTPF_OPTION_STRINGS, "127.0.0.1:10025", 0, 16, NULL,
     "The server that takes what is accepted. Of several the first one that can be spoken with is taken. " ADDRESS
         LMTP},
    {"proxy.routes[domain]", SMTPF_OPTION_LIST, NULL, 0, 1000, NULL,
     "Next hops for recipients of one domain, `example.net`, or of all below one, `.example.net`, in place of "
     "`proxy.next_hop`. The own name of a domain goes before what it is below of, and of those the longest."},
    TEXTS("proxy.routes[domain].servers", "The servers of that domain, as in `proxy.next_hop`."),
    CHOICE("proxy.hop_tls", "none", HOP_TLS,
           "TLS to next hops (STARTTLS). `may`: where a server offers it, and without it where it fails; `encrypt`: "
           "always, or the server is as good as down; `verify`: always, and its certificate must be believed and be of "
           "`proxy.hop_tls_name`."),
    TEXT("proxy.hop_tls_name", NULL,
         "The name in the certificates of the servers of `proxy.next_hop`; their addresses without it."),
    TEXT("proxy.hop_tls_authorities", NULL,
         "PEM file of the certificates that are believed where servers' are verified; the system's without it."),
    TEXT("proxy.hop_tls_certificate", NULL, "PEM file of our own certificate, shown to servers that ask for one."),
    TEXT("proxy.hop_tls_key", NULL, "PEM file of its key; without it the key stands with the certificate."),
    CHOICE("proxy.routes[domain].tls", NULL, HOP_TLS, "TLS to these servers, in place of `proxy.hop_tls`."),
    TEXT("proxy.routes[domain].tls_name", NULL,
         "The name in the certificates of these servers; their addresses without it."),
    CHOICE("proxy.forward_tls", "may", HOP_TLS,
           "With `inline`: TLS to targets, as `proxy.hop_tls`. Verified is the name of the host that the DNS gives, or "
           "the "
           "address of one in `proxy.forward_servers`."),
    TIME("proxy.hop_retry", "30s", 100, HOUR,
         "How long a server of a next hop that cannot be spoken with is tried after the others; then one connection "
         "finds out whether it is back."),
    FLAG("proxy.prdr", "true",
         "Whether SMTP clients are offered PRDR, a reply for each recipient after the message. LMTP clients have that "
         "always."),
    FLAG("proxy.hops_together", "false",
         "Whether recipients with different next hops may share a message for which the client gets one reply. With "
         "false the one whose next hop is another is answered `partition.reply` and comes in a message of its own, so "
         "that no reply speaks for two servers. Own clients, LMTP and PRDR need no such care."),
    FLAG("proxy.split", "true",
         "Whether copies of one message may differ: header fields, envelope sender, destination, quarantine. Each "
         "kind of copy is then a transaction of its own with the next hop. With false all recipients share one."),
    CHOICE(
        "proxy.identity", "auto", "auto|xclient|xforward|none",
        "How the client's identity is told to the next hop. `auto` takes XCLIENT or else XFORWARD when the next hop "
        "offers it; `xclient` and `xforward` insist: a next hop that does not offer it fails; `none` tells nothing."),
    TEXTS("proxy.tls_certificate",
          "PEM files with the server's certificates, each with its chain; two or more must be of different kinds, as "
          "ECDSA and RSA. With any, clients are offered STARTTLS. Read again at each reload."),
    TEXTS("proxy.tls_key", "PEM files with their keys, in the same order; without any, the keys stand with the "
                           "certificates. The user that the proxy runs as must be able to read them at a reload."),
    CHOICE("proxy.tls_minimum", "1.2", "1.2|1.3", "The oldest TLS that clients may speak."),
    TEXT("proxy.tls_ciphers", NULL, "Ciphers of TLS 1.2, in OpenSSL's words; empty for OpenSSL's own choice."),
    FLAG("proxy.tls_required", "false",
         "Whether clients must have TLS before MAIL, else 530 5.7.0. A server that takes mail for its domain from "
         "everybody must not ask for it (RFC 3207 4)."),
    FLAG("proxy.auth", "false",
         "Whether clients are offered AUTH, under TLS alone: PLAIN and LOGIN. The exchange is put to the first of the "
         "servers in `proxy.next_hop` that offers AUTH; whom it takes may relay."),
    NETWORKS("proxy.proxy_protocol_from",
             "Networks whose word is taken for who the client is, on listeners with `proxy:`. A connection from "
             "elsewhere, or without a whole header of the PROXY protocol (version 1 or 2) within 5 seconds, is closed, "
             "and so is one whose client it cannot name. Unix sockets need none."),
    NETWORKS("proxy.xclient_from",
             "Networks whose clients are offered XCLIENT, by which they say who the client is. Whoever can connect "
             "from there can be anybody."),
    TEXT("proxy.user", NULL, USER),
    TEXT("proxy.group", NULL, "The group that it goes on with instead of the user's own."),
    TEXT("proxy.metrics", NULL, METRICS),
    FLAG("proxy.sandbox", "true", SANDBOX),
    COUNT("proxy.threads", "1", 1, 256, "Event loops, one a thread."),
    COUNT("proxy.connections", "10000", 1, 1000000, "Client connections at a time; more are answered 421 4.7.0."),
    COUNT("proxy.connections_per_client", "100", 0, 1000000,
          "Client connections at a time from one IPv4 address or one IPv6 /64; more are answered 421 4.7.0. 0 for no "
          "limit."),
    TIME("proxy.idle_timeout", "5m", SECOND, HOUR,
         "How long a client may stay silent between commands (RFC 5321 4.5.3.2.7), then 421 4.4.2."),
    TIME("proxy.command_timeout", "5m", SECOND, HOUR,
         "How long a client may take for one command line, then 421 4.4.2."),
    TIME("proxy.data_timeout", "5m", SECOND, HOUR,
         "How long a client may pause inside a message, and how long it may leave a reply unread, then 421 4.4.2."),
    TIME("proxy.message_timeout", "1h", SECOND, 24 * HOUR,
         "How long a client may take for one message in all, then 421 4.4.2."),
    TIME("proxy.hop_connect_timeout", "30s", 100, HOUR, "How long the next hop may take to be connected and to greet."),
    TIME("proxy.hop_timeout", "4m", 100, HOUR,
         "How long the next hop may take for one reply before the message (the client waits at least 5 minutes, RFC "
         "5321 4.5.3.2)."),
    TIME("proxy.hop_final_timeout", "9m", 100, HOUR,
         "How long the next hop may take to take the message and to answer it (the client waits at least 10 minutes)."),
    CHOICE(
        "proxy.forward", "hop", "hop|inline",
        "Where copies that are forwarded go. `hop`: to the next hop, which queues them. `inline`: to the target's own "
        "server, while the client waits: what that answers at RCPT and at the end of the message is the client's "
        "answer, and nothing is queued."),
    TEXTS("proxy.forward_servers",
          "With `inline`: the servers that all forwards go to, instead of those that the DNS names for the target's "
          "domain; one after the other until one can be reached. " ADDRESS LMTP),
    COUNT("proxy.forward_port", "25", 1, 65535, "With `inline`: the port of servers that the DNS names."),
    TIME("proxy.forward_timeout", "1m", 100, HOUR,
         "With `inline`: how long all servers of a target together may take until one has answered RCPT, and again "
         "before the message (the client waits at least 5 minutes, RFC 5321 4.5.3.2)."),
    TIME("proxy.forward_final_timeout", "4m", 100, HOUR,
         "With `inline`: how long the target's server may take to take the message and to answer it (the client waits "
         "at least 10 minutes, and perhaps for the next hop too)."),
    CHOICE("proxy.forward_fallback", "defer", "defer|hop",
           "With `inline`, when no server of the target can be reached in time: `defer` answers 451, and the client "
           "comes again; `hop` gives the copy to the next hop, which may have to bounce it later."),
    COUNT("proxy.pool", "64", 0, 65536,
          "Idle connections to the next hop that each thread keeps; 0 for a new one each message."),
    TIME("proxy.pool_age", "10s", 100, HOUR, "How long an idle connection to the next hop is kept."),
    COUNT("proxy.pool_messages", "1000", 1, 1000000, "Messages for one connection to the next hop."),
    NUMBER("proxy.spool_memory", SMTPF_OPTION_SIZE, "256k", 4096, 1 << 30,
           "How much of a message is held in memory; the rest goes to an unlinked temporary file until the verdict."),
    NUMBER("proxy.spool_total", SMTPF_OPTION_SIZE, "4g", 0, (int64_t)1 << 50,
           "How much all messages may hold at a time, in memory and in files; what comes beyond it is answered 452 "
           "4.3.1. 0 for "
           "no limit."),
    TEXT("proxy.spool_directory", "/var/tmp", "Where those temporary files are made."),
    TIME("proxy.drain", "30s", 0, HOUR, "How long open transactions may take to finish after SIGTERM."),
    CHOICE("proxy.log", "text", "text|json", "Form of the log lines on standard error."),
    CHOICE("proxy.log_verdicts", "all", "all|refused|none", VERDICTS),
    TEXTS("policyd.listen", "Where smtpf-policyd listens: `unix:/path`, or an address with its port, which it is as "
                            "`127.0.0.1:10023` without any. Sockets that systemd hands over (LISTEN_FDS) take the "
                            "place of all."),
    TEXT("policyd.socket_mode", "0666",
         "The mode of its Unix sockets, octal: who may write may connect. Who gets into their folder may, by default."),
    TEXT("policyd.socket_group", NULL, "The group of its Unix sockets, by name, for example `postfix`."),
    TEXT("policyd.metrics", NULL, METRICS),
    TEXT("policyd.user", NULL, USER),
    TEXT("policyd.group", NULL, "The group that it goes on with instead of the user's own."),
    FLAG("policyd.sandbox", "true", SANDBOX),
    COUNT("policyd.threads", "1", 1, 256, "Event loops, one a thread; each keeps its share of the messages."),
    COUNT("policyd.connections", "10000", 1, 1000000,
          "Connections at a time; Postfix does for more what it is told for a service that is gone."),
    TIME("policyd.idle_timeout", "1h", SECOND, 24 * HOUR,
         "How long a connection may ask nothing. It must be longer than Postfix leaves it idle "
         "(`smtpd_policy_service_max_idle`, 5 minutes)."),
    CHOICE("policyd.decide", "data", "data|end-of-message|never",
           "At which of Postfix's states smtpf-policyd decides about a message as a whole. `data`: it may be marked, "
           "held or dropped; `end-of-message`: held or dropped; `never`: only replies are given, which is right where "
           "Postfix asks at RCPT alone. What cannot be done to one message is split at RCPT."),
    COUNT("policyd.instances", "2000", 1, 1000000,
          "Messages that smtpf-policyd keeps a session for between requests; beyond them the one that was asked about "
          "longest ago is forgotten, and judged anew when it is asked about again."),
    TIME("policyd.instance_timeout", "15m", SECOND, 24 * HOUR,
         "How long such a message is kept after the last request. It must be longer than a message may take."),
    TIME("policyd.drain", "5s", 0, HOUR,
         "How long messages that Postfix has asked about may take to be decided after SIGTERM."),
    CHOICE("policyd.log", "text", "text|json", "Form of the log lines on standard error."),
    CHOICE("policyd.log_verdicts", "all", "all|refused|none", VERDICTS),
    TEXTS("milter.listen", "Where smtpf-milter listens: `unix:/path`, or an address with its port, which it is as "
                           "`127.0.0.1:8891` without "
                           "any. Sockets that systemd hands over (LISTEN_FDS) take the place of all."),
    TEXT("milter.socket_mode", "0660", "The mode of its Unix sockets, octal: who may write may connect."),
    TEXT("milter.socket_group", NULL, "The group of its Unix sockets, by name, for example `postfix`."),
    TEXT("milter.metrics", NULL, METRICS),
    TEXT("milter.user", NULL, USER),
    TEXT("milter.group", NULL, "The group that it goes on with instead of the user's own."),
    FLAG("milter.sandbox", "true", SANDBOX),
    COUNT("milter.threads", "1", 1, 256, "Event loops, one a thread."),
    COUNT("milter.connections", "10000", 1, 1000000,
          "Connections at a time; the MTA does for more what it is told for a filter that is gone."),
    TIME("milter.idle_timeout", "2h", SECOND, 24 * HOUR,
         "How long an MTA may say nothing. It must be longer than a client may be silent."),
    TIME("milter.progress", "10s", 100, HOUR,
         "How often the MTA is told at the end of a message that the verdict is still to come."),
    TIME("milter.drain", "30s", 0, HOUR, "How long open connections may take to finish after SIGTERM."),
    CHOICE("milter.log", "text", "text|json", "Form of the log lines on standard error."),
    CHOICE("milter.log_verdicts", "all", "all|refused|none", VERDICTS),
    CHOICE("exim.log_verdicts", "all", "all|refused|none",
           "Which verdicts get a line in Exim's main log, where smtpf_exim.so decides in Exim's own process."),
    CHOICE("opensmtpd.log_verdicts", "all", "all|refused|none",
           "Which verdicts get a line on standard error, which smtpd logs."),
    FLAG("opensmtpd.junk", "false",
         "Whether smtpd.conf delivers with `maildir ... junk`: quarantined mail then bears `X-Spam: Yes`, and is put "
         "into its recipient's junk folder. Without it smtpf-opensmtpd has no quarantine, and such mail is tagged."),
    TEXT("quarantine.directory", NULL,
         "Where quarantined messages are kept, durable before the client is answered: a directory with `tmp`, `new` "
         "and `cur` "
         "below it (made when missing), one file a message, whose first lines give envelope and reason."),
    TEXT("quarantine.redirect", NULL,
         "An address to which quarantined messages are sent, through the next hop, instead of their recipients; used "
         "when "
         "`quarantine.directory` is not set. A policy that quarantines with neither does not load."),
};

const size_t host_options_count = sizeof host_options / sizeof host_options[0];

int host_options_add(smtpf_config *cfg)
{
  return smtpf_config_add_options(cfg, host_options, host_options_count);
}
