"""The peers that we are measured against: which are installed.

They are looked for and not imported. aleff watches every call of its process (sys.monitoring); beside greenlet's C extension fibers get no
C stacks.
"""

import importlib.util


def is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False


has_greenlet = is_installed("greenlet")
has_aleff = is_installed("aleff")
has_dbos = is_installed("dbos")
has_langgraph = is_installed("langgraph.graph")
has_langgraph_sqlite = is_installed("langgraph.checkpoint.sqlite")
has_langgraph_postgres = is_installed("langgraph.checkpoint.postgres")
