#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""banned: functions that overrun, depend on the locale, read the clock or resolve names where that is not allowed."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import source  # noqa: E402

UNSAFE = """strcpy strncpy strcat strncat stpcpy sprintf vsprintf sscanf scanf fscanf atoi atol atoll atof gets strtok alloca
            getaddrinfo gethostbyname gethostbyaddr inet_aton inet_addr inet_ntoa getwd mktemp tmpnam system popen
            rand random srand""".split()
LOCALE = """setlocale isalpha isdigit isalnum isspace isupper islower isprint ispunct isxdigit iscntrl toupper tolower
            strcasecmp strncasecmp strcoll strtod strtof strerror strftime localtime ctime asctime""".split()
CLOCK = "time clock clock_gettime gettimeofday nanosleep sleep usleep gmtime".split()
OUTPUT = "printf fprintf vfprintf puts fputs putchar perror syslog abort exit _exit".split()
FORMAT = "snprintf vsnprintf strtol strtoul strtoll strtoull".split()
# Between fork and execve it is the child that ends, not the host; and exit() would run what belongs to the host.
ALLOWED = {os.path.join("src", "port", "scan", "child.c"): {"_exit"}}
PURE = ("base", "mail", "policy", "forward", "core", "wire", "check")


def banned_in(path):
    """{function: why} for one file."""
    parts = path.split(os.sep)
    out = {f: "unsafe" for f in UNSAFE}
    if parts[0] == "src":
        out.update({f: "depends on the locale" for f in LOCALE})
        out["inet_pton"] = "use smtpf_ip_parse"
        out.update({f: "a library is silent and never ends its host" for f in OUTPUT})
        if parts[-1] == "scan_child.c":
            del out["_exit"]  # between fork and execve it ends the child, which is not the host
        if parts[1] != "port":
            out.update({f: "the clock is a port" for f in CLOCK})
        if parts[1] in PURE:
            out.update({f: "use base/str.h" for f in FORMAT})
    return {f: reason for f, reason in out.items() if f not in ALLOWED.get(path, ())}


def main():
    findings, looked = [], 0
    for path in source.files("src", "examples"):
        looked += 1
        why = banned_in(path)
        for number, line in enumerate(source.bare(source.read(path)).splitlines(), 1):
            for m in re.finditer(r"(?<![\w.>])(\w+)\s*\(", line):
                if m.group(1) in why:
                    findings.append("%s:%d: %s (%s)" % (path, number, m.group(1), why[m.group(1)]))
    source.finish(findings, looked)


if __name__ == "__main__":
    main()
