"""The peers that we are measured against: which are installed.

They are looked for and not imported. aleff watches every call of its process (sys.monitoring); beside greenlet's C extension fibers get no
C stacks.
"""

import importlib.util

has_greenlet = importlib.util.find_spec("greenlet") is not None
has_aleff = importlib.util.find_spec("aleff") is not None
