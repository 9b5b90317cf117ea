"""One file for each step that a database has taken; a released one is never changed."""
