"""The commands, on runs of functions: in real processes, as a person uses them."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.no_leakcheck("the programs run in other processes")

SHOP = """
from stackful import durable

def price(item):
    return 100 * len(item)

def pay(amount):
    import os
    if not os.path.exists("money"):
        raise OSError("no money")
    return amount

@durable.run(history=True)
def order(item, count):
    total = 0
    for _ in range(count):
        total += durable.step(price, item)
    answer = durable.ask("Ship it?", {"ok": bool, "size": ["S", "M"]})
    go = durable.wait_signal("go")
    return total, answer["size"], go

@durable.run
def fails():
    return durable.step(pay, durable.step(price, "x"))
"""
START = """
import shop, sys, time
from stackful import durable
with durable.connect() as engine:
    durable.start(shop.order, "tea", 2, id="order-1", attributes={"team": "a"})
    durable.start(shop.fails, id="fails-1").wait(60)
    while engine.store.run("order-1").question is None:
        time.sleep(0.01)
"""
WORK = """
import shop, sys
from stackful import durable
with durable.connect() as engine:
    for name in sys.argv[1:]:
        print(name, durable.Handle(name).wait(60).value, flush=True)
"""


@pytest.fixture
def shop(commands):
    """A store with a run that asks and one that has failed; nobody drives them."""
    commands.script(SHOP, "shop.py")
    assert commands.python(commands.script(START, "start.py")).returncode == 0
    commands.script(WORK, "work.py")
    return commands


def told(commands, *arguments):
    """What a command says, as data."""
    done = commands.stackful(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_runs_are_listed_and_filtered(shop):
    """By status, text, program and attribute."""
    assert [run["id"] for run in told(shop, "ps")] == ["fails-1", "order-1"]
    for filters, found in [
        (("--status", "failed"), ["fails-1"]),
        (("--text", "rder-"), ["order-1"]),
        (("--program", "shop:fails"), ["fails-1"]),
        (("--attribute", "team=a"), ["order-1"]),
        (("--attribute", "team=b"), []),
        (("--limit", "1"), ["fails-1"]),
    ]:
        assert [run["id"] for run in told(shop, "ps", *filters)] == found, filters
    assert "waiting (signal:ask-" in shop.stackful("ps").stdout


def test_a_run_shows_where_it_stands_and_stood(shop):
    """Its line, its variables, what it asks; at a checkpoint what they were then; a failed one its error."""
    shown = shop.stackful("show", "order-1").stdout
    assert "2 steps, the last was price" in shown
    assert "asks: Ship it?" in shown
    assert "ok: yes/no" in shown
    assert "size: one of S, M" in shown
    assert "stackful signal order-1 --answer ok=... --answer size=..." in shown
    assert "waits for" not in shown
    assert "total = 600" in shown
    assert '▶   18 │     answer = durable.ask("Ship it?"' in shown
    (frame,) = told(shop, "show", "order-1", "--at", "1")["frames"]
    assert frame["locals"]["total"] == "0"
    failed = shop.stackful("show", "fails-1").stdout
    assert "1 step, the last was price" in failed
    assert "OSError: no money" in failed
    assert "return durable.step(pay" in failed
    assert "operations.py" not in failed
    assert [(state["seq"], state["step"], state["steps"]) for state in told(shop, "log", "order-1")] == [
        (1, "price", 1), (2, "price", 2), (3, "price", 2),
    ]  # fmt: skip
    assert "price (no. 2)" in shop.stackful("log", "order-1").stdout


def test_raw_bytes_are_shown_without_importing(shop):
    """Whatever has become of the program."""
    (shop.folder / "shop.py").unlink()
    assert "shop:order" in shop.stackful("show", "--raw", "order-1").stdout
    done = shop.stackful("show", "order-1")
    assert done.returncode == 68
    assert done.stdout.startswith("order-1  shop:order  waiting")  # of the run itself there is more to tell


def test_answers_and_signals_lead_a_run_to_its_end(shop):
    """One answer, one signal; what is not taken in is said, with the status of the store."""
    shop.stackful("signal", "order-1", "--answer", "ok=true", "--answer", "size=M")
    assert told(shop, "signal", "order-1", "go", '{"now": 1}', "--key", "k") == {"run": "order-1", "taken": True}
    assert shop.stackful("signal", "order-1", "go", "--key", "k").returncode == 74
    assert shop.python("work.py", "order-1").stdout == "order-1 finished\n"
    assert "result: (600, 'M', {'now': 1})" in shop.stackful("show", "order-1").stdout
    assert shop.stackful("signal", "order-1").returncode == 64
    wrong = shop.stackful("signal", "fails-1", "--answer", "ok=1")
    assert wrong.returncode == 74
    assert "fails-1" in wrong.stderr


def test_an_answer_that_does_not_fit_is_a_wrong_command_line(shop):
    """With each field and what is wrong with it, and no traceback; a second answer is told from a second signal."""
    done = shop.stackful("signal", "order-1", "--answer", "ok=maybe", "--answer", "size=L", "--answer", "more=1")
    assert done.returncode == 64
    for text in ("ok 'maybe' is neither true nor false", "size 'L' is none of S, M", "more is not asked for"):
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    for status in (0, 74):
        done = shop.stackful("signal", "order-1", "--answer", "ok=true", "--answer", "size=M")
        assert done.returncode == status
    assert "or another answer was sent before" in done.stderr


def test_a_table_has_a_line_for_each_run(shop):
    """However narrow the terminal is, so that it can be read, and searched by `grep`."""
    narrow = shop.environment | {"COLUMNS": "40"}
    _, *runs = shop.stackful("ps", env=narrow).stdout.splitlines()
    assert [run.split()[:2] for run in runs] == [["fails-1", "shop:fails"], ["order-1", "shop:order"]]
    assert len(shop.stackful("log", "order-1", env=narrow).stdout.splitlines()) == 4


def test_a_failed_run_is_retried_from_its_last_state(shop):
    """The step that failed is tried again, the one before is not."""
    (shop.folder / "money").touch()
    assert told(shop, "retry", "fails-1") == {"run": "fails-1"}
    assert shop.python("work.py", "fails-1").stdout == "fails-1 finished\n"


def test_a_fork_goes_its_own_way(shop):
    """From a checkpoint, with another value in a variable, under another name: tea first, then coffee."""
    made = told(shop, "fork", "order-1", "--at", "1", "--set", "item=coffee", "--name", "other")
    assert made == {"run": "other", "origin": "order-1"}
    for command in (("--answer", "ok=true", "--answer", "size=S"), ("go", "7")):
        with_worker(shop, "other", *command)
    assert "result: (900, 'S', 7)" in shop.stackful("show", "other").stdout
    assert told(shop, "ps", "--text", "order-1")[0]["status"] == "waiting"


def test_a_fork_is_given_what_its_step_returned(shop):
    """Where a variable is about to be assigned, its value is that of the step."""
    made = told(shop, "fork", "order-1", "--at", "2", "--result", "1", "--name", "cheap")
    assert made["run"] == "cheap"
    worker = shop.begin("worker", "shop")
    while "asks:" not in (shown := shop.stackful("show", "cheap").stdout):
        assert worker.poll() is None
    worker.terminate()
    worker.wait(60)
    assert "total = 301" in shown


def test_the_name_of_a_fork_is_free(shop):
    """The run that has it already is not taken for the new one, which would go on from elsewhere."""
    assert told(shop, "fork", "order-1", "--name", "other")["run"] == "other"
    done = shop.stackful("fork", "order-1", "--at", "1", "--name", "other")
    assert done.returncode == 74
    assert "there is already a run called other" in done.stderr


def with_worker(shop, run, *command):
    """Give a signal while a worker drives the runs."""
    worker = shop.begin("worker", "shop")
    while shop.stackful("signal", run, *command).returncode:
        assert worker.poll() is None
    while command[0] == "go" and told(shop, "ps", "--text", run)[0]["status"] != "finished":
        assert worker.poll() is None
    worker.terminate()
    worker.wait(60)


def test_a_cancelled_run_ends(shop):
    """Its status says so once it was driven."""
    assert told(shop, "cancel", "order-1")["run"] == "order-1"
    assert shop.python("work.py", "order-1").stdout == "order-1 cancelled\n"
    assert shop.stackful("cancel", "order-1").stdout == "order-1 is cancelled; it had ended before\n"
    assert "operations.py" not in shop.stackful("show", "order-1").stdout


def test_the_doctor_names_what_would_not_go_on(shop):
    """Before the deploy, with the lines that changed, and status 68."""
    assert told(shop, "doctor") == [{"run": "fails-1", "findings": []}, {"run": "order-1", "findings": []}]
    path = shop.folder / "shop.py"
    path.write_text(path.read_text().replace("total = 0", "total = 10"))
    done = shop.stackful("doctor")
    assert done.returncode == 68
    assert "fails-1: would resume" in done.stdout
    assert "order-1: would not resume" in done.stdout
    assert "+    total = 10" in done.stdout


def test_what_has_ended_is_collected(shop):
    """Runs that can go on stay; the others go with all that belongs to them."""
    told(shop, "cancel", "order-1")
    shop.python("work.py", "order-1")
    assert told(shop, "gc", "--older-than", "0", "--dry-run")["deleted"] == 0
    assert "order-1" in told(shop, "gc", "--older-than", "0")["runs"]
    assert told(shop, "ps", "--text", "order-1") == []


def test_a_run_moves_to_another_store(shop):
    """Sealed anew with that one's key; who has not the key of the first gets nothing."""
    told(shop, "export", "order-1", "-o", "run.stackful")
    refused = shop.stackful("import", "run.stackful", "--store", "other.db")  # a new one, with a key of its own
    assert refused.returncode == 65
    moved = told(shop, "import", "run.stackful", "--store", "other.db", "--key", ".stackful/key", "--name", "moved")
    assert moved == {"run": "moved"}
    (frame,) = told(shop, "show", "moved", "--store", "other.db")["frames"]
    assert frame["locals"]["total"] == "600"
    assert shop.stackful("import", "run.stackful").returncode == 74  # its name is taken there


