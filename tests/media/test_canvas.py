"""What stands on the canvas after painting: real samples, in their places, only where something changed."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from media.video.compositor import BACKGROUND, Compositor
from media.video.labels import BACKGROUND_RGB
from media.video.layout import Tile
from media.video.scaler import Picture, Scaler, from_rgba, new_picture, planes
from recorder.kernel.conversation import Role
from recorder.kernel.media import Canvas, SourceKind
from tests.support.similarity import ssim

HD = Canvas()
RED, GREEN, BLUE = (81, 90, 240), (145, 54, 34), (41, 240, 110)  # BT.601, limited range


def camera(key: str, name: str = "") -> Tile:
    return Tile(key, name or key, Role.VISITOR, SourceKind.CAMERA, True)


def share(key: str) -> Tile:
    return Tile(key, key, Role.AGENT, SourceKind.SCREEN_SHARE, True)


def plain(width: int, height: int, colour: tuple[int, int, int], pixel_format: str = "yuv420p") -> Picture:
    picture = av.VideoFrame(width, height, pixel_format)
    for plane, value in zip(planes(picture), colour, strict=True):
        plane[:] = value
    return picture


def noise(width: int, height: int, seed: int = 1) -> Picture:
    random = np.random.default_rng(seed)
    picture = new_picture(width, height)
    for plane in planes(picture):
        plane[:] = random.integers(16, 236, plane.shape, dtype=np.uint8)
    return picture


def copy(picture: Picture) -> Picture:
    twin = new_picture(picture.width, picture.height)
    for source, target in zip(planes(picture), planes(twin), strict=True):
        target[:] = source
    return twin


def at(picture: Picture, x: int, y: int) -> tuple[int, ...]:
    views = planes(picture)
    return tuple(int(value) for value in (views.y[y, x], views.u[y // 2, x // 2], views.v[y // 2, x // 2]))


def test_an_empty_canvas_is_background_everywhere() -> None:
    picture = Compositor(HD).compose()

    assert (picture.width, picture.height, picture.format.name) == (1280, 720, "yuv420p")
    for plane, value in zip(planes(picture), BACKGROUND, strict=True):
        assert (plane == value).all()


def test_the_background_is_the_colour_around_placeholders() -> None:
    drawn = from_rgba(bytes((*BACKGROUND_RGB, 255)) * 256, 16, 16)

    assert np.allclose(at(drawn, 8, 8), BACKGROUND, atol=1)


def test_a_picture_that_fits_is_pasted_sample_for_sample() -> None:
    compositor = Compositor(Canvas(width=640, height=360))
    compositor.set_tiles([share("share")])
    sent = noise(640, 360)
    compositor.show("share", sent)

    for painted, plane in zip(planes(compositor.compose()), planes(sent), strict=True):
        assert np.array_equal(painted, plane)


def test_pictures_stand_in_their_regions_between_bars() -> None:
    compositor = Compositor(HD)
    compositor.set_tiles([camera("left"), camera("right")])
    compositor.show("left", plain(640, 360, RED))
    compositor.show("right", plain(320, 240, BLUE))

    picture = compositor.compose()

    assert at(picture, 320, 360) == RED and at(picture, 2, 182) == RED
    assert at(picture, 960, 360) == BLUE and at(picture, 960, 122) == BLUE
    assert at(picture, 320, 178) == BACKGROUND and at(picture, 960, 116) == BACKGROUND


def test_a_scaled_picture_looks_like_the_one_that_was_sent() -> None:
    ramp = new_picture(1280, 720)
    rows, columns = np.mgrid[0:720, 0:1280]
    planes(ramp).y[:] = (120 + 60 * np.sin(columns / 37) * np.cos(rows / 23)).astype(np.uint8)
    for plane in planes(ramp)[1:]:
        plane[:] = 128
    compositor = Compositor(Canvas(width=640, height=360))
    compositor.set_tiles([share("share")])
    compositor.show("share", ramp)

    half = planes(ramp).y.reshape(360, 2, 640, 2).mean(axis=(1, 3)).astype(np.uint8)

    assert ssim(planes(compositor.compose()).y, half) > 0.99


@pytest.mark.parametrize(("width", "height"), [(641, 361), (1, 1), (3, 719), (1279, 2), (176, 144)])
def test_odd_and_extreme_sizes_are_shown(width: int, height: int) -> None:
    compositor = Compositor(HD)
    compositor.set_tiles([share("share")])
    compositor.show("share", plain(width, height, GREEN))

    assert at(compositor.compose(), 640, 359) == GREEN


def test_full_range_is_brought_to_limited_range() -> None:
    compositor = Compositor(HD)
    compositor.set_tiles([share("left"), share("right")])
    tagged = plain(64, 64, (255, 128, 128))
    tagged.color_range = ColorRange.JPEG
    compositor.show("left", tagged)
    compositor.show("right", plain(64, 64, (255, 128, 128), "yuvj420p"))

    picture = compositor.compose()

    assert at(picture, 1200, 360)[0] == 235 and at(picture, 500, 360)[0] == 235


def test_bt709_is_brought_to_the_canvas_colours() -> None:
    compositor = Compositor(HD)
    compositor.set_tiles([share("share")])
    red = plain(640, 360, (63, 102, 240))  # BT.709 red
    red.colorspace = 1
    compositor.show("share", red)

    assert np.allclose(at(compositor.compose(), 640, 360), RED, atol=2)


@pytest.mark.parametrize("pixel_format", ["gray", "yuv444p", "nv12", "yuv420p10le", "rgb24"])
def test_other_pixel_formats_are_shown(pixel_format: str) -> None:
    compositor = Compositor(HD)
    compositor.set_tiles([share("share")])
    compositor.show("share", plain(640, 360, (145, 128, 128)).reformat(format=pixel_format))

    assert np.allclose(at(compositor.compose(), 640, 360), (145, 128, 128), atol=3)


def test_rotation_metadata_turns_the_picture() -> None:
    upright = plain(320, 240, (40, 128, 128))
    planes(upright).y[:, 160:] = 200
    turned = _decoded_with_rotation(upright)
    assert turned.rotation == 90
    compositor = Compositor(HD)
    compositor.set_tiles([share("share")])
    compositor.show("share", turned)

    picture = compositor.compose()

    assert at(picture, 640, 100)[0] > 190 and at(picture, 640, 620)[0] < 50  # anticlockwise: right goes up
    assert at(picture, 100, 360) == BACKGROUND


def test_a_turned_picture_stands_in_half_the_columns() -> None:
    upright = plain(320, 240, (40, 128, 128))
    planes(upright).y[:, 160:] = 200
    compositor = Compositor(HD)
    compositor.set_tiles([share("share")])
    compositor.set_width(640)
    compositor.show("share", _decoded_with_rotation(upright))

    picture = compositor.compose()

    assert at(picture, 320, 100)[0] > 190 and at(picture, 320, 620)[0] < 50
    edges = (640 - 270) // 2, (640 + 270) // 2  # 540 of 1280 columns
    assert at(picture, edges[0] - 4, 360) == BACKGROUND == at(picture, edges[1] + 4, 360)
    assert BACKGROUND not in (at(picture, edges[0] + 4, 360), at(picture, edges[1] - 4, 360))


def _decoded_with_rotation(picture: Picture) -> Picture:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    coded = b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))
    # SEI 47 (ITU-T H.264 D.1.27): not cancelled, not flipped, a quarter turn anticlockwise, for this picture.
    orientation = bytes.fromhex("00000001 06 2f 03 080014 80")
    decoder = av.CodecContext.create("h264", "r")
    (turned,) = decoder.decode(av.Packet(orientation + coded)) + decoder.decode(None)
    return turned


class TestDamage:
    def compositor(self) -> Compositor:
        compositor = Compositor(HD)
        compositor.set_tiles([camera("a"), camera("b")])
        compositor.show("a", noise(640, 360, 1))
        compositor.show("b", noise(640, 360, 2))
        compositor.compose()
        return compositor

    def test_nothing_is_damaged_after_composing(self) -> None:
        assert not self.compositor().damaged

    def test_a_new_compositor_and_a_new_picture_are_damage(self) -> None:
        assert Compositor(HD).damaged
        compositor = self.compositor()
        compositor.show("a", noise(640, 360, 3))
        assert compositor.damaged

    def test_the_same_samples_again_are_none(self) -> None:
        compositor = self.compositor()
        compositor.show("a", noise(640, 360, 1))
        assert not compositor.damaged

    def test_the_same_samples_in_another_range_are(self) -> None:
        compositor = self.compositor()
        brighter = noise(640, 360, 1)
        brighter.color_range = ColorRange.JPEG
        compositor.show("a", brighter)
        assert compositor.damaged

    @pytest.mark.parametrize("plane", [0, 1, 2])
    def test_one_changed_sample_in_any_plane_is(self, plane: int) -> None:
        compositor = self.compositor()
        changed = noise(640, 360, 1)
        planes(changed)[plane][-1, -1] ^= 4
        compositor.show("a", changed)
        assert compositor.damaged

    def test_coding_noise_is_none_but_it_does_not_add_up(self) -> None:
        compositor = self.compositor()
        compositor.show("a", plain(640, 360, (100, 128, 128)))
        compositor.compose()
        seen = []
        for luma in range(101, 107):
            compositor.show("a", plain(640, 360, (luma, 128, 128)))
            seen.append(compositor.damaged)
            compositor.compose()
        assert seen == [False, False, True, False, False, True]

    def test_only_the_changed_tile_is_painted(self) -> None:
        compositor = self.compositor()
        canvas = planes(compositor.compose())
        canvas.y[:, :640] = 77  # would be painted over if the tile on the left were
        compositor.show("b", noise(640, 360, 3))
        compositor.compose()
        assert (canvas.y[:, :640] == 77).all()
        assert np.array_equal(canvas.y[180:480, 640:], planes(noise(640, 360, 3)).y[:300])

    def test_a_changed_name_repaints_its_tile_alone(self) -> None:
        compositor = self.compositor()
        before = copy(compositor.compose())
        compositor.set_tiles([camera("a"), camera("b", "Somebody Else")])
        assert compositor.damaged
        after = compositor.compose()
        assert np.array_equal(planes(after).y[:, :640], planes(before).y[:, :640])
        assert not np.array_equal(planes(after).y[:, 640:], planes(before).y[:, 640:])

    def test_the_same_tiles_again_are_none(self) -> None:
        compositor = self.compositor()
        compositor.set_tiles([camera("a"), camera("b")])
        assert not compositor.damaged

    def test_who_leaves_is_gone_and_who_stays_is_repainted(self) -> None:
        compositor = self.compositor()
        compositor.set_tiles([camera("b")])
        compositor.show("b", plain(640, 360, RED))
        picture = compositor.compose()
        assert at(picture, 10, 10) == RED and at(picture, 1270, 500) == RED

    def test_a_smaller_picture_leaves_nothing_of_a_larger_one(self) -> None:
        compositor = self.compositor()
        compositor.show("a", plain(180, 360, GREEN))
        picture = compositor.compose()
        assert at(picture, 320, 360) == GREEN
        assert at(picture, 10, 360) == BACKGROUND and at(picture, 630, 360) == BACKGROUND


class TestNames:
    def test_the_tag_stands_at_the_lower_left_and_nowhere_else(self) -> None:
        compositor = Compositor(HD)
        compositor.set_tiles([camera("a", "Amélie")])
        compositor.show("a", plain(1280, 720, (128, 128, 128)))
        luma = planes(compositor.compose()).y
        rows, columns = np.nonzero(luma != 128)
        assert rows.min() > 650 and columns.max() < 250
        assert luma.max() > 225 and luma.min() < 70  # white ink, dark plate

    def test_repainting_does_not_darken_the_plate(self) -> None:
        compositor = Compositor(HD)
        compositor.set_tiles([camera("a", "Amélie")])
        compositor.show("a", plain(1280, 720, RED))
        first = copy(compositor.compose())
        for _ in range(3):
            compositor.show("a", plain(1280, 720, BLUE))
            compositor.compose()
            compositor.show("a", plain(1280, 720, RED))
            compositor.compose()
        assert np.array_equal(planes(compositor.compose()).y, planes(first).y)

    def test_what_is_shared_carries_no_tag(self) -> None:
        compositor = Compositor(HD)
        compositor.set_tiles([share("s")])
        compositor.show("s", plain(1280, 720, RED))
        assert (planes(compositor.compose()).y == RED[0]).all()

    def test_a_tile_without_picture_shows_initials_and_name_and_again_when_the_camera_goes_off(self) -> None:
        compositor = Compositor(HD)
        compositor.set_tiles([camera("a", "Ada Lovelace")])
        waiting = copy(compositor.compose())
        compositor.show("a", plain(1280, 720, RED))
        compositor.compose()
        compositor.show("a", None)
        assert compositor.damaged
        assert np.array_equal(planes(compositor.compose()).y, planes(waiting).y)
        luma = planes(waiting).y
        assert luma[330:390, 600:680].max() == 235  # ink of the initials
        assert luma[660:700, 20:200].max() > 225  # ink of the name

    def test_tiny_tiles_go_without_a_tag(self) -> None:
        compositor = Compositor(Canvas(width=64, height=30))
        compositor.set_tiles([camera("a", "Ada")])
        compositor.show("a", plain(64, 30, RED))
        assert (planes(compositor.compose()).y == RED[0]).all()


class TestNarrow:
    """The same canvas in half the columns."""

    def compositor(self) -> Compositor:
        compositor = Compositor(Canvas(width=640, height=360))
        compositor.set_tiles([camera("ada", "Ada Lovelace"), camera("bob"), share("share"), camera("cy")])
        compositor.show("ada", plain(320, 240, RED))
        compositor.show("share", smooth(640, 480))
        compositor.show("cy", plain(200, 320, GREEN))
        return compositor

    def test_everything_stands_where_it_did(self) -> None:
        compositor = self.compositor()
        whole = Scaler().scale(compositor.compose(), 320, 360)
        compositor.set_width(320)
        assert compositor.damaged
        narrow = compositor.compose()
        assert (compositor.width, narrow.width, narrow.height) == (320, 320, 360)
        for expected, painted in zip(planes(whole), planes(narrow), strict=True):
            assert np.abs(expected.astype(int) - painted).mean() < 1.5
        assert ssim(planes(whole).y, planes(narrow).y) > 0.97

    def test_what_changes_there_is_painted_there(self) -> None:
        compositor = self.compositor()
        compositor.set_width(320)
        compositor.compose()
        compositor.show("ada", plain(320, 180, BLUE))
        anew = self.compositor()
        anew.set_width(320)
        anew.show("ada", plain(320, 180, BLUE))
        for painted, expected in zip(planes(compositor.compose()), planes(anew.compose()), strict=True):
            assert np.array_equal(painted, expected)

    def test_all_columns_come_back_as_they_were(self) -> None:
        compositor = self.compositor()
        before = copy(compositor.compose())
        compositor.set_width(320)
        compositor.compose()
        compositor.set_width(640)
        for painted, expected in zip(planes(compositor.compose()), planes(before), strict=True):
            assert np.array_equal(painted, expected)


def smooth(width: int, height: int) -> Picture:
    rows, columns = np.mgrid[0:height, 0:width]
    picture = plain(width, height, (0, 110, 150))
    planes(picture).y[:] = (126 + 60 * np.sin(columns / 17) + 40 * np.cos(rows / 11)).astype(np.uint8)
    return picture
