"""Where the files of a store are."""

from __future__ import annotations

import os

from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from os import PathLike

__all__ = ["make_folder"]

_FOLDER = ".stackful"  # a store in a folder of this name is alone there


def make_folder(store_path: str | PathLike[str]) -> str:
    """The true path of a store. In a folder of our own it gets that folder, which no version control should pick up.

    Raises:
        StoreError: the folder cannot be made.
    """
    path = os.path.realpath(store_path)
    folder = os.path.dirname(path)
    if os.path.basename(folder) == _FOLDER and not os.path.exists(folder):
        try:
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                pass  # another run was first
            with open(os.path.join(folder, ".gitignore"), "w", encoding="utf-8") as file:
                file.write("*\n")
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be made: {error.strerror}; choose another --store") from error
    return path
