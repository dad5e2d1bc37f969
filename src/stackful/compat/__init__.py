"""Other libraries' interfaces, over fibers."""
