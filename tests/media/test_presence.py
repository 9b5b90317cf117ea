from media.sync.activity import SILENT_NS, ActivityDetector

S = 1_000_000_000


def kinds(presence: ActivityDetector, now_ns: int) -> list[str]:
    return [notice.kind for notice in presence.check(now_ns)]


def both() -> ActivityDetector:
    presence = ActivityDetector()
    presence.begin("audio", 0)
    presence.begin("video", 0)
    return presence


def test_one_stream_that_stops_is_muted_since_its_last_frame() -> None:
    presence = both()
    presence.observe("audio", 1 * S)
    presence.observe("video", 5 * S)
    (notice,) = presence.check(5 * S)
    assert (notice.kind, notice.at_ns, notice.detail) == ("muted", 1 * S, {"stream": "audio"})
    assert presence.check(5 * S) == []
    presence.observe("audio", 6 * S)
    assert kinds(presence, 6 * S) == ["unmuted"]


def test_all_streams_that_stop_are_a_gap() -> None:
    presence = both()
    assert kinds(presence, SILENT_NS + 1) == ["gap_started"]
    assert kinds(presence, 9 * S) == []
    presence.observe("audio", 10 * S)
    presence.observe("video", 10 * S)
    (notice,) = presence.check(10 * S)
    assert (notice.kind, notice.at_ns) == ("gap_ended", 10 * S)


def test_what_is_back_is_back_since_its_first_frame() -> None:
    presence = both()
    presence.observe("audio", 5 * S)
    assert kinds(presence, 5 * S) == ["muted"]
    presence.observe("audio", 6 * S)
    presence.observe("video", 6 * S + 1)
    presence.observe("video", 6 * S + 2)
    (notice,) = presence.check(6 * S + 3)
    assert (notice.kind, notice.at_ns) == ("unmuted", 6 * S + 1)
    assert kinds(presence, 10 * S) == ["gap_started"]
    for at_ns in (11 * S, 12 * S):
        presence.observe("audio", at_ns)
        presence.observe("video", at_ns + 1)
    (notice,) = presence.check(12 * S + 1)
    assert (notice.kind, notice.at_ns) == ("gap_ended", 11 * S)


def test_who_comes_during_a_gap_ends_it() -> None:
    presence = both()
    assert kinds(presence, 9 * S) == ["gap_started"]
    presence.begin("screen", 10 * S)
    first, *_ = presence.check(10 * S)
    assert (first.kind, first.at_ns) == ("gap_ended", 10 * S)


def test_a_stream_that_ended_is_not_missed() -> None:
    presence = both()
    presence.end("video")
    presence.observe("audio", 5 * S)
    presence.observe("video", 5 * S)
    assert kinds(presence, 5 * S) == []


def test_nobody_watched_says_nothing() -> None:
    assert ActivityDetector().check(100 * S) == []
