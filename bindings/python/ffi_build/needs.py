#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether this interpreter can build the bindings: says what is missing, or which version of what there is."""
import os
import sys
import sysconfig


def missing():
    if sys.implementation.name != "cpython" or sys.version_info < (3, 10):
        return "needs CPython 3.10 or later, this is %s %d.%d" % ((sys.implementation.name,) + sys.version_info[:2])
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        return "no Python.h (python3-dev)"
    for module in ("cffi", "setuptools"):
        try:
            __import__(module)
        except ImportError:
            return "no %s (python3-%s)" % (module, module)
    return ""


if __name__ == "__main__":
    why = missing()
    if why:
        print(why)
        sys.exit(1)
    import cffi

    print("Python %d.%d, cffi %s" % (sys.version_info[:2] + (cffi.__version__,)))
