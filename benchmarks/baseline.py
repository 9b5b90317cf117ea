"""The committed figures of `make bench`: only ratios and sizes, which other machines can be held to."""

import json
from pathlib import Path

PATH = Path(__file__).with_name("baseline.json")
WORSE_BY_MAX = 0.15  # what noise of a shared machine does to a median


def read() -> dict[str, float]:
    """Return the committed figures by name; smaller is better in all of them."""
    return {str(name): float(value) for name, value in json.loads(PATH.read_text()).items()}


def write(figures: dict[str, float]) -> None:
    """Make these the figures to be held."""
    PATH.write_text(
        json.dumps({name: round(value, 3) for name, value in sorted(figures.items())}, indent=2) + "\n"
    )


def worse(figures: dict[str, float], committed: dict[str, float]) -> list[str]:
    """Say which figures are worse than committed by more than WORSE_BY_MAX."""
    return [
        f"{name}: {value:.3f}, committed {committed[name]:.3f}"
        for name, value in sorted(figures.items())
        if name in committed and value > committed[name] * (1 + WORSE_BY_MAX)
    ]
