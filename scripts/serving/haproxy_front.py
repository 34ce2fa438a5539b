"""haproxy in front of two places for scoring servers; callers' connections outlive the move from one to the other."""

import csv
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from scripts.serving.certificates import TlsFiles, write_private
from scripts.serving.console import say
from scripts.serving.front import FrontFailed
from scripts.serving.haproxy_config import BACKEND, SLOTS, HaproxySettings, Slot, haproxy_config
from scripts.serving.keeper import Keeper
from scripts.serving.options import ServingOptions
from scripts.serving.processes import Child, Processes
from scripts.serving.scoring import Scoring

COMMAND_TIMEOUT_S = 5
# Where Debian puts it is not in every user's path
SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def find_haproxy() -> str | None:
    """The program, where it is installed."""
    return shutil.which("haproxy", path=SEARCHED)


class HaproxyFront:
    """A slot takes one scoring server; the runtime API opens and drains slots, so that no connection is cut."""

    name = "haproxy"

    def __init__(self, program: str, options: ServingOptions, tls: TlsFiles, processes: Processes, folder: Path):
        self._program, self._processes = program, processes
        self._config_file = folder / "haproxy.cfg"
        self._settings = HaproxySettings(
            options.host, options.scoring_port, options.registry_port, options.tracking_port,
            options.workers * options.threads, folder / "server.pem", folder / "admin.sock",
        )
        write_private(self._settings.pem, tls.certificate_file.read_bytes() + b"\n" + tls.key_file.read_bytes())
        self._slots = {name: Slot(name) for name in SLOTS}
        self._keeper = Keeper(processes, self._start)

    def _start(self) -> Child:
        self._config_file.write_text(haproxy_config(self._settings, list(self._slots.values())))
        command = [self._program, "-db", "-f", str(self._config_file)]
        return self._processes.start("front", command, dict(os.environ))

    def is_up(self) -> bool:
        """Whether it runs and takes commands. Raises ServingFailed when it ended before it ever did."""
        try:
            self._command("show version")
        except FrontFailed:
            self._keeper.child.require_running()
            return False
        return True

    def check(self) -> None:
        """Starts haproxy again when it has ended; it goes on with the slots as they are."""
        self._keeper.check()

    def move_to(self, served: Scoring, before: Scoring | None) -> Scoring:
        """Opens a slot for `served` and drains the one before, in one go."""
        old = self._slot_of(before) if before else None
        new = next((slot for slot in self._slots.values() if slot.port is None), None)
        if new is None:
            raise FrontFailed("both places are taken")
        commands = [f"set server {BACKEND}/{new.name} addr 127.0.0.1 port {served.port}",
                    f"set server {BACKEND}/{new.name} state ready"]
        if old:
            commands.append(f"set server {BACKEND}/{old.name} state drain")
        try:
            self._apply([Slot(new.name, served.port, True), *([Slot(old.name, old.port, False)] if old else [])], commands)
        except FrontFailed:
            # Told, but perhaps not heard: what is not known to be open must not be left so
            undo = [f"set server {BACKEND}/{new.name} state maint"]
            if old:
                undo.append(f"set server {BACKEND}/{old.name} state ready")
            with suppress(FrontFailed):
                self._command("; ".join(undo))
            raise
        return served

    def take_back(self, served: Scoring) -> None:
        """Opens a slot for one that was started again."""
        self.move_to(served, None)

    def close(self, served: Scoring) -> None:
        """Callers are told at once, instead of waiting for one that is not there. A haproxy that is away learns it later."""
        slot = self._slot_of(served)
        if slot:
            self._slots[slot.name] = Slot(slot.name)
            with suppress(FrontFailed):
                self._command(f"set server {BACKEND}/{slot.name} state maint")

    def in_flight(self, served: Scoring) -> int:
        """Calls that haproxy has given it and that are not answered yet."""
        slot = self._slot_of(served)
        rows = csv.DictReader(self._command("show stat").lstrip("# ").splitlines())
        return sum(int(row["scur"]) + int(row["qcur"]) for row in rows
                   if slot and row["pxname"] == BACKEND and row["svname"] == slot.name)

    def _slot_of(self, served: Scoring) -> Slot | None:
        return next((slot for slot in self._slots.values() if slot.port == served.port), None)

    def _apply(self, slots: list[Slot], commands: list[str]) -> None:
        """Tells haproxy, and remembers it for one that has to be started again. Raises FrontFailed."""
        self._command("; ".join(commands))
        wanted = {slot.name: slot.is_open for slot in slots}
        rows = csv.DictReader(self._command("show stat").lstrip("# ").splitlines())
        found = {row["svname"]: row["status"] == "no check" for row in rows if row["pxname"] == BACKEND}
        if any(found.get(name) != is_open for name, is_open in wanted.items()):
            raise FrontFailed("haproxy did not do what it was told")
        self._slots.update({slot.name: slot for slot in slots})

    def _command(self, command: str) -> str:
        """An answer of the runtime API. Raises FrontFailed when haproxy is away."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(COMMAND_TIMEOUT_S)
                connection.connect(str(self._settings.socket))
                connection.sendall(f"{command}\n".encode())
                return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
        except OSError as error:
            raise FrontFailed(f"haproxy takes no command ({error.strerror or error})") from error


def say_without_haproxy() -> None:
    """What a machine without it misses, and how to get it."""
    say("no haproxy here: each promotion will cut callers off for some seconds. apt-get install haproxy ends that")
