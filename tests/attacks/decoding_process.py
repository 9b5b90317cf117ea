"""A process that decodes as a worker does, as much as it is let: prints what memory that took."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from media.handover.encoded_frame import Codec, EncodedFrame
from media.video.decoder import PictureDecoder
from media.video.decoder_limits import publisher_share, recording_share
from recorder.kernel.limits import PICTURE_PIXELS_MAX

MIB = 1024 * 1024


def main() -> None:
    """Arguments: codec, publishers, streams of each, and files of coded pictures, the first a key frame."""
    codec, publishers, streams = Codec(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    pictures = [Path(name).read_bytes() for name in sys.argv[4:]]
    recording = recording_share()
    decoders = []
    for _ in range(publishers):
        share = publisher_share(recording)
        decoders += [PictureDecoder(share, pixels_max=PICTURE_PIXELS_MAX) for _ in range(streams)]
    before, began, cpu = _memory("VmRSS"), time.perf_counter(), time.process_time()
    decoded, dropped = 0, Counter[str]()
    for decoder in decoders:
        for number, data in enumerate(pictures):
            frame = EncodedFrame(codec, number * 3000, number * 10_000_000_000, data, data == pictures[0])
            decoded += decoder.decode(frame) is not None
        dropped.update(decoder.dropped)
    cpu_s = time.process_time() - cpu
    for decoder in decoders:
        decoder.close()
    peak, after = _memory("VmHWM"), _memory("VmRSS")
    print(  # noqa: T201 - the answer
        json.dumps(
            {
                "before_mib": before // MIB,
                "peak_mib": peak // MIB,
                "after_mib": after // MIB,
                "decoded": decoded,
                "dropped": dropped,
                "cpu_s": round(cpu_s, 3),
                "took_s": round(time.perf_counter() - began, 3),
            }
        )
    )


def _memory(kind: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


if __name__ == "__main__":
    main()
