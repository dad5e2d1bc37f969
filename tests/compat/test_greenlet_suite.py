"""greenlet's own test suite, from its installed package, with `stackful.compat.greenlet` in greenlet's place."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful
from compat import greenlet_shim

pytestmark = [
    pytest.mark.skipif(greenlet_shim.installed() is None, reason="greenlet is not installed: ITS TESTS WERE NOT RUN"),
    pytest.mark.no_leakcheck("the program runs in another process"),
]

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "greenlet.md"

MODULES = (
    "test_greenlet", "test_throw", "test_contextvars", "test_tracing", "test_gc", "test_weakref", "test_generator", "test_generator_nested",
    "test_greenlet_trash", "test_leaks", "test_interpreter_shutdown",
)  # fmt: skip

# Whole files and tests that are about the C interface, about copying C stacks, or about greenlet's own way of switching them.
NOT_OURS = {
    "test_cpp": "C interface",
    "test_extension_interface": "C interface",
    "test_stack_saved": "copies of C stacks",
    "test_version": "the version in setup.py",
    "test_failed_to_initialstub": "greenlet's own way of switching C stacks",
    "test_failed_to_slp_switch_into_running": "greenlet's own way of switching C stacks",
    "test_failed_to_switch_into_running": "greenlet's own way of switching C stacks",
    "test_get_stack_with_nested_c_calls": "C interface",
    "test_api_getcurrent_no_system_error_at_module_gc_time": "C interface",
    "test_switch_no_error_at_module_gc_time": "C interface",
}

# What differs, and why: the table of docs/greenlet.md.
DIFFERS = {
    "test_frame": "a running greenlet's `f_back` is the true caller",
    "test_instance_dict": "`del g.__dict__` is possible, as for any Python object",
    "test_switch_to_dead_greenlet_with_unstarted_perverse_parent": "it hides the greenlet's own attributes by `__getattribute__`",
    "test_reentrant_switch_run_callable_has_del": "the function is dropped when the greenlet has ended, not when it begins",
    "test_trace_events_from_greenlet_func_sets_profiler": "profilers see Stackful's own Python functions",
    "test_trace_events_from_greenlet_subclass_sets_profiler": "profilers see Stackful's own Python functions",
    "test_trace_events_into_greenlet_func_already_set": "profilers see Stackful's own Python functions",
    "test_trace_events_into_greenlet_subclass_already_set": "profilers see Stackful's own Python functions",
    "test_trace_events_multiple_greenlets_switching": "profilers see Stackful's own Python functions",
    "test_trace_events_multiple_greenlets_switching_siblings": "profilers see Stackful's own Python functions",
    "test_getcurrent_returns_none_during_gc_finalization": "`getcurrent()` still works when the interpreter ends",
    "test_getcurrent_returns_none_during_gc_finalization_cross_thread": "`getcurrent()` still works when the interpreter ends",
    "test_getcurrent_returns_none_during_gc_finalization_with_active_greenlets": "`getcurrent()` still works when the interpreter ends",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Last part of a test's name -> (outcome, text)."""
    directory = greenlet_shim.prepare(tmp_path_factory.mktemp("shim"))
    path = os.pathsep.join([str(directory), str(Path(stackful.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path, "GREENLET_SKIP_LEAKCHECKS": "1", "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, HERE / "greenlet_shim.py", *MODULES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    results, texts = json.loads(done.stdout.splitlines()[-1])
    return {name.rpartition(".")[2]: (outcome, texts[name]) for name, outcome in results.items()}


def test_the_suite_passes_but_for_what_is_listed(outcomes):
    """Each test of greenlet passes, or stands in a list with the reason."""
    unexpected = {
        name: text
        for name, (outcome, text) in outcomes.items()
        if outcome == "failed" and name not in NOT_OURS and name not in DIFFERS
    }
    assert not unexpected, "\n".join(f"{name}\n{text}" for name, text in unexpected.items())
    assert sum(outcome == "passed" for outcome, _ in outcomes.values()) > 100


def test_the_list_is_no_longer_than_it_must_be(outcomes):
    """What is listed as different fails."""
    assert [name for name in DIFFERS if outcomes.get(name, ("failed", ""))[0] == "passed"] == []


def test_the_list_is_documented():
    """The document names each test that differs, with the reason."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, reason in {**DIFFERS, **NOT_OURS}.items():
        assert f"`{name}`" in text, name
        assert reason in text, reason
