"""Durable runs: a script that survives ``kill -9`` and goes on from the same line.

Kept empty of imports: ``stackful.checkpoint`` reaches ``durable.checkpoints`` from any program, and
pays for nothing else of this floor.
"""

from __future__ import annotations

__all__: list[str] = []
