"""What is shipped for an isolated node is what the programs that read it accept."""

import re
import subprocess
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from recorder.kernel.media import IceTransportPolicy
from recorder.settings.loading import load
from tests.support.certificates import certify
from tests.support.namespaces import needs_namespaces

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose"
RULES = ROOT / "deploy/nftables/isolated-node.nft"


def test_the_containers_are_put_together_from_what_there_is() -> None:
    composed = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    node, networks = composed["services"]["node"], composed["networks"]
    assert list(node["networks"]) == ["inside"] and networks["inside"]["internal"] is True
    assert (node["read_only"], node["cap_drop"]) == (True, ["ALL"])
    assert (COMPOSE / node["build"]["context"] / node["build"]["dockerfile"]).is_file()
    for service in composed["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in composed["volumes"] or (COMPOSE / source).exists() or source == "./certificates"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (COMPOSE / "Containerfile").read_text(), re.MULTILINE)
    assert copied and all((ROOT / name).exists() for names in copied for name in names.split())


def test_the_composed_node_understands_its_settings() -> None:
    given = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]["node"]["environment"]
    settings = load(COMPOSE / "bystander.toml", given)
    assert settings.call.ice_transport_policy is IceTransportPolicy.RELAYED and settings.turn.secret


def test_nginx_understands_what_stands_before_it(tmp_path: Path) -> None:
    made = certify(tmp_path, "127.0.0.1")
    server = (COMPOSE / "nginx.conf").read_text()
    server = server.replace("/etc/nginx/certificates/fullchain.pem", str(made.certificate))
    server = server.replace("/etc/nginx/certificates/key.pem", str(made.key)).replace(
        "listen 443", "listen 8443"
    )
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ {server} }}")
    command = ["nginx", "-t", "-e", str(tmp_path / "log"), "-c", str(tmp_path / "nginx.conf")]
    judged = subprocess.run(command, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stderr


@needs_namespaces
def test_the_firewalls_rules_are_understood() -> None:
    judged = subprocess.run(["nft", "--check", "--file", str(RULES)], capture_output=True, text=True)
    assert (judged.returncode, judged.stderr) == (0, "")
