import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.errors import BystanderError
from signaling.http.signed_links import LINK_LIFETIME_S, LINK_ROUNDING_S, LinkSigner, link_expiry

NOW = datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)
SIGNER = LinkSigner(b"0123456789abcdef")
PATH = "/v1/recordings/rec_1/media"


def parts(link: str) -> tuple[str, str, str]:
    split = urlsplit(link)
    query = parse_qs(split.query)
    return split.path, query["expires"][0], query["signature"][0]


def refusal(path: str, expires: str, signature: str, now: datetime = NOW) -> str:
    with pytest.raises(BystanderError) as caught:
        SIGNER.check(path, expires, signature, now=now)
    assert caught.value.status == 403
    return caught.value.code


def test_a_link_holds_until_its_expiry_and_not_at_it() -> None:
    until = NOW + timedelta(seconds=60)
    path, expires, signature = parts(SIGNER.sign(PATH, until))
    assert SIGNER.check(path, expires, signature, now=until - timedelta(microseconds=1)) == until
    assert refusal(path, expires, signature, now=until) == "link_expired"


def test_a_link_is_for_one_path_one_expiry_and_one_secret() -> None:
    path, expires, signature = parts(SIGNER.sign(PATH, NOW + timedelta(hours=1)))
    assert refusal(path + "x", expires, signature) == "link_invalid"
    assert refusal(path, str(int(expires) + 1), signature) == "link_invalid"
    assert refusal(path, "", signature) == "link_invalid"
    other = LinkSigner(b"another secret of it").sign(PATH, NOW + timedelta(hours=1))
    assert refusal(*parts(other)) == "link_invalid"


@given(expires=st.text(max_size=30), signature=st.text(max_size=60))
def test_no_text_is_a_signature(expires: str, signature: str) -> None:
    assert refusal(PATH, expires, signature) == "link_invalid"


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watching(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr("signaling.http.signed_links.hmac.compare_digest", watching)
    path, expires, signature = parts(SIGNER.sign(PATH, NOW + timedelta(hours=1)))
    SIGNER.check(path, expires, signature, now=NOW)
    assert compared == [(signature.encode(), signature.encode())]


def test_a_short_secret_is_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        LinkSigner(b"0123456789abcde")
    assert "0123" not in repr(SIGNER)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))
def test_the_expiry_is_rounded_up(now: datetime) -> None:
    until = link_expiry(now)
    assert until.timestamp() % LINK_ROUNDING_S == 0
    assert LINK_LIFETIME_S - 1 < (until - now).total_seconds() < LINK_LIFETIME_S + LINK_ROUNDING_S
