"""The room's WebSocket over real sockets, against the fake control plane."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import InteractionKind, LayerKind, Participant, Role
from recorder.kernel.errors import caller_error
from recorder.kernel.limits import WEBSOCKET_MESSAGE_BYTES_MAX
from recorder.kernel.recording import RecordingState
from signaling.http.rate_limits import RateLimit, RateLimits
from signaling.ports import Caller
from signaling.room import ROOMS, socket
from signaling.room.core import room as core
from signaling.room.core.limits import MESSAGES_BURST_MAX
from signaling.room.core.messages import (
    Away,
    CloseCode,
    Description,
    Error,
    Hello,
    Joined,
    Leave,
    Left,
    Past,
    Ping,
    Pong,
    Publish,
    RecordingChanged,
    Returned,
    Say,
    SetScreen,
    Signal,
    Signaled,
    StartRecording,
    StatusChanged,
    StopRecording,
    Unpublish,
    Welcome,
)
from tests.support.fake_ports import API_KEY, FakeServer, overloaded
from tests.support.http import Served, serve
from tests.support.room_client import WAIT_S, RoomClient

ABNORMAL = 1006  # RFC 6455, 7.1.5: without a closing handshake
People = tuple[Participant, Participant]


async def people(served: Served) -> People:
    """An agent and a visitor of one new conversation."""
    conversation = await served.conversation()
    add = served.fake.ports.conversations.add_participant
    return (
        await add(conversation, role=Role.AGENT, name="Ada"),
        await add(conversation, role=Role.VISITOR, name="Blaise"),
    )


@pytest.fixture
async def pair(served: Served) -> People:
    return await people(served)


@pytest.fixture
async def live() -> AsyncIterator[Served]:
    """Served with the machine's clock: for what happens by itself after a time."""
    async with serve(FakeServer(SystemClock())) as one:
        yield one


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what the fake server will have been told."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the fake announces nothing
            await asyncio.sleep(0.005)


