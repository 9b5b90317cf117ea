"""Examples of request bodies, by operation: shown with the API, and each is sent to a server by a test."""

from typing import Any

EXAMPLES: dict[str, Any] = {
    "createConversation": {"external_id": "case-4711", "metadata": {"desk": "claims"}},
    "addParticipant": {"role": "AGENT", "name": "Ada Lovelace"},
    "startInteraction": {"kind": "CALL"},
    "invitePublisher": {"participant": "part_01m7ztjcwd53d6ewmftkr3n1mm", "sources": ["camera"]},
    "sendMessage": {"text": "The document is on its way."},
    "answerConsent": {"answer": "AGREED"},
    "takeSnapshot": {"participant": "part_01m7ztjcwd53d6ewmftkr3n1mm"},
    "refuseSnapshot": {"reason": "no_picture"},
    "createKey": {"name": "call service", "scopes": ["conversations:write", "recordings:read"]},
    "rotateKey": {},
    "testStorage": {},
    "followStorageTest": {},
    "createWebhook": {"url": "https://example.org/bystander", "events": ["recording.available"]},
    "updateWebhook": {"description": "of the claims desk"},
    "putAccountSettings": {"values": {"recording.fps": 15}},
    "putTemplateSettings": {"values": {"recording.fps": 15}},
    "putConversationSettings": {"values": {"recording.banner": False}},
    "signIn": {"key": "an API key"},
}
