#!/bin/sh
# SPDX-License-Identifier: MIT
# chunking over a sample of the corpus.
exec "${srcdir:-.}/tests/interop/chunking.sh" 40
