"""Settings: from file and environment, refused where they are wrong, and one source for the sample."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.errors import BystanderError
from recorder.kernel.media import IceTransportPolicy
from recorder.kernel.recording import RecordingType
from recorder.settings.definitions import (
    RecordingSettings,
    ServerSettings,
    Settings,
    TurnSettings,
    definitions,
    sections,
)
from recorder.settings.loading import build, load, parse_toml, parse_variables
from recorder.settings.reference import document
from recorder.settings.sample import sample
from storage.settings import StorageSettings

SAMPLE = Path(__file__).parents[2] / "bystander.toml"
DOCUMENTATION = Path(__file__).parents[2] / "docs/settings.md"


def refused(toml: str = "", **variables: str) -> str:
    with pytest.raises(BystanderError) as error:
        build({**parse_toml(toml, source="x.toml"), **parse_variables(variables)})
    assert error.value.code == "invalid_settings"
    return error.value.detail


class TestStores:
    """Several stores, each a table of its own."""

    def test_each_has_the_keys_of_storage(self, tmp_path: Path) -> None:
        file = tmp_path / "bystander.toml"
        file.write_text('[stores.eu]\nurl = "s3://eu/x"\n[recording]\nstore = "eu"\n')
        variables = {"BYSTANDER_STORES__EU__SECRET_ACCESS_KEY": "s", "BYSTANDER_STORES__OLD__URL": "old"}
        found = load(file, variables)
        assert found.stores == {
            "eu": StorageSettings(url="s3://eu/x", secret_access_key="s"),
            "old": StorageSettings(url="old"),
        }
        assert found.recording.store == "eu"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('[stores.default]\nurl = "a"', "stores.default: that is the store of [storage]"),
            ('[stores.EU]\nurl = "a"', "stores.EU: "),
            ("[stores]\neu = 1", "stores.eu: expected a table"),
            ('[stores.eu]\nuri = "a"', "stores.eu.uri: unknown key"),
            ('[stores.eu]\nurl = "recordings/"', "default and eu are one place"),
            ('[recording]\nstore = "eu"', "there is no store 'eu'; there are default"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, tmp_path: Path, text: str, reason: str) -> None:
        file = tmp_path / "bystander.toml"
        file.write_text(text)
        with pytest.raises(BystanderError) as refused:
            load(file, {})
        assert reason in refused.value.detail


class TestTheSample:
    def test_is_what_the_definitions_say(self) -> None:
        assert SAMPLE.read_text() == sample(), "run: python -m recorder.settings.sample > bystander.toml"

    def test_so_is_the_documentation(self) -> None:
        assert DOCUMENTATION.read_text() == document(), (
            "run: python -m recorder.settings.reference > docs/settings.md"
        )

    def test_is_the_defaults(self) -> None:
        assert load(SAMPLE, {}) == Settings()

    def test_names_every_key(self) -> None:
        text = SAMPLE.read_text()
        for section, kind in sections().items():
            assert f"[{section}]" in text
            assert all(f"{name} = " in text or f"# {name} =" in text for name in definitions(kind))


class TestLoading:
    def test_without_anything_it_is_the_defaults(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert load(None, {}) == Settings()

    def test_a_variable_wins_over_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "b.toml"
        file.write_text('[server]\nport = 9000\nhost = "::1"\n')
        settings = load(file, {"BYSTANDER_SERVER__PORT": "9001"})
        assert (settings.server.port, settings.server.host) == (9001, "::1")

    @pytest.mark.parametrize(
        ("variable", "text", "section", "key", "value"),
        [
            ("BYSTANDER_RECORDING__ENABLED", "false", "recording", "enabled", False),
            ("BYSTANDER_RECORDING__TYPE", "AUDIO", "recording", "type", RecordingType.AUDIO),
            ("BYSTANDER_RECORDING__FRAGMENT_DURATION_S", "1", "recording", "fragment_duration_s", 1.0),
            ("BYSTANDER_CALL__STUN_URLS", "stun:a, stun:b", "call", "stun_urls", ["stun:a", "stun:b"]),
            ("BYSTANDER_CALL__STUN_URLS", '["stun:a"]', "call", "stun_urls", ["stun:a"]),
            ("BYSTANDER_TURN__SECRET", "null", "turn", "secret", "null"),
            ("BYSTANDER_TURN__SECRET", "12", "turn", "secret", "12"),
            ("BYSTANDER_STORAGE__URL", "s3://b/p", "storage", "url", "s3://b/p"),
            ("BYSTANDER_STORAGE__TAGS", '{"a": "b"}', "storage", "tags", {"a": "b"}),
        ],
    )
    def test_variables_become_what_their_key_wants(
        self, variable: str, text: str, section: str, key: str, value: object
    ) -> None:
        assert getattr(getattr(build(parse_variables({variable: text})), section), key) == value

    def test_an_empty_variable_leaves_the_default(self) -> None:
        assert build(parse_variables({"BYSTANDER_SERVER__API_KEY": ""})) == Settings()

    def test_what_kubernetes_sets_for_a_service_is_not_ours(self) -> None:
        given = {"BYSTANDER_PORT": "tcp://10.0.0.1:80", "BYSTANDER_SERVICE_HOST": "10.0.0.1", "HOME": "/"}
        assert build(parse_variables(given)) == Settings()


class TestRefusing:
    @pytest.mark.parametrize(
        ("toml", "said"),
        [
            ("[server]\nprot = 1", "x.toml: server.prot: unknown key"),
            ("[sever]\nport = 1", "x.toml: [sever]: unknown section"),
            ("server = 1", "x.toml: server: expected a table"),
            ('[server]\nport = "80"', "x.toml: server.port: Expected `int`, got `str`"),
            ("[server]\nport = 65536", "x.toml: server.port: Expected `int` <= 65535"),
            ("[recording]\nwidth = 1279", "x.toml: recording.width"),
            ('[recording]\ntype = "VIDEO"', "x.toml: recording.type: Invalid enum value 'VIDEO'"),
            ("[recording]\nmax_retries = 0", "x.toml: recording.max_retries"),
            ('[recording]\nfilename_pattern = "{who}"', "unknown field {who}"),
            ('[recording]\nfilename_pattern = "{start"', "recording.filename_pattern"),
            ('[call]\nice_transport_policy = "RELAYED"', "RELAYED needs turn.urls"),
            ('[turn]\nurls = ["turn:t"]', "needs turn.secret"),
            ("[server", "x.toml: not TOML"),
            ('[entry_point]\nbase_url = "not a url"', "entry_point.base_url: 'not a url' is no http"),
            ('[server]\npublic_url = "https://u@h/"', "server.public_url: 'https://u@h/' has more than"),
            ('[server]\npublic_url = "ftp://h"', "server.public_url"),
            ('[server]\ntrusted_proxies = ["10.0.0.1/8"]', "server.trusted_proxies: '10.0.0.1/8' is no"),
            ('[turn]\nurls = ["http://x"]\nsecret = "s"', "turn.urls: 'http://x' is no TURN URL"),
            ('[turn]\nurls = ["turn:t:99999"]\nsecret = "s"', "turn.urls: 'turn:t:99999' is no TURN URL"),
            ('[call]\nstun_urls = ["foo"]', "call.stun_urls: 'foo' is no STUN URL"),
            ('[call]\nbind_host = "eth0"', "call.bind_host: 'eth0' is no IP address"),
        ],
    )
    def test_names_place_key_and_reason(self, toml: str, said: str) -> None:
        assert said in refused(toml)

    @pytest.mark.parametrize(
        ("variable", "text", "said"),
        [
            ("BYSTANDER_SERVER__PORT", "many", "BYSTANDER_SERVER__PORT: server.port: Expected `int`"),
            ("BYSTANDER_SERVER__PROT", "1", "BYSTANDER_SERVER__PROT: server.prot: unknown key"),
            ("BYSTANDER_SEVER__PORT", "1", "unknown section 'sever'"),
            ("BYSTANDER_CALL__STUN_URLS", "[1]", "call.stun_urls: Expected `str`, got `int`"),
            ("BYSTANDER_CALL__STUN_URLS", "[", "not JSON"),
        ],
    )
    def test_names_the_variable(self, variable: str, text: str, said: str) -> None:
        assert said in refused(**{variable: text})

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BystanderError, match="cannot be read"):
            load(tmp_path / "none.toml", {})

    def test_a_file_that_is_not_text(self, tmp_path: Path) -> None:
        file = tmp_path / "b.toml"
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(BystanderError, match="not UTF-8"):
            load(file, {})

    @given(st.text(max_size=200))
    def test_any_text_is_settings_or_is_refused(self, text: str) -> None:
        _settings_or_refusal(lambda: build(parse_toml(text, source="x.toml")))

    @given(st.sampled_from(sorted(sections())), st.data())
    def test_any_value_is_settings_or_is_refused(self, section: str, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(definitions(sections()[section]))))
        text = data.draw(st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(repr)))
        variable = f"BYSTANDER_{section}__{key}".upper()
        _settings_or_refusal(lambda: build(parse_variables({variable: text})))

    @given(st.integers(), st.booleans())
    def test_a_port_is_taken_exactly_within_its_bounds(self, port: int, by_variable: bool) -> None:
        def parse() -> Settings:
            if by_variable:
                return build(parse_variables({"BYSTANDER_SERVER__PORT": str(port)}))
            return build(parse_toml(f"[server]\nport = {port}", source="x.toml"))

        settings = _settings_or_refusal(parse)
        assert (settings is not None) == (0 <= port <= 65535)
        assert settings is None or settings.server.port == port


class TestSecrets:
    def test_are_in_no_repr(self) -> None:
        settings = Settings(
            server=ServerSettings(api_key="the-key-of-the-house", database_url="postgresql://u:pw@h/d"),
            turn=TurnSettings(urls=["turn:t"], secret="the-turn-secret", credential="a-credential"),
        )
        for secret in ("the-key", "pw@", "the-turn", "a-credential"):
            assert secret not in repr(settings)
        assert "port=8080" in repr(settings)


class TestDefinitions:
    def test_every_key_of_ours_is_described(self) -> None:
        ours = {name: kind for name, kind in sections().items() if name != "storage"}
        assert all(key.description for kind in ours.values() for key in definitions(kind).values())

    def test_defaults_are_those_of_the_struct(self) -> None:
        assert definitions(RecordingSettings)["max_retries"].default == RecordingSettings().max_retries
        assert build({"call": {"ice_transport_policy": IceTransportPolicy.ALL}}) == Settings()


def _settings_or_refusal(parse: Any) -> Settings | None:
    try:
        settings = parse()
    except BystanderError as error:
        assert error.code == "invalid_settings"
        return None
    assert isinstance(settings, Settings)
    return settings
