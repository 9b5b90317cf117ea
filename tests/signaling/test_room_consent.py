"""Consent and chat in a room: nothing is asked for before somebody agrees, and what is said is kept."""

from recorder.kernel.conversation import Consent, Role
from recorder.kernel.message import ConsentAnswer
from recorder.kernel.permissions import ConversationTerms
from signaling.room.core.announcement import RoomPolicy
from signaling.room.core.effects import ConsentAnswered, Send, Spoken
from signaling.room.core.messages import (
    AnswerConsent,
    ConsentChanged,
    Error,
    Publish,
    Said,
    Say,
    Unpublish,
    Welcome,
)
from signaling.room.core.room import Room
from tests.signaling.test_room_core import NOW, participant, recording
from tests.signaling.test_room_socket import until
from tests.support.fake_ports import overloaded
from tests.support.http import Served, problem
from tests.support.room_client import RoomClient

AGREED, REFUSED = ConsentAnswer.AGREED, ConsentAnswer.REFUSED
ASKING = RoomPolicy(consent=Consent.ASK)


def told(effects: list[object], kind: type) -> list[object]:
    return [one.message for one in effects if isinstance(one, Send) and isinstance(one.message, kind)]


class TestTheCore:
    def test_invites_nobody_who_has_not_agreed(self) -> None:
        room, ada = Room(ASKING), participant("ada")
        entered = room.enter(1, ada, "page", ice_servers=[], now=NOW)
        (welcome,) = told(entered, Welcome)
        assert isinstance(welcome, Welcome)
        assert (welcome.consent, welcome.answer) == (Consent.ASK, None)
        assert not told(room.recording_changed(recording(), NOW), Publish)
        answered = room.received(1, AnswerConsent(answer=AGREED), NOW)
        assert answered == [ConsentAnswered(ada, AGREED)]  # nothing more before it is kept
        kept = room.consent_kept("ada", AGREED)
        assert told(kept, ConsentChanged) == [ConsentChanged(answer=AGREED)]
        assert len(told(kept, Publish)) == 1

    def test_takes_a_refusal_at_once(self) -> None:
        room, ada = Room(ASKING), participant("ada")
        room.recording_changed(recording(), NOW)
        entered = room.enter(1, ada, "page", ice_servers=[], answer=AGREED, now=NOW)
        assert len(told(entered, Publish)) == 1
        refused = room.received(1, AnswerConsent(answer=REFUSED), NOW)
        assert told(refused, Unpublish) == [Unpublish(recording="rec001")]
        assert refused[-1] == ConsentAnswered(ada, REFUSED)
        assert not told(room.consent_kept("ada", REFUSED), Unpublish)  # told already
        assert not told(room.recording_changed(recording(2), NOW), Publish)

    def test_asks_nobody_where_it_is_only_announced(self) -> None:
        room = Room(RoomPolicy())
        room.enter(1, participant("ada"), "page", ice_servers=[], answer=REFUSED, now=NOW)
        assert len(told(room.recording_changed(recording(), NOW), Publish)) == 1

    def test_is_as_the_conversations_settings_say(self) -> None:
        terms = ConversationTerms(
            visible_to=frozenset({Role.VISITOR}), allow_manual=frozenset(), banner=None, consent=Consent.ASK
        )
        policy = RoomPolicy().within(terms)
        assert (policy.may_play, policy.may_record) == ({Role.VISITOR}, set())
        assert (policy.banner, policy.banner_paused) == (None, None)
        assert not policy.may_take(None)
        assert RoomPolicy().within(ConversationTerms(banner="Hear, hear")).banner == "Hear, hear"

    def test_keeps_what_is_said(self) -> None:
        room, ada = Room(RoomPolicy()), participant("ada")
        room.enter(1, ada, "page", ice_servers=[], now=NOW)
        assert room.received(1, Say(text="Hello"), NOW)[-1] == Spoken(ada, "Hello")


class TestOverSockets:
    async def test_an_answer_is_kept_and_counts(self, served: Served) -> None:
        served.fake.terms.terms = ConversationTerms(consent=Consent.ASK)
        conversation = await served.conversation()
        add = served.fake.ports.conversations.add_participant
        ada = await add(conversation, role=Role.AGENT, name="Ada")
        page = await RoomClient.enter(served.client, ada)
        assert (await page.expect(Welcome)).consent is Consent.ASK
        await served.recording(conversation)
        await page.say(AnswerConsent(answer=AGREED))
        await page.expect(Publish)
        (given,) = await served.fake.consents.list(conversation)
        assert (given.participant, given.answer) == (ada.id, AGREED)
        path = f"/v1/conversations/{conversation}/participants/{ada.id}/consent"
        answer = await served.client.put(path, headers=served.key, json={"answer": "REFUSED"})
        assert answer.status == 200
        await page.expect(Unpublish)  # an answer that came by the API counts in the room
        again = await RoomClient.enter(served.client, ada, "another page")
        assert (await again.expect(Welcome)).answer is REFUSED

    async def test_an_answer_that_cannot_be_kept_does_not_count(self, served: Served) -> None:
        served.fake.terms.terms = ConversationTerms(consent=Consent.ASK)
        conversation = await served.conversation()
        add = served.fake.ports.conversations.add_participant
        page = await RoomClient.enter(served.client, await add(conversation, role=Role.AGENT, name="Ada"))
        served.fake.fail("consents.answer", overloaded())
        await page.say(AnswerConsent(answer=AGREED))
        assert (await page.expect(Error)).code == "overloaded"
        assert not [one for one in page.passed if isinstance(one, (Publish, ConsentChanged))]

    async def test_chat_is_kept_in_order_and_heard_from_the_api(self, served: Served) -> None:
        conversation = await served.conversation()
        add = served.fake.ports.conversations.add_participant
        ada = await add(conversation, role=Role.AGENT, name="Ada")
        page = await RoomClient.enter(served.client, ada)
        await page.expect(Welcome)
        served.fake.fail("messages.say", overloaded())  # disturbs nothing but the one that is not kept
        for text in ("lost", "one", "two"):
            await page.say(Say(text=text))
            assert (await page.expect(Said)).line.text == text
        await until(lambda: [one.text for one in served.fake.messages.said] == ["one", "two"])
        assert {one.participant for one in served.fake.messages.said} == {ada.id}
        path = f"/v1/conversations/{conversation}/messages"
        sent = await served.client.post(path, headers=served.key, json={"text": "three"})
        assert sent.status == 201
        assert (await page.expect(Said)).line.text == "three"
        await problem(
            await served.client.post(path, headers=served.key, json={"text": "a\0b"}), 422, "invalid_body"
        )
