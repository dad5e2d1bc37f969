"""The peers that we are measured against; None where one is not installed.

aleff is looked for and not imported: it watches every call of the process from then on, ours too (sys.monitoring).
"""

import importlib
import importlib.util
from types import ModuleType


def peer(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


greenlet = peer("greenlet")
has_aleff = importlib.util.find_spec("aleff") is not None
