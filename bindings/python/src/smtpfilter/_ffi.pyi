# SPDX-License-Identifier: MIT
# The compiled part: cffi's `ffi` and `lib`, whose members are made from the C headers.
from typing import Any

ffi: Any
lib: Any
