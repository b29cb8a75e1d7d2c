"""The type of the platform's resource and its properties: what the class, the schema and the checks share."""

from __future__ import annotations

from flyteform.pulumi.kinds import Form, Property, Shape

PACKAGE = "flyteform-embedded"
TOKEN = f"{PACKAGE}:index:Platform"

_ABSOLUTE = Form(r"(?s)[/~].*", "is no absolute path, and no path in a home directory such as ~/.local/state/mine")

STATE_DIR, GRPC_PORT, HTTP_PORT, IMAGES, CONNECTORS, RETAIN = (
    "stateDir",
    "grpcPort",
    "httpPort",
    "images",
    "connectors",
    "retainData",
)

INPUTS = (
    Property(
        STATE_DIR,
        Shape.TEXT,
        "The directory that all data lies in; it is the id. Another one is another platform.",
        required=True,
        address=True,
        form=_ABSOLUTE,
    ),
    Property(GRPC_PORT, Shape.NUMBER, "The port of gRPC on 127.0.0.1; 0 (the default) picks a free one, and keeps it."),
    Property(HTTP_PORT, Shape.NUMBER, "The port of REST and of objects; 0 (the default) picks a free one."),
    Property(IMAGES, Shape.TEXTS, "The interpreters that run tasks, by patterns of their images."),
    Property(CONNECTORS, Shape.LIST, "Connector services, [TYPE,…=]HOST:PORT each."),
    Property(RETAIN, Shape.FLAG, "Whether deleting the platform leaves its data (the default), or removes it."),
)
OUTPUTS = (
    Property("endpoint", Shape.TEXT, "HOST:PORT of gRPC.", given=False),
    Property("url", Shape.TEXT, "Where REST is served.", given=False),
    Property("log", Shape.TEXT, "The file with what the platform says.", given=False),
    Property("version", Shape.TEXT, "The release that runs.", given=False),
    Property("state", Shape.TEXT, "`running`, or `stopped` if it was found so.", given=False),
)
DEFAULTS = {GRPC_PORT: 0, HTTP_PORT: 0, IMAGES: {}, CONNECTORS: [], RETAIN: True}
RUNNING, STOPPED = "running", "stopped"
