"""Every bound that more than one package leans on: its unit in its name, its reason beside it."""

KIB = 1024
MIB = 1024 * KIB

# --- what callers may send -------------------------------------------------------------------------
SDP_BYTES_MAX = 64 * KIB  # a browser's offer with all codecs and candidates is 6 to 20 KiB
JSON_BODY_BYTES_MAX = 64 * KIB
SDP_FRAGMENT_BYTES_MAX = 16 * KIB  # a trickle PATCH carries a few candidates
WEBSOCKET_MESSAGE_BYTES_MAX = 128 * KIB  # an SDP inside JSON, escaped
METADATA_ENTRIES_MAX = 64
SETTINGS_PER_SCOPE_MAX = 64  # some four times the keys that there are
CHAT_CHARS_MAX = 2_000  # a message that people type
TEXT_CHARS_MAX = 256  # a name, an external id, a metadata key or value

# --- what one recording takes ----------------------------------------------------------------------
PUBLISHERS_PER_RECORDING_MAX = 32  # connected ones
UNCONNECTED_SESSIONS_MAX = 32  # that wait for their connection, beside those
SESSIONS_PER_PARTICIPANT_MAX = 8  # camera, screen, co-browsing, and those that a bad network left behind
STREAMS_PER_PUBLISHER_MAX = 8
CANDIDATES_PER_PUBLISHER_MAX = 64
PICTURE_PIXELS_MAX = 4096 * 2304  # what a 4K camera sends
DECODER_BYTES_PER_PUBLISHER_MAX = 256 * MIB  # two 4K streams with the references that browsers use
DECODER_BYTES_PER_RECORDING_MAX = 1024 * MIB  # 32 publishers with a camera of 1920x1080 and a screen

# --- between the server and a worker ---------------------------------------------------------------
WORKER_MESSAGE_BYTES_MAX = 1 * MIB  # an SDP answer or statistics of 32 publishers; no media passes here
WORKER_REQUESTS_PENDING_MAX = 256

# --- fragments and parts ---------------------------------------------------------------------------
FRAGMENT_DURATION_S_MAX = 2.0
UNWRITTEN_S_MAX = (
    1.0  # of coded media; with a step of rendering and the hand-over this is what a kill -9 costs
)
STILL_FRAGMENTS_JOINED_MAX = 4  # into one while nothing moves, because a key frame is nearly all of it
STILL_FRAGMENT_DURATION_S_MAX = STILL_FRAGMENTS_JOINED_MAX * FRAGMENT_DURATION_S_MAX
FRAGMENT_BYTES_MAX = 16 * MIB
PART_SIZE_BYTES_MIN = 5 * MIB  # S3's lower bound for every part but the last
PARTS_PER_UPLOAD_MAX = 10_000  # S3's upper bound
