"""The child processes of server 2: each in its own group, with its own log, stopped together."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

STOP_TIMEOUT_S = 15
LOG_LINES_SHOWN = 15


class ServingFailed(RuntimeError):
    """Server 2 cannot start or go on; the message is one clear sentence."""


@dataclass(frozen=True, eq=False)
class Child:
    """A service; `process` leads a process group of its own, `log_from` is where its part of the log begins."""

    name: str
    process: subprocess.Popen
    log_file: Path
    log_from: int

    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.process.poll()

    def last_words(self) -> str:
        """The last lines that it wrote; a log that was rotated meanwhile is read from its beginning."""
        written = self.log_file.read_bytes()
        own = written[self.log_from:] if self.log_from < len(written) else written
        return "\n".join(own.decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:])

    def require_running(self) -> None:
        """Raises ServingFailed when it has ended by itself."""
        status = self.status()
        if status is not None:
            raise ServingFailed(
                f"the {self.name} server ended with status {status}; the end of {self.log_file}:\n{self.last_words()}"
            )


class Processes:
    """A context that starts services and stops all of them at once when it is left."""

    def __init__(self, log_folder: Path):
        self._log_folder = log_folder
        self._children: list[Child] = []

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        """Starts one service; its output is appended to `<name>.log`, where rotation by copy and truncate finds it."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        log_file = self._log_folder / f"{name}.log"
        with log_file.open("ab") as log:
            log_from = log.tell()
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, process, log_file, log_from)
        self._children.append(child)
        return child

    def stop(self, child: Child) -> None:
        """Ends one service, and forgets it."""
        stop(child.process)
        self._children.remove(child)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            signal_group(child.process.pid, signal.SIGTERM)
        for child in self._children:
            stop(child.process)


def stop(process: subprocess.Popen) -> None:
    """Ends the whole group of a process: politely first, then for certain."""
    signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while group_lives(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    signal_group(process.pid, signal.SIGKILL)
    process.wait()


def group_lives(process: subprocess.Popen) -> bool:
    """Whether any process of the group still runs; collects the leader's status."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def signal_group(group: int, number: signal.Signals) -> None:
    """Signals a process group that may be gone already."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)
