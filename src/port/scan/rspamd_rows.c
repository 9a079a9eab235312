/* SPDX-License-Identifier: MIT */
#include "rspamd.h"

const smtpf_option smtpf_rspamd_rows[SMTPF_RSPAMD_ROWS] = {
    {"scanners[name].answer_limit", SMTPF_OPTION_SIZE, "1m", 4096, 64 * 1024 * 1024, NULL,
     "rspamd: an answer of more bytes is garbage, and the message unknown."},
    {"scanners[name].settings_id", SMTPF_OPTION_STRING, NULL, 0, 0, NULL,
     "rspamd: the name of the settings it uses, its `Settings-ID`."},
};
