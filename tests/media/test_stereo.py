"""Two channels where settings want them, one where they do not, whatever publishers send."""

import io

import av
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from recorder.kernel.media import Publisher
from recorder.kernel.recording import RecordingPlan, RecordingType
from tests.support.encoded_source import Sender, beeping, opus_packets, opus_stereo, replay

ADA = Publisher(participant="ada", name="Ada")
SECONDS = 2.0
PLAN = RecordingPlan(recording="rec", conversation="conv", type=RecordingType.AUDIO)


def recorded(packets: tuple[bytes, ...], channels: int) -> npt.NDArray[np.float32]:
    """The loudness of each channel of the file."""
    sender = Sender("s1", ADA)
    sender.sound(packets)
    output, _ = replay(msgspec.structs.replace(PLAN, audio_channels=channels), [sender], until_s=102.5)
    with av.open(io.BytesIO(output.data)) as file:
        frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
    sound = np.concatenate(frames, axis=1)
    loudness: npt.NDArray[np.float32] = np.sqrt((sound**2).mean(axis=1))
    return loudness


@pytest.mark.parametrize("channels", [1, 2])
def test_a_signal_on_the_left(channels: int) -> None:
    tone, silence = beeping(SECONDS, (0.5, 1.0)), beeping(SECONDS, ())
    loudness = recorded(opus_stereo(tone, silence), channels)
    assert len(loudness) == channels
    assert loudness[0] > 0.01
    if channels == 2:
        assert loudness[1] < loudness[0] / 20


def test_one_channel_is_heard_on_both_sides() -> None:
    left, right = recorded(opus_packets(SECONDS, (0.5, 1.0)), 2)
    assert left > 0.01
    assert left == pytest.approx(right, rel=0.05)