class TestTheDoor:
    async def test_a_participant_is_welcomed(self, served: Served, pair: People) -> None:
        client = await RoomClient.enter(served.client, pair[0])
        assert (await client.expect(Welcome)).you.name == "Ada"

    @pytest.mark.parametrize(
        ("token", "code", "close"),
        [
            ("nonsense", "unauthorized", CloseCode.UNAUTHORIZED),
            (API_KEY, "forbidden", CloseCode.FORBIDDEN),
        ],
    )
    async def test_other_tokens_are_refused(
        self, served: Served, pair: People, token: str, code: str, close: CloseCode
    ) -> None:
        client = await RoomClient.connect(served.client, pair[0].conversation)
        await client.say(Hello(token=token, instance="page"))
        assert (await client.expect(Error)).code == code
        assert await client.closed() == close

    async def test_a_token_opens_its_own_room_only(self, served: Served, pair: People) -> None:
        client = await RoomClient.connect(served.client, await served.conversation())
        await client.say(Hello(token=pair[0].token or "", instance="page"))
        assert await client.closed() == CloseCode.FORBIDDEN

    async def test_an_ended_conversation_is_there_to_read(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        await ada.expect(Welcome)
        made = await served.recording(pair[0].conversation)
        await served.fake.finish(made["id"])
        await served.fake.ports.messages.say(
            Caller(pair[1]), pair[0].conversation, text="Good bye", participant=None
        )
        await served.fake.ports.conversations.end(pair[0].conversation)
        for who, links in zip(pair, ([{"media"}], []), strict=True):  # visible_to has agents
            client = await RoomClient.enter(served.client, who)
            past = await client.expect(Past)
            assert [line.text for line in past.chat] == ["Good bye"]
            assert [{"media"} & set(notice.links) for notice in past.recordings] == links
            assert await client.closed() == CloseCode.ENDED

    async def test_who_comes_back_to_an_empty_room_finds_what_was_said(
        self, served: Served, pair: People
    ) -> None:
        await served.fake.ports.messages.say(
            Caller(pair[1]), pair[0].conversation, text="Is anybody there?", participant=None
        )
        ada = await RoomClient.enter(served.client, pair[0])
        assert [line.text for line in (await ada.expect(Welcome)).chat] == ["Is anybody there?"]

    async def test_a_control_plane_that_does_not_answer_is_said(self, served: Served, pair: People) -> None:
        served.fake.fail("authority.authenticate", overloaded())
        client = await RoomClient.enter(served.client, pair[0])
        assert await client.closed() == CloseCode.UNAVAILABLE  # the page comes back by itself

    @pytest.mark.parametrize("text", ["", "{}", '{"type":"ping"}', '{"type":"hello","token":1}', "[" * 5000])
    async def test_who_does_not_say_hello_is_turned_away(
        self, served: Served, pair: People, text: str
    ) -> None:
        client = await RoomClient.connect(served.client, pair[0].conversation)
        await client.socket.send_str(text)
        assert (await client.expect(Error)).code == "bad_message"
        assert await client.closed() == CloseCode.BAD_MESSAGE

    async def test_who_says_nothing_is_not_waited_for(
        self, served: Served, pair: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "HELLO_TIMEOUT_S", 0.05)
        client = await RoomClient.connect(served.client, pair[0].conversation)
        assert await client.closed() == CloseCode.HELLO_TIMEOUT

    async def test_whoever_says_nothing_makes_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "UNKNOWN_SOCKETS_PER_ADDRESS_MAX", 2)
        async with serve() as served:
            ada, _ = await people(served)
            silent = [await RoomClient.connect(served.client, ada.conversation) for _ in range(3)]
            assert await silent[0].closed() == ABNORMAL
            inside = await RoomClient.enter(served.client, ada)
            assert (await inside.expect(Welcome)).you.name == "Ada"

    async def test_guessing_tokens_is_counted(self) -> None:
        async with serve(rate_limits=RateLimits(address=RateLimit(2, 0.001))) as served:
            ada, _ = await people(served)
            looked_up, codes = served.fake.authenticated, []
            for _ in range(4):
                client = await RoomClient.connect(served.client, ada.conversation)
                await client.say(Hello(token="guessed", instance="page"))
                codes.append(await client.closed())
            assert codes == [CloseCode.UNAUTHORIZED] * 2 + [CloseCode.UNAVAILABLE] * 2
            assert served.fake.authenticated - looked_up == 2


class TestEnding:
    @pytest.mark.parametrize(("method", "path", "status"), [("POST", "/end", 200), ("DELETE", "", 204)])
    async def test_the_room_ends_with_its_conversation(
        self, served: Served, pair: People, method: str, path: str, status: int
    ) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        await ada.expect(Welcome)
        path = f"/v1/conversations/{pair[0].conversation}{path}"
        assert (await served.client.request(method, path, headers=served.key)).status == status
        assert await ada.closed() == CloseCode.ENDED

    async def test_whoever_came_in_by_a_replaced_token_is_out(self, served: Served, pair: People) -> None:
        ada, blaise = [await RoomClient.enter(served.client, one) for one in pair]
        await ada.expect(Welcome)
        await blaise.expect(Welcome)
        path = f"/v1/conversations/{pair[0].conversation}/participants/{pair[0].id}/token"
        assert (await served.client.post(path, headers=served.key)).status == 200
        assert await ada.closed() == CloseCode.UNAUTHORIZED
        assert (await blaise.expect(Left)).participant == pair[0].id


