"""In-memory fulfilment of the ports for keys, terms, messages, consents and history."""

import builtins
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from recorder.kernel.conversation import Conversation
from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.history import (
    ConversationOverview,
    ConversationSearch,
    ConversationState,
    RecordingDetails,
    RecordingSearch,
    UsagePeriod,
    UsageRow,
)
from recorder.kernel.ids import new_id, new_secret
from recorder.kernel.message import ConsentAnswer, ConsentGiven, Message, MessageKind, is_shown
from recorder.kernel.permissions import ApiKey, ConversationTerms, IssuedKey, KeyScope
from signaling.ports import Caller, ConsoleSession, EffectiveSetting, IdempotencyResponse, OwnSettings

if TYPE_CHECKING:
    from tests.support.fake_ports import FakeServer


@dataclass
class FakeKeys:
    server: "FakeServer"
    keys: dict[str, IssuedKey] = field(default_factory=dict)

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        account: str | None,
        scopes: list[KeyScope],
        expires_at: datetime | None,
    ) -> IssuedKey:
        key = IssuedKey(
            id=new_id("key"),
            name=name,
            account=account,
            scopes=scopes,
            created_at=self.server.now(),
            expires_at=expires_at,
            secret=new_secret(),
        )
        self.keys[key.id] = key
        return key

    async def get(self, caller: Caller, key: str) -> ApiKey:
        if key not in self.keys:
            raise not_found("key")
        return self._plain(self.keys[key])

    async def list(self, caller: Caller, *, after: str | None, limit: int) -> list[ApiKey]:
        return [self._plain(one) for one in self.keys.values() if after is None or one.id > after][:limit]

    async def rotate(self, caller: Caller, key: str, *, overlap_s: int) -> IssuedKey:
        await self.get(caller, key)
        self.keys[key] = msgspec.structs.replace(self.keys[key], secret=new_secret())
        return self.keys[key]

    async def revoke(self, caller: Caller, key: str) -> ApiKey:
        await self.get(caller, key)
        self.keys[key] = msgspec.structs.replace(self.keys[key], revoked_at=self.server.now())
        return await self.get(caller, key)

    def with_secret(self, secret: str) -> ApiKey | None:
        found = [one for one in self.keys.values() if one.secret == secret and one.revoked_at is None]
        return self._plain(found[0]) if found else None

    @staticmethod
    def _plain(key: IssuedKey) -> ApiKey:
        fields = msgspec.structs.asdict(key)
        del fields["secret"]
        return ApiKey(**fields)


@dataclass
class FakeSessions:
    server: "FakeServer"
    open: dict[str, ConsoleSession] = field(default_factory=dict)

    async def begin(self, caller: Caller, *, name: str) -> tuple[str, ConsoleSession]:
        if caller.participant is not None:
            raise caller_error("forbidden", "A participant's token does not open the console.", status=403)
        secret = new_secret()
        session = ConsoleSession(caller, name, self.server.now() + timedelta(hours=8))
        self.open[secret] = session
        return secret, session

    async def find(self, secret: str) -> ConsoleSession:
        session = self.open.get(secret)
        if session is None or session.expires_at <= self.server.now():
            raise caller_error("session_ended", "You have been signed out; sign in again.", status=401)
        return session

    async def end(self, secret: str) -> None:
        self.open.pop(secret, None)


@dataclass
class FakeTerms:
    server: "FakeServer"
    terms: ConversationTerms = field(default_factory=ConversationTerms)  # of every conversation

    async def of(self, conversation: str) -> ConversationTerms:
        self.server.conversation(conversation)
        return self.terms


@dataclass
class FakeMessages:
    server: "FakeServer"
    said: list[Message] = field(default_factory=list)

    async def say(self, caller: Caller, conversation: str, *, text: str, participant: str | None) -> Message:
        self.server.called("messages.say")
        if self.server.conversation(conversation).ended_at is not None:
            raise caller_error("conversation_ended", "The conversation has ended.", status=409)
        who = caller.participant
        message = Message(
            id=new_id("msg"),
            conversation=conversation,
            kind=MessageKind.CHAT,
            at=self.server.now(),
            participant=who.id if who else participant,
            name=who.name if who else None,
            text=text,
        )
        self.said.append(message)
        return message

    async def list(
        self, caller: Caller, conversation: str, *, after: str | None, limit: int
    ) -> builtins.list[Message]:
        self.server.conversation(conversation)
        role = caller.participant.role if caller.participant else None
        terms = self.server.terms.terms
        return [
            one
            for one in self.said
            if one.conversation == conversation
            and is_shown(one.kind, role, terms)
            and (after is None or one.id > after)
        ][:limit]


