"""A row as plain fields."""

from typing import Any

from sqlalchemy.engine import Row


def fields(row: Row[Any]) -> dict[str, Any]:
    """The row's values by column name, the names as plain strings (msgspec takes no subclass of str)."""
    return {str.__str__(name): value for name, value in zip(row._fields, row, strict=True)}
