"""The READMEs' Python programs, run as they stand there, so that what is shown is what works.

    python readme.py                    # with the interpreter that runs this, against a `LocalBroker`

Needs nothing but the package: wheels are tried out with it where there is no pytest.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ferromq.testing import LocalBroker

sys.path.insert(0, str(Path(__file__).parent))
from patience import PRELUDE

LIMIT = 120.0
READMES = [Path(__file__).parents[up] / "README.md" for up in (1, 3)]
"""The package's, and the project's."""


def programs(readme: Path) -> list[str]:
    """Each block of Python in it."""
    found: list[str] = re.findall(r"^```python\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found, f"no program in {readme}"
    return found


def run(program: str, address: str, topic: str = "Hello") -> None:
    """Runs it against the NameServer at `address`: it ends without an error, a service does so when it is told to, and
    one that prints messages has received what one before it sent."""
    program = PRELUDE + program.replace("127.0.0.1:9876", address).replace('"Hello"', f'"{topic}"')
    command = [sys.executable, "-W", "error", "-u", "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process, ThreadPoolExecutor(1) as pool:
        assert process.stdout is not None
        try:
            said = ""
            if "app.run()" in program:
                said = pool.submit(process.stdout.readline).result(LIMIT)
                process.terminate()
            rest, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    said += rest
    assert (process.returncode, errors) == (0, ""), f"{errors}\nin\n{program}"
    assert "print(message.text())" not in program or "hello" in said, f"{said}\nof\n{program}"


def main() -> None:
    """Runs all of them."""
    for readme in READMES:
        with LocalBroker() as broker:
            for number, program in enumerate(programs(readme), 1):
                run(program, broker.address)
                print(f"{readme}: program {number} works")


if __name__ == "__main__":
    main()
