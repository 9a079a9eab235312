# SPDX-License-Identifier: MIT
"""Ports."""
from __future__ import annotations
from typing import Any
from ._glue import NULL
class Ports:
    def __init__(self, driver: Any, given: dict[str, Any]) -> None:
        self.table = NULL
    def raise_cause(self) -> None: ...
    def started(self, ptr: Any) -> None: ...
    def stopped(self) -> None: ...
