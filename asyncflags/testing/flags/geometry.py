"""The outlines of the figures that flags are made of, as lists of points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from asyncflags.testing.flags.canvas import Point


def polar(x: float, y: float, radius: float, degrees: float) -> Point:
    """The point at a distance and direction from another; 0 degrees is up, 90 to the right."""
    angle = math.radians(degrees)
    return x + radius * math.sin(angle), y - radius * math.cos(angle)


def between(start: Point, stop: Point, share: float) -> Point:
    """The point at a share of the way from one to another."""
    return start[0] + share * (stop[0] - start[0]), start[1] + share * (stop[1] - start[1])


def star(x: float, y: float, radius: float, *, points: int, turn: float, inner: float) -> list[Point]:
    """A star.

    Args:
        x: The centre.
        y: The centre.
        radius: From the centre to a point.
        points: How many points.
        turn: Degrees by which the first point is turned clockwise from straight up.
        inner: The radius of the notches between the points, as a share of the radius.
    """
    radii = (radius, radius * inner)
    return [polar(x, y, radii[index % 2], turn + index * 180 / points) for index in range(2 * points)]


def arc(x: float, y: float, radius: float, thickness: float, start: float, stop: float) -> list[Point]:
    """A piece of a ring between two directions in degrees; as thick as its radius it is a slice of a disc."""
    steps = max(2, math.ceil(abs(stop - start) / 4))
    directions = [start + (stop - start) * step / steps for step in range(steps + 1)]
    outer = [polar(x, y, radius, direction) for direction in directions]
    return outer + [polar(x, y, radius - thickness, direction) for direction in reversed(directions)]


def ellipse(x: float, y: float, half_width: float, half_height: float) -> list[Point]:
    """An ellipse with upright axes."""
    circle = (polar(0, 0, 1, degrees) for degrees in range(0, 360, 5))
    return [(x + half_width * across, y + half_height * down) for across, down in circle]


def band(start: Point, stop: Point, thickness: float) -> list[Point]:
    """A straight band from the middle of one end to the middle of the other."""
    length = math.dist(start, stop)
    across = (stop[1] - start[1]) / length * thickness / 2
    down = (start[0] - stop[0]) / length * thickness / 2
    return [
        (start[0] + across, start[1] + down),
        (stop[0] + across, stop[1] + down),
        (stop[0] - across, stop[1] - down),
        (start[0] - across, start[1] - down),
    ]


def serration(x: float, depth: float, points: int, right: float) -> list[Point]:
    """Everything right of a zigzag of so many points towards the hoist, from top to bottom."""
    zigzag = [(x + depth * (index % 2), index * 50 / points) for index in range(2 * points + 1)]
    return [(right, 0.0), *zigzag, (right, 100.0)]


def shield(x: float, y: float, width: float, height: float) -> list[Point]:
    """A shield with a straight top and a pointed foot, given by the middle of its top and its size."""
    half = width / 2
    bulge = [(1.0, 0.0), (1.0, 0.45), (0.92, 0.65), (0.72, 0.82), (0.4, 0.94), (0.0, 1.0)]
    right = [(x + half * across, y + height * down) for across, down in bulge]
    return right + [(2 * x - across, down) for across, down in reversed(right)]


def placed(outline: Sequence[Point], x: float, y: float, size: float, turn: float) -> list[Point]:
    """An outline around the origin, enlarged, turned clockwise by degrees and moved to a place."""
    sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    return [
        (x + size * (px * cosine - py * sine), y + size * (px * sine + py * cosine)) for px, py in outline
    ]


def star_rows(x: float, y: float, width: float, height: float, rows: int, most: int) -> Iterator[Point]:
    """The centres of stars in rows of ``most`` and one fewer by turns, spread over a rectangle."""
    for row in range(rows):
        count = most - row % 2
        for column in range(count):
            place = 2 * column + 1 + row % 2
            yield x + width * place / (2 * most), y + height * (row + 1) / (rows + 1)


def diagonal(x: float, y: float, width: float, height: float, thickness: float) -> list[Point]:
    """A band from the upper left to the lower right corner of a rectangle, cut off at its edges.

    A negative height, counted from the lower edge, gives the other diagonal.
    """
    length = math.hypot(width, height)
    along = thickness / 2 * length / abs(height)
    down = math.copysign(thickness / 2 * length / width, height)
    right, bottom = x + width, y + height
    return [
        (x, y),
        (x + along, y),
        (right, bottom - down),
        (right, bottom),
        (right - along, bottom),
        (x, y + down),
    ]


def pinwheel(x: float, y: float, width: float, height: float, thickness: float) -> list[list[Point]]:
    """The four arms of a saltire, each on one side of its diagonal only, as in the Union Flag."""
    down = thickness * math.hypot(width, height) / width
    along = down * width / height
    middle = (x + width / 2, y + height / 2)
    right, bottom = x + width, y + height
    below, above = (middle[0], middle[1] + down), (middle[0], middle[1] - down)
    return [
        [(x, y), middle, below, (x, y + down)],
        [(x, bottom), middle, below, (x + along, bottom)],
        [(right, bottom), middle, above, (right, bottom - down)],
        [(right, y), middle, above, (right - along, y)],
    ]
