"""The peers that we are measured against: which are installed.

They are looked for and not imported. aleff watches every call of its process (sys.monitoring); beside greenlet's C extension fibers get no
C stacks.
"""

import importlib.util


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


has_greenlet = is_installed("greenlet")
has_aleff = is_installed("aleff")
