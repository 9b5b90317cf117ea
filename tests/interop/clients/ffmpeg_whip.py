"""FFmpeg's whip muxer, as PyAV has it. Arguments: the endpoint, the codec, the clip, a certificate, a key."""

import json
import sys
import time
from fractions import Fraction

import av

url, _, film, certificate, key = sys.argv[1:]
began = time.monotonic()
options = {"cert_file": certificate, "key_file": key}
with av.open(film) as source, av.open(url, "w", format="whip", options=options) as whip:
    video = whip.add_stream("libx264", rate=25)
    video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
    video.bit_rate, video.gop_size = 600_000, 25
    video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}
    sound = whip.add_stream("libopus", rate=48_000, layout="stereo")
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=48_000, frame_size=960)
    sent, zero = 0, None
    for frame in source.decode():
        if zero is None:
            whip.start_encoding()
            zero = time.monotonic()
            connected_ms = (zero - began) * 1000  # with the offer's way
        time.sleep(max(0.0, zero + float(frame.pts * frame.time_base) - time.monotonic()))
        if isinstance(frame, av.VideoFrame):
            picture = frame.reformat(format="yuv420p")
            picture.pts, picture.time_base, picture.pict_type = sent, Fraction(1, 25), 0
            whip.mux(video.encode(picture))
            sent += 1
        else:
            for piece in resampler.resample(frame):
                whip.mux(sound.encode(piece))
version = f"{getattr(av, 'ffmpeg_version_info', '')} (PyAV {av.__version__})"
sys.stdout.write(json.dumps({"version": version, "connected_ms": connected_ms, "sent": sent}) + "\n")
