"""What schemathesis has to be told about this API beyond its description."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def bulk_lines(context, value):
    """A bulk list has one JSON object a line."""
    lines = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(line) for line in lines).encode()


@schemathesis.hook
def filter_query(context, query):
    """`?limit=` counts as absent, as forms send it, although an empty text is no number."""
    return not any(is_sent_empty(value) for value in (query or {}).values())


def is_sent_empty(value):
    """Lists and objects of nothing, too, are sent as nothing."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return all(is_sent_empty(part) for part in value)
    return value in ("", None)
