"""What a durable run has open: files and connections are there again after a resume, the way to reopen them as well."""

SCRIPT = """
    import os, sqlite3, stackful
    from stackful import snapshot
    def path_of(connection):
        return connection.execute("PRAGMA database_list").fetchone()[2]
    snapshot.reconnector(sqlite3.Connection, save=path_of, reopen=sqlite3.connect)
    first = sqlite3.connect("one.db")
    first.execute("CREATE TABLE t (x)")
    out = open("out.txt", "w")
    for line in open("in.txt"):
        out.write(line.upper())
        stackful.checkpoint()
        if line == "b\\n" and not os.path.exists("killed"):
            out.write("lost")
            out.flush()
            open("killed", "w").close()
            os.kill(os.getpid(), 9)
    second = sqlite3.connect("two.db")
    stackful.checkpoint()
    print(first.execute("SELECT name FROM sqlite_master").fetchall(), out.tell())
    out.close(), first.close(), second.close()
"""


def test_files_and_connections_are_open_again(commands):
    """Each line is read once and written once; what `reconnector` registered counts for connections made later, too."""
    (commands.folder / "in.txt").write_text("a\nb\nc\n")
    script = commands.script(SCRIPT)
    assert commands.stackful("run", script).returncode == -9
    done = commands.stackful("resume")
    assert (done.stdout, done.returncode) == ("[('t',)] 6\n", 0), done.stderr
    assert (commands.folder / "out.txt").read_text() == "A\nB\nC\n"


def test_a_file_that_has_changed_is_refused_by_its_name(commands):
    """With a status of its own."""
    (commands.folder / "in.txt").write_text("a\nb\nc\n")
    commands.stackful("run", commands.script(SCRIPT))
    (commands.folder / "in.txt").write_text("x\nb\nc\n")
    done = commands.stackful("resume")
    assert done.returncode == 72
    assert "in.txt has changed since the snapshot" in done.stderr
