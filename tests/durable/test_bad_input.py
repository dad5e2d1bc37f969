"""What is wrong is said in one message, with its status, and the last good checkpoint is intact."""

import os
import re
import signal
import sqlite3
import time

import pytest

from durable.commands import kill

# Stores itself once, then dies unless it is told to go on.
ONCE = """
    import os, stackful
    def work(value):
        stackful.checkpoint()
        if not os.path.exists("go on"): os.kill(os.getpid(), 9)
        return value + 1
    print("result", work(41))
"""


def message(done):
    """The one line on stderr."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("stackful: error: ")
    return line.removeprefix("stackful: error: ")


@pytest.fixture
def killed(commands):
    """A killed run called "r" that would end well."""
    commands.script(ONCE)
    assert commands.stackful("run", "--name", "r", "program.py").returncode == -signal.SIGKILL
    (commands.folder / "go on").touch()
    return commands


@pytest.fixture
def store(killed):
    return killed.folder / ".stackful" / "runs.db"


def assert_intact(commands):
    """The run can still be resumed."""
    done = commands.stackful("resume", "r")
    assert (done.stdout, done.stderr, done.returncode) == ("result 42\n", "", 0)


@pytest.mark.parametrize(
    "path, reason",
    [("nine.py", "No such file or directory"), (".", "Is a directory"), ("a/b.py", "No such file or directory")],
)
def test_a_script_that_is_not_there(commands, path, reason):
    """The script is named, with the reason; no store is made."""
    done = commands.stackful("run", path)
    assert message(done) == f"the script {commands.folder}/{path} cannot be read: {reason}; check the path"
    assert done.returncode == 66
    assert os.listdir(commands.folder) == []


def test_a_run_that_is_not_there(killed):
    """`resume` and `show` name what was asked for and the command that lists the runs."""
    for command in ("resume", "show"):
        done = killed.stackful(command, "nine")
        assert message(done).startswith("there is no run 'nine' in ")
        assert done.returncode == 67


def test_no_store_at_all(commands):
    """Without a store there is nothing to resume, and nothing is made by asking."""
    for command in (["resume"], ["show", "r"]):
        done = commands.stackful(*command)
        assert message(done).startswith("there is no store of runs at ")
        assert done.returncode == 74
    assert commands.stackful("ps").returncode == 0
    assert os.listdir(commands.folder) == []


def test_a_finished_run_cannot_be_resumed(killed):
    """The message says how it ended."""
    killed.stackful("resume")
    done = killed.stackful("resume", "r")
    assert message(done).startswith("run r has finished with exit status 0;")
    assert done.returncode == 67
    done = killed.stackful("resume")
    assert "have ended" in message(done)
    assert done.returncode == 67


def test_a_run_without_checkpoint_cannot_be_resumed(commands):
    """The message says what would have helped."""
    script = commands.script("import os; os.kill(os.getpid(), 9)")
    commands.stackful("run", "--name", "r", script)
    done = commands.stackful("resume")
    assert message(done).startswith("run r has no checkpoint to go on from;")
    assert done.returncode == 67


def test_two_processes_cannot_resume_one_run(killed):
    """The second is told who is at work; `ps` says running as long as somebody is, and not longer."""
    killed.script(ONCE.replace("return value", "while os.path.exists('go on'): pass\n        return value"))
    (killed.folder / "go on").unlink()
    assert killed.stackful("run", "--name", "s", "program.py").returncode == -signal.SIGKILL
    (killed.folder / "go on").touch()
    first = killed.begin("resume", "s")
    while '"running"' not in killed.stackful("ps", "--json").stdout:
        time.sleep(0.01)
    second = killed.stackful("resume", "s")
    assert message(second) == f"run s is being worked on by process {first.pid}; wait for it, or end it first"
    assert second.returncode == 75
    kill(first)
    assert '"running"' not in killed.stackful("ps", "--json").stdout
    assert killed.stackful("show", "s").returncode == 0


def test_many_processes_race_for_one_run(killed):
    """Exactly one of those that start together goes on with the run."""
    processes = [killed.begin("resume", "r", stdout=-1, stderr=-1) for _ in range(4)]
    ends = [process.communicate(timeout=60) for process in processes]
    assert min(process.returncode for process in processes) == 0
    assert [out for out, _ in ends].count("result 42\n") == 1
    assert {process.returncode for process in processes} <= {0, 67, 75}


def test_a_taken_name(killed):
    """A second run of that name is refused before it starts."""
    done = killed.stackful("run", "--name", "r", "program.py")
    assert message(done).startswith("there is already a run called r in ")
    assert done.returncode == 74
    assert_intact(killed)


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x" * 65])
def test_a_name_that_is_none(commands, name):
    """A run's name is made of harmless characters, since files are named after it."""
    done = commands.stackful("run", f"--name={name}", commands.script("pass"))
    assert message(done).startswith(f"{name!r} cannot name a run;")


