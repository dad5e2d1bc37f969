"""CPython's own tests, with each of them run inside a fiber: whatever they say of the interpreter stays true there."""