def test_a_file_that_cannot_be_written_is_named(shop):
    """With the way out, and no traceback."""
    done = shop.stackful("export", "order-1", "-o", "nowhere/run.stackful")
    assert done.returncode == 74
    assert (
        done.stderr
        == "stackful: error: nowhere/run.stackful cannot be written: No such file or directory; choose another --output\n"
    )


@pytest.mark.parametrize("command", ["show", "log", "signal", "cancel", "retry", "fork", "export"])
def test_a_run_that_is_not_there_is_named(shop, command):
    """With status 67, and nothing else is said."""
    extra = {"signal": ["go"]}.get(command, [])
    done = shop.stackful(command, "nobody", *extra)
    assert (done.returncode, done.stdout) == (67, "")
    assert "'nobody'" in done.stderr


def test_a_store_that_is_not_there_is_named(commands):
    """And none is made by looking for it."""
    for command in (["show", "x"], ["log", "x"], ["doctor"], ["gc"]):
        assert commands.stackful(*command).returncode == 74
    assert list(commands.folder.iterdir()) == []


def test_what_a_function_cannot_save_is_told_by_its_path(commands):
    """The frame and the variable, and neither the parts of a state nor the exception that led to it."""
    commands.script(
        """
        import threading
        from stackful import durable
        @durable.run
        def holds():
            lock = threading.Lock()
            with lock:
                durable.step(len, "x")
        """,
        "shop.py",
    )
    start = (
        "import shop\nfrom stackful import durable\nwith durable.connect(): durable.start(shop.holds, id='h').wait()"
    )
    assert commands.python("-c", start).returncode == 0
    shown = commands.stackful("show", "h").stdout
    assert 'UnsaveableError: cannot save frame "holds" line 8, local "lock": _thread.lock' in shown
    assert "RefusedError" not in shown
    assert "operations.py" not in shown


