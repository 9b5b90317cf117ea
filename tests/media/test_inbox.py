from media.handover.encoded_frame import Codec, EncodedFrame, SenderReport
from media.handover.render_queue import (
    FRAME_OVERHEAD_BYTES,
    STREAM_VIDEO_BYTES_MAX,
    VIDEO_BYTES_MAX,
    RenderQueue,
    Reported,
    TimelineChanged,
)

BIG = 1_000_000


def picture(size: int = BIG, *, keyframe: bool = False) -> EncodedFrame:
    return EncodedFrame(Codec.VP8, 0, 0, bytes(size), keyframe)


SOUND = EncodedFrame(Codec.OPUS, 0, 0, bytes(100), True)


def test_everything_arrives_in_order_with_the_time() -> None:
    inbox = RenderQueue()
    inbox.put(TimelineChanged("a"))
    inbox.put_frame("a", SOUND)
    inbox.send(7, {"a": 3})
    batch = inbox.take()
    assert [type(item).__name__ for item in batch.items] == ["TimelineChanged", "Arrived"]
    assert (batch.now_ns, batch.blocked, batch.final) == (7, {"a": 3}, False)


def test_a_stream_that_floods_loses_pictures_until_a_key_frame_and_others_lose_nothing() -> None:
    inbox = RenderQueue()
    taken = sum(inbox.put_frame("fat", picture()) for _ in range(20))
    assert taken == STREAM_VIDEO_BYTES_MAX // (BIG + FRAME_OVERHEAD_BYTES)
    assert inbox.put_frame("thin", picture())
    assert inbox.put_frame("thin", SOUND)
    inbox.send(1, {})
    inbox.done(inbox.take())
    inbox.send(2, {})
    assert not inbox.put_frame("fat", picture(10))
    assert inbox.put_frame("fat", picture(10, keyframe=True))
    assert inbox.put_frame("fat", picture(10))
    assert inbox.dropped == {"video_backlog": 20 - taken + 1}


def test_all_pictures_together_have_a_bound_and_sound_goes_on_beyond_it() -> None:
    inbox = RenderQueue()
    for stream in range(2 * VIDEO_BYTES_MAX // BIG):
        inbox.put_frame(str(stream), picture())
    assert inbox.dropped["video_backlog"] > 0
    assert inbox.put_frame("voice", SOUND)


def test_a_flood_of_reports_uses_up_the_share_of_its_stream_and_no_more() -> None:
    inbox, flood = RenderQueue(), STREAM_VIDEO_BYTES_MAX // FRAME_OVERHEAD_BYTES + 1000
    for number in range(flood):
        inbox.put(Reported("fat", SenderReport(number, 0, 0)))
    inbox.put(Reported("thin", SenderReport(0, 0, 0)))
    inbox.send(1, {})
    batch = inbox.take()
    assert len(batch.items) * FRAME_OVERHEAD_BYTES <= STREAM_VIDEO_BYTES_MAX + 2 * FRAME_OVERHEAD_BYTES
    assert batch.items[-1] == Reported("thin", SenderReport(0, 0, 0))
    assert inbox.dropped == {"report_backlog": flood + 1 - len(batch.items)}
    inbox.done(batch)
    inbox.send(2, {})
    inbox.put(Reported("fat", SenderReport(0, 0, 0)))
    inbox.send(3, {})
    inbox.take()
    assert len(inbox.take().items) == 1


def test_after_the_end_nothing_is_kept() -> None:
    inbox = RenderQueue()
    inbox.put(TimelineChanged("a"))
    inbox.close()
    inbox.put(TimelineChanged("a"))
    assert not inbox.put_frame("a", SOUND)
    inbox.send(1, {})
    assert inbox.take().items == []
    assert inbox.dropped == {"after_the_end": 1}


def test_what_waits_is_told_as_time() -> None:
    inbox = RenderQueue()
    for now in (10, 20, 30):
        inbox.send(now, {})
    assert inbox.waiting_ns(inbox.take().now_ns) == 20
    inbox.take()
    assert inbox.waiting_ns(inbox.take().now_ns) == 0
