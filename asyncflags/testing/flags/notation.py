"""The notation in which the flags are written down: one line of words for each figure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asyncflags.testing.flags.canvas import Colour, Point

COLOURS: dict[str, Colour] = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (150, 152, 154),
    "silver": (205, 208, 212),
    "brown": (120, 72, 36),
    "navy": (1, 33, 105),
}
"""The colours by name; a figure may also give one as #rrggbb."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One figure of a flag, in the order in which they are laid over each other.

    Attributes:
        figure: What it is, such as ``disc`` or ``horizontal``.
        colours: Its colours, in the order of the figure.
        weights: For each colour its share of the whole, 1 unless written as ``white*2``.
        numbers: Places and lengths in hundredths of the flag's height.
        points: Corners, written as ``x,y``.
        options: Numbers by name, such as ``points=7``.
    """

    figure: str
    colours: tuple[Colour, ...]
    weights: tuple[float, ...]
    numbers: tuple[float, ...]
    points: tuple[Point, ...]
    options: tuple[tuple[str, float], ...]

    def option(self, name: str, default: float) -> float:
        """A number by name, or the default if the mark has none."""
        return dict(self.options).get(name, default)


@dataclass(frozen=True, slots=True)
class Country:
    """A country and the description of its flag.

    Attributes:
        code: The alpha-2 code of ISO 3166-1, in capitals.
        name: The short name in English.
        population: An estimate for ranking.
        flag: The figures of the flag, the lowest first.
    """

    code: str
    name: str
    population: int
    flag: tuple[Mark, ...]


def parse_countries(table: str) -> tuple[Country, ...]:
    """Read lines of ``CODE | name | population | figure; figure; ...``.

    A line that begins with a space continues the one before.

    Args:
        table: The text; empty lines are passed over.

    Raises:
        ValueError: A line has another form, or names an unknown colour.
    """
    lines = re.sub(r"\n +", " ", table).splitlines()
    return tuple(_parse_country(line) for line in lines if line.strip())


def _parse_country(line: str) -> Country:
    try:
        code, name, population, figures = (part.strip() for part in line.split("|"))
        marks = tuple(parse_mark(figure) for figure in figures.split(";") if figure.strip())
        return Country(code, name, int(population), marks)
    except ValueError as error:
        raise ValueError(f"The line {line[:40]!r} of the table of flags cannot be read: {error}.") from error


def parse_mark(text: str) -> Mark:
    """Read one figure: its name, then colours, numbers, points and options in any order.

    Args:
        text: Such as ``star white 20 30 8 points=7``.

    Raises:
        ValueError: A word is neither a colour nor a number, point or option.
    """
    figure, *words = text.split()
    options = tuple((name, float(value)) for name, _, value in (w.partition("=") for w in words if "=" in w))
    points = tuple((float(x), float(y)) for x, _, y in (w.partition(",") for w in words if "," in w))
    plain = [word for word in words if "=" not in word and "," not in word]
    numbers = tuple(float(word) for word in plain if _is_number(word))
    colours = [_weighted(word) for word in plain if not _is_number(word)]
    weights = tuple(weight for _, weight in colours)
    return Mark(figure, tuple(colour for colour, _ in colours), weights, numbers, points, options)


def _is_number(word: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", word) is not None


def _weighted(word: str) -> tuple[Colour, float]:
    name, _, weight = word.partition("*")
    return _colour(name), float(weight or 1)


def _colour(name: str) -> Colour:
    if name.startswith("#"):
        red, green, blue = bytes.fromhex(name[1:])
        return red, green, blue
    if name not in COLOURS:
        raise ValueError(f"{name!r} is no colour it knows")
    return COLOURS[name]