def test_a_store_of_another_program(commands):
    """An SQLite file that is not ours is refused and keeps its bytes, by every command."""
    path = commands.folder / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    before = path.read_bytes()
    for command in (["run", "--store", "other.db", commands.script("pass")], ["ps", "--store", "other.db"]):
        done = commands.stackful(*command)
        assert message(done).endswith("other.db is an SQLite file of another program; choose another path with --store")
        assert done.returncode == 74
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", [["run", "program.py"], ["resume"], ["ps"], ["show", "r"]])
def test_a_damaged_store(killed, store, command):
    """A file that is no database any more is recognised by every command."""
    for file in store.parent.glob("runs.db-*"):  # with SQLite's log at hand it would repair itself
        file.unlink()
    store.write_bytes(b"\0garbage" * 1000)
    done = killed.stackful(*command)
    assert "it is no SQLite file" in message(done)
    assert done.returncode == 74


def change_checkpoint(store, column, seq, change):
    with sqlite3.connect(store) as database:
        (data,) = database.execute(f"SELECT {column} FROM checkpoints WHERE seq = ?", [seq]).fetchone()
        database.execute(f"UPDATE checkpoints SET {column} = ? WHERE seq = ?", [change(data), seq])
    database.close()


@pytest.mark.parametrize("column", ["data", "environment"])
@pytest.mark.parametrize("where", [0, 30, -1])
def test_an_altered_checkpoint(killed, store, column, where):
    """One changed byte anywhere in the only checkpoint, and nothing of it is used."""

    def flip(data):
        data = bytearray(data)
        data[where] ^= 1
        return bytes(data)

    change_checkpoint(store, column, 1, flip)
    done = killed.stackful("resume")
    assert message(done)
    assert (done.stdout, done.returncode) == ("", 65)
    change_checkpoint(store, column, 1, flip)
    assert_intact(killed)


def test_the_checkpoint_before_a_damaged_one_is_used(commands):
    """Two are kept: when the newest is damaged the run goes on from the one before, and says so."""
    script = commands.script("""
        import os, stackful
        for i in range(5):
            print(i, flush=True)
            stackful.checkpoint()
            if i == 3 and not os.path.exists("killed"):
                open("killed", "w").close(); os.kill(os.getpid(), 9)
    """)
    commands.stackful("run", script)
    change_checkpoint(commands.folder / ".stackful" / "runs.db", "data", 4, lambda data: data[:-50])
    done = commands.stackful("resume")
    assert done.stdout == "3\n4\n"
    assert done.stderr.startswith("stackful: warning: the last checkpoint is damaged; going on from checkpoint 3: ")
    assert done.returncode == 0


def test_another_key(killed, store):
    """A checkpoint that was sealed with another key is refused before it is unpickled; the right key is not touched."""
    key = store.with_name("key")
    right = key.read_bytes()
    key.write_bytes(bytes(32))
    done = killed.stackful("resume")
    assert message(done)
    assert done.returncode == 65
    key.unlink()
    for command in (["resume"], ["show", "r"], ["run", "program.py"], ["cancel", "r"]):
        done = killed.stackful(*command)
        assert "without it nothing that was sealed can be trusted" in message(done)
        assert done.returncode == 74
        assert not key.exists()
    key.write_bytes(right)
    assert_intact(killed)


