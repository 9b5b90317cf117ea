"""The fuzzer: `python -m tests.fuzz TARGET MINUTES`, guided by coverage, from the corpus and into it.

A crash is written beside the corpus and told; mend it, and put its input into the corpus.
"""

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["media", "signaling", "storage", "recorder.kernel", "aioice"]):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "corpus"
INPUT_BYTES_MAX = 8192
INPUT_S_MAX = 5  # for so few bytes, also on a machine that does much else: anything longer is no linear time


def main() -> None:
    """Run one target; libFuzzer's options are what it prints and where it keeps what it finds."""
    name, minutes = sys.argv[1], float(sys.argv[2])
    logging.disable()  # what refusals say would be most of the time
    found = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    options = [
        f"-max_total_time={round(minutes * 60)}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={INPUT_S_MAX}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