@dataclass
class FakeConsents:
    server: "FakeServer"
    answers: dict[tuple[str, str], ConsentGiven] = field(default_factory=dict)

    async def answer(
        self, caller: Caller, conversation: str, participant: str, answer: ConsentAnswer
    ) -> ConsentGiven:
        self.server.called("consents.answer")
        if caller.participant is not None and caller.participant.id != participant:
            raise caller_error("forbidden", "Nobody answers for somebody else.", status=403)
        given = ConsentGiven(participant=participant, answer=answer, at=self.server.now())
        self.answers[conversation, participant] = given
        return given

    async def list(self, conversation: str) -> list[ConsentGiven]:
        self.server.conversation(conversation)
        return [given for (of, _), given in self.answers.items() if of == conversation]


@dataclass
class FakeHistory:
    server: "FakeServer"

    async def conversations(self, search: ConversationSearch) -> list[Conversation]:
        self.server.called("history.conversations")
        known = self.server.conversations.values()
        ordered = sorted(known, key=lambda one: one.id, reverse=search.newest_first)
        return [one for one in ordered if self._found(one, search)][: search.limit]

    async def overviews(self, search: ConversationSearch) -> list[ConversationOverview]:
        return [
            ConversationOverview(
                id=one.id,
                conversation=one,
                participants=[],
                recordings=0,
                recordings_running=0,
                recordings_failed=0,
                recorded_s=0.0,
            )
            for one in await self.conversations(search)
        ]

    async def recordings(self, search: RecordingSearch) -> list[RecordingDetails]:
        of = search.conversation
        found = sorted(one.id for one in self.server.recordings.values() if of in (None, one.conversation))
        return [await self.details(one) for one in found if search.after is None or one > search.after]

    async def details(self, recording: str) -> RecordingDetails:
        found = self.server.recording(recording)
        return RecordingDetails(
            id=recording,
            recording=found,
            conversation=self.server.conversation(found.conversation),
            participants=[],
            attempts=[],
        )

    async def usage(
        self, *, account: str | None, first: datetime, until: datetime, by: UsagePeriod
    ) -> list[UsageRow]:
        return []

    @staticmethod
    def _found(one: Conversation, search: ConversationSearch) -> bool:
        state = ConversationState.RUNNING if one.ended_at is None else ConversationState.ENDED
        return (
            (
                search.after is None
                or (one.id < search.after if search.newest_first else one.id > search.after)
            )
            and search.account in (None, one.account)
            and search.state in (None, state)
            and search.external_id in (None, one.external_id)
        )


@dataclass
class FakeSettings:
    server: "FakeServer"
    said: dict[tuple[str, str], OwnSettings] = field(default_factory=dict)

    async def get(self, scope: str, owner: str, *, account: str) -> OwnSettings:
        if scope == "conversation":
            self.server.conversation(owner)
        nothing = OwnSettings(scope=scope, owner=owner, version=0, values={})
        return self.said.get((scope, owner), nothing)

    async def put(
        self, scope: str, owner: str, values: dict[str, Any], *, account: str, version: int | None
    ) -> OwnSettings:
        self.server.called("settings.put")
        before = await self.get(scope, owner, account=account)
        if version not in (None, before.version):
            raise caller_error("settings_changed", "The settings were changed meanwhile.", status=412)
        now = OwnSettings(scope=scope, owner=owner, version=before.version + 1, values=values)
        self.said[scope, owner] = now
        return now

    async def effective(self, scope: str, owner: str, *, account: str) -> dict[str, EffectiveSetting]:
        values = (await self.get(scope, owner, account=account)).values
        return {key: EffectiveSetting(value, scope) for key, value in values.items()}


@dataclass
class FakeKeptAnswers:
    kept: dict[str, IdempotencyResponse] = field(default_factory=dict)

    async def get(self, request: str) -> IdempotencyResponse | None:
        return self.kept.get(request)

    async def put(self, request: str, answer: IdempotencyResponse, *, payer: str) -> None:
        self.kept[request] = answer
