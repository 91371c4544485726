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
    return all(value != "" for value in (query or {}).values())
