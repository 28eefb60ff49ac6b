"""The soak of `bench/soak.py`, shortened: nothing of what comes and goes stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LIMIT

SOAK = Path(__file__).parent.parent / "bench" / "soak.py"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_memory_and_descriptors_stay_as_they_are(server: str) -> None:
    # What stays of each message, or of each client, grows with the time; what a busy machine makes memory do, does not.
    short = soak("--minutes", "0.2", "--memory", "12", "--descriptors", "8", server)
    if short.returncode != 0:
        long = soak("--minutes", "0.8", "--memory", "24", "--descriptors", "8", server)
        assert long.returncode == 0, short.stdout + short.stderr + long.stdout + long.stderr


def soak(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SOAK), "--rate", "2000", "--body", "16384", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=10 * LIMIT)
