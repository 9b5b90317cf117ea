"""Who the feeds of a room are, and what their streams show."""

from recorder.kernel.connectors.source import JanusSource, Person
from recorder.kernel.conversation import Role
from recorder.kernel.media import Publisher, SourceKind
from signaling.connectors.janus.people import Feed, People, Stream

CAMERA, SHARE = SourceKind.CAMERA, SourceKind.SCREEN_SHARE
ADA = Feed(id=4711, display="Ada", publisher=True)


def people(*persons: Person, shares: tuple[str, ...] = ("*screen*",)) -> People:
    return People(JanusSource(url="ws://x", room=1, people=list(persons), shares=shares))


def stream(type_: str, mid: str, description: str | None = None) -> Stream:
    return Stream(type=type_, mid=mid, feed_mid=mid, feed_description=description)


def test_who_is_not_named_is_called_as_they_call_themselves() -> None:
    assert people().publisher(ADA, CAMERA) == Publisher(participant="janus:4711", name="Ada", source=CAMERA)
    nameless = people().publisher(Feed(id="x-1"), SHARE)
    assert (nameless.participant, nameless.name, nameless.source) == ("janus:x-1", "x-1", SHARE)


def test_the_first_rule_that_fits_counts() -> None:
    rules = people(
        Person(feed="4712", name="Nobody"),
        Person(feed="A*", name="Anna", role=Role.AGENT, participant="part_1"),
        Person(feed="*", role=Role.SUPERVISOR),
    )
    assert rules.publisher(ADA, CAMERA) == Publisher(
        participant="part_1", name="Anna", role=Role.AGENT, source=CAMERA
    )
    other = rules.publisher(Feed(id=1, display="Bob"), CAMERA)
    assert (other.participant, other.name, other.role) == ("janus:1", "Bob", Role.SUPERVISOR)


def test_streams_go_by_what_they_show() -> None:
    streams = [
        stream("audio", "0"),
        stream("video", "1"),
        stream("video", "2", "Ada's SCREEN"),
        stream("data", "3"),
    ]
    assert people().parts(ADA, streams) == {CAMERA: ["0", "1"], SHARE: ["2"]}
    assert people().parts(Feed(id=1, display="Screen of Ada"), streams[:2]) == {SHARE: ["0", "1"]}
    assert people(shares=()).parts(ADA, streams) == {CAMERA: ["0", "1", "2"]}
    document = people(Person(feed="Ada", source=SourceKind.DOCUMENT))
    assert document.parts(ADA, streams) == {SourceKind.DOCUMENT: ["0", "1", "2"]}
