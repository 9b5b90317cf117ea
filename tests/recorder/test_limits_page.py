"""The page of limits is what the code says now."""

from pathlib import Path

from recorder.limits_page import SHARES, page
from recorder.settings.definitions import (
    ConnectorSettings,
    FileSettings,
    LimitSettings,
    WebhookSettings,
    definitions,
)

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs/limits.md").read_text() == page(), "python -m recorder.limits_page > docs/limits.md"


def test_the_settings_that_it_names_exist() -> None:
    known = {f"limits.{name}" for name in definitions(LimitSettings)}
    known |= {f"webhooks.{name}" for name in definitions(WebhookSettings)}
    known |= {f"connectors.{name}" for name in definitions(ConnectorSettings)}
    known |= {f"files.{name}" for name in definitions(FileSettings)}
    for share in (share for shares in SHARES.values() for share in shares):
        if share.setting is not None:
            assert any(name.startswith(share.setting.rstrip("*")) for name in known), share