class TestTalking:
    async def test_signals_pass_between_two(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        await ada.expect(Welcome)
        blaise = await RoomClient.enter(served.client, pair[1], "his page")
        await blaise.expect(Welcome)
        assert (await ada.expect(Joined)).member.instance == "his page"
        offer = Description(type="offer", sdp="v=0\r\n" + "a" * 60_000)
        await ada.say(Signal(to=pair[1].id, instance="his page", session="s", description=offer))
        assert await blaise.expect(Signaled) == Signaled(sender=pair[0].id, session="s", description=offer)

    async def test_leaving_and_dropping_are_told_apart(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        blaise = await RoomClient.enter(served.client, pair[1])
        await blaise.socket.close()
        await ada.expect(Away)
        blaise = await RoomClient.enter(served.client, pair[1])
        assert (await blaise.expect(Welcome)).resumed
        await ada.expect(Returned)
        await blaise.say(Leave())
        assert await blaise.closed() == CloseCode.LEFT
        await ada.expect(Left)

    async def test_a_seat_is_kept_for_its_time_and_no_longer(
        self, live: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(core, "_RESUME_TIMEOUT_NS", 50_000_000)
        pair = await people(live)
        ada = await RoomClient.enter(live.client, pair[0])
        blaise = await RoomClient.enter(live.client, pair[1])
        await blaise.expect(Welcome)
        await blaise.socket.close()
        assert (await ada.expect(Left)).participant == pair[1].id

    async def test_another_page_of_the_same_participant_replaces_the_first(
        self, served: Served, pair: People
    ) -> None:
        first = await RoomClient.enter(served.client, pair[0], "one")
        await first.expect(Welcome)
        await (await RoomClient.enter(served.client, pair[0], "two")).expect(Welcome)
        assert await first.closed() == CloseCode.REPLACED

    @pytest.mark.parametrize("text", ["nonsense", '{"type":"welcome"}', '{"type":"say","text":""}'])
    async def test_nonsense_ends_the_conversation_with_its_sender(
        self, served: Served, pair: People, text: str
    ) -> None:
        client = await RoomClient.enter(served.client, pair[0])
        await client.expect(Welcome)
        await client.socket.send_str(text)
        assert (await client.expect(Error)).code == "bad_message"
        assert await client.closed() == CloseCode.BAD_MESSAGE

    async def test_bytes_are_no_message(self, served: Served, pair: People) -> None:
        client = await RoomClient.enter(served.client, pair[0])
        await client.socket.send_bytes(b"{}")
        assert await client.closed() == CloseCode.BAD_MESSAGE

    async def test_a_message_is_at_most_so_long(self, served: Served, pair: People) -> None:
        client = await RoomClient.enter(served.client, pair[0])
        await client.expect(Welcome)
        await client.socket.send_str(" " * (WEBSOCKET_MESSAGE_BYTES_MAX - 15) + '{"type":"ping"}')
        await client.expect(Pong)
        await client.socket.send_str(" " * (WEBSOCKET_MESSAGE_BYTES_MAX - 14) + '{"type":"ping"}')
        assert await client.closed() == 1009

    async def test_a_flood_is_cut_off(self, served: Served, pair: People) -> None:
        client = await RoomClient.enter(served.client, pair[0])
        await client.expect(Welcome)
        for _ in range(MESSAGES_BURST_MAX + 1):  # the fake's clock stands still: nothing is refilled
            await client.say(Ping())
        assert (await client.expect(Error)).code == "too_many_messages"
        assert await client.closed() == CloseCode.TOO_MANY_MESSAGES
        assert client.passed.count(Pong()) == MESSAGES_BURST_MAX


class TestRecording:
    async def test_from_the_button_to_the_end(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        blaise = await RoomClient.enter(served.client, pair[1])
        await ada.say(StartRecording())
        invited = [await client.expect(Publish) for client in (ada, blaise)]
        for invitation, who in zip(invited, pair, strict=True):
            assert f"participant={who.id}" in invitation.url
            answer = await served.client.post(
                invitation.url + "&source=camera",
                data="v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
                headers={
                    "Authorization": f"Bearer {invitation.token}",
                    "Content-Type": "application/sdp",
                },
            )
            assert answer.status == 201
        published = {session.publisher.participant for session in served.fake.sessions.values()}
        assert published == {pair[0].id, pair[1].id}
        await ada.say(StopRecording())
        assert [await client.expect(Unpublish) for client in (ada, blaise)]

    async def test_one_that_was_started_elsewhere_is_announced_as_well(
        self, served: Served, pair: People
    ) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        await ada.expect(Welcome)
        await served.recording(pair[0].conversation)
        assert (await ada.expect(StatusChanged)).status.text == "The recording starts…"

    async def test_links_are_signed_and_work_without_a_header(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        made = await served.recording(pair[0].conversation)
        served.fake.media[made["id"]].data += b"whole"
        await served.fake.finish(made["id"])
        while (told := (await ada.expect(RecordingChanged)).recording).state is not RecordingState.AVAILABLE:
            assert told.links == {}
        assert await (await served.client.get(told.links["media"])).read() == b"whole"

    async def test_a_start_that_fails_is_told_to_who_asked(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        served.fake.fail("recordings.start", overloaded())
        await ada.say(StartRecording())
        assert (await ada.expect(Error)).code == "overloaded"
        await ada.say(StartRecording())
        await ada.expect(Publish)

    async def test_a_stop_that_fails_is_told_to_who_asked(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        await ada.say(StartRecording())
        await ada.expect(Publish)
        served.fake.fail("recordings.stop", overloaded())
        await ada.say(StopRecording())
        assert (await ada.expect(Error)).code == "overloaded"
        await ada.say(StopRecording())
        await ada.expect(Unpublish)

        def noted() -> list[tuple[str, str, str | None, str | None]]:
            acts = served.fake.audit.acts
            known = ("startRecording", "stopRecording")
            return [(act.action, act.outcome, act.code, act.actor.id) for act in acts if act.action in known]

        await until(lambda: len(noted()) == 3)
        assert noted() == [
            ("startRecording", "done", None, pair[0].id),
            ("stopRecording", "failed", "overloaded", pair[0].id),
            ("stopRecording", "done", None, pair[0].id),
        ]

    async def test_nobody_watches_an_empty_room(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        await ada.expect(Welcome)
        await until(lambda: served.fake.watchers == 1)
        await ada.say(Leave())
        await until(lambda: served.fake.watchers == 0)


class TestInteractions:
    async def test_calls_and_shares_begin_and_end_in_order(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        blaise = await RoomClient.enter(served.client, pair[1])
        await blaise.say(SetScreen(stream="screen"))
        for client in (blaise, ada):
            await client.expect(Welcome)
            await client.say(Leave())
            await client.closed()
        kept = served.fake.interactions
        await until(lambda: len(kept) == 2 and all(one.ended_at for one in kept.values()))
        assert [(one.kind, one.layer) for one in kept.values()] == [
            (InteractionKind.CALL, None),
            (InteractionKind.COLLABORATION_LAYER, LayerKind.SCREEN_SHARE),
        ]

    @pytest.mark.parametrize(
        "error", [caller_error("conversation_ended", "It has.", status=409), RuntimeError("a defect")]
    )
    async def test_a_refusal_disturbs_no_call(
        self, served: Served, pair: People, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        served.fake.fail("conversations.start_interaction", error)
        ada = await RoomClient.enter(served.client, pair[0])
        blaise = await RoomClient.enter(served.client, pair[1])
        await blaise.say(SetScreen(stream="screen"))
        await until(lambda: len(served.fake.interactions) == 1)  # the share, after the refused call
        assert "CallBegan" in caplog.text
        await ada.say(Say(text="still here"))
        await ada.say(Ping())
        await ada.expect(Pong)


class TestTheEnd:
    async def test_a_stopping_server_sends_everybody_away_and_ends_the_call(self) -> None:
        async with serve() as served:
            pair = await people(served)
            clients = [await RoomClient.enter(served.client, one) for one in pair]
            await clients[0].expect(Joined)
            closing = asyncio.gather(*(client.closed() for client in clients))
            await served.client.server.close()
            assert await closing == [CloseCode.UNAVAILABLE, CloseCode.UNAVAILABLE]
            assert all(one.ended_at for one in served.fake.interactions.values())

    async def test_an_ended_conversation_empties_its_room(self, served: Served, pair: People) -> None:
        ada = await RoomClient.enter(served.client, pair[0])
        await ada.expect(Welcome)
        served.client.server.app[ROOMS].end(pair[0].conversation)
        assert await ada.closed() == CloseCode.ENDED
