"""OpenStack Swift with its s3api, from Debian's python3-swift, on loopback.

Proxy, account, container and object server are a process each, over one directory as the only device, whose
file system must keep extended attributes.
"""

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from tests.support.ports import free_port
from tests.support.s3_servers import ACCESS_KEY_ID, SECRET_ACCESS_KEY, ServerProcess

PYTHON = "/usr/bin/python3"  # that the Debian package is for
ACCOUNT = "test"
SWIFT_ACCESS_KEY_ID = f"{ACCOUNT}:{ACCESS_KEY_ID}"  # tempauth's users are account:user
_SERVE = """
import sys
from swift.common import utils
utils.set_swift_dir(sys.argv[1])  # before what reads swift.conf when it is imported
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3]))
"""
_MAKE_RINGS = """
import sys
from swift.common.ring import RingBuilder
directory, ports = sys.argv[1], dict(name.split("=") for name in sys.argv[2:])
for name, port in ports.items():
    builder = RingBuilder(4, 1, 1)  # 16 partitions, of one replica
    where = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk", "weight": 1.0}
    builder.add_dev(where)
    builder.rebalance()
    builder.get_ring().save(f"{directory}/{name}.ring.gz")
"""
_COMMON = """
[DEFAULT]
swift_dir = {directory}
devices = {directory}/devices
user = {user}
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
mount_check = false
disable_fallocate = true
log_address = {directory}/no-syslog
"""
_STORAGE = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper cache s3api tempauth slo dlo versioned_writes symlink proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
min_segment_size = {part_size_bytes_min}
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""
_SWIFT = """
[swift-hash]
swift_hash_path_prefix = tests
swift_hash_path_suffix = tests
"""


@contextmanager
def swift(directory: Path, *, part_size_bytes_min: int = PART_SIZE_BYTES_MIN) -> Iterator[ServerProcess]:
    """A running Swift without a bucket; what is yielded is its proxy. All four are ended by process id."""
    if subprocess.run([PYTHON, "-c", "import swift"], capture_output=True, check=False).returncode != 0:
        pytest.fail("python3-swift is not installed: make test-stores does it")
    (directory / "devices" / "disk").mkdir(parents=True)
    (directory / "swift.conf").write_text(_SWIFT)
    ports = {name: free_port() for name in ("account", "container", "object")}
    rings = [f"{name}={port}" for name, port in ports.items()]
    subprocess.run([PYTHON, "-c", _MAKE_RINGS, str(directory), *rings], check=True)
    with ExitStack() as running:
        for name, port in ports.items():
            running.enter_context(_serving(directory, name, port, _STORAGE.format(name=name)))
        proxy = _PROXY.format(
            account=ACCOUNT,
            user=ACCESS_KEY_ID,
            secret=SECRET_ACCESS_KEY,
            part_size_bytes_min=part_size_bytes_min,
        )
        yield running.enter_context(_serving(directory, "proxy", free_port(), proxy))


@contextmanager
def _serving(directory: Path, name: str, port: int, sections: str) -> Iterator[ServerProcess]:
    file = directory / f"{name}.conf"
    common = _COMMON.format(directory=directory, port=port, user=getpass.getuser())
    file.write_text(common + sections)
    command = [PYTHON, "-c", _SERVE, str(directory), str(file), f"{name}-server"]
    server = ServerProcess(command, port)
    server.start()
    try:
        yield server
    finally:
        server.kill()
