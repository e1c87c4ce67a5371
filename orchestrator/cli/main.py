"""`segshift`: parse the command line, run a command, turn errors into one paragraph and an exit code."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from adapt.errors import SegshiftError
from orchestrator.cli import (
    adapt,
    cluster,
    compare,
    corrupt,
    dashboard,
    data,
    doctor,
    leaderboard,
    logs,
    mlflow,
    plan,
    profile,
    report,
    run_task,
    simulate,
    status,
    store,
    submit,
    sweep,
)

COMMANDS = (
    plan,
    simulate,
    profile,
    sweep,
    submit,
    status,
    logs,
    leaderboard,
    compare,
    report,
    store,
    data,
    corrupt,
    doctor,
    cluster,
    dashboard,
    mlflow,
    run_task,
    adapt,
)

DESCRIPTION = """\
Run domain-adaptation and robustness experiments in semantic segmentation as one graph, and compare them.

  segshift plan                                    list the experiments
  segshift plan gta2cityscapes                     what would run, what is cached, what it costs
  segshift sweep gta2cityscapes                    run it: a miniature without data, the real thing with data and GPUs
  segshift sweep gta2cityscapes matrix.seed=[0]    ... with one seed only
  segshift leaderboard gta2cityscapes              the result again, from the records
"""

EPILOG = """\
Data:  DATA folder with cityscapes/, gta/ ... by --data or SEGSHIFT_DATA, or `data:` in ./segshift.yaml.
Store: results go to ./segshift-store, --store or SEGSHIFT_STORE; what is there is never computed again.
Exit codes: 0 done, 1 a task failed or has no result yet, 2 something must be mended first, 130 stopped by Ctrl-C.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="segshift", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verbose", action="store_true", help="log what happens, and show tracebacks of errors")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; overrides may stand after options too, which argparse alone does not allow.

    So may the optional argument that a command names as its `late_argument`.
    """
    parser = build_parser()
    words = join_action(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser.parse_known_args(words)
    late = getattr(options, "late_argument", None)
    if late and getattr(options, late) is None and len(rest) == 1 and not rest[0].startswith("-"):
        setattr(options, late, rest.pop())
    strays = [text for text in rest if text.startswith("-") or "overrides" not in options]
    if strays:
        parser.error(f"unrecognized arguments: {' '.join(strays)} (see segshift {options.command} --help)")
    if rest:
        options.overrides = [*options.overrides, *rest]
    options.command_line = shlex.join(["segshift", *(sys.argv[1:] if arguments is None else arguments)])
    return options


def join_action(words: Sequence[str]) -> list[str]:
    """Join `leaderboard` and an action of it, which argparse knows as one word; an experiment may stand there as well.

    Example:
        >>> join_action(["--verbose", "leaderboard", "add", "a.json"])
        ['--verbose', 'leaderboard add', 'a.json']
    """
    joined = list(words)
    place = next((place for place, word in enumerate(joined) if not word.startswith("-")), len(joined))
    if (
        joined[place : place + 1] == ["leaderboard"]
        and joined[place + 1 : place + 2]
        and joined[place + 1] in leaderboard.ACTIONS
    ):
        joined[place : place + 2] = [" ".join(joined[place : place + 2])]
    return joined


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = parse(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s"
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code: int = options.run(options)
        return code
    except SegshiftError as error:
        if options.verbose:
            logging.exception("details")
        print(f"segshift: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nsegshift: stopped. What is finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
