"""The key that seals checkpoints: made once, for its owner's eyes."""

import os
import stat

import pytest

from stackful.durable.keys import key_path, load_key, make_key
from stackful.errors import StoreError


def test_the_key_stands_beside_the_store(tmp_path):
    """The default store's key is `.stackful/key`; other stores have keys of their own name."""
    assert key_path(tmp_path / "runs.db") == str(tmp_path / "key")
    assert key_path(tmp_path / "x.db") == str(tmp_path / "x.db.key")


def test_a_key_is_made_once_and_secret(tmp_path):
    """The second call finds the first one's key, which nobody else may read, and no other file is left."""
    store = tmp_path / "runs.db"
    key = make_key(store)
    assert list(map(len, key)) == [32]
    assert make_key(store) == load_key(store) == key
    assert stat.S_IMODE(os.stat(key_path(store)).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_keys_differ(tmp_path):
    """Each store has its own."""
    assert make_key(tmp_path / "a.db") != make_key(tmp_path / "b.db")


def test_a_missing_key_is_reported(tmp_path):
    """The message names the file and says what it is needed for."""
    with pytest.raises(
        StoreError, match="key cannot be read: No such file.*; without it nothing that was sealed can be trusted"
    ):
        load_key(tmp_path / "runs.db")


def test_a_damaged_key_is_reported_and_left_alone(tmp_path):
    """A key of the wrong length is no key; it is not replaced."""
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(StoreError, match="is damaged: 5 bytes instead of 32"):
        make_key(tmp_path / "runs.db")
    assert (tmp_path / "key").read_bytes() == b"short"


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    """The message names the file that cannot be made."""
    with pytest.raises(StoreError, match="cannot be made: No such file"):
        make_key(tmp_path / "nowhere" / "runs.db")


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # a watchdog is no danger
def test_makers_in_a_race_agree(tmp_path):
    """Whoever comes second takes the first one's key."""
    store = tmp_path / "runs.db"
    child = os.fork()
    if child == 0:
        make_key(store)
        os._exit(0)
    key = make_key(store)
    assert os.waitpid(child, 0)[1] == 0
    assert load_key(store) == key
