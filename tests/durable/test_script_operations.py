"""Scripts under `stackful run` that take steps, sleep, wait, ask, and start runs of functions."""

import json
import subprocess
import time

import pytest

from durable.commands import kill

STEPS = """
    from stackful import durable

    def effect(text):
        with open("log", "a") as file:
            file.write(text + "\\n")
        return text

    def put(connection, text):
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text)")
        connection.execute("INSERT INTO notes VALUES (?)", [text])
        return connection.execute("SELECT count(*) FROM notes").fetchone()[0]

    @durable.run
    def child(number):
        return durable.step(effect, f"child {number}")

    @durable.run
    def slow():
        durable.sleep(1000)

    for word in ("one", "two"):
        durable.step(effect, word)
    durable.set_attributes(stage="asleep")
    durable.sleep(0.2)
    first = durable.transaction(put, "x")
    started = durable.start(child, 3)
    signal = durable.wait_signal("go")
    answer = durable.ask("Sure?")
    print(first, signal, answer, started.result(), durable.gather(started, durable.start(child, 4)))
"""


@pytest.fixture
def waiting(commands):
    """The script above, at its signal."""
    process = commands.begin("run", "--name", "s", commands.script(STEPS), stdout=subprocess.PIPE)
    until(commands, lambda run: run["waits"] == "signal:go")
    yield process
    if process.poll() is None:
        kill(process)


def until(commands, condition):
    """Wait for the script's run to be so."""
    for _ in range(200):
        found = [run for run in json.loads(commands.stackful("ps", "--json").stdout) if run["id"] == "s"]
        if found and condition(found[0]):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(found)


def log(commands):
    return (commands.folder / "log").read_text().split("\n")[:-1]


def finish(commands, process):
    """Send what the script waits for; what it prints."""
    commands.stackful("signal", "s", "go", '"now"', check=True)
    run = until(commands, lambda run: run["question"])
    assert json.loads(run["question"])["text"] == "Sure?"
    commands.stackful("signal", "s", json.loads(run["question"])["signal"], '{"answer": true}', check=True)
    return process.communicate(timeout=60)[0]


def test_a_script_does_all_that_runs_of_functions_do(commands, waiting):
    """Steps, attributes, sleeps, transactions, signals, questions, runs of its own functions."""
    run = until(commands, lambda run: True)
    assert (run["status"], run["attributes"]) == ("waiting", {"stage": "asleep"})
    assert finish(commands, waiting) == "1 now True child 3 ['child 3', 'child 4']\n"
    assert log(commands) == ["one", "two", "child 3", "child 4"]
    assert until(commands, lambda run: True)["status"] == "finished"


def test_a_script_that_was_killed_while_it_waited_goes_on_waiting(commands, waiting):
    """In another process, on the same line; what was done is not done again."""
    kill(waiting)
    resumed = commands.begin("resume", "s", stdout=subprocess.PIPE)
    assert finish(commands, resumed) == "1 now True child 3 ['child 3', 'child 4']\n"
    assert log(commands) == ["one", "two", "child 3", "child 4"]


def test_a_script_that_was_killed_while_it_slept_sleeps_on(commands):
    """To the moment at which it was to wake, not longer."""
    script = commands.script("from stackful import durable\ndurable.sleep(1000)\n")
    process = commands.begin("run", "--name", "s", script)
    wake = until(commands, lambda run: run["status"] == "sleeping")["wake"]
    kill(process)
    process = commands.begin("resume", "s")
    until(commands, lambda run: run["status"] == "running" or run["checkpoint"]["seq"] > 1)
    assert until(commands, lambda run: run["status"] == "sleeping")["wake"] == wake
    kill(process)


def test_a_cancelled_script_cleans_up(commands):
    """RunCancelled is raised where it waits; the process ends as any whose script raises, the run as one that was cancelled."""
    script = commands.script("""
        from stackful import durable
        try:
            durable.wait_signal("never")
        finally:
            print("cleaned up")
    """)
    process = commands.begin("run", "--name", "s", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(commands, lambda run: run["status"] == "waiting")
    commands.stackful("cancel", "s", check=True)
    out, errors = process.communicate(timeout=60)
    assert out == "cleaned up\n"
    assert "RunCancelled: run s was cancelled" in errors
    assert process.returncode == 1
    assert until(commands, lambda run: True)["status"] == "cancelled"
    assert until(commands, lambda run: True)["checkpoint"] is None
    done = commands.stackful("resume", "s")
    assert (done.stderr, done.returncode) == (
        "stackful: error: run s was cancelled; `stackful run` starts the script anew\n",
        67,
    )


def test_a_script_that_withstands_its_cancellation_has_finished(commands):
    """It caught RunCancelled and came to its end, as functions may; what else it raises then is a failure."""
    text = """
        from stackful import durable
        try:
            durable.wait_signal("never")
        except durable.RunCancelled as end:
            {0}
    """
    for act, status in (("print('never mind')", "finished"), ("raise ValueError from end", "failed")):
        process = commands.begin("run", "--name", "s", commands.script(text.format(act)), stderr=subprocess.DEVNULL)
        until(commands, lambda run: run["status"] == "waiting")
        commands.stackful("cancel", "s", check=True)
        process.wait(60)
        assert until(commands, lambda run: True)["status"] == status
        (commands.folder / ".stackful" / "runs.db").unlink()


def test_what_a_script_has_done_when_it_is_cancelled_can_be_undone(commands):
    """The step is recorded; what it returned is in the exception."""
    script = commands.script("""
        import subprocess, sys
        from stackful import durable
        def charge():
            subprocess.run([sys.executable, "-m", "stackful", "cancel", "s"], check=True, stdout=subprocess.DEVNULL)
            return "the receipt"
        try:
            durable.step(charge)
        except durable.RunCancelled as end:
            print("paid back for", *end.recorded)
            raise
    """)
    done = commands.stackful("run", "--name", "s", script)
    assert done.stdout == "paid back for the receipt\n"
    assert until(commands, lambda run: True)["status"] == "cancelled"


def test_a_step_of_a_script_that_failed_keeps_its_key_to_itself(commands):
    """Also when the script was stored in between, and goes on in another process."""
    script = commands.script("""
        import os
        from stackful import checkpoint, durable
        def key(is_fine=True):
            print(durable.current_step().key, flush=True)
            if not is_fine: raise ConnectionError
        durable.step(key)
        try:
            durable.step(key, False)
        except ConnectionError:
            checkpoint()
            if not os.path.exists("killed"):
                open("killed", "w").close(); os.kill(os.getpid(), 9)
        durable.step(key)
        durable.step(key)
    """)
    done = commands.stackful("run", "--name", "s", script)
    assert done.stdout == "s/1\ns/2\n"
    assert commands.stackful("resume", "s").stdout == "s/3\ns/4\n"


def test_steps_of_a_script_behind_c_code_are_refused_before_their_effect(commands):
    """The message names what stands in the way."""
    script = commands.script("""
        from stackful import durable
        sorted([2, 1], key=lambda value: durable.step(print, "never") or value)
    """)
    done = commands.stackful("run", script)
    assert done.stdout == ""
    assert "BarrierError" in done.stderr
    assert "sorted" in done.stderr


def test_steps_are_calls_under_plain_python(commands):
    """A script with steps runs without a store."""
    script = commands.script("""
        from stackful import durable
        print(durable.step(max, 1, 2))
        durable.sleep(0)
    """)
    assert commands.python(script).stdout == "2\n"
