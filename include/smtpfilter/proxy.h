/* SPDX-License-Identifier: MIT */
/**
 * @file proxy.h
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt), as the receiver sees it: before its first
 * byte of SMTP a load balancer says who the client is. Pure; any thread. A host that expects it
 *
 * - takes it only from addresses that it trusts, since who may write it may be anybody;
 * - never goes on without it: a listener has it on or off, and nothing is guessed;
 * - sends no banner, and starts no session, before the header is whole.
 *
 *     n = smtpf_proxy_read((smtpf_str){room, got}, &h);
 *     if (n < 0 || (n == 0 && got == sizeof room)) close(fd);   // room: SMTPF_PROXY_MAX bytes
 *     if (n > 0 && h.kind == SMTPF_PROXY_CLIENT)                // bytes from room + n on are the client's
 *       smtpf_session_connect(s, &(smtpf_peer){sizeof(smtpf_peer), text(h.client), h.client_port, ...});
 */
#ifndef SMTPFILTER_PROXY_H
#define SMTPFILTER_PROXY_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The longest header that is read: version 2 has room for 64 KiB of extras, of which nobody sends more than this. */
#define SMTPF_PROXY_MAX 4096

/** Room for an address as text, with NUL. */
#define SMTPF_PROXY_ADDRESS 56

/** Whose connection it is. */
enum smtpf_proxy_kind {
  SMTPF_PROXY_CLIENT = 1, /**< a client's, over TCP: the addresses are there */
  SMTPF_PROXY_LOCAL = 2,  /**< the load balancer's own (a health check): the addresses are those of the socket, and give
                               no rights: a session with an empty smtpf_peer.address has none */
  SMTPF_PROXY_UNKNOWN = 3, /**< of somebody whose address cannot be said (UNKNOWN, AF_UNSPEC, AF_UNIX, UDP). No mail
                              should be taken from nobody: checks of addresses have nothing to find against it; and as
                              the load balancer's own it might have rights that only that has. */
};

/** One header. */
typedef struct smtpf_proxy_header {
  size_t size;                             /**< sizeof(smtpf_proxy_header) */
  int version;                             /**< 1 or 2 */
  int kind;                                /**< smtpf_proxy_kind */
  char client[SMTPF_PROXY_ADDRESS];        /**< CLIENT: its address in canonical form, NUL-terminated; else empty */
  char local_address[SMTPF_PROXY_ADDRESS]; /**< CLIENT: the address it connected to; else empty */
  uint16_t client_port;                    /**< CLIENT: its port */
  uint16_t local_port;                     /**< CLIENT: the port it connected to */
  smtpf_str tls_protocol; /**< the client spoke TLS with the load balancer: e.g. `TLSv1.3`; else empty */
  smtpf_str tls_cipher;   /**< e.g. `TLS_AES_256_GCM_SHA384`; may be empty */
  smtpf_str extras;       /**< all extras (TLVs), for smtpf_proxy_extra(); empty in version 1 */
} smtpf_proxy_header;

/** Types of extras that have a meaning to mail. */
enum smtpf_proxy_extra_type {
  SMTPF_PROXY_ALPN = 0x01,
  SMTPF_PROXY_AUTHORITY = 0x02, /**< the name the client asked for (SNI) */
  SMTPF_PROXY_CRC32C = 0x03,    /**< verified by smtpf_proxy_read() */
  SMTPF_PROXY_UNIQUE_ID = 0x05,
  SMTPF_PROXY_SSL = 0x20, /**< read by smtpf_proxy_read(): tls_protocol, tls_cipher */
};

/**
 * Reads the header at the start of a connection. Nothing is taken from it before it is whole; what begins like none is
 * refused at once.
 * @param bytes     all that came so far
 * @param[out] out  set `size` first; written only on success; strings point into `bytes`
 * @return its length; 0 (not whole yet); SMTPF_EPARSE (no such header, or a broken one: lengths that do not add up, a
 *         checksum that does not fit, addresses of another family); SMTPF_ELIMIT (longer than SMTPF_PROXY_MAX); or
 *         SMTPF_EINVAL (`size`). For all that are negative: close. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_proxy_read(smtpf_str bytes, smtpf_proxy_header *out);

/** Takes the next extra off the front. @param[in,out] rest at first smtpf_proxy_header.extras @param[out] type
 *  smtpf_proxy_extra_type, or another @param[out] value its bytes @return SMTPF_OK, or SMTPF_ENOTFOUND when nothing is
 *  left. Since 0.1. */
SMTPF_API int smtpf_proxy_extra(smtpf_str *rest, int *type, smtpf_str *value);

#ifdef __cplusplus
}
#endif
#endif
