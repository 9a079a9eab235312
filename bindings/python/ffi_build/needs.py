#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether this interpreter can build the bindings, with --tests whether it has what their tests want, too: says what is
missing, or what there is."""
import importlib.util
import os
import sys
import sysconfig


def missing(modules):
    if sys.implementation.name != "cpython" or sys.version_info < (3, 10):
        return "needs CPython 3.10 or later, this is %s %d.%d" % ((sys.implementation.name,) + sys.version_info[:2])
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        return "no Python.h (python3-dev)"
    for module in modules:
        if importlib.util.find_spec(module) is None:
            return "no %s (python3-%s)" % (module, module)
    return ""


if __name__ == "__main__":
    why = missing(("cffi", "setuptools") + (("aiosmtpd", "pip", "pytest", "wheel") if "--tests" in sys.argv else ()))
    if why:
        print(why)
        sys.exit(1)
    import cffi

    print("%s, %d.%d, cffi %s" % ((sys.executable,) + sys.version_info[:2] + (cffi.__version__,)))
