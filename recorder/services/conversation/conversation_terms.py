"""What counts in a conversation for those who see, start and take part: its effective settings in short."""

from recorder.database import ConversationTable
from recorder.kernel.conversation import Consent
from recorder.kernel.permissions import ConversationTerms
from recorder.services.effective_settings import ScopedSettings


class EffectiveTerms:
    """Fulfils signaling.ports.Terms."""

    def __init__(self, settings: ScopedSettings, conversations: ConversationTable) -> None:
        self._settings = settings
        self._conversations = conversations

    async def of(self, conversation: str) -> ConversationTerms:
        """404 not_found where there is no such conversation."""
        counts = await self._settings.effective(await self._conversations.get(conversation))
        announced = counts.banner and counts.consent is not Consent.NONE
        return ConversationTerms(
            visible_to=frozenset(counts.visible_to),
            allow_manual=frozenset(counts.allow_manual),
            allow_stop=frozenset(counts.allow_stop),
            banner=counts.banner_text if announced else None,
            consent=counts.consent,
            starts_with=counts.starts_with,
        )