@pytest.mark.parametrize(
    "old, new",
    [
        ("value + 1", "value + 2"),
        ('"result"', '"answer"'),
        ("work(value):", "work(value, more=0):"),
        ("print", "x = 1; print"),
    ],
)
def test_a_changed_script(killed, old, new):
    """Code that differs from what was stored is refused, naming what changed and showing it; undone, the run goes on."""
    path = killed.folder / "program.py"
    text = path.read_text()
    path.write_text(text.replace(old, new))
    done = killed.stackful("resume")
    said, *shown = done.stderr.splitlines()
    assert re.search("work|<module>", said)
    assert any(line.startswith("+") and new in line for line in shown)
    assert (done.stdout, done.returncode) == ("", 68)
    path.write_text(text)
    assert_intact(killed)


def test_a_changed_comment_changes_nothing(killed):
    """Only the code counts."""
    path = killed.folder / "program.py"
    path.write_text(path.read_text().replace("def work(value):", "def work(value):  # a remark"))
    assert_intact(killed)


def test_a_script_that_no_longer_compiles(killed):
    """A syntax error is a change, too."""
    (killed.folder / "program.py").write_text("def (:\n")
    done = killed.stackful("resume")
    assert message(done).startswith("the script of run r was changed and no longer compiles: ")
    assert done.returncode == 68


def test_a_script_that_is_gone(killed):
    """A run's script is needed to go on."""
    path = killed.folder / "program.py"
    text = path.read_text()
    path.unlink()
    done = killed.stackful("resume")
    assert message(done).startswith(f"the script {path} cannot be read: No such file")
    assert done.returncode == 66
    path.write_text(text)
    assert_intact(killed)


def test_a_module_that_is_gone(commands):
    """A module of the script that a suspended frame stands in must be there."""
    commands.script(
        "import os, stackful\ndef work():\n    stackful.checkpoint()\n    os.kill(os.getpid(), 9)\n", "helper.py"
    )
    commands.stackful("run", commands.script("import helper\nhelper.work()\n"))
    (commands.folder / "helper.py").unlink()
    done = commands.stackful("resume")
    assert "helper" in message(done)
    assert done.returncode == 68


def test_another_python(killed, store):
    """A run of another minor version is refused, with the command that would do."""
    with sqlite3.connect(store) as database:
        database.execute("UPDATE runs SET python = '3.99.1'")
    database.close()
    for command in ("resume", "show"):
        done = killed.stackful(command, "r")
        assert message(done).startswith("run r belongs to Python 3.99, this is 3.")
        assert message(done).endswith("use python3.99 -m stackful")
        assert done.returncode == 69


def test_a_working_directory_that_is_gone(commands):
    """The run's folder is named."""
    script = commands.script(ONCE)
    (commands.folder / "sub").mkdir()
    commands.stackful("run", "--store", "../runs.db", str(commands.folder / script), cwd=commands.folder / "sub")
    (commands.folder / "sub").rmdir()
    done = commands.stackful("resume", "--store", "runs.db")
    assert message(done).startswith(
        f"the run's working directory {commands.folder}/sub cannot be entered: No such file"
    )
    assert done.returncode == 74


UNSAVEABLE = """
    import stackful, threading
    def load(name):
        lock = threading.Lock()
        lock.acquire(); connection = {"lock": [1, lock]}; del lock
        stackful.checkpoint()
        print("never printed")
    print("before")
    load("x")
"""


def test_a_value_that_cannot_be_stored(commands):
    """The one message names the frame, the line, the variable, the way to the value and its type."""
    done = commands.stackful("run", commands.script(UNSAVEABLE))
    assert re.search(r'frame "load" line 6, local "connection".*lock', message(done))
    assert (done.stdout, done.returncode) == ("before\n", 71)


def test_a_global_that_cannot_be_stored(commands):
    """The message names the global."""
    script = commands.script(
        "import stackful, threading\nguard = threading.Lock()\nguard.acquire()\nstackful.checkpoint()\n"
    )
    done = commands.stackful("run", script)
    assert re.search(r'"guard".*lock', message(done))
    assert done.returncode == 71


