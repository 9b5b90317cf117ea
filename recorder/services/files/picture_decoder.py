"""The decoding of one picture, as a program of its own: bounded in memory and time, and alone with its crash.

`python -I picture_decoder.py FILE PIXELS_MAX` prints format, width and height, or ends with 1.
"""

import resource
import sys

from PIL import Image

MEMORY_BYTES_MAX = 1024 * 1024 * 1024  # Python, Pillow, and 36 million pixels of four bytes twice
CPU_S_MAX = 15
FORMATS = ("PNG", "JPEG")


def main(file: str, pixels_max: int) -> int:
    """The exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    with Image.open(file, formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > pixels_max:
            return 1
        picture.load()  # all of it: what only begins well is no picture
    sys.stdout.write(f"{picture.format} {width} {height}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
