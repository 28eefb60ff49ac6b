"""What is installed, and how it finds the server that belongs to it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
from conftest import LIMIT, eventually

import ferromq
from ferromq.testing import LocalBroker

pytestmark = pytest.mark.own_broker

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_types_licence_and_fixture_are_installed() -> None:
    package = Path(ferromq.__file__).parent
    assert {"py.typed", "_ferromq.pyi"} <= {path.name for path in package.iterdir()}
    names = {path.name for path in metadata.files("ferromq") or ()}
    assert "LICENSE" in names
    entries = metadata.distribution("ferromq").entry_points
    assert [entry.value for entry in entries if entry.group == "pytest11"] == ["ferromq.testing.plugin"]


def test_it_needs_no_other_package() -> None:
    requirements = metadata.requires("ferromq") or []
    always = [requirement for requirement in requirements if "extra ==" not in requirement]
    assert always == []


def test_the_server_is_asked_for_in_the_same_version() -> None:
    (requirement,) = metadata.requires("ferromq") or []
    asked = re.match(r"ferromq-server ?== ?([\w.]+)", requirement)
    assert asked is not None and asked[1] == metadata.version("ferromq")


def test_one_wheel_is_for_every_cpython() -> None:
    wheel = metadata.distribution("ferromq").read_text("WHEEL") or ""
    assert "\nTag: cp39-abi3-" in wheel


def a_program(directory: Path) -> str:
    """One that ends at once and says where it lies."""
    directory.mkdir()
    program = directory / "ferromq"
    program.write_text('#!/bin/sh\necho "at $0"\nexit 1\n')
    program.chmod(0o755)
    return str(program)


def started(broker: LocalBroker) -> str:
    """Which of such programs it starts."""
    with pytest.raises(RuntimeError, match="does not start: at ") as failed, broker:
        pass
    return str(failed.value).split("at ")[-1].strip()


def test_the_argument_goes_before_the_variable_and_the_environment_before_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    argument, variable, environment, path = (a_program(tmp_path / name) for name in ("a", "v", "e", "p"))
    monkeypatch.setenv("FERROMQ_BIN", variable)
    monkeypatch.setattr(sysconfig, "get_path", {"scripts": os.path.dirname(environment)}.__getitem__)
    monkeypatch.setenv("PATH", os.path.dirname(path) + os.pathsep + os.environ["PATH"])
    assert started(LocalBroker(program=argument)) == argument
    assert started(LocalBroker()) == variable
    monkeypatch.delenv("FERROMQ_BIN")
    assert started(LocalBroker()) == environment
    os.remove(environment)
    assert started(LocalBroker()) == path


@pytest.mark.skipif(not RANGE.exists(), reason="looks at /proc")
def test_a_broker_takes_no_port_that_a_connection_may_be_given(tmp_path: Path) -> None:
    first = int(RANGE.read_text().split()[0])
    if first < 32_001:
        pytest.skip("connections are given nearly every port here")
    program = a_program(tmp_path / "p")
    addresses = [LocalBroker(program=program).address for _ in range(100)]
    assert all(int(address.rpartition(":")[2]) < first for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_without_a_program_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FERROMQ_BIN", raising=False)
    monkeypatch.setattr(sysconfig, "get_path", {"scripts": str(tmp_path)}.__getitem__)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(RuntimeError, match=r'pip install "ferromq\[server\]"'):
        LocalBroker()


def test_a_variable_that_names_nothing_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FERROMQ_BIN", str(tmp_path / "ferromq"))
    with pytest.raises(RuntimeError, match="FERROMQ_BIN names no program"):
        LocalBroker()


def test_a_broker_ends_with_a_process_that_is_killed() -> None:
    program = """if True:
        import sys, time
        from ferromq.testing import LocalBroker
        with LocalBroker() as broker:
            print(broker.address, flush=True)
            time.sleep(float(sys.argv[1]))
    """
    command = [sys.executable, "-c", program, str(LIMIT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        host, port = owner.stdout.readline().strip().split(":")
        assert connects(host, port)
        owner.kill()
    eventually(lambda: not connects(host, port))


def connects(host: str, port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_broker_that_runs_is_not_started_again() -> None:
    with LocalBroker() as broker:
        broker.start()
        broker.kill()
        assert not connects(*broker.address.split(":"))
