#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_wheel: sdist, a wheel out of it with the C library inside, an empty virtual environment, a session there.

Offline: what the build needs is taken from this interpreter (no build isolation).
"""
import glob
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.dirname(HERE)
ROOM = os.path.abspath(os.path.join("bindings", "python", "wheel"))
SESSION = """
import smtpfilter as f
with f.Engine(f.Config().update({"local_domains": ["example.net"], "iprev": {"enable": False}})) as engine:
    with f.Driver(engine) as driver, f.Session(driver) as session:
        session.connect("192.0.2.1")
        print(session.helo("mail.example.org").code, f.__version__, f.__file__)
"""


def skip(why):
    print("SKIP " + why)
    sys.exit(77)


def run(*command, **more):
    print("+ " + " ".join(command), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False, **more)
    if done.returncode:
        print(done.stdout)
        sys.exit("failed: " + " ".join(command))
    return done.stdout


def look_inside(wheel, sdist):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("smtpfilter/py.typed", "smtpfilter/_ffi.abi3.so", "smtpfilter/_enums.py", "smtpfilter/_ffi.pyi", "/METADATA"):
        assert any(wanted in name for name in names), wanted
    metadata = zipfile.ZipFile(wheel).read(next(n for n in names if n.endswith("/METADATA"))).decode()
    for wanted in ("Name: smtpfilter", "Requires-Python: >=3.10", "License", "Requires-Dist: cffi", "Description-Content-Type"):
        assert wanted in metadata, wanted
    inside = tarfile.open(sdist).getnames()
    for wanted in ("csrc/src/local.mk", "csrc/include/smtpfilter/smtpfilter.h", "ffi_build/headers.py", "glue.c", "PKG-INFO"):
        assert any(name.endswith(wanted) for name in inside), wanted


def main():
    if not os.path.exists(os.path.join("bindings", "python", "lib", "built")):
        skip("the Python bindings were not built: " + (os.environ.get("python_why") or "no reason known"))
    if os.environ.get("SMTPF_SANITIZED"):
        skip("the wheel is made in the ordinary build")
    for module in ("setuptools", "wheel", "pip", "venv"):
        if subprocess.run([sys.executable, "-c", "import " + module], capture_output=True, check=False).returncode:
            skip("no %s for %s" % (module, sys.executable))
    shutil.rmtree(ROOM, ignore_errors=True)
    shutil.copytree(PACKAGE, os.path.join(ROOM, "package"), ignore=shutil.ignore_patterns("__pycache__", "build", "dist", "*.egg-info"))
    env = dict(os.environ, CFLAGS="-O0", PYTHONDONTWRITEBYTECODE="1", PIP_DISABLE_PIP_VERSION_CHECK="1",
               SMTPFILTER_SOURCE=os.path.abspath(os.path.join(PACKAGE, "..", "..")))
    for name in ("SMTPFILTER_LIBS", "SMTPFILTER_CFLAGS", "PYTHONPATH"):
        env.pop(name, None)
    subprocess.run(["chmod", "-R", "u+w", ROOM], check=True)
    run(sys.executable, "setup.py", "-q", "sdist", "-d", ROOM, cwd=os.path.join(ROOM, "package"), env=env)
    (sdist,) = glob.glob(os.path.join(ROOM, "smtpfilter-*.tar.gz"))
    env.pop("SMTPFILTER_SOURCE")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index", "-w", ROOM, sdist, env=env)
    (wheel,) = glob.glob(os.path.join(ROOM, "smtpfilter-*.whl"))
    look_inside(wheel, sdist)
    run(sys.executable, "-m", "venv", os.path.join(ROOM, "venv"))
    python = os.path.join(ROOM, "venv", "bin", "python")
    run(python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel, env=env)
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("-packages"))  # cffi's
    said = run(python, "-c", SESSION, cwd=ROOM, env=env)
    print(os.path.basename(wheel), said)
    assert said.startswith("250") and os.path.join(ROOM, "venv") in said
    shutil.rmtree(ROOM, ignore_errors=True)


if __name__ == "__main__":
    chosen = os.environ.pop("SMTPF_PYTHON", "")  # the interpreter that configure found for the bindings
    if chosen and chosen != sys.executable:
        os.execv(chosen, [chosen, *sys.argv])
    main()
