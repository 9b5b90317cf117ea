"""GET /v1/usage: recorded minutes, by account and period."""

from datetime import timedelta

import msgspec
from aiohttp import web

from recorder.kernel.errors import caller_error
from recorder.kernel.history import UsagePeriod, UsageRow
from signaling.http.text_types import AccountId, Moment
from signaling.routes.operation import ApiCall, Operation, Reply, json_response

USAGE_DAYS_MAX = 366  # a row for each account and day: what one answer may hold up on the event loop


class UsageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Recordings that began at `since` or later and before `until`, summed by day or month of UTC."""

    since: Moment
    until: Moment
    account: AccountId | None = None
    by: UsagePeriod = UsagePeriod.MONTH


class Usage(msgspec.Struct, frozen=True):
    """By account, then period."""

    items: list[UsageRow]


async def usage(call: ApiCall) -> web.Response:
    query = call.query(UsageQuery)
    if query.until <= query.since:
        raise caller_error("invalid_period", "`until` is not after `since`.")
    if query.by is UsagePeriod.DAY and query.until - query.since > timedelta(days=USAGE_DAYS_MAX):
        raise caller_error("invalid_period", f"By day, at most {USAGE_DAYS_MAX} days are summed at once.")
    rows = await call.context.ports.history.usage(
        account=query.account or call.caller.account, first=query.since, until=query.until, by=query.by
    )
    return json_response(Usage(rows))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/usage",
        id="getUsage",
        summary="Recorded minutes, recordings and bytes, by account and period.",
        handler=usage,
        query=UsageQuery,
        replies=(Reply(200, "The sums; periods without recordings are left out.", Usage),),
        problems={400: ("invalid_period",)},
        tag="usage",
    ),
)
