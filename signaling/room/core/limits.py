"""The bounds of a room: what one browser may cost the others and this server."""

from recorder.kernel.limits import KIB, MIB, WEBSOCKET_MESSAGE_BYTES_MAX

PARTICIPANTS_PER_ROOM_MAX = (
    8  # a mesh: every browser encodes its picture once per peer, and once for the recorder
)

# --- getting in ------------------------------------------------------------------------------------
HELLO_TIMEOUT_S = 5.0  # a socket that has not said who it is by then is closed
UNKNOWN_SOCKETS_MAX = 256  # open sockets that have not said who they are; the longest silent makes way
UNKNOWN_SOCKETS_PER_ADDRESS_MAX = 16  # a page says who it is within a round trip
INSTANCE_CHARS_MAX = 64  # the page's name for one loading of itself

# --- staying in ------------------------------------------------------------------------------------
HEARTBEAT_S = 15.0  # WebSocket ping; a silent network is noticed within 1.5 of these
RESUME_TIMEOUT_S = 20.0  # a dropped socket keeps its seat this long: a change of network takes 2 to 10 s

# --- what a client sends ---------------------------------------------------------------------------
MESSAGES_PER_S_MAX = 50  # sustained; candidates of seven peers come in one burst, talk does not
MESSAGES_BURST_MAX = 500  # joining a full room: 7 peers x (2 descriptions + some 20 candidates), doubled
CANDIDATE_CHARS_MAX = 1 * KIB  # a candidate line with all its extensions is below 300
CHAT_PENDING_MAX = 1_000  # messages that the history has not taken yet: seconds of eight people's most
CHAT_MESSAGES_KEPT_MAX = 100  # what a late joiner is shown
RECORDINGS_SHOWN_MAX = 50  # the newest of a conversation

# --- what waits for a client -----------------------------------------------------------------------
SEND_QUEUE_MESSAGES_MAX = 512  # one full exchange of descriptions and candidates with every peer
SEND_QUEUE_BYTES_MAX = 2 * MIB
SEND_TIMEOUT_S = 10.0  # one message that the network does not take for this long: the client is gone
START_DECISION_S_MAX = 15.0  # whether a call may start; what it then waits for has a deadline of its own
INTERACTIONS_PENDING_MAX = 128  # starts and ends that the control plane has not taken yet

# One description always fits an empty queue, and a room's worth of them fits as well.
if SEND_QUEUE_BYTES_MAX < (PARTICIPANTS_PER_ROOM_MAX - 1) * 2 * WEBSOCKET_MESSAGE_BYTES_MAX:
    raise ImportError("SEND_QUEUE_BYTES_MAX must hold an offer and an answer of every peer")
