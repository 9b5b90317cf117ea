"""`python -m benchmarks [name ...]`: measures what the README publishes, and says under which conditions."""

import argparse
import asyncio
import importlib
import os
import platform
import sys

NAMES = ("start_latency", "two_party", "receive_packet")


def main() -> int:
    """Run the named benchmarks, or all, one after the other; each prints its own table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}")
    chosen = parser.parse_args().names or NAMES
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.")
    print("Server and publishers share this machine: compare ratios of one run, not times of two.")
    for name in chosen:
        print(f"\n{name}")
        asyncio.run(importlib.import_module(f"benchmarks.{name}").measure())
    return 0


if __name__ == "__main__":
    sys.exit(main())
