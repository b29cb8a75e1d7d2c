"""How the log is written: lines for people, or one JSON object per line for what collects logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

ENVIRONMENT = "FLYTEFORM_LOG_FORMAT"
TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)
# Others' loggers, which tell at INFO what is no news here.
_TALKATIVE = ("alembic", "uvicorn")


class JsonFormatter(logging.Formatter):
    """One object per record: time (UTC), level, logger, message, its named values, and the exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        values: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.args, Mapping):
            values |= {str(name): value for name, value in record.args.items() if name not in values}
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return json.dumps(values, ensure_ascii=False, default=str)


def configure(level: str, form: str) -> None:
    """Send the log to standard error from this level on, in one of `FORMATS`."""
    handler = logging.StreamHandler()
    if form == JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
