"""The database: all that must survive a restart and is not media. SQLAlchemy stays in here."""

from recorder.database.connection import Database
from recorder.database.conversations import ConversationTable
from recorder.database.keys import KeyTable
from recorder.database.recordings import RecordingTable
from recorder.kernel.recording import Attempt, RecordingRow

__all__ = ["Attempt", "ConversationTable", "Database", "KeyTable", "RecordingRow", "RecordingTable"]
