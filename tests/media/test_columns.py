"""Where things of a canvas lie in a picture that has fewer columns."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from media.video.anamorphic_scaler import AnamorphicScaler, coded_width
from media.video.labels import name_tag
from media.video.layout import Rectangle

even = st.integers(1, 2000).map(lambda half: 2 * half)


@given(even, st.data())
def test_areas_that_touch_still_do_and_cover_all_columns(canvas_width: int, data: st.DataObject) -> None:
    columns = AnamorphicScaler(canvas_width, coded_width(canvas_width, 2))
    edges = data.draw(st.lists(st.integers(0, canvas_width // 16).map(lambda unit: 16 * unit), unique=True))
    edges = sorted({0, *edges, canvas_width})
    edges = [edge for edge in edges if edge in (0, canvas_width) or edge <= canvas_width - 16]
    places = [columns.place(Rectangle(left, 0, right - left, 2)) for left, right in pairwise(edges)]
    assert [place.x for place in places] == [0, *(place.x + place.width for place in places[:-1])]
    assert places[-1].x + places[-1].width == coded_width(canvas_width, 2)
    assert all(place.x % 2 == place.width % 2 == 0 and place.width >= 2 for place in places)


@given(even, st.data())
def test_no_area_leaves_the_picture(canvas_width: int, data: st.DataObject) -> None:
    columns = AnamorphicScaler(canvas_width, coded_width(canvas_width, 2))
    x = data.draw(st.integers(0, canvas_width // 2 - 1)) * 2
    width = data.draw(st.integers(1, (canvas_width - x) // 2)) * 2
    place = columns.place(Rectangle(x, 6, width, 10))
    assert place.x >= 0 and place.x + place.width <= coded_width(canvas_width, 2)
    assert (place.y, place.height) == (6, 10)


def test_with_all_columns_everything_is_where_it_was() -> None:
    columns, tag = AnamorphicScaler(1280, 1280), name_tag("Ada", 28, 200)
    assert columns.place(Rectangle(2, 4, 6, 8)) == Rectangle(2, 4, 6, 8)
    assert columns.tag(tag) is tag


def test_a_tag_keeps_its_letters_in_half_the_columns() -> None:
    tag = name_tag("Ada Lovelace", 28, 300)
    narrow = AnamorphicScaler(1280, 640).tag(tag)
    assert narrow.width == tag.width // 4 * 2
    assert narrow.luma_keep.shape == (tag.height, narrow.width)
    assert narrow.chroma_add.shape == (tag.height // 2, narrow.width // 2)
    assert abs(float(np.mean(narrow.luma_add)) - float(np.mean(tag.luma_add))) < 300  # of 65536
    assert int((narrow.luma_keep.astype(int) * 255 + narrow.luma_add).max()) <= 256 * 256  # no overflow
