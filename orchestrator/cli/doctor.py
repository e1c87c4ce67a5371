"""`segshift doctor`: check the installation and say what to do."""

from __future__ import annotations

import argparse

from orchestrator.cli.options import add_command, add_workspace_options, read_workspace

EXAMPLES = """\
  segshift doctor                  versions, mmcv, GPUs, data, weights, disk, ports
  segshift doctor --data /data     ... with this data folder
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "doctor", "check versions, mmcv, GPUs, data, weights, disk and ports", EXAMPLES)
    add_workspace_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings; the exit code is 1 where one must be mended."""
    from rich.console import Console
    from rich.text import Text

    from orchestrator.doctor import examine

    console = Console()
    marks = {"ok": ("✓ ", "green"), "note": ("· ", "yellow"), "bad": ("✗ ", "bold red")}
    findings = list(examine(read_workspace(options)))
    width = max(len(finding.subject) for finding in findings) + 2
    bad = sum(finding.level == "bad" for finding in findings)
    for finding in findings:
        console.print(
            Text.assemble(marks[finding.level], (f"{finding.subject:<{width}}", "bold"), finding.text), soft_wrap=True
        )
    console.print("Everything needed is here." if not bad else f"{bad} thing(s) to mend.")
    return 1 if bad else 0