def test_a_script_can_handle_what_cannot_be_stored(commands):
    """The error is raised inside the script, whose earlier checkpoint is intact and whose next one works."""
    script = commands.script("""
        import os, stackful, threading
        stackful.checkpoint()
        lock = threading.Lock()
        lock.acquire()
        try:
            stackful.checkpoint()
        except stackful.UnsaveableError as error:
            print(type(error).__name__, error.value_type)
        del lock
        print(stackful.checkpoint())
    """)
    done = commands.stackful("run", script)
    assert (done.stdout.splitlines()[1:], done.stderr, done.returncode) == (["True"], "", 0)
    assert done.stdout.startswith("UnsaveableError ")


def test_a_checkpoint_across_a_c_call(commands):
    """BarrierError is raised at the script's own line; it names the C function, and the script may go on."""
    script = commands.script("""
        import stackful
        def key(x):
            try:
                stackful.checkpoint()
            except stackful.BarrierError as error:
                print(error)
            return x
        print(sorted([2, 1], key=key), stackful.checkpoint())
        sorted([1], key=lambda x: stackful.checkpoint())
    """)
    done = commands.stackful("run", script)
    assert done.stdout.endswith("[1, 2] True\n")
    assert "sorted" in done.stdout.splitlines()[0]
    assert re.search(r"(?s)Traceback.*line 10, in <module>.*BarrierError: ", done.stderr)
    assert done.returncode == 1


@pytest.mark.parametrize(
    "text, place",
    [
        ("threading.Thread(target=work).start()", "another thread"),
        ("stackful.Fiber(work).resume()", "a fiber that the script resumed by its method"),
    ],
)
def test_a_checkpoint_elsewhere_than_in_the_script(commands, text, place):
    """Another thread, another fiber: what would be stored is not the script's stack, and the message says so."""
    script = commands.script(f"""
        import stackful, threading
        def work():
            try:
                stackful.checkpoint()
            except stackful.BarrierError as error:
                print(error)
        {text}
    """)
    assert f"was called in {place}" in commands.stackful("run", script).stdout


FULL = """
    import os, resource, stackful
    data, i = b"small", 0
    stackful.checkpoint()
    if not os.path.exists("go on"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    data = os.urandom(1_000_000)
    {call}
    print("end", len(data))
"""


def test_a_full_disk_at_an_explicit_checkpoint(commands):
    """The script is told; uncaught, one message and its status; the earlier checkpoint is resumed when there is room."""
    done = commands.stackful("run", "--name", "r", commands.script(FULL.format(call="stackful.checkpoint()")))
    assert "the disk" in message(done)
    assert done.returncode == 74
    (commands.folder / "go on").touch()
    assert commands.stackful("resume", "r").stdout == "end 1000000\n"


def test_a_full_disk_at_a_timed_checkpoint(commands):
    """The program goes on without, after one warning."""
    call = "while i < 400_000: i += 1\n    for j in range(400_000): i += 1"
    script = commands.script(FULL.format(call=call).replace("\n    ", "\n        "))
    done = commands.stackful("run", "--every", "0.01", script)
    assert (done.stdout, done.returncode) == ("end 1000000\n", 0)
    (line,) = done.stderr.splitlines()
    assert line.startswith("stackful: warning: this checkpoint was not stored, the program goes on: the store ")


def test_an_unsaveable_value_at_a_timed_checkpoint(commands):
    """One warning for each reason, however often it fails; the script ends as ever."""
    script = commands.script("""
        import threading
        lock = threading.Lock()
        lock.acquire()
        for i in range(3_000_000): pass
        print("end")
    """)
    done = commands.stackful("run", "--every", "0.001", script)
    assert (done.stdout, done.returncode) == ("end\n", 0)
    (line,) = done.stderr.splitlines()
    assert re.search('the program goes on: .*"lock".*', line)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(commands):
    """The folder that cannot be made is named."""
    script = commands.script("pass")
    commands.folder.chmod(0o500)
    done = commands.stackful("run", script)
    commands.folder.chmod(0o700)
    assert re.search("the folder .* cannot be made: Permission denied", message(done))
    assert done.returncode == 74


def test_a_store_in_a_folder_that_is_not_there(commands):
    """--store does not invent folders."""
    done = commands.stackful("run", "--store", "nowhere/x.db", commands.script("pass"))
    assert "it cannot be opened; check that its folder exists and is writable" in message(done)
    assert done.returncode == 74
