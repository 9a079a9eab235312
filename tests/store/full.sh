#!/bin/sh
# SPDX-License-Identifier: MIT
# store-full: greylisting while the map is full, and while the disk is (`./bootstrap show store-full`). The disk is a small
# tmpfs, which root alone may mount: without it that half is left out, visibly.
set -eu
make -s -C "$builddir" tests/store/full
folder=$(mktemp -d)
trap 'umount "$folder" 2>/dev/null; rmdir "$folder"' EXIT
if mount -t tmpfs -o size=4m tmpfs "$folder" 2>/dev/null; then
  "$builddir/tests/store/full" "$folder"
else
  echo "SKIP a full disk: a file system cannot be mounted here" >&2
  "$builddir/tests/store/full" -
fi
