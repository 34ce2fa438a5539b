"""status.json in the home folder: what server 2 does, for people and monitors."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path

STATUS_FILE = "status.json"


def now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(timezone.utc)


def timestamp(moment: datetime) -> str:
    """As JSON has it: 2026-11-23T10:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class StatusFile:
    """Written in one step, and only when something in it has changed."""

    def __init__(self, home: Path):
        self._path = home / STATUS_FILE
        self._written: dict | None = None

    def write(self, status: dict) -> None:
        """Replaces the file when `status` is new; `writtenAt` is added."""
        if status == self._written:
            return
        temporary = self._path.with_name(f".{self._path.name}.new")
        temporary.write_text(json.dumps(status | {"writtenAt": timestamp(now())}, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, self._path)
        self._written = status

    def last_live(self, model_name: str) -> str | None:
        """The number of the version that answered last, before this start; None when that is not known."""
        try:
            status = json.loads(self._path.read_text(encoding="utf-8"))
            return status["lastLive"] if status["model"] == model_name else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
