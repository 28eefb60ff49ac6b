"""A broker for tests.

    with LocalBroker() as broker:
        producer = Producer(broker.address)

It is the real one, `ferromq standalone`, as a process of its own and not in the one that is tested: so it can be killed, as
a crash would; it is there after a fork; it takes no turn of the interpreter that is tested, and what blocks or crashes that
one leaves it alone; and it is, with its defaults, what runs in production. It ends with the process that started it, even if
that is killed; only its temporary directory is left then.

The program comes with `pip install "ferromq[server]"`, on Linux. It is a distribution of its own, because it is several times
the size of the client. Which is taken: the argument `program`, `FERROMQ_BIN`, the one of this Python environment, the one in
`PATH`. With pytest, the fixture `ferromq_broker` is one for the session.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from .._admin import Admin
from ..errors import FerroMQError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LocalBroker"]

READY_LIMIT = 60.0
STOP_LIMIT = 60.0


class LocalBroker:
    """A NameServer and a broker on free ports of this machine, with their store in a temporary directory."""

    def __init__(self, *, settings: Mapping[str, str] | None = None, program: str | None = None) -> None:
        """`settings` are keys of RocketMQ's broker.conf; `program` is the server, where not the one that is
        found by itself."""
        self._settings = {
            "mappedFileSizeCommitLog": "16777216",
            "mappedFileSizeConsumeQueue": "600000",
            "maxHashSlotNum": "10000",
            "maxIndexNum": "40000",
            # The little that it stores has room where a broker would rather take no more.
            "cleanFileForciblyEnable": "false",
            "diskSpaceWarningLevelRatio": "100",
            **(settings or {}),
        }
        self._program = program or _program()
        self._dir: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = {name: _free_port(around) for name, around in _PORTS.items()}

    @property
    def address(self) -> str:
        """The NameServer's, as clients are given it."""
        return f"127.0.0.1:{self._ports['namesrv']}"

    @property
    def http(self) -> str:
        """Where it answers HTTP."""
        return f"http://127.0.0.1:{self._ports['http']}"

    def start(self) -> None:
        """Starts it, on the same ports and store as before if it was stopped; returns when clients can use it. One that
        runs goes on."""
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()  # One that ended by itself still has its pipe.
        if self._dir is None:
            self._dir = tempfile.TemporaryDirectory(prefix="ferromq-")
        ports = {_KEYS[name]: str(port) for name, port in self._ports.items()}
        command = [self._program, "standalone", "--until-stdin-ends"]
        command += ["--store", os.path.join(self._dir.name, "store")]
        for key, value in {**self._settings, **ports}.items():
            command += ["--set", f"{key}={value}"]
        self._log = os.path.join(self._dir.name, "server.log")
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        limit = time.monotonic() + READY_LIMIT
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > limit:
                text = self.log()
                self.stop()
                raise RuntimeError(f"the broker does not start: {text}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        if not all(_listens(self._ports[name]) for name in ("namesrv", "listen")):
            return False
        # The broker has told the NameServer of itself, so that topics are created when they are sent to.
        with Admin(self.address) as admin:
            try:
                return bool(admin.clusters())
            except FerroMQError:
                return False

    def log(self) -> str:
        """What the server logged."""
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def kill(self) -> None:
        """Ends it at once, as a crash would. `start` starts it again on what is stored."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None

    def stop(self) -> None:
        """Ends it gracefully. `start` starts it again on what is stored."""
        if self._process is None:
            return
        with self._process as process:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
        self._process = None

    def close(self) -> None:
        """Ends it and removes what it stored."""
        self.stop()
        if self._dir is not None:
            self._dir.cleanup()
            self._dir = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LocalBroker({self.address!r})"


_KEYS = {"namesrv": "namesrvListenPort", "listen": "listenPort", "http": "httpPort", "mqtt": "mqttPort"}
_PORTS = {"namesrv": (0,), "listen": (-2, 0, 1), "http": (0,), "mqtt": (0,)}
"""Ports, each with those beside it that are used too: the fast one, and the one for replicas."""


def _program() -> str:
    named = os.environ.get("FERROMQ_BIN")
    if named:
        found = shutil.which(named)
        if not found:
            raise RuntimeError(f"FERROMQ_BIN names no program: {named!r}")
        return found
    # An environment that is used without being activated is not in PATH.
    found = shutil.which("ferromq", path=sysconfig.get_path("scripts")) or shutil.which("ferromq")
    if not found:
        raise RuntimeError(
            'there is no broker to start: `pip install "ferromq[server]"` brings one (on Linux);'
            " or name the program `ferromq` by FERROMQ_BIN, or put it in PATH"
        )
    return found


_FIRST, _SPAN, _STEP = 10_000, 22_000, 8
_places = itertools.count(step=_STEP)


def _free_port(around: tuple[int, ...]) -> int:
    """From below the range that the system gives to outgoing connections, at a place that follows from the process's id: so
    that neither a connection nor another process's broker takes it before the server has it."""
    for place in itertools.islice(_places, _SPAN // _STEP):
        port = _FIRST + (os.getpid() * 97 + place) % _SPAN
        if not any(_taken(port + offset) for offset in around):
            return port
    raise RuntimeError(f"no port is free from {_FIRST} to {_FIRST + _SPAN}")


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
