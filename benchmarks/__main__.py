"""`python -m benchmarks [name ...]`: measures what docs/cost.md publishes, and says under which conditions.

Exits 1 when a figure is worse than the committed one (benchmarks/baseline.json) by more than 15 %.
"""

import argparse
import asyncio
import importlib
import os
import platform
import sys

from benchmarks import baseline

NAMES = ("start_latency", "control_plane", "history", "two_party", "receive_packet", "storing", "cost")


def main() -> int:
    """Run the named benchmarks, or all, one after the other; each prints its own table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--commit", action="store_true", help="make what is measured the figures to be held")
    given = parser.parse_args()
    chosen = given.names or NAMES
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.")
    print("Server and publishers share this machine: compare ratios of one run, not times of two.")
    figures: dict[str, float] = {}
    for name in chosen:
        print(f"\n{name}")
        figures |= asyncio.run(importlib.import_module(f"benchmarks.{name}").measure()) or {}
    if given.commit:
        baseline.write((baseline.read() if baseline.PATH.exists() else {}) | figures)
        return 0
    worse = baseline.worse(figures, baseline.read())
    for line in worse:
        print(f"worse than committed by more than {baseline.WORSE_BY_MAX:.0%}: {line}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
