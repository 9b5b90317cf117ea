"""The access table: who may call which operation. The only place where it is said.

`authorization.py` enforces it, /openapi.json and docs/access.md tell it, and a test calls every operation
with every role and every scope against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from recorder.kernel.conversation import Role
from recorder.kernel.permissions import KeyScope

AGENTS = frozenset({Role.AGENT, Role.SECONDARY_AGENT, Role.SUPERVISOR})
EVERYBODY = frozenset(Role)


class Scheme(Enum):
    """How a caller shows who they are."""

    PUBLIC = "public"  # not at all
    BEARER = "bearer"  # an API key or a participant's token
    SESSION = "session"  # by signing in to the console
    ENTRY_POINT = "entry point"  # the token of the entry point in the URL; the WHIP handlers ask the port


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation: API keys with `scope`, in their account; `roles`, in their own conversation.

    `if_visible`: of these roles only those that the conversation's effective `recording.visible_to` names.
    `signed_link`: also whoever has a link to this path.
    `whole_server`: what it is about is everybody's, so a key of one account may not.
    """

    scheme: Scheme
    scope: KeyScope | None = None
    roles: frozenset[Role] = frozenset()
    if_visible: bool = False
    signed_link: bool = False
    whole_server: bool = False  # no key that reaches one account only


def _key(scope: KeyScope, roles: frozenset[Role] = frozenset()) -> Access:
    return Access(Scheme.BEARER, scope, roles)


def _seen(*, signed_link: bool = False) -> Access:
    """What shows a recording."""
    return Access(
        Scheme.BEARER, KeyScope.RECORDINGS_READ, EVERYBODY, if_visible=True, signed_link=signed_link
    )


_PUBLIC = Access(Scheme.PUBLIC)
_SESSION = Access(Scheme.SESSION)
_ENTRY_POINT = Access(Scheme.ENTRY_POINT)
_FILE_CONTENT = Access(Scheme.BEARER, KeyScope.CONVERSATIONS_READ, EVERYBODY, signed_link=True)
_ADMIN = _key(KeyScope.ADMIN)
_AUDIT = Access(Scheme.BEARER, KeyScope.AUDIT, whole_server=True)
_WHOLE_SERVER = Access(Scheme.BEARER, KeyScope.ADMIN, whole_server=True)

