"""Put `stackful.compat.greenlet` in the place of greenlet, as the installed package's own tests want it: ``prepare(directory)``.

The tests ask the C extension for a few things of its own: how many main greenlets there are, clocks. They get what changes nothing.
"""

import importlib.util
import sys
from pathlib import Path

SHIM = """
import sys
import threading
import types

from stackful.compat import greenlet as ours

sys.modules["greenlet"] = ours
ours.__path__ = [{package!r}]  # where its tests lie
private = types.ModuleType("greenlet._greenlet")
private.__dict__.update({{name: getattr(ours, name) for name in ours.__all__}})
private.get_pending_cleanup_count = lambda: 0
private.get_total_main_greenlets = lambda: 1
private.enable_optional_cleanup = lambda wanted: False
private.get_clocks_used_doing_optional_cleanup = lambda: 0
private.CLOCKS_PER_SEC = 1000000
private.get_tstate_trash_delete_nesting = lambda: 0
local = threading.local()
private.set_thread_local = lambda name, value: setattr(local, name, value)
sys.modules["greenlet._greenlet"] = ours._greenlet = private
for absent in {absent!r}:
    sys.modules[absent] = types.ModuleType(absent)  # for leak checks, which are switched off
"""


def installed():
    """Where greenlet's package lies; None where it is not installed."""
    found = importlib.util.find_spec("greenlet")
    return Path(found.origin).parent if found is not None and found.origin else None


def prepare(directory):
    """Make a package `greenlet` in the directory, for PYTHONPATH."""
    package = directory / "greenlet"
    package.mkdir()
    absent = [name for name in ("psutil", "objgraph") if importlib.util.find_spec(name) is None]
    (package / "__init__.py").write_text(SHIM.format(package=str(installed()), absent=absent), encoding="utf-8")
    return directory


if __name__ == "__main__":
    import json
    import unittest

    class Names(unittest.TestResult):
        """Name of each test -> "passed", "failed" or "skipped"."""

        def __init__(self):
            super().__init__()
            self.outcomes, self.texts = {}, {}

        def _note(self, test, outcome, text=""):
            name = test.id().partition(" ")[0].rpartition(".")[0] if hasattr(test, "test_case") else test.id()
            if self.outcomes.get(name) != "failed":
                self.outcomes[name], self.texts[name] = outcome, text

        def addSuccess(self, test):
            self._note(test, "passed")

        def addFailure(self, test, error):
            self._note(test, "failed", self._exc_info_to_string(error, test))

        addError = addFailure  # noqa: N815 - unittest's name

        def addSkip(self, test, reason):
            self._note(test, "skipped", reason)

        def addSubTest(self, test, subtest, error):
            if error is not None:
                self._note(test, "failed", self._exc_info_to_string(error, test))

    result = Names()
    unittest.defaultTestLoader.loadTestsFromNames([f"greenlet.tests.{name}" for name in sys.argv[1:]]).run(result)
    print(json.dumps([result.outcomes, result.texts]))
