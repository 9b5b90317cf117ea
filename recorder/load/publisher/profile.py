"""Profiles: who publishes what in one call of a load."""

from dataclasses import dataclass

from recorder.kernel.media import SourceKind

CAMERA, SCREEN = SourceKind.CAMERA, SourceKind.SCREEN_SHARE
CAMERA_FPS, SCREEN_FPS = 25, 15


@dataclass(frozen=True, slots=True)
class Feed:
    """One publisher: its pictures (none without a size) and its sound. `moving`: all pictures differ widely.

    `stays_s`: it leaves after so long, and comes back after as long again; None: it stays.
    """

    source: SourceKind = CAMERA
    size: tuple[int, int] | None = (640, 360)
    fps: int = CAMERA_FPS
    moving: bool = True
    sound: bool = True
    stays_s: float | None = None

    @property
    def bitrate(self) -> int:
        """Bits a second, as browsers send such pictures."""
        if self.size is None:
            return 0
        width, height = self.size
        return max(200_000, width * height * self.fps * (4 if self.moving else 1) // 40)


@dataclass(frozen=True, slots=True)
class Profile:
    """A call: `about` is one line for people."""

    name: str
    about: str
    feeds: tuple[Feed, ...]


def _people(count: int, **fields: object) -> tuple[Feed, ...]:
    return tuple(Feed(**fields) for _ in range(count))  # type: ignore[arg-type]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("two-party", "two people, 640x360 at 25 a second", _people(2)),
        Profile("two-party-720p", "two people, 1280x720 at 25 a second", _people(2, size=(1280, 720))),
        Profile("audio", "two people, sound alone", _people(2, size=None)),
        Profile(
            "still-share",
            "two people, one shows a page at rest, 1920x1080",
            (*_people(2), Feed(SCREEN, (1920, 1080), SCREEN_FPS, moving=False, sound=False)),
        ),
        Profile(
            "moving-share",
            "two people, one shows a film, 1920x1080",
            (*_people(2), Feed(SCREEN, (1920, 1080), SCREEN_FPS, sound=False)),
        ),
        Profile("ten-party", "ten people, 320x180 at 25 a second", _people(10, size=(320, 180))),
        Profile(
            "churn",
            "two people, and two more who leave and come back every six seconds",
            (*_people(2), *_people(2, stays_s=6.0)),
        ),
    )
}