ACCESS: Mapping[str, Access] = {
    # conversations and who is in them
    "createConversation": _key(KeyScope.CONVERSATIONS_WRITE),
    "listConversations": _key(KeyScope.CONVERSATIONS_READ),
    "listConversationOverviews": _key(KeyScope.CONVERSATIONS_READ),
    "getConversation": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    "deleteConversation": _key(KeyScope.CONVERSATIONS_WRITE),
    "endConversation": _key(KeyScope.CONVERSATIONS_WRITE, AGENTS),
    "addParticipant": _key(KeyScope.CONVERSATIONS_WRITE),
    "renewParticipantToken": _key(KeyScope.CONVERSATIONS_WRITE),
    "listParticipants": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    "startInteraction": _key(KeyScope.CONVERSATIONS_WRITE, AGENTS),
    "getInteraction": _key(KeyScope.CONVERSATIONS_READ, AGENTS),
    "endInteraction": _key(KeyScope.CONVERSATIONS_WRITE, AGENTS),
    "listDecisions": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    # what is said and answered in it
    "sendMessage": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "listMessages": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    "answerConsent": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "listConsents": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    # files, snapshots and backgrounds; the services behind them know whose each is
    "getServices": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    "listFiles": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    "getFile": _key(KeyScope.CONVERSATIONS_READ, EVERYBODY),
    "getFileContent": _FILE_CONTENT,
    "headFileContent": _FILE_CONTENT,
    "getUploadTerms": _PUBLIC,
    "createUpload": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "getUpload": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "appendUpload": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "cancelUpload": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "takeSnapshot": _key(KeyScope.CONVERSATIONS_WRITE, AGENTS),
    "sendSnapshot": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "refuseSnapshot": _key(KeyScope.CONVERSATIONS_WRITE, EVERYBODY),
    "listOfferedBackgrounds": _key(KeyScope.CONVERSATIONS_READ, AGENTS),
    "getOfferedBackground": _key(KeyScope.CONVERSATIONS_READ, AGENTS),
    "addBackground": _key(KeyScope.SETTINGS),
    "listBackgrounds": _key(KeyScope.SETTINGS),
    "getBackground": _key(KeyScope.SETTINGS),
    "deleteBackground": _key(KeyScope.SETTINGS),
    # recordings
    "startRecording": _key(KeyScope.RECORDINGS_WRITE, AGENTS),
    "invitePublisher": _key(KeyScope.RECORDINGS_WRITE),
    "stopRecording": _key(KeyScope.RECORDINGS_WRITE, AGENTS),
    "pauseRecording": _key(KeyScope.RECORDINGS_WRITE, AGENTS),
    "resumeRecording": _key(KeyScope.RECORDINGS_WRITE, AGENTS),
    "listRecordings": _seen(),
    "getRecording": _seen(),
    "getRecordingMedia": _seen(signed_link=True),
    "headRecordingMedia": _seen(signed_link=True),
    "getRecordingFile": _seen(signed_link=True),
    "headRecordingFile": _seen(signed_link=True),
    "getRecordingPlaylist": _seen(signed_link=True),
    "watchRecording": _seen(signed_link=True),
    "watchPage": _seen(signed_link=True),
    "getRecordingEvents": _seen(),
    "getRecordingDetails": _seen(),
    "deleteRecording": _key(KeyScope.RECORDINGS_WRITE, AGENTS),
    "findRecordings": _key(KeyScope.RECORDINGS_READ),
    "getUsage": _key(KeyScope.USAGE),
    # WHIP
    "publish": _ENTRY_POINT,
    "trickle": _ENTRY_POINT,
    "unpublish": _ENTRY_POINT,
    "offerAgain": _ENTRY_POINT,
    "getEndpoint": _ENTRY_POINT,
    "headEndpoint": _ENTRY_POINT,
    "optionsEndpoint": _ENTRY_POINT,
    "getSession": _ENTRY_POINT,
    "headSession": _ENTRY_POINT,
    "optionsSession": _ENTRY_POINT,
    # keys
    "createKey": _ADMIN,
    "listKeys": _ADMIN,
    "getKey": _ADMIN,
    "rotateKey": _ADMIN,
    "revokeKey": _ADMIN,
    # settings; a key of one account reaches the settings of that one only
    "getAccountSettings": _key(KeyScope.SETTINGS),
    "putAccountSettings": _key(KeyScope.SETTINGS),
    "getTemplateSettings": _key(KeyScope.SETTINGS),
    "putTemplateSettings": _key(KeyScope.SETTINGS),
    "getConversationSettings": _key(KeyScope.SETTINGS),
    "putConversationSettings": _key(KeyScope.SETTINGS),
    # the console
    "getConsoleSession": _PUBLIC,
    "signIn": _PUBLIC,
    "signOut": _SESSION,
    "startOidc": _PUBLIC,
    "finishOidc": _PUBLIC,
    "listLive": _key(KeyScope.RECORDINGS_READ),
    "followLive": _key(KeyScope.RECORDINGS_READ),
    "listSettingDefinitions": _key(KeyScope.SETTINGS),
    "previewFilename": _key(KeyScope.SETTINGS),
    # what everybody did
    "exportAudit": _AUDIT,
    "getAuditHead": _AUDIT,
    # webhooks
    "createWebhook": _key(KeyScope.WEBHOOKS),
    "listWebhooks": _key(KeyScope.WEBHOOKS),
    "getWebhook": _key(KeyScope.WEBHOOKS),
    "updateWebhook": _key(KeyScope.WEBHOOKS),
    "deleteWebhook": _key(KeyScope.WEBHOOKS),
    "rotateWebhookSecret": _key(KeyScope.WEBHOOKS),
    "testWebhook": _key(KeyScope.WEBHOOKS),
    "listWebhookDeliveries": _key(KeyScope.WEBHOOKS),
    # the server itself
    "testStorage": _WHOLE_SERVER,
    "followStorageTest": _WHOLE_SERVER,
    "getStorage": _WHOLE_SERVER,
    "getCapacity": _WHOLE_SERVER,
    "getHealth": _PUBLIC,
    "getReadiness": _PUBLIC,
    "getMetrics": _PUBLIC,
    "getOpenapi": _PUBLIC,
    "getDocs": _PUBLIC,
}


def access_to(operation: str) -> Access:
    """The rule of an operation, by its id; an operation without one is a defect, told at start."""
    try:
        return ACCESS[operation]
    except KeyError:
        raise LookupError(f"signaling/routes/access.py says nothing of {operation}") from None


def scopes_of(role: Role, *, visible: bool) -> list[KeyScope]:
    """What a key has to have that may do all that a participant in this role may, and read no more than that.

    `visible`: whether recordings of the conversation are shown to this role.
    """
    shown = (one for one in ACCESS.values() if role in one.roles and (visible or not one.if_visible))
    return sorted({one.scope for one in shown if one.scope is not None})
