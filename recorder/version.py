"""The version of this Bystander."""

from importlib.metadata import PackageNotFoundError, version


def bystander_version() -> str:
    """The installed version, or 0 when this is a checkout that was not installed."""
    try:
        return version("bystander")
    except PackageNotFoundError:
        return "0"
