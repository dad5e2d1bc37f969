"""Compile a script, with or without the checks that ``--every`` needs.

A check is ``if __stackful_due__ is not None: __stackful_check__()``. Both names live in the script's own globals,
because that is the cheapest thing a loop can ask: one specialised ``LOAD_GLOBAL`` and one jump, no conversion to a
bool, and the names still answer while the interpreter shuts down. A timer sets the first name; see ``timer.py``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    import ast
    from types import CodeType

__all__ = ["CHECK", "DUE", "add_checks", "compile_script"]

DUE = "__stackful_due__"
CHECK = "__stackful_check__"


def compile_script(source: bytes, filename: str, every: bool) -> CodeType:
    """Compile a whole script, the same bytes always to equal code.

    Args:
        source: the file's bytes; an encoding cookie or a byte order mark is obeyed.
        filename: what tracebacks call the file.
        every: whether to insert the checks that ``--every`` needs.

    Returns:
        The code of the script's ``<module>``.

    Raises:
        SyntaxError: as under plain ``python``.

    Example:
        >>> compile_script(b"print(1)", "one.py", every=False).co_filename
        'one.py'
    """
    if not every:
        return compile(source, filename, "exec", dont_inherit=True)
    # ast costs more to import than many a script to compile: only those who ask for it pay.
    from stackful.durable.checks import parse_with_checks

    return compile(parse_with_checks(source, filename, DUE, CHECK), filename, "exec", dont_inherit=True)


def add_checks(tree: ast.Module) -> ast.Module:
    """Put the checks that ``--every`` needs into a tree, as `compile_script` does.

    Example:
        >>> import ast
        >>> ast.unparse(add_checks(ast.parse("x = 1"))).splitlines()[0]
        'global __stackful_due__, __stackful_check__'
    """
    from stackful.durable.checks import with_checks

    return with_checks(tree, DUE, CHECK)
