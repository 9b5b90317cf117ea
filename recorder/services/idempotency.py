"""Idempotency responses: kept for a day, a share of them for each payer."""

from datetime import timedelta

from recorder.database.idempotency import IdempotencyTable
from recorder.kernel.clock import Clock
from signaling.ports import IdempotencyResponse

KEPT_FOR = timedelta(hours=24)
ANSWERS_MAX = 100_000  # some 100 MB at worst; the oldest go first
ANSWERS_PER_PAYER_MAX = 10_000  # one every nine seconds, all day; of those with more, their own oldest go
_SWEEP_EVERY = 256  # answers kept between two looks at how many there are


class IdempotencyStore:
    """Fulfils signaling.ports.IdempotencyStore."""

    def __init__(
        self,
        table: IdempotencyTable,
        clock: Clock,
        *,
        answers_max: int = ANSWERS_MAX,
        answers_per_payer_max: int = ANSWERS_PER_PAYER_MAX,
    ) -> None:
        self._table = table
        self._clock = clock
        self._answers_max = answers_max
        self._answers_per_payer_max = answers_per_payer_max
        self._until_sweep = 0

    async def get(self, request: str) -> IdempotencyResponse | None:
        found = await self._table.get(request, since=self._clock.utc_now() - KEPT_FOR)
        return None if found is None else IdempotencyResponse(*found)

    async def put(self, request: str, answer: IdempotencyResponse, *, payer: str) -> None:
        now = self._clock.utc_now()
        if self._until_sweep == 0:
            self._until_sweep = _SWEEP_EVERY
            await self._table.sweep(
                before=now - KEPT_FOR, most=self._answers_max, most_of_each=self._answers_per_payer_max
            )
        self._until_sweep -= 1
        await self._table.put(request, answer.fingerprint, answer.sealed, now, payer=payer)
