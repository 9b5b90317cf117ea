"""Errors of S3 and what speaks like it, translated into storage.errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiobotocore import httpsession
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from recorder.kernel.errors import BystanderError, caller_error
from storage.errors import (
    BUCKET_MISSING,
    CORRUPTED,
    DENIED,
    FAILED,
    FULL,
    LOCKED,
    OBJECT_MISSING,
    PART_REFUSED,
    THROTTLED,
    UNREACHABLE,
    UPLOAD_MISSING,
    range_error,
    store_error,
)
from storage.stores.answers import unreadable

# What a body that breaks off raises: aiobotocore lets aiohttp's own error through.
_BROKEN_BODY: type[Exception] = httpsession.aiohttp.ClientError
_NOT_HTTP: type[Exception] = httpsession.aiohttp.ClientResponseError

_BY_CODE = {
    "NoSuchBucket": BUCKET_MISSING,
    "NoSuchKey": OBJECT_MISSING,
    "NoSuchUpload": UPLOAD_MISSING,
    "InvalidPart": PART_REFUSED,
    "InvalidPartOrder": PART_REFUSED,
    "EntityTooSmall": PART_REFUSED,
    "BadDigest": CORRUPTED,
    "InvalidDigest": CORRUPTED,
    "XAmzContentSHA256Mismatch": CORRUPTED,
    "SlowDown": THROTTLED,
    "RequestLimitExceeded": THROTTLED,
    "Throttling": THROTTLED,
    "TooManyRequests": THROTTLED,
    "QuotaExceeded": FULL,
    "XMinioStorageFull": FULL,
    "ObjectLocked": LOCKED,
    "ObjectLockConfigurationNotFoundError": FAILED,  # a 404, of which nothing is missing but a setting
    "ExpiredToken": DENIED,
    "InvalidToken": DENIED,
    "RequestTimeTooSkewed": DENIED,
}
_BY_OPERATION = {
    ("head_bucket", "404"): BUCKET_MISSING,
    ("upload_part", "NotImplemented"): PART_REFUSED,  # rclone, of other bytes for a part that it has
    ("abort_multipart_upload", "NoSuchKey"): UPLOAD_MISSING,  # Swift, of an upload that is completed
}
_BY_STATUS = {401: DENIED, 403: DENIED, 404: OBJECT_MISSING, 429: THROTTLED, 507: FULL}


@contextmanager
def s3_errors(operation: str) -> Iterator[None]:
    """Let nothing of botocore's or aiohttp's out."""
    try:
        yield
    except ClientError as error:
        raise _answered(operation, error.response) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise store_error(DENIED, "no credentials were found") from error
    except ParamValidationError as error:
        raise caller_error("object_key_invalid", "S3 does not take this name or setting.") from error
    except (BotoConnectionError, HTTPClientError, TimeoutError, OSError, _BROKEN_BODY) as error:
        raise store_error(UNREACHABLE, type(error).__name__) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise store_error(FAILED, type(error).__name__) from error
    except BystanderError:
        raise
    except Exception as error:  # the library reads numbers and dates, and follows redirections, as they come
        raise unreadable(error) from error


def is_unreadable(error: BystanderError) -> bool:
    """Whether the store did answer, but with something that is not HTTP."""
    cause = error.__cause__
    return isinstance(cause, HTTPClientError) and isinstance(cause.kwargs.get("error"), _NOT_HTTP)


def _answered(operation: str, response: dict[str, Any]) -> BystanderError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 416 or code == "InvalidRange":
        return range_error()
    known = _BY_OPERATION.get((operation, code)) or _BY_CODE.get(code) or _BY_STATUS.get(status)
    return store_error(known or FAILED, f"{code or 'nothing'} ({status})")
