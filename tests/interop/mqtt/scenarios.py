"""What every Python program here does with its scenarios: runs each, and prints `ok NAME` or `FAILED NAME: WHY` for it.

Arguments: HOST PORT [WEB_PORT]. Nothing is slept for: what comes is waited for, PATIENCE seconds at most. Clients that have
limits of their own are given this one: theirs are those of a network, and a busy machine takes longer.
"""

import asyncio
import sys
import time
import traceback

PATIENCE = 60
# Of a scenario as a whole.
LONGEST = 300
HOST, PORT = sys.argv[1], int(sys.argv[2])
WEB_PORT = int(sys.argv[3]) if len(sys.argv) > 3 else None


def run(scenarios):
    """Runs pairs of a name and a function or coroutine function without parameters."""
    for name, scenario in scenarios:
        begun = time.monotonic()
        try:
            result = scenario()
            if asyncio.iscoroutine(result):
                asyncio.run(asyncio.wait_for(result, LONGEST))
            print(f"ok {name} {time.monotonic() - begun:.1f}s", flush=True)
        except Exception as error:
            traceback.print_exc(file=sys.stdout)
            print(f"FAILED {name} {time.monotonic() - begun:.1f}s: {error!r}", flush=True)


def equal(got, expected):
    assert got == expected, f"{got!r} is not {expected!r}"
