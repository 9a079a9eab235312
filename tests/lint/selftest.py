#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""selftest: every lint can fail. Each is run over a small good tree (must pass) and over one bad example (must not)."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = "/* SPDX-License-Identifier: MIT */\n"
GOOD = {
    "src/base/a.h": HEAD + "#include <stddef.h>\nint smtpf_a(int x);\n",
    "src/base/a.c": HEAD + '#include "base/a.h"\n\nint smtpf_a(int x)\n{\n  return x;\n}\n',
    "src/mail/b.c": HEAD + '#include "base/a.h"\n\nint smtpf_b(int x);\nint smtpf_b(int x)\n{\n  return smtpf_a(x);\n}\n',
    "include/smtpfilter/p.h": HEAD + "#ifndef P_H\n#define P_H\n#define SMTPF_API __attribute__((visibility(\"default\")))\n"
                              "#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
                              "/** What it does. Since 0.1. */\nSMTPF_API int smtpf_a(int x);\n"
                              "#ifdef __cplusplus\n}\n#endif\n#endif\n",
    "tests/abi/manifest.txt": "smtpf_a\n",
}
README = "x\n\n    #include <stddef.h>\n\n    int main(void)\n    {\n      return %s;\n    }\n\n    cc host.c -o host\n\nend\n"
GOOD["README"] = README % "0"
GOOD["docs/guide/g.md"] = "# A page\n\n[here](#a-page), `a.option`\n\nShown: `page`.\n"
GOOD["tests/transcripts/page.md"] = "# A page\n"
GOOD["src/core/options.def"] = HEAD + 'ROW("a.option")\n'
LONG = HEAD + "int smtpf_a(int x);\nint smtpf_a(int x)\n{\n" + "  x++;\n" * 120 + "  return x;\n}\n"
# lint, what is wrong, the files that make it wrong
BAD = [
    ("includes", "base reads mail", {"src/base/a.c": HEAD + '#include "mail/b.h"\n'}),
    ("includes", "a pure room reads a socket header", {"src/mail/b.c": HEAD + "#include <sys/socket.h>\n"}),
    ("includes", "a check reads the core", {"src/check/c.c": HEAD + '#include "core/session.h"\n'}),
    ("includes", "a check reads the stable tier", {"src/check/c.c": HEAD + "#include <smtpfilter/session.h>\n"}),
    ("includes", "the stable tier reads ext", {"include/smtpfilter/p.h": HEAD + '#include "ext/port.h"\n'}),
    ("includes", "the proxy's connection reads its client", {"examples/hosts/proxy/hop.c": HEAD + '#include "client.h"\n'}),
    ("banned", "strcpy", {"src/base/a.c": HEAD + "int f(void)\n{\n  return strcpy(a, b) != 0;\n}\n"}),
    ("banned", "the clock in the core", {"src/core/d.c": HEAD + "long f(void)\n{\n  return time(0);\n}\n"}),
    ("banned", "a locale function", {"src/port/d.c": HEAD + "int f(int c)\n{\n  return isdigit(c);\n}\n"}),
    ("sizes", "a long file", {"src/base/a.c": HEAD + "\n" * 700}),
    ("sizes", "a long function", {"src/base/a.c": LONG}),
    ("headers", "a header that needs another", {"include/smtpfilter/p.h": HEAD + "size_t smtpf_a(void);\n"}),
    ("headers", "a header without a guard", {"include/smtpfilter/p.h": HEAD + "struct smtpf_x { int x; };\n"}),
    ("documented", "no comment", {"include/smtpfilter/p.h": HEAD + "SMTPF_API int smtpf_a(int x);\n"}),
    ("documented", "no since", {"include/smtpfilter/p.h": HEAD + "/** Does. */\nSMTPF_API int smtpf_a(int x);\n"}),
    ("format", "not formatted", {"src/base/a.c": HEAD + "int   f( void )\n{ return 1;}\n"}),
    ("itself", "no licence", {"src/base/a.c": "int x;\n"}),
    ("itself", "unfinished", {"src/base/a.c": HEAD + "/* TO" + "DO */\n"}),
    ("itself", "a path of one machine", {"src/base/a.c": HEAD + "/* see /ho" + "me/me/x */\n"}),
    ("readme", "a host that does not compile", {"README": README % "gone"}),
    ("readme", "a host that is no longer short", {"README": README % ("0;\n    " + "return 1;\n    " * 40)}),
    ("guide", "a transcript that is gone", {"docs/guide/g.md": "# A\n\nShown: `gone`.\n"}),
    ("guide", "a link to nothing", {"docs/guide/g.md": "# A\n\n[x](#b)\n"}),
    ("guide", "an option that is gone", {"docs/guide/g.md": "# A\n\n`b.option`\n"}),
    ("layers", "base calls mail", {"src/base/a.c": HEAD + "int smtpf_b(int);\nint smtpf_a(int x)\n{\n  return smtpf_b(x);\n}\n"}),
    ("layers", "mail opens a file", {"src/mail/b.c": HEAD + "int open(const char *, int, ...);\nint smtpf_b(int x)\n{\n"
                                                        '  return open("x", x);\n}\n'}),
    ("symbols", "a function too many", {"src/base/a.c": HEAD + "int smtpf_a(int x)\n{\n  return x;\n}\n"
                                                           "int other(void)\n{\n  return 1;\n}\n"}),
    ("symbols", "a function too few", {"tests/abi/manifest.txt": "smtpf_a\nsmtpf_gone\n"}),
]


def write(folder, tree):
    for name, text in tree.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def run(lint, tree, tmp):
    """(exit status, output) of one lint over one tree."""
    folder = os.path.join(tmp, "tree")
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, tree)
    shutil.copy(os.path.join(HERE, "..", "..", ".clang-format"), folder)
    env = dict(os.environ, srcdir=".", SMTPF_LIBRARY="lib.so")
    env.pop("SMTPF_SANITIZED", None)
    if lint in ("layers", "symbols"):
        for name in tree:
            if name.endswith(".c"):
                obj = name[:-2] + ".o"
                subprocess.run(["cc", "-w", "-fPIC", "-Isrc", "-c", "-o", obj, name], cwd=folder, check=True)
        objs = [n[:-2] + ".o" for n in tree if n.endswith(".c")]
        subprocess.run(["cc", "-shared", "-o", "lib.so", "-Wl,--version-script=/dev/stdin"] + objs, cwd=folder, check=True,
                       input="{ global: smtpf_a; other; local: *; };", text=True)
    done = subprocess.run([sys.executable, os.path.join(HERE, lint + ".py")], cwd=folder, env=env, capture_output=True,
                          text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    passed = failed = skipped = 0
    with tempfile.TemporaryDirectory() as tmp:
        good = set()
        for lint in dict.fromkeys(b[0] for b in BAD):
            status, out = run(lint, GOOD, tmp)
            if status == 77:
                print("SKIP %s: %s" % (lint, out.strip()))
                skipped += 1
            elif status:
                failed += 1
                print("FAIL %s refuses the good tree:\n%s" % (lint, out))
            else:
                good.add(lint)
                passed += 1
        for lint, what, files in BAD:
            if lint not in good:
                continue
            status, out = run(lint, {**GOOD, **files}, tmp)
            if status == 1 and "Traceback" not in out:
                passed += 1
            else:
                failed += 1
                print("FAIL %s does not see: %s (exit %d)\n%s" % (lint, what, status, out))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
