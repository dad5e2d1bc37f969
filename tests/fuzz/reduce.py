"""Makes a program that fails smaller, while it still fails in the same way.

python reduce.py FILE      FILE is as seeds/ has them; it is written over
"""

import ast
import subprocess
import sys
import warnings
from pathlib import Path

CHECK = Path(__file__).with_name("programs.py")
PLACEHOLDER = ast.Constant(1)


def failure(path):
    """How the program fails, in a word or two; None when it does not."""
    done = subprocess.run([sys.executable, CHECK, "--check", path], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    kinds = [line for line in done.stderr.splitlines() if line.startswith(("Violation: ", "stackful.", "__main__."))]
    return done.returncode, kinds[-1].rstrip("0123456789:") if kinds else done.stderr.splitlines()[-1:]


def blocks(tree):
    """Every list of statements."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            if isinstance(getattr(node, name, None), list):
                yield node, name


def smaller(tree):
    """Change the tree in place, one way after another; each is undone unless `send` says that it is kept."""
    for node, name in list(blocks(tree)):
        block = getattr(node, name)
        for index in reversed(range(len(block))):
            removed = block[index]
            inner = getattr(removed, "body", None)
            for replacement in ([], inner if isinstance(inner, list) else None, [ast.Pass()]):
                if replacement is not None and block[index : index + 1] != replacement:
                    block[index : index + 1] = replacement
                    if (yield):
                        break
                    block[index : index + len(replacement)] = [removed]
    for node in list(ast.walk(tree)):
        for name, value in list(ast.iter_fields(node)):
            if isinstance(value, ast.expr) and not isinstance(value, (ast.Name, ast.Constant)):
                children = [child for child in ast.iter_child_nodes(value) if isinstance(child, ast.expr)]
                for replacement in [PLACEHOLDER, *children]:
                    setattr(node, name, replacement)
                    if (yield):
                        break
                    setattr(node, name, value)


def reduce(path):
    """Write smaller programs over the file for as long as one fails as the first did."""
    first, _, source = path.read_text().partition("\n")
    wanted, trial = failure(path), path.with_suffix(".trial")
    if wanted is None:
        raise SystemExit(f"{path} does not fail")
    changed = True
    while changed:
        changed, tree = False, ast.parse(source)
        changes = smaller(tree)
        kept = None
        while True:
            try:
                changes.send(kept)
            except StopIteration:
                break
            try:
                text = ast.unparse(tree) + "\n"
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    compile(text, "", "exec")
            except (SyntaxError, ValueError, AttributeError, TypeError):
                kept = False
                continue
            trial.write_text(f"{first}\n{text}")
            kept = len(text) < len(source) and failure(trial) == wanted
            if kept:
                source, changed = text, True
                path.write_text(f"{first}\n{text}")
    trial.unlink(missing_ok=True)


if __name__ == "__main__":
    reduce(Path(sys.argv[1]))
    print(Path(sys.argv[1]).read_text())
