"""Regions: each tile has one, they are even, inside, apart; and the arrangements people expect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.video.layout import Rectangle, Tile, arrange, fit
from recorder.kernel.conversation import Role
from recorder.kernel.limits import PUBLISHERS_PER_RECORDING_MAX
from recorder.kernel.media import Canvas, SourceKind

HD = Canvas()
even = st.integers(32, 1000).map(lambda half: 2 * half)
canvases = st.builds(Canvas, width=st.integers(160, 2000).map(lambda half: 2 * half), height=even)


def tile(key: str, source: SourceKind = SourceKind.CAMERA, *, has_video: bool = True) -> Tile:
    return Tile(key, key, Role.VISITOR, source, has_video)


tiles = st.lists(
    st.tuples(st.sampled_from(SourceKind), st.booleans()), max_size=PUBLISHERS_PER_RECORDING_MAX
).map(lambda kinds: [tile(str(n), kind, has_video=video) for n, (kind, video) in enumerate(kinds)])


def sizes(*sources: SourceKind) -> list[tuple[int, int, int, int]]:
    regions = arrange(HD, [tile(str(n), source) for n, source in enumerate(sources)])
    return [(region.x, region.y, region.width, region.height) for region in regions]


@given(canvases, tiles)
def test_every_tile_has_one_even_region_inside_the_canvas_and_none_overlap(
    canvas: Canvas, tiles: list[Tile]
) -> None:
    regions = arrange(canvas, tiles)

    assert [region.key for region in regions] == [tile.key for tile in tiles]
    for region in regions:
        assert not any(length % 2 for length in (region.x, region.y, region.width, region.height))
        assert region.width >= 2 and region.height >= 2
        assert region.x >= 0 and region.x + region.width <= canvas.width
        assert region.y >= 0 and region.y + region.height <= canvas.height
    for n, one in enumerate(regions):
        for other in regions[n + 1 :]:
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y


@given(canvases, tiles)
def test_a_name_or_a_role_moves_nothing(canvas: Canvas, tiles: list[Tile]) -> None:
    renamed = [Tile(one.key, "other", Role.AGENT, one.source, one.has_video) for one in tiles]

    assert arrange(canvas, renamed) == arrange(canvas, tiles)


def test_one_camera_takes_the_canvas() -> None:
    assert sizes(SourceKind.CAMERA) == [(0, 0, 1280, 720)]


def test_two_cameras_stand_side_by_side_so_that_640x360_is_not_scaled() -> None:
    assert sizes(*[SourceKind.CAMERA] * 2) == [(0, 0, 640, 720), (640, 0, 640, 720)]
    assert fit(640, 360, Rectangle(640, 0, 640, 720)) == Rectangle(640, 180, 640, 360)


def test_three_cameras_stand_in_two_rows_the_last_one_centred() -> None:
    assert sizes(*[SourceKind.CAMERA] * 3) == [(0, 0, 640, 360), (640, 0, 640, 360), (320, 360, 640, 360)]


@pytest.mark.parametrize(("count", "columns"), [(4, 2), (5, 3), (6, 3), (9, 3), (10, 4), (16, 4), (32, 6)])
def test_a_grid_has_as_many_columns_as_its_square_root(count: int, columns: int) -> None:
    regions = sizes(*[SourceKind.CAMERA] * count)

    assert len({x for x, y, *_ in regions if y == regions[0][1]}) == columns
    assert len({(width, height) for *_, width, height in regions}) == 1


@pytest.mark.parametrize(
    "source", [SourceKind.SCREEN_SHARE, SourceKind.DOCUMENT, SourceKind.EMBEDDED, SourceKind.UNIVERSAL]
)
def test_what_is_shared_gets_five_sixths_and_the_others_a_filmstrip(source: SourceKind) -> None:
    first, shared, second = sizes(SourceKind.CAMERA, source, SourceKind.CAMERA)

    assert shared == (0, 0, 1072, 720)
    assert first == (1072, 242, 208, 116)
    assert second == (1072, 358, 208, 116)


def test_a_share_alone_takes_the_canvas() -> None:
    assert sizes(SourceKind.SCREEN_SHARE) == [(0, 0, 1280, 720)]


def test_of_two_shares_the_later_one_is_in_focus() -> None:
    earlier, later = sizes(SourceKind.SCREEN_SHARE, SourceKind.DOCUMENT)

    assert later[2] > earlier[2]


def test_a_share_without_a_picture_takes_no_focus() -> None:
    waiting = tile("share", SourceKind.SCREEN_SHARE, has_video=False)

    assert {region.width for region in arrange(HD, [tile("camera"), waiting])} == {640}


def test_thirty_one_people_still_stand_beside_a_share() -> None:
    people = sizes(SourceKind.SCREEN_SHARE, *[SourceKind.CAMERA] * 31)[1:]

    assert all(width * height >= 100 * 56 for *_, width, height in people)


def test_too_small_a_canvas_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        arrange(Canvas(width=8, height=8), [tile(str(n)) for n in range(32)])


@given(st.integers(1, 8000), st.integers(1, 8000), even, even)
def test_a_picture_fits_with_its_shape_and_touches_two_sides(
    width: int, height: int, into_width: int, into_height: int
) -> None:
    into = Rectangle(10, 20, into_width, into_height)

    area = fit(width, height, into)

    assert area.width == into.width or area.height == into.height
    assert into.x <= area.x and area.x + area.width <= into.x + into.width
    assert into.y <= area.y and area.y + area.height <= into.y + into.height
    assert not any(length % 2 for length in (area.x, area.y, area.width, area.height))
    scale = min(into.width / width, into.height / height)
    assert abs(area.width - width * scale) <= 2 and abs(area.height - height * scale) <= 2


def test_a_picture_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="positive size"):
        fit(0, 10, Rectangle(0, 0, 20, 20))
