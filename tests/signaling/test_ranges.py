import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.http.ranges import (
    ByteRange,
    RangeNotSatisfiableError,
    entity_tag,
    matches_weakly,
    parse_entity_tags,
    parse_range,
    range_applies,
)


class TestParseRange:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("bytes=0-0", (0, 1)),
            ("bytes=0-99", (0, 100)),
            ("bytes=99-", (99, 100)),
            ("bytes=0-500", (0, 100)),  # as much as there is
            ("bytes=-1", (99, 100)),
            ("bytes=-500", (0, 100)),
            ("BYTES= 5-6 ", (5, 7)),
        ],
    )
    def test_of_a_hundred_bytes(self, header: str, expected: tuple[int, int]) -> None:
        assert parse_range(header, 100) == ByteRange(*expected)

    @pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
    def test_not_satisfiable(self, header: str) -> None:
        with pytest.raises(RangeNotSatisfiableError) as caught:
            parse_range(header, 100)
        assert caught.value.size == 100

    @pytest.mark.parametrize("header", ["bytes=0-", "bytes=-5"])
    def test_nothing_of_nothing(self, header: str) -> None:
        with pytest.raises(RangeNotSatisfiableError):
            parse_range(header, 0)

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,5-6",
            "items=0-5",
            "bytes=٣-٤",
            "bytes=" + "9" * 5000 + "-",
        ],
    )
    def test_ignored(self, header: str) -> None:
        assert parse_range(header, 100) is None

    @given(
        header=st.text() | st.from_regex(r"bytes=\d{0,25}-\d{0,25}", fullmatch=True),
        size=st.integers(0, 2**50),
    )
    def test_whatever_comes_stays_within_the_bytes(self, header: str, size: int) -> None:
        try:
            part = parse_range(header, size)
        except RangeNotSatisfiableError:
            return
        if part is not None:
            assert 0 <= part.start < part.stop <= size

    @given(first=st.integers(0, 300), last=st.integers(0, 300), size=st.integers(0, 300))
    def test_it_says_what_slicing_says(self, first: int, last: int, size: int) -> None:
        data = range(size)
        if first > last:
            assert parse_range(f"bytes={first}-{last}", size) is None
        elif first < size:
            part = parse_range(f"bytes={first}-{last}", size)
            assert part is not None
            assert data[part.start : part.stop] == data[first : last + 1]
            assert part.content_range(size) == f"bytes {first}-{data[first : last + 1][-1]}/{size}"


class TestEntityTags:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ('"a"', ['"a"']),
            ('"a", W/"b" ,"c,d"', ['"a"', 'W/"b"', '"c,d"']),
            ('""', ['""']),
            (" * ", ["*"]),
            ("", None),
            ("a", None),
            ('"a', None),
            ('"a" "b"', None),
        ],
    )
    def test_lists(self, header: str, expected: list[str] | None) -> None:
        assert parse_entity_tags(header) == expected

    @given(st.text())
    def test_any_text_is_parsed_or_refused(self, header: str) -> None:
        tags = parse_entity_tags(header)
        assert tags is None or tags

    def test_quoting_is_done_once(self) -> None:
        assert entity_tag("a") == entity_tag('"a"') == '"a"'
        assert entity_tag('W/"a"') == 'W/"a"'

    def test_weak_comparison(self) -> None:
        assert matches_weakly('"x", W/"a"', '"a"')
        assert matches_weakly("*", '"a"')
        assert not matches_weakly('"x"', '"a"')
        assert not matches_weakly("", '"a"')

    def test_if_range_compares_strongly(self) -> None:
        assert range_applies(None, '"a"')
        assert range_applies('"a"', '"a"')
        assert not range_applies('W/"a"', 'W/"a"')
        assert not range_applies('"b"', '"a"')
        assert not range_applies("Fri, 20 Nov 2026 21:00:00 GMT", '"a"')
