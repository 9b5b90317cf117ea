"""Accept (RFC 9110, section 12.5.1): whether a caller takes the one media type that we have."""

_WILDCARDS = {"*/*": 0, "type/*": 1, "type/subtype": 2}


def accepts(header: str | None, media_type: str) -> bool:
    """Whether `header` gives `media_type` a quality above zero; the most specific range decides.

    No header, or an empty one, takes everything. A malformed quality counts as 1.
    """
    if header is None or not header.strip():
        return True
    best = (-1, 0.0)
    for element in header.split(","):
        media_range, *parameters = (part.strip().lower() for part in element.split(";"))
        specificity = _specificity(media_range, media_type)
        if specificity is not None:
            best = max(best, (specificity, _quality(parameters)))
    return best[1] > 0


def _specificity(media_range: str, media_type: str) -> int | None:
    if media_range == media_type:
        return _WILDCARDS["type/subtype"]
    if media_range == media_type.partition("/")[0] + "/*":
        return _WILDCARDS["type/*"]
    return _WILDCARDS["*/*"] if media_range == "*/*" else None


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
