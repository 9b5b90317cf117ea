"""The walls of the tree as tables: which room may import which, and which file may touch which library.

A *room* is a folder with modules, or a module that stands in a package's own folder. docs/design.md tells the
same to people; tests/test_walls.py holds the code to it.
"""

OUTER_PACKAGES = ("signaling", "media", "storage")
PACKAGES = ("recorder", *OUTER_PACKAGES)
MODULES_PER_FOLDER_MAX = 12
TABLES = {"recorder/database", "recorder/migrations/versions"}  # a module a table, a module a version

# From the bottom up: each room of a package may import the rooms above it in the list, and no other.
ROOMS: dict[str, list[str]] = {
    "recorder": [
        "kernel/log",
        "kernel/network",
        "kernel/audit",
        "kernel",
        "kernel/connectors",
        "kernel/files",
        "version",
        "node",
        "settings",
        "database",
        "migrations",
        "stores",
        "archive",
        "worker/sandbox",
        "worker",
        "worker_pool",
        "recording",
        "supervision",
        "deletion",
        "audit",
        "webhooks",
        "services",
        "services/access",
        "services/conversation",
        "services/files/bounds",
        "services/files",
        "services/recording",
        "services/connectors",
        "services/console",
        "file_composition",
        "composition",
        "demo",
        "load/publisher",
        "load",
        "check",
        "diagrams",
        "limits_page",
        "app",
        "recover",
        "database_move",
        "storage_move",
        "doctor",
        "command",
        "cli",
        "__main__",
    ],
    "signaling": [
        "audit_port",
        "caller",
        "media_port",
        "console_port",
        "webhook_port",
        "file_port",
        "ports",
        "http",
        "network",
        "connectors",
        "connectors/janus",
        "connectors/rtp",
        "connectors/whep",
        "routes",
        "room/core",
        "room",
        "whip",
        "docs",
        "console",
        "console/oidc",
        "api",
        "api/conversation",
        "api/recording",
        "api/administration",
        "app",
    ],
    "media": [
        "handover",
        "isobmff",
        "isobmff/progressive",
        "hls",
        "check",
        "audio",
        "video/headers",
        "video",
        "mux",
        "sync",
        "render",
        "rtp/wire",
        "rtp/depacketizers",
        "rtp",
        "sdp",
        "webrtc/network",
        "webrtc",
        "plain_rtp",
        "engine",
    ],
    "storage": [
        "settings",
        "keys",
        "errors",
        "store",
        "identity",
        "spool",
        "stores",
        "stores/s3",
        "stores/azure",
        "stores/sftp",
        "stores/local",
        "open_store",
        "objects",
        "upload_plan",
        "finalise",
        "takeover",
        "upload",
        "reading",
        "copying",
    ],
}

# A library and the files, or folders, that may import it.
CONFINED: dict[str, set[str]] = {
    "opentelemetry": {"recorder/node/tracing.py"},
    "aiohttp": {
        "signaling",
        "storage/stores/azure/connection.py",
        "recorder/app.py",
        "recorder/demo",
        "recorder/load",
        "recorder/webhooks/sender.py",
    },
    "aiortc": {"media/webrtc/dtls.py", "recorder/demo", "recorder/load/publisher"},
    "aioice": {"media/webrtc/ice.py", "media/webrtc/gathering.py", "recorder/demo"},
    "pylibsrtp": {"media/webrtc/srtp.py"},
    "aioboto3": {"storage/stores/s3/connection.py"},
    "botocore": {"storage/stores/s3/connection.py", "storage/stores/s3/errors.py"},
    "azure": {"storage/stores/azure"},
    "asyncssh": {"storage/stores/sftp"},
    "sqlalchemy": {"recorder/database", "recorder/migrations"},
    "asyncpg": {"recorder/database/connection.py"},
    "alembic": {"recorder/database", "recorder/migrations"},
    "uvloop": {"recorder/cli.py", "recorder/worker/main.py", "recorder/worker/preload.py"},
}

# What a module that calls itself pure reaches by no path of imports.
LIBRARIES_OF_THE_WORLD = {
    "aioboto3",
    "aiohttp",
    "aioice",
    "aiortc",
    "asyncpg",
    "asyncssh",
    "azure",
    "botocore",
}
CODECS_AND_DATABASES = {"alembic", "av", "ctypes", "pylibsrtp", "sqlalchemy", "uvloop"}
FILES_AND_PROCESSES = {"fcntl", "mmap", "multiprocessing", "os", "psutil", "shutil", "subprocess", "tempfile"}
EVENTS_AND_THREADS = {"asyncio", "concurrent", "select", "selectors", "signal", "ssl", "threading"}
TIME_AND_CHANCE = {"random", "secrets", "time"}
WORLD = (
    LIBRARIES_OF_THE_WORLD | CODECS_AND_DATABASES | FILES_AND_PROCESSES | EVENTS_AND_THREADS | TIME_AND_CHANCE
)

# Objects of libraries that are set up by assignment, by file: libav's contexts and frames, ctypes' functions.
LIBRARY_OBJECTS: dict[str, set[str]] = {
    "media/audio/encoder.py": {"context", "frame"},
    "media/audio/opus.py": {"library"},
    "media/check/file.py": {"stream"},
    "media/video/decoder.py": {"context"},
    "media/video/encoder.py": {"context", "picture"},
    "media/webrtc/gathering.py": {"candidate", "protocol"},
    "media/webrtc/ice.py": {"protocol"},
    "recorder/database/connection.py": {"connection"},
    "recorder/demo/publisher.py": {"aioice", "frame"},
    "recorder/load/publisher/clip.py": {"frame", "stream"},
    "recorder/load/publisher/process.py": {"packet"},
    "recorder/worker/main.py": {"logging"},
    "signaling/api/recording/events.py": {"response"},
    "signaling/http/byte_answers.py": {"response"},
    "signaling/room/pages.py": {"response"},
    "storage/spool/insert_range.py": {"call"},
}
