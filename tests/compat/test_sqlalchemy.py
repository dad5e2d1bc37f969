"""SQLAlchemy's asyncio extension, which is written for greenlet, with `stackful.compat.greenlet` in its place."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import stackful

PROGRAM = """
import asyncio
import sys

import stackful.compat.greenlet

sys.modules["greenlet"] = stackful.compat.greenlet

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(30))
    books: Mapped[list["Book"]] = relationship()


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))


async def main():
    engine = create_async_engine("sqlite+aiosqlite:///" + sys.argv[1])
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with sessions() as session:
        session.add_all([Author(name=f"author {i}", books=[Book() for _ in range(i)]) for i in range(10)])
        await session.commit()

    async def count(i):
        async with sessions() as session:
            author = (await session.scalars(select(Author).where(Author.name == f"author {i}"))).one()
            lazily = await session.run_sync(lambda s: len(s.get(Author, author.id).books))
            return lazily == len(await author.awaitable_attrs.books) == i

    assert all(await asyncio.gather(*map(count, range(10))))
    await engine.dispose()


asyncio.run(main(), debug=True)
assert "greenlet._greenlet" not in sys.modules
print("well")
"""


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.skipif(
    not (find_spec("sqlalchemy") and find_spec("aiosqlite")),
    reason="sqlalchemy and aiosqlite are not installed: NOT RUN",
)
def test_lazy_loads_and_concurrent_sessions_work(tmp_path):
    """Ten sessions at a time, lazy loads within ordinary functions, in asyncio's debug mode."""
    environment = {**os.environ, "PYTHONPATH": str(Path(stackful.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, tmp_path / "library.db"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert (done.stdout, done.returncode) == ("well\n", 0), done.stderr[-3000:]
