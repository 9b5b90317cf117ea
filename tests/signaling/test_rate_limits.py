"""Token buckets: never more than the burst and what has come in since; and at the application's door."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.clock import ManualClock
from recorder.kernel.conversation import Role
from signaling.http.rate_limits import (
    CALLERS_MAX,
    Buckets,
    RateLimit,
    RateLimitedError,
    RateLimits,
    TokenBucket,
)
from tests.support.fake_ports import FakeServer
from tests.support.http import bearer, problem, serve

SECOND_NS = 1_000_000_000


@given(
    burst=st.integers(1, 50),
    per_s=st.floats(0.1, 100),
    gaps_ns=st.lists(st.integers(0, 3 * SECOND_NS), max_size=200),
)
def test_a_bucket_lets_through_its_burst_and_what_came_in_since(
    burst: int, per_s: float, gaps_ns: list[int]
) -> None:
    bucket, now_ns, taken = TokenBucket(RateLimit(burst, per_s), 0), 0, 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        wait_s = bucket.take(now_ns)
        taken += wait_s == 0
        assert taken <= burst + now_ns / 1e9 * per_s + 1e-6
        if wait_s > 0:  # and not later than it says
            assert 0 < wait_s <= 1 / per_s + 1e-9


def test_it_lets_through_when_it_says() -> None:
    bucket = TokenBucket(RateLimit(2, 0.5), 0)
    assert [bucket.take(0), bucket.take(0), bucket.take(0)] == [0, 0, 2.0]
    assert bucket.take(round(1.9 * SECOND_NS)) > 0
    assert bucket.take(2 * SECOND_NS) == 0


@pytest.mark.parametrize("wrong", [(0, 1.0), (1, 0.0), (1, -1.0)])
def test_a_limit_lets_something_through(wrong: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        RateLimit(*wrong)


def test_buckets_are_everybodys_own_and_bounded() -> None:
    buckets = Buckets(RateLimit(1, 1))
    buckets.take("ann", 0)
    with pytest.raises(RateLimitedError) as refused:
        buckets.take("ann", 0)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    buckets.take("bob", 0)
    for number in range(CALLERS_MAX + 1):
        buckets.take(f"caller {number}", 0)
    assert len(buckets) == CALLERS_MAX


LIMITS = RateLimits(key=RateLimit(3, 1), participant=RateLimit(2, 0.25), address=RateLimit(4, 1))


class TestAtTheDoor:
    async def test_each_caller_by_their_own_limit(self) -> None:
        async with serve(rate_limits=LIMITS) as served:
            conversation = await served.conversation()
            path = f"/v1/conversations/{conversation}"
            ann = await served.token(conversation, Role.AGENT)
            bob = await served.token(conversation, Role.AGENT)
            for headers, limit, wait_s in ((served.key, 3, "1"), (ann, 2, "4"), (bob, 2, "4")):
                for _ in range(limit):
                    assert (await served.client.get(path, headers=headers)).status == 200
                answer = await served.client.get(path, headers=headers)
                await problem(answer, 429, "too_many_requests")
                assert answer.headers["Retry-After"] == wait_s

    async def test_time_lets_more_through(self) -> None:
        clock = ManualClock()
        async with serve(FakeServer(clock), rate_limits=LIMITS) as served:
            for _ in range(3):
                assert (await served.client.get("/v1/conversations", headers=served.key)).status == 200
            assert (await served.client.get("/v1/conversations", headers=served.key)).status == 429
            clock.advance(1)
            assert (await served.client.get("/v1/conversations", headers=served.key)).status == 200

    async def test_guessing_is_bounded_by_address_and_disturbs_nobody_else(self) -> None:
        async with serve(rate_limits=LIMITS, trusted_proxies=["127.0.0.1"]) as served:
            assert (await served.client.get("/v1/conversations", headers=served.key)).status == 200
            wrong = bearer("wrong")
            statuses = [
                (await served.client.get("/v1/conversations", headers=wrong)).status for _ in range(5)
            ]
            assert statuses == [401] * 4 + [429]
            assert (await served.client.get("/healthz")).status == 429
            assert (await served.client.get("/v1/conversations", headers=served.key)).status == 200
            elsewhere = wrong | {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
            assert (await served.client.get("/v1/conversations", headers=elsewhere)).status == 401
            made_up = wrong | {"X-Forwarded-For": "not an address"}
            assert (await served.client.get("/v1/conversations", headers=made_up)).status == 429

    async def test_nothing_is_looked_up_for_one_too_many(self) -> None:
        async with serve(rate_limits=LIMITS) as served:
            looked_up = served.fake.authenticated
            for _ in range(9):
                await served.client.get("/v1/conversations", headers=bearer("wrong"))
            assert served.fake.authenticated - looked_up == 4

    async def test_a_token_that_is_good_no_longer_is_counted_by_address(self) -> None:
        async with serve(rate_limits=LIMITS) as served:
            conversation = await served.conversation()
            ann = await served.token(conversation, Role.AGENT)
            path = f"/v1/conversations/{conversation}"
            assert (await served.client.get(path, headers=ann)).status == 200
            (participant,) = served.fake.participants.values()
            await served.fake.ports.conversations.renew_token(conversation, participant.id)
            statuses = [(await served.client.get(path, headers=ann)).status for _ in range(7)]
            assert statuses == [401] * 5 + [429] * 2  # one by the participant's share, then the address's

    @pytest.mark.parametrize(
        "path",
        [
            "/no/such/path",
            "/v1/recordings/rec_1/media?expires=1893456000&signature=forged",
            "/whip/no-such-entry-point",
            "/v1/conversations/not%20an%20id",
            "/healthz",
        ],
    )
    async def test_whatever_shows_no_token_is_counted(self, path: str) -> None:
        async with serve(rate_limits=LIMITS) as served:
            statuses = [(await served.client.get(path)).status for _ in range(5)]
            assert 429 not in statuses[:4]
            assert statuses[4] == 429

    async def test_pages_have_a_share_of_their_own(self) -> None:
        limits = RateLimits(address=RateLimit(1, 0.001), page=RateLimit(3, 0.001))
        async with serve(rate_limits=limits) as served:
            statuses = [
                (await served.client.get(path)).status for path in ("/", "/room/x", "/web/room.js", "/")
            ]
            assert statuses == [200, 200, 200, 429]
            assert (await served.client.get("/healthz")).status == 200
