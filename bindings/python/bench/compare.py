"""How fast this package is beside others, in one run: `cargo xtask compare python`, which sets up all that it needs.

That starts the official broker with its proxy and Kafka, whose addresses come by the environment (`FERROMQ_TEST_SERVER`,
`ROCKETMQ_PROXY`, `KAFKA_SERVER`); FerroMQ's own broker is started here. All of them run all the time, and one client at a time
is measured, each in a process of its own (`subjects.py`). The order turns round with every round, and the first round, in
which JVMs warm up, does not count. Prints a table in Markdown: the median of the rounds, and the lowest and highest of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from subjects import AWAIT, BODY, EACH, FLIGHT, LEASE, MANY, ONE, RECEIVE

from ferromq import Admin
from ferromq.testing import LocalBroker

OFFICIAL = "rocketmq-python-client → proxy → RocketMQ"
ASYNCIO = "asyncio itself"
QUEUES = 8


def rounds(args: argparse.Namespace, ours: str) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Messages a second, and microseconds of processor time for each, of every round: by loop and by client."""
    official = os.environ["FERROMQ_TEST_SERVER"]
    subjects = {
        "ferromq → FerroMQ": ("ferromq", ours),
        "ferromq → RocketMQ": ("ferromq", official),
        "ferromq without asyncio → FerroMQ": ("threads", ours),
        OFFICIAL: ("official", os.environ["ROCKETMQ_PROXY"]),
        "aiokafka → Kafka": ("aiokafka", os.environ["KAFKA_SERVER"]),
        "confluent-kafka → Kafka": ("confluent", os.environ["KAFKA_SERVER"]),
    }
    figures = defaultdict(list)
    for number in range(args.rounds + 1):
        order = list(subjects.items())
        for name, (subject, address) in reversed(order) if number % 2 else order:
            topic = f"Compare-{subject}-{number}"
            if subject != "aiokafka" and subject != "confluent":
                with Admin(official if subject == "official" else address) as admin:
                    admin.change_topic(topic, queues=QUEUES)
            program = str(Path(__file__).with_name("subjects.py"))
            command = [sys.executable, program, subject, address, topic, str(args.seconds)]
            for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
                said = json.loads(line)
                rate, cost = said["count"] / said["wall"], said["cpu"] / max(said["count"], 1) * 1e6
                print(f"round {number}  {name:44} {said['what']:28} {rate:>10,.0f} /s {cost:>8.2f} us", file=sys.stderr)
                if number:
                    figures[said["what"], ASYNCIO if said["what"] == AWAIT else name].append((rate, cost))
    order = [*subjects, ASYNCIO]
    return dict(sorted(figures.items(), key=lambda item: order.index(item[0][1])))


def print_table(figures: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
    """Prints what was measured."""
    print("| what | client → server | messages/s | lowest to highest | client's processor time each | × the official client |")
    print("|---|---|--:|--:|--:|--:|")
    for what in (ONE, FLIGHT, MANY, RECEIVE, EACH, LEASE, AWAIT):
        for (of, name), taken in figures.items():
            if of != what:
                continue
            rates = [rate for rate, _ in taken]
            cost = statistics.median(cost for _, cost in taken)
            beside = figures.get((what, OFFICIAL))
            times = ""
            if beside:
                ratios = [rate / other for rate, (other, _) in zip(rates, beside)]
                times = f"{statistics.median(ratios):.1f}"
            print(
                f"| {what} | {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} "
                f"| {cost:.1f} µs | {times} |"
            )


def load() -> str:
    """How busy the machine was in the last minute, and in those before."""
    return " ".join(f"{part:.1f}" for part in os.getloadavg())


def conditions(args: argparse.Namespace, load_before: str) -> str:
    """What else there is to know of the run."""
    packages = []
    for package in ("rocketmq-python-client", "aiokafka", "confluent-kafka"):
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            packages.append(f"{package}: not there")
    return (
        f"{len(os.sched_getaffinity(0))} processors, load {load_before} before and {load()} after, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {', '.join(packages)}; bodies of {len(BODY)} bytes; "
        f"{args.rounds} rounds of {args.seconds:g} s for each loop after one that does not count."
    )


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description="How fast ferromq for Python is beside others")
    parser.add_argument("--rounds", type=int, default=3, help="that count (default: 3)")
    parser.add_argument("--seconds", type=float, default=3, help="for each loop (default: 3)")
    args = parser.parse_args()
    load_before = load()
    # As the official broker has it: files of 1 GiB, and an answer before the disk has the message, as Kafka's is, too.
    settings = {"mappedFileSizeCommitLog": str(1 << 30), "flushDiskType": "ASYNC_FLUSH"}
    with LocalBroker(settings=settings) as broker:
        figures = rounds(args, broker.address)
    print(f"\n{conditions(args, load_before)}\n")
    print_table(figures)


if __name__ == "__main__":
    main()
