# SPDX-License-Identifier: MIT
"""Our programs run watched: by what the environment's SMTPF_WRAPPER names (`valgrind -q ...`), or by the sanitizers they were
built with (SMTPF_SANITIZED). What those find goes to files of their own, whoever started the program and whatever became of
it: harness.conclude() fails a test that has any."""
import atexit
import os
import re
import shlex
import shutil
import subprocess
import tempfile

WRAPPER = shlex.split(os.environ.get("SMTPF_WRAPPER", ""))
SANITIZED = bool(os.environ.get("SMTPF_SANITIZED"))
SANITIZERS = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
FOLDER = tempfile.mkdtemp(prefix="smtpf-watched-") if WRAPPER or SANITIZED else None
STRANGER = "exim4"
CORES = "/usr/libexec/valgrind"

if FOLDER:
    os.chmod(FOLDER, 0o1777)  # a mail server runs its filters as somebody else
    atexit.register(lambda: farewell())  # it comes below
if SANITIZED:
    for _name in SANITIZERS:
        os.environ[_name] = ":".join(filter(None, [os.environ.get(_name), "log_path=%s/%s" % (FOLDER, _name[:4].lower())]))


def real(program):
    """The program itself where libtool has put a script in its place."""
    built = os.path.join(os.path.dirname(os.path.abspath(program)), ".libs", os.path.basename(program))
    return built if os.path.exists(built) else os.path.abspath(program)


def settings(program):
    """What it must find in its environment, wherever it is started from."""
    found = ["LD_LIBRARY_PATH=" + ":".join(filter(None, [os.path.join(os.path.dirname(os.path.abspath(program)), ".libs"),
                                                         os.environ.get("LD_LIBRARY_PATH")]))]
    return found + ["%s=%s" % (name, os.environ[name]) for name in SANITIZERS if SANITIZED]


def wrapper():
    return WRAPPER[:1] + ["--vgdb=no", "--log-file=%s/valgrind.%%p" % FOLDER] + WRAPPER[1:] if WRAPPER else []


def wrapped(argv):
    """The command line that runs one of our programs watched; as it is where nobody watches."""
    return ["env", *settings(argv[0]), *wrapper(), real(argv[0]), *argv[1:]] if WRAPPER else list(argv)


def shell(argv, more=()):
    """The same for a mail server that starts it with an environment and as a user of its own; `more`: settings besides."""
    return shlex.join(["/usr/bin/env", *settings(argv[0]), *more, *wrapper(), real(argv[0]), *argv[1:]])


def stranger(argv):
    """Somebody else's program that loads our library: a sanitizer must be there before it, and since it ends without telling
    the library, only what nobody points to is a leak (a sanitizer cannot tell whose). It goes on after a finding in a function of
    libc: Exim 4.96 reads beyond a string's end when TLS begins. In code of ours a finding ends it. ASan would tell each such function's
    first finding alone: Exim's would hide ours."""
    if WRAPPER:
        return [w for w in wrapper() if not w.startswith("--error-exitcode")] + ["--show-leak-kinds=definite"] + argv
    if not SANITIZED:
        return argv
    runtime = subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-print-file-name=libasan.so"], capture_output=True, text=True,
                             check=False).stdout.strip()
    return ["env", "LD_PRELOAD=" + os.path.realpath(runtime), "ASAN_OPTIONS=detect_leaks=0:halt_on_error=0:suppress_equal_pcs=0:" + os.environ["ASAN_OPTIONS"], *argv]


def farewell():
    """A test that broke off says what was found, too."""
    for paragraph in findings()[:20]:
        print(paragraph[:6000])
    shutil.rmtree(FOLDER, True)


def report():
    """Prints what was found, once; how much that is."""
    found = [p for p in findings() if is_ours(p)]
    for paragraph in found[:20]:
        print(paragraph[:6000])
    for name in os.listdir(FOLDER) if FOLDER else []:
        os.truncate(os.path.join(FOLDER, name), 0)
    return len(found)


def is_ours(paragraph):
    """Exim, which loads our library, is not in it; or we are, by the library's name or a source of ours (nobody else there has any),
    and what comes first in the stack, behind the allocator, is not Exim."""
    if STRANGER not in paragraph:
        return True
    frames = [line for line in paragraph.splitlines() if re.search(r"== +(at|by) 0x|^ +#\d", line)]
    frames = [line for line in frames if not re.search(r"vgpreload|/libc|libasan|/libsanitizer/", line)]
    mentioned = re.search("smtpf|/examples/|/src/(?!libsanitizer)", paragraph)
    return bool(mentioned) and not (frames and re.search(STRANGER + r"[+)]", frames[0]))  # as ASan, and as valgrind has it


def findings():
    """A paragraph each."""
    found = []
    for name in sorted(os.listdir(FOLDER)) if FOLDER else []:
        with open(os.path.join(FOLDER, name), encoding="utf-8", errors="replace") as f:
            text = f.read()
        paragraphs = [""]
        for line in text.splitlines():
            if line.startswith("--"):  # a system call that valgrind does not know
                continue
            if line.startswith("==") and not line.rsplit("==", 1)[-1].strip():
                paragraphs.append("")
            else:
                paragraphs[-1] += line + "\n"
        if not name.startswith("valgrind"):
            paragraphs = re.split(r"(?m)^=+$", text)
        found += [p for p in paragraphs if p.strip()]
    return found
