"""`python -m bench [PART…]`: run, print the table, write the figures."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from bench import HERE
from bench.machine import machine, missing
from bench.parts import switches
from bench.results import Results
from bench.stage import Size, Stage
from support.host import close_run
from support.remains import sweep

PARTS = {
    "switches": "what a switch loses under load, and how long it takes",
    "paths": "requests a second and latency by each way to a container",
    "activate": "`alongside activate` as a whole command",
    "hook": "what the git hooks cost a ref that is no tag",
    "build": "`alongside build` against `docker compose build`",
    "scale": "a switch and a restore with 10, 100 and 1,000 services",
    "flows": "clearing stale UDP flows among 100,000 live ones",
    "singleton": "how long none runs while a singleton is replaced",
    "verbs": "how long each verb takes to start",
    "deploy": "`alongside deploy` and `alongside rollback` as whole commands",
    "trial": "how long a bad version has the traffic",
    "drain": "counting and cutting 10,000 live connections",
    "gc": "`alongside gc` over 500 releases",
    "daemon": "the daemon's memory and processor time when nothing is asked of it",
}


def main() -> int:
    arguments = _arguments()
    if os.geteuid() != 0:
        print("The bench needs root: its hosts are network namespaces.", file=sys.stderr)
        return 1
    lacking = missing()
    if lacking:
        print(
            f"Missing: {', '.join(lacking)}. scripts/setup --for bench installs them.",
            file=sys.stderr,
        )
        return 1
    sweep()
    results = Results(machine())
    size = Size(arguments.switches, arguments.seconds, arguments.rounds, arguments.repeats)
    stage = Stage(size, results)
    try:
        if arguments.soak:
            switches.run(stage, alone=True)
        for name in () if arguments.soak else PARTS:
            if name in arguments.parts or not arguments.parts:
                import_module(f"bench.parts.{name}").run(stage)
    finally:
        if results.figures:
            print(results.table())
            print(f"\n{results.write(HERE / 'results')}", file=sys.stderr)
        stage.close()
        close_run()
    return 0


def _arguments() -> argparse.Namespace:
    default = Size()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="\n".join(f"{name:9} {what}" for name, what in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="all of them by default")
    parser.add_argument("--soak", action="store_true", help="only alongside, 10,000 switches")
    parser.add_argument(
        "--switches",
        type=int,
        default=None,
        help="of the router; the daemon makes a fifth of them, the others a twentieth",
    )
    parser.add_argument("--seconds", type=float, default=default.seconds, help="a path, a round")
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--repeats", type=int, default=default.repeats, help="of each command")
    parsed = parser.parse_args()
    if parsed.switches is None:
        parsed.switches = 10_000 if parsed.soak else default.switches
    if unknown := set(parsed.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return parsed


if __name__ == "__main__":
    sys.exit(main())
