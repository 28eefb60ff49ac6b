"""What the READMEs show works."""

from __future__ import annotations

from pathlib import Path

import pytest
import readme


@pytest.mark.parametrize("path", readme.READMES, ids=["package", "project"])
def test_what_the_readme_shows_works(path: Path, server: str, topic: str) -> None:
    for program in readme.programs(path):
        readme.run(program, server, topic)
