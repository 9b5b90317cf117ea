"""Debian's nginx before a server: TLS by its own certificate, below a path, as docs/operate.md has it."""

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PREFIX = "/recorder"
START_S_MAX = 20.0
_CONFIGURATION = """
daemon off; pid {root}/nginx.pid; error_log {root}/error.log; worker_processes 1;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {root}/certificate.pem; ssl_certificate_key {root}/key.pem;
    {location}
  }}
}}
"""


@contextmanager
def proxied(root: Path, port: int, upstream: str) -> Iterator[tuple[str, ssl.SSLContext]]:
    """The public URL of what is behind it, and what believes its certificate."""
    root.mkdir()
    root.chmod(0o755)  # its worker is somebody else where we are root
    _certify(root)
    location = documented_location().replace("http://127.0.0.1:8080/", upstream + "/")
    configuration = _CONFIGURATION.format(root=root, port=port, location=location)
    (root / "nginx.conf").write_text(configuration)
    command = [
        "/usr/sbin/nginx",
        "-p",
        str(root),
        "-c",
        str(root / "nginx.conf"),
        "-e",
        str(root / "error.log"),
    ]
    process = subprocess.Popen(command, env={**os.environ}, stderr=subprocess.PIPE)
    try:
        _await(process, port)
        yield f"https://localhost:{port}{PREFIX}", ssl.create_default_context(cafile=root / "certificate.pem")
    finally:
        process.terminate()
        process.wait(START_S_MAX)


def documented_location() -> str:
    """The block that people copy."""
    page = (Path(__file__).parents[2] / "docs/operate.md").read_text()
    return page.partition("```nginx\n")[2].partition("```")[0]


def _certify(root: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (root / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (root / "key.pem").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def _await(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read().decode())
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nginx does not listen")
