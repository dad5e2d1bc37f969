"""What is given to the functions of `stackful.snapshot` in the place of something else is named, with what is right."""

import io

import pytest

from stackful import snapshot

DATA = snapshot.dumps([1])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: snapshot.loads(DATA, allow=[5]), "allow= takes a list of texts, as 'package' or 'module:name', and 5"),
        (lambda: snapshot.loads(DATA, allow=5), r"allow= takes a list of texts, as \['package', 'module:name'\], not 5"),
        (lambda: snapshot.loads(DATA, allow="os"), r"allow= takes a list of texts: \['os'\]"),
        (lambda: snapshot.check_code(DATA, allow=[5]), "and 5 is none"),
        (lambda: snapshot.Allowed("os"), r"allow= takes a list of texts: \['os'\]"),
        (lambda: snapshot.Allowed(5), "not 5"),
        (lambda: snapshot.loads(DATA, program=5), r"program= is a snapshot.Program\(module, code\), not 5"),
        (lambda: snapshot.loads(DATA, blobs=5), r"as snapshot.MemoryBlobs\(\), not 5"),
        (lambda: snapshot.dumps(1, blobs=5), r"as snapshot.MemoryBlobs\(\), not 5"),
        (lambda: snapshot.dumps(1, run=5), "run= is a text, and sequence= a whole number: 5, None"),
        (lambda: snapshot.dumps(1, sequence="1"), "run= is a text, and sequence= a whole number: None, '1'"),
        (lambda: snapshot.dump(1, "path"), r"a binary file that is open, as open\(path, 'wb'\) gives it, not to 'path'"),
        (lambda: snapshot.load("path"), r"a binary file that is open, as open\(path, 'rb'\) gives it, not 'path'"),
    ],
)  # fmt: skip
def test_what_is_of_a_wrong_type_is_named(call, text):
    """By the rule, the object, and the way out; not by what went wrong with it inside."""
    with pytest.raises(TypeError, match=text):
        call()


def test_what_is_right_is_taken():
    """A tuple of texts, any object with put and get, any file."""
    blobs = snapshot.MemoryBlobs()
    file = io.BytesIO()
    snapshot.dump(["x" * 1000], file, blobs=blobs)
    file.seek(0)
    assert snapshot.load(file, blobs=blobs, allow=("os", "json:loads")) == ["x" * 1000]
