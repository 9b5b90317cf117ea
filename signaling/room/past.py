"""The history of a conversation from the control plane: for a room that opens, and after the end."""

from collections import deque

from recorder.kernel.conversation import Participant
from recorder.kernel.permissions import ConversationTerms
from signaling.ports import Caller, Ports
from signaling.room.core.announcement import notice
from signaling.room.core.history import is_shown, line_of
from signaling.room.core.limits import CHAT_MESSAGES_KEPT_MAX, RECORDINGS_SHOWN_MAX
from signaling.room.core.messages import ChatLine, Past
from signaling.room.terms import RoomTerms

_PAGE_MESSAGES = 500  # of one question to the history


async def kept_lines(ports: Ports, conversation: str) -> list[ChatLine]:
    """The newest lines, whoever may see them."""
    newest: deque[ChatLine] = deque(maxlen=CHAT_MESSAGES_KEPT_MAX)
    after: str | None = None
    while page := await ports.messages.list(Caller(), conversation, after=after, limit=_PAGE_MESSAGES):
        newest.extend(line_of(message) for message in page)
        after = page[-1].id
    return list(newest)


async def past_of(terms: RoomTerms, participant: Participant, counts: ConversationTerms) -> Past:
    """What a participant may read of a conversation that has ended."""
    policy, role = terms.policy.within(counts), participant.role
    lines = await kept_lines(terms.ports, participant.conversation)
    recordings = await terms.ports.recordings.list(participant.conversation)
    now = terms.clock.utc_now()
    notices = [
        notice(recording, role=role, policy=policy, links=terms.links, utc_now=now)
        for recording in recordings[-RECORDINGS_SHOWN_MAX:]
    ]
    return Past(
        you=participant.id,
        name=participant.name,
        role=role,
        recordings=notices if policy.may_see(role) else [],
        chat=[line for line in lines if is_shown(line, role, policy)],
    )
