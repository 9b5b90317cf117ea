"""Writes the table of attacks into docs/security.md."""

from pathlib import Path

from tests.attacks import test_attacks as attacks
from tests.attacks.table import table
from tests.attacks.test_table import BEGIN, END

PAGE = Path("docs/security.md")

if __name__ == "__main__":
    assert attacks.MODULES
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{table()}\n{END}{rest.partition(END)[2]}")
