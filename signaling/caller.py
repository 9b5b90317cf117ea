"""The caller of an operation: who asks, and how far they reach."""

from dataclasses import dataclass

from recorder.kernel.conversation import Participant
from recorder.kernel.permissions import ApiKey, KeyScope


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a participant, or an API key; neither is the server's own key, which may do everything."""

    participant: Participant | None = None
    key: ApiKey | None = None

    @property
    def is_api_key(self) -> bool:
        return self.participant is None

    def may(self, scope: KeyScope) -> bool:
        """Whether this is an API key with this scope."""
        return self.participant is None and (self.key is None or self.key.may(scope))

    @property
    def account(self) -> str | None:
        """The only account that this API key reaches; None: all of them."""
        return None if self.key is None else self.key.account

    @property
    def payer(self) -> str:
        """Whose share of what is kept this counts against: an account's; a participant's is their call's."""
        if self.participant is not None:
            return self.participant.conversation
        return self.account or "server"

    @property
    def name(self) -> str:
        """Who this is among all callers, for counting and logs; no secret."""
        if self.participant is not None:
            return self.participant.id
        return "server" if self.key is None else self.key.id
