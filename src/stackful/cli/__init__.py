"""The command line: ``stackful run``, ``resume``, ``ps``, ``show``."""

from __future__ import annotations

__all__: list[str] = []
