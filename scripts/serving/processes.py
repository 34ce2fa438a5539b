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


@dataclass(frozen=True)
class Child:
    """A running service; `process` leads a process group of its own."""

    name: str
    process: subprocess.Popen
    log_file: Path


class Processes:
    """A context that starts services and stops all of them, last one first, when it is left."""

    def __init__(self, log_folder: Path):
        self._log_folder = log_folder
        self._children: list[Child] = []

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        """Starts one service; its output goes to `<name>.log`."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        log_file = self._log_folder / f"{name}.log"
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, process, log_file)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raises ServingFailed when a service has ended by itself."""
        for child in self._children:
            status = child.process.poll()
            if status is not None:
                raise ServingFailed(
                    f"the {child.name} server ended with status {status}; the end of {child.log_file}:\n"
                    + "\n".join(child.log_file.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
                )

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        for child in reversed(self._children):
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
