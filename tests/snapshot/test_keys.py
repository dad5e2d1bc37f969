"""Keys of snapshots: from bytes, files and the environment; the newest seals, the older ones are still accepted."""

import hmac
import os
import stat

import pytest

from stackful import KeyFileError, SealError, keyfiles, snapshot
from stackful.snapshot.keys import Key


@pytest.mark.parametrize("length", [1, 32, 64, 65, 200])
def test_a_seal_is_an_hmac_of_sha256(length):
    """As RFC 2104 has it, whatever the key's length; in pieces too."""
    secret = os.urandom(length)
    assert Key(secret).mac((b"some", b"", b" text")) == hmac.digest(secret, b"some text", "sha256")


def test_a_key_does_not_show_itself():
    """Its id tells which one it is, and nothing of it."""
    key = Key(b"not to be seen")
    assert repr(key) == f"<Key {key.id}>"
    assert "not to be" not in repr(snapshot.Keys(b"not to be seen"))


def test_the_newest_key_seals_and_all_are_accepted():
    """Rotation: a snapshot of before is read with the new keys, one of now is not read with the old one alone."""
    old, new = os.urandom(32), os.urandom(32)
    before = snapshot.dumps([1], key=old)
    now = snapshot.dumps([2], key=(new, old))
    assert [snapshot.loads(data, key=snapshot.Keys(new, old)) for data in (before, now)] == [[1], [2]]
    assert snapshot.header(now)["key"] == Key(new).id
    with pytest.raises(SealError, match=Key(new).id):
        snapshot.loads(now, key=old)


def test_a_key_file_is_made_for_its_owner_only(tmp_path):
    """Once; a second look finds the same key, and no other file is left."""
    keys = snapshot.Keys.from_file(tmp_path / "key")
    assert stat.S_IMODE(os.stat(tmp_path / "key").st_mode) == 0o600
    assert [key.id for key in snapshot.Keys.from_file(tmp_path / "key")] == [key.id for key in keys]
    assert os.listdir(tmp_path) == ["key"]


def test_a_key_file_is_not_made_when_it_must_be_there(tmp_path):
    """Who reads does not make keys."""
    with pytest.raises(KeyFileError, match="cannot be read: No such file"):
        snapshot.Keys.from_file(tmp_path / "key", create=False)
    assert os.listdir(tmp_path) == []


def test_a_rotated_file_has_the_new_key_first(tmp_path):
    """Those before it stay, or as many of them as are wanted; the file is as secret as before."""
    path = tmp_path / "key"
    first = snapshot.Keys.from_file(path)
    data = snapshot.dumps([1], key=first)
    keyfiles.rotate_key_file(path)
    second = snapshot.Keys.from_file(path)
    assert second.newest.id != first.newest.id
    assert snapshot.loads(data, key=second) == [1]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]
    keyfiles.rotate_key_file(path, keep=1)
    with pytest.raises(SealError, match="another key"):
        snapshot.loads(data, key=snapshot.Keys.from_file(path))


def test_a_file_of_something_else_is_left_alone(tmp_path):
    """Neither read nor rotated."""
    path = tmp_path / "key"
    path.write_bytes(b"x" * 33)
    for use in (snapshot.Keys.from_file, keyfiles.rotate_key_file):
        with pytest.raises(KeyFileError, match="is damaged: 33 bytes"):
            use(path)
    assert path.read_bytes() == b"x" * 33


def test_keys_come_from_the_environment(monkeypatch):
    """Hexadecimal, the newest first."""
    old, new = os.urandom(32), os.urandom(16)
    monkeypatch.setenv("STACKFUL_KEY", f"{new.hex()}, {old.hex()}")
    keys = snapshot.Keys.from_environment()
    assert [key.id for key in keys] == [Key(new).id, Key(old).id]
    monkeypatch.setenv("OTHER", old.hex())
    assert snapshot.Keys.from_environment("OTHER").newest.id == Key(old).id


@pytest.mark.parametrize(
    ("text", "says"), [("", "is not set"), ("secret", "does not hold keys"), ("ab" * 15, "not hold")]
)
def test_an_environment_without_a_good_key_is_reported(monkeypatch, text, says):
    """The message says how to make one, and does not repeat what is there."""
    monkeypatch.setenv("STACKFUL_KEY", text)
    with pytest.raises(KeyFileError, match=says) as caught:
        snapshot.Keys.from_environment()
    assert "openssl rand" in str(caught.value)
    assert not text or text not in str(caught.value)
