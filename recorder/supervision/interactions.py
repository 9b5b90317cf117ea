"""Interactions that run in one conversation, and who may say that one has ended. Pure.

An interaction may have an *owner*, a name by which a room finds it again. After a restart of the server those
with an owner are unclaimed until the room says that its call still runs.
"""

from collections.abc import Iterable

import msgspec

from recorder.kernel.conversation import Decision, DecisionKind, Interaction, InteractionState
from recorder.supervision.policy import Activity


class RunningInteractions:
    """One conversation's interactions that have begun and not ended, as they were last decided about."""

    def __init__(self) -> None:
        self._by_id: dict[str, Interaction] = {}
        self._owners: dict[str, str] = {}  # owner -> interaction
        self._unclaimed: set[str] = set()  # interactions of a room that has not come back

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, interaction: str) -> Interaction | None:
        return self._by_id.get(interaction)

    def activities(self) -> list[tuple[Activity, bool]]:
        """What runs, and whether recordings take it."""
        return [
            (Activity(kind=one.kind, layer=one.layer, by_pin=one.by_pin), one.recorded)
            for one in self._by_id.values()
        ]

    def add(self, interaction: Interaction, owner: str | None) -> None:
        """It has begun."""
        self._by_id[interaction.id] = interaction
        if owner is not None:
            self._owners[owner] = interaction.id

    def remove(self, interaction: str) -> None:
        """It has ended; no matter whether it was known."""
        self._by_id.pop(interaction, None)
        self._unclaimed.discard(interaction)
        self._owners = {owner: one for owner, one in self._owners.items() if one != interaction}

    def clear(self) -> None:
        """The conversation has ended, and all of them with it."""
        for interaction in list(self._by_id):
            self.remove(interaction)

    def obey(self, decisions: Iterable[Decision]) -> None:
        """Each is held, runs or is gone, as was decided."""
        for decision in decisions:
            one = self._by_id.get(decision.interaction)
            if decision.kind is DecisionKind.ABORT:
                self.remove(decision.interaction)
            elif one is not None:
                held = decision.kind is DecisionKind.HOLD
                state = InteractionState.HELD if held else InteractionState.RUNNING
                self._by_id[one.id] = msgspec.structs.replace(one, state=state)

    # --- whose they are --------------------------------------------------------------------------------
    def unclaim(self) -> None:
        """The server was restarted: whoever owns one has yet to come back."""
        self._unclaimed = set(self._owners.values())

    def unclaimed(self) -> list[str]:
        """Those that nobody has taken back."""
        return list(self._unclaimed)

    def is_owned(self, interaction: str) -> bool:
        """Whether it runs and has an owner."""
        return interaction in self._owners.values()

    def take_back(self, owner: str | None) -> Interaction | None:
        """The one that this owner has; it is claimed by that."""
        interaction = self._owners.get(owner or "")
        if interaction is None:
            return None
        self._unclaimed.discard(interaction)
        return self._by_id[interaction]
