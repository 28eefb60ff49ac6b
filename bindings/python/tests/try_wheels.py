"""Whether wheels work where there is nothing else: in a clean virtual environment, without an index.

    python try_wheels.py DIRECTORY      # with the interpreter that runs this

Installs the client from the directory, and the server where the directory has it, and runs what the READMEs show. Without
a server here and in `FERROMQ_BIN`, it sees that a client loads and says that it finds none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CLIENT_ALONE = """
import ferromq
with ferromq.Producer("127.0.0.1:1", retries=0) as producer:
    try:
        producer.send(ferromq.Message("Hello", "hello"))
    except ferromq.FerroMQError as error:
        print(repr(error))
    else:
        raise SystemExit("sent to nobody")
"""


def main(wheels: Path) -> None:
    """Makes the environment, fills it, runs in it, and removes it."""
    with tempfile.TemporaryDirectory() as directory:
        environment = Path(directory) / "venv"
        venv.create(environment, with_pip=True)
        python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        has_server = any(wheels.glob("ferromq_server-*.whl"))
        wanted = "ferromq[server]" if has_server else "ferromq"
        run(python, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels), wanted)
        run(python, "-m", "pip", "check")
        if has_server or "FERROMQ_BIN" in os.environ:
            run(python, str(Path(__file__).with_name("readme.py")))
        else:
            run(python, "-c", CLIENT_ALONE)


def run(python: Path, *arguments: str) -> None:
    """Runs it away from the sources, which it must not need."""
    subprocess.run([str(python), "-I", *arguments], cwd=python.parent, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
