"""What schemathesis has to be told of this API, see scripts/test-api.sh."""

import schemathesis


@schemathesis.serializer("application/sql", "application/vnd.zonepulse.batch")
def text(ctx, value):
    """A statement, or what calls itself a batch, is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
