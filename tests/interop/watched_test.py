#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who watches the watchers: what a sanitizer finds in a program that loads our module, told apart by whose it is, and not lost."""
import os
import shlex
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ["SMTPF_SANITIZED"] = "1"
os.environ.pop("SMTPF_WRAPPER", None)
import watched  # noqa: E402

OURS = """int strange_copy(char *, const char *, int);
int local_scan(char *d, const char *s) { return strange_copy(d, s, 30); }
int careless(const char *s) { return s[10]; }
"""
THEIRS = """#include <stdlib.h>
#include <string.h>
int local_scan(char *d, const char *s);
int careless(const char *s);
int strange_copy(char *d, const char *s, int n) { return memcpy(d, s, (size_t)n) == d; }
int main(void)
{
  char *s = malloc(10), *d = malloc(100);
  memcpy(d, s, 20);
  return local_scan(d, s) + careless(s) < 0;
}
"""


def compiled(folder):
    """A program that is called as Exim is, without a word on its sources, and what it loads: ours, with a sanitizer's eyes."""
    module, program = os.path.join(folder, "examples", "module.so"), os.path.join(folder, watched.STRANGER)
    os.mkdir(os.path.dirname(module))
    compiler = shlex.split(os.environ.get("CC", "cc"))
    for name, text, more in (("examples/m.c", OURS, ["-g", "-fsanitize=address", "-shared", "-fPIC", "-o", module]),
                             ("t.c", THEIRS, ["-fno-builtin", "-rdynamic", "-o", program, module, "-Wl,-rpath," + os.path.dirname(module)])):
        source = os.path.join(folder, name)
        with open(source, "w", encoding="ascii") as f:
            f.write(text)
        made = subprocess.run([*compiler, "-O1", source, *more, "-Wl,--unresolved-symbols=ignore-all"], capture_output=True, text=True, check=False)
        if made.returncode:
            return None, made.stderr
    return program, ""


def main():
    with tempfile.TemporaryDirectory() as folder:
        program, why = compiled(folder)
        command = watched.stranger([program] if program else ["true"])
        if not program or not os.path.exists(command[1].partition("=")[2]):
            print("SKIP nothing can be built with AddressSanitizer here: " + why[-300:])
            return 77
        subprocess.run(command, check=False, timeout=60)
        found = [(p.split("ERROR: ")[1].split(" on ")[0], watched.is_ours(p)) for p in watched.findings() if "ERROR: " in p]
        for name in os.listdir(watched.FOLDER):
            os.truncate(os.path.join(watched.FOLDER, name), 0)
    wanted = [("AddressSanitizer: heap-buffer-overflow", ours) for ours in (False, False, True)]
    if found != wanted:
        print("FAIL found %r" % found)
        return 1
    print("3 passed, 0 failed, 0 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
