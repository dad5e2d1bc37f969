"""What the documentation shows is what happens.

A ```python block of README.md or docs/ is run as a program of its own. When a ```text block follows directly, that is
exactly what it prints. Words after `python` change this:
    continued   the blocks before it, back to the last one that stands alone, run first (their output does not count)
    fragment    not a program: it is only compiled
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if page.exists()]
BLOCK = re.compile(
    r"^```python(?P<words>[ \w]*)\n(?P<code>.*?)^```\n(?:\n?```text\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL
)

# Examples that no other test runs: file name -> (arguments, a line that it prints).
EXAMPLES: dict[str, tuple[list[str], str]] = {}

# What an extra brings, and the module by which that is seen: a block that imports it is skipped where it is not installed.
EXTRAS = {"opentelemetry": "opentelemetry.sdk.trace"}


def skip_if_missing(code):
    for name, module in EXTRAS.items():
        if re.search(rf"^\s*(from|import) {name}\b", code, re.MULTILINE):
            pytest.importorskip(module, reason=f"{name} is not installed: NOT RUN")


def snippets():
    """One test parameter a block: (words, the code that runs first, the code, the expected output or None)."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        before = ""
        for match in BLOCK.finditer(text):
            words = match["words"].split()
            before = before if "continued" in words else ""
            line = text.count("\n", 0, match.start()) + 1
            name = f"{page.relative_to(ROOT)}:{line}"
            yield pytest.param(words, before, match["code"], match["output"], id=name)
            before += match["code"]


def run(program, folder, *arguments):
    return subprocess.run(
        [sys.executable, program, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(("words", "before", "code", "output"), list(snippets()))
def test_snippets_print_what_the_page_says(words, before, code, output, tmp_path):
    """Each python block runs, and prints the text block that follows it."""
    if "fragment" in words:
        compile(code, "fragment", "exec")
        return
    skip_if_missing(before + code)
    quiet = "import contextlib as _c, io as _i\n_q = _c.redirect_stdout(_i.StringIO()); _q.__enter__()\n"
    prelude = f"{quiet}{before}\n_q.__exit__(None, None, None)\n" if before else ""
    program = tmp_path / "example.py"
    program.write_text(prelude + code, encoding="utf-8")
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr
    if output is not None:
        assert done.stdout == output


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_run_by_a_test(example, tmp_path):
    """An example is run here, or a test elsewhere names it."""
    if example.name in EXAMPLES:
        arguments, line = EXAMPLES[example.name]
        done = run(example, tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        assert line in done.stdout.splitlines()
    else:
        tests = (test.read_text(encoding="utf-8") for test in (ROOT / "tests").rglob("*.py"))
        assert any(example.name in text or f'"{example.stem}"' in text for text in tests)
