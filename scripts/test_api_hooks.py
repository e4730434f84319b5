"""Schemathesis hooks for this API; see scripts/test-api.sh."""

import schemathesis


@schemathesis.serializer("application/sql", "application/vnd.zonepulse.batch")
def text(ctx, value):
    """Sends SQL statements and batches unchanged."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
