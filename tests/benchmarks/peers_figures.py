"""From measurements to a table: orders of rounds, medians, percentiles, ratios. Nothing here looks at a clock."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a client took.

    Attributes:
        wall: Seconds from its start to its end.
        cpu: Seconds of processor time, user and system, of the client and every process it started.
        peak: Bytes of the largest resident size of any one of these processes.
        exit_code: As `subprocess.Popen.returncode` has it.
        said: The end of what it printed.
    """

    wall: float
    cpu: float
    peak: int
    exit_code: int = 0
    said: str = ""


def orders(names: Sequence[str], rounds: int) -> list[list[str]]:
    """Who runs after whom: each round begins one further, so that no one always has the first or last turn."""
    return [
        [*names[first:], *names[:first]] for first in (turn % max(1, len(names)) for turn in range(rounds))
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of *values* that at least *share* of them (0 to 1) do not exceed; 0.0 of no values."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def medians(usages: Sequence[Usage]) -> Usage:
    """The median of each figure alone."""
    return Usage(
        wall=statistics.median(usage.wall for usage in usages),
        cpu=statistics.median(usage.cpu for usage in usages),
        peak=int(statistics.median(usage.peak for usage in usages)),
    )


def ratio(figure: float, base: float) -> str:
    return f"{figure / base:.2f}" if base else ""


def peers_table(
    measured: Mapping[str, Sequence[Usage]],
    *,
    ours: str,
    versions: Mapping[str, str],
    files: int,
    total: int,
) -> str:
    """A Markdown table, fastest first; ratios are those of the medians to the medians of *ours*.

    Args:
        measured: The runs of each client that counted.
        ours: The client that the others are compared with; without a run of it the ratios stay empty.
        versions: What was run, by client.
        files: How many files a run has.
        total: Bytes of all of them.
    """
    middle = {name: medians(usages) for name, usages in measured.items() if usages}
    base = middle.get(ours, Usage(0.0, 0.0, 0))
    heads = ["client", "version", "wall s", "least to most", "CPU s", "peak MiB", speed(files, total, 0)[0]]
    rows = [
        [
            f"**{name}**" if name == ours else name,
            versions.get(name, ""),
            f"{found.wall:.2f}",
            spread([usage.wall for usage in measured[name]]),
            f"{found.cpu:.2f}",
            f"{found.peak / MIB:.0f}",
            speed(files, total, found.wall)[1],
            ratio(found.wall, base.wall),
            ratio(found.cpu, base.cpu),
        ]
        for name, found in sorted(middle.items(), key=lambda pair: pair[1].wall)
    ]
    return table([*heads, f"wall / {ours}", f"CPU / {ours}"], rows)


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def speed(files: int, total: int, seconds: float) -> tuple[str, str]:
    """The unit that suits the work, and the speed in it."""
    unit, amount = ("files/s", files) if files > 1 else ("MB/s", total / 1e6)
    return unit, f"{amount / seconds:.0f}" if seconds else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown that is as easy to read unrendered: the first two columns to the left, figures to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    left = [index < 2 and not any(row[index][:1].isdecimal() for row in rows) for index in range(len(heads))]
    left[0] = True

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(cells, widths, left, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if is_left else "-" * (width - 1) + ":"
        for width, is_left in zip(widths, left, strict=True)
    ]
    return "\n".join([line(heads), line(rule), *map(line, rows)])