def test_a_terminal_without_the_letters_is_shown_what_it_has(shop):
    """Marks have another form, and values keep their meaning: nobody gets a traceback for the encoding of a terminal."""
    shop.stackful("signal", "order-1", "k\N{LATIN SMALL LETTER U WITH DIAERESIS}r")
    ascii_only = shop.environment | {"PYTHONIOENCODING": "ascii"}
    shown = shop.stackful("show", "order-1", env=ascii_only).stdout
    assert ">   18 |     answer" in shown
    assert r"signal k\xfcr has come" in shown


@pytest.mark.parametrize("command", [("ps",), ("ps", "--json"), ("show", "order-1"), ("doctor",)])
def test_a_full_disk_is_named(shop, command):
    """Where the output goes there is no room: status 74, and no traceback."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stackful", *command],
            cwd=shop.folder, env=shop.environment, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 74
    assert (
        done.stderr
        == "stackful: error: not all could be written: No space left on device; make room, or write elsewhere\n"
    )


def test_a_script_hears_of_its_end_where_it_asks_for_something(commands):
    """That is said, for a script without durable operations is not ended by it."""
    commands.script("import stackful, os, signal\nstackful.checkpoint()\nos.kill(os.getpid(), signal.SIGKILL)")
    commands.stackful("run", "--name", "s", "program.py")
    assert commands.stackful("cancel", "s").stdout.startswith(
        "s is interrupted; its end was asked for: a script hears of it"
    )


def test_the_run_of_a_script_is_not_forked(commands):
    """Since its program is the process: that is said, and not that its bytes are damaged."""
    commands.script("import stackful\nstackful.checkpoint()\nraise SystemExit(1)")
    commands.stackful("run", "--name", "s", "program.py")
    done = commands.stackful("fork", "s")
    assert done.returncode == 74
    assert done.stderr == "stackful: error: s is the run of a script: only a run of a function can be forked\n"


@pytest.mark.parametrize(
    "arguments",
    [("run", "--every", "nan", "x.py"), ("check", "--timeout", "nan", "x.py"), ("gc", "--older-than", "nan")],
)
def test_a_number_is_a_number(commands, arguments):
    """NaN is in every range and compares with nothing: a clock set to it would stop."""
    commands.script("pass", "x.py")
    done = commands.stackful(*arguments)
    assert done.returncode == 64
    assert "nan is no number" in done.stderr


@pytest.mark.parametrize("options", [(), ("--every", "60")])
def test_scripts_are_kept_in_the_store_of_the_environment(commands, options):
    """As all other commands use it; a database is no place for them, and says so."""
    commands.script("import stackful\nprint(stackful.checkpoint())")
    commands.environment["STACKFUL_STORE"] = "mine.db"
    assert commands.stackful("run", *options, "program.py").stdout == "True\n"
    assert len(commands.ids()) == 1
    assert (commands.folder / "mine.db").exists()
    commands.environment["STACKFUL_STORE"] = "postgresql://localhost/x"
    refused = commands.stackful("run", *options, "program.py")
    assert refused.returncode == 74
    assert "kept in an SQLite file on its machine: name one with --store" in refused.stderr
    assert not (commands.folder / "postgresql:").exists()


def test_a_program_is_listed_on_one_line(commands):
    """Whatever its arguments are, a terminal obeys none of them."""
    commands.script("pass")
    commands.stackful("run", "program.py", "two\nlines", "\x1b[31mred")
    _, line = commands.stackful("ps").stdout.splitlines()
    assert r"program.py two\nlines \x1b[31mred" in line


def test_a_module_that_cannot_be_imported_says_why(commands):
    """What it raised and where, the way out where the name is that of a file, and status 66 without a traceback."""
    commands.script("raise RuntimeError('no settings')", "broken.py")
    commands.script("", "fine.py")
    for module, text in [("broken", "RuntimeError: no settings"), ("fine.py", "give its name, fine, not its file")]:
        done = commands.stackful("worker", module)
        assert done.returncode == 66
        assert f"the module {module} cannot be imported: " in done.stderr
        assert text in done.stderr
        assert "Traceback" not in done.stderr
    assert "broken.py:1)" in commands.stackful("worker", "broken").stderr


def test_queues_that_are_none_are_a_wrong_command_line(commands):
    """A worker of no queue at all would wait forever."""
    commands.script(SHOP, "shop.py")
    done = commands.stackful("worker", "--queues", " , ", "shop")
    assert done.returncode == 64
    assert "names none" in done.stderr


def test_a_run_without_a_worker_says_so(commands):
    """One that was given back within a step is under way, and yet nobody is at work on it."""
    commands.script(
        """
        import time
        from stackful import durable
        def wait():
            open("began", "w").close()
            time.sleep(60)
        @durable.run
        def waits():
            durable.step(wait)
        """,
        "shop.py",
    )
    start = (
        "import shop\nfrom stackful import durable\nwith durable.connect(work=False): durable.start(shop.waits, id='w')"
    )
    assert commands.python("-c", start).returncode == 0
    worker = commands.begin("worker", "--patience", "0", "shop", stderr=subprocess.DEVNULL)
    commands.wait_for("began")
    assert "running (waits for a worker)" not in commands.stackful("ps").stdout
    worker.terminate()
    assert worker.wait(60) == 76
    assert "running (waits for a worker)" in commands.stackful("ps").stdout
    assert "wakes" not in commands.stackful("show", "w").stdout


def test_a_script_whose_state_cannot_be_loaded_is_shown_without_its_stack(commands):
    """What is known of the run comes first, then why there is no more, with the status of that."""
    commands.script(
        """
        import os, signal, stackful
        with open("data", "w+") as data:
            stackful.checkpoint()
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    commands.stackful("run", "--name", "s", "program.py")
    (commands.folder / "data").unlink()
    done = commands.stackful("show", "s")
    assert done.returncode == 72
    assert done.stdout.startswith("s  program.py  interrupted  checkpoint 1, ")
    assert "cannot be opened as at the time of the snapshot" in done.stderr
    data = commands.stackful("show", "--json", "s")
    assert json.loads(data.stdout)["problem"] in done.stderr
