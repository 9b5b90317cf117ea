"""Publishers that are not ours, against the engine; `python -m tests.interop` writes a table of them."""
