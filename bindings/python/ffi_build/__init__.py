# SPDX-License-Identifier: MIT
"""What is made when the package is built, never checked in: cffi's declarations, enumerations, callbacks.

Everything comes out of the public headers of the library that the package is built against, so that it cannot drift.
"""
