"""The sample bystander.toml, written from the definitions so that the two cannot disagree."""

import json
import sys
from enum import Enum
from inspect import cleandoc
from typing import Any

from recorder.settings.definitions import Definition, definitions, sections

HEADER = """\
# Bystander's settings, each with its default. Every key can also be given as an environment variable,
# BYSTANDER_SECTION__KEY, which wins: BYSTANDER_SERVER__PORT=9000. Keys without a default are commented out.
# More stores, each with the keys of [storage], are tables [stores.NAME], or BYSTANDER_STORES__NAME__KEY.
"""

# The storage package defines its own keys; here operators are told what they are.
STORAGE_WORDS = {
    "url": "a directory (in server.data_dir), s3://, gs:// or azure://bucket/prefix, sftp://user@server/dir",
    "endpoint": "URL of an S3-compatible service; unset: AWS",
    "region": "of the bucket; unset: from the standard chain",
    "access_key_id": "or Azure's account; unset: environment, profile, instance or container role",
    "secret_access_key": "with access_key_id; HMAC keys for Google",
    "session_token": "with temporary credentials; a SAS for Azure",
    "role_arn": "a role to assume with these credentials",
    "sts_endpoint": "where the role is assumed; unset: AWS",
    "external_id": "what the role's trust policy may ask for",
    "session_duration_s": "of an assumed role",
    "path_style": "bucket in the path; unset: where an endpoint is given",
    "checksums": "content_md5, crc32c or none: what goes with each part",
    "encryption": "AES256 or aws:kms",
    "kms_key_id": "with aws:kms",
    "storage_class": "as the store names it",
    "object_lock_mode": "GOVERNANCE or COMPLIANCE",
    "object_lock_days": "how long a recording is locked",
    "legal_hold": "put every recording under legal hold",
    "tags": "of every object",
    "service_account_file": "for Google: the JSON key of a service account, instead of HMAC keys",
    "private_key_file": "for SFTP; unset: the agent's and the user's own",
    "known_hosts_file": "for SFTP; unset: the user's own",
    "password": "for SFTP, where there is no key",
    "connect_timeout_s": "to the store",
    "read_timeout_s": "for one answer of the store",
    "retry_delay_initial_s": "after the first failure; doubles",
    "retry_delay_max_s": "after an outage every upload goes on within this time",
    "tail_interval_s": "how much the loss of a node's disk may cost; 0: nothing is kept beside uploads",
    "installation": "a name that all nodes of one installation share; unset: each node is one",
    "takeover_after_s": "how long a node must be silent before another may complete its uploads",
    "spool_when_unreachable": "begin recordings although the store does not answer",
    "container": "what a recording is once it is finished: fmp4, made of fragments, or mp4, an ordinary file",
    "part_size_bytes": "of a multipart upload",
    "parts_in_flight_max": "of all recordings together: bounds the memory",
}


def sample() -> str:
    """The text of bystander.toml."""
    return HEADER + "".join(_section(name) for name in sections())


def _section(name: str) -> str:
    kind = sections()[name]
    lines = [f"\n# {cleandoc(kind.__doc__ or '').splitlines()[0]}", f"[{name}]"]
    words = STORAGE_WORDS if name == "storage" else {}
    lines += [_line(key, key.description or words.get(key.name, "")) for key in definitions(kind).values()]
    return "\n".join(lines) + "\n"


def _line(key: Definition, description: str) -> str:
    assignment = f"# {key.name} =" if key.default is None else f"{key.name} = {toml_value(key.default)}"
    return f"{assignment:<44} # {description}" if description else assignment


def toml_value(value: Any) -> str:
    """A value as TOML spells it: of the types that settings have, all but one character as JSON does."""
    plain = value.value if isinstance(value, Enum) else value
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


if __name__ == "__main__":
    sys.stdout.write(sample())
