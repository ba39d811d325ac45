"""Draws the flag of a country from its description."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from typing import TypeAlias

from asyncflags.testing.flags import geometry
from asyncflags.testing.flags.canvas import Canvas
from asyncflags.testing.flags.notation import COLOURS, Country, Mark
from asyncflags.testing.flags.outlines import OUTLINES

Painter: TypeAlias = Callable[[Canvas, Mark], None]


def draw_flag(country: Country) -> bytes:
    """Draw the flag of a country in the proportion 3:2.

    Args:
        country: One of ``asyncflags.testing.flags.countries.COUNTRIES``, or any other description.

    Returns:
        A PNG file; the same bytes for the same description, and with the same version of zlib.

    Raises:
        ValueError: The description names a figure that does not exist.
    """
    canvas = Canvas(COLOURS["white"])
    for mark in country.flag:
        draw_mark(canvas, mark)
    return canvas.png()


def draw_mark(canvas: Canvas, mark: Mark) -> None:
    """Lay one figure over what is on the canvas.

    Raises:
        ValueError: There is no such figure.
    """
    if mark.figure in _PAINTERS:
        _PAINTERS[mark.figure](canvas, mark)
    elif mark.figure in OUTLINES:
        _outline(canvas, mark)
    else:
        raise ValueError(
            f"No figure is called {mark.figure!r}; drawing.py and outlines.py list those there are."
        )


def _outline(canvas: Canvas, mark: Mark) -> None:
    x, y, size = mark.numbers
    outline = OUTLINES[mark.figure]
    if mark.option("flip", 0):
        outline = [(-across, down) for across, down in outline]
    canvas.polygon(mark.colours[0], geometry.placed(outline, x, y, size, mark.option("turn", 0)))


def _field(canvas: Canvas, mark: Mark) -> None:
    canvas.rectangle(mark.colours[0], 0, 0, canvas.width, 100)


def _cuts(mark: Mark, start: float, stop: float) -> list[tuple[float, float]]:
    """Divide a length in the proportions of the mark's weights."""
    total = sum(mark.weights)
    edges = accumulate(mark.weights, initial=0.0)
    return list(pairwise(start + (stop - start) * edge / total for edge in edges))


def _horizontal(canvas: Canvas, mark: Mark) -> None:
    left, top, width, height = mark.numbers or (0.0, 0.0, canvas.width, 100.0)
    for colour, (start, stop) in zip(mark.colours, _cuts(mark, top, top + height), strict=True):
        canvas.rectangle(colour, left, start, width, stop - start)


def _vertical(canvas: Canvas, mark: Mark) -> None:
    left, top, width, height = mark.numbers or (0.0, 0.0, canvas.width, 100.0)
    for colour, (start, stop) in zip(mark.colours, _cuts(mark, left, left + width), strict=True):
        canvas.rectangle(colour, start, top, stop - start, height)


def _checker(canvas: Canvas, mark: Mark) -> None:
    x, y, width, height, columns, rows = mark.numbers
    for row in range(int(rows)):
        for column in range(int(columns)):
            colour = mark.colours[(row + column) % 2]
            left, top = x + width * column / columns, y + height * row / rows
            canvas.rectangle(colour, left, top, width / columns, height / rows)


def _rectangle(canvas: Canvas, mark: Mark) -> None:
    x, y, width, height = mark.numbers
    canvas.rectangle(mark.colours[0], x, y, width, height)


def _disc(canvas: Canvas, mark: Mark) -> None:
    x, y, radius = mark.numbers
    canvas.disc(mark.colours[0], x, y, radius)


def _ring(canvas: Canvas, mark: Mark) -> None:
    x, y, radius, thickness = mark.numbers
    canvas.ring(mark.colours[0], x, y, radius, thickness)


def _crescent(canvas: Canvas, mark: Mark) -> None:
    x, y, radius, cut_x, cut_y, cut_radius = mark.numbers
    canvas.crescent(mark.colours[0], x, y, radius, cut_x, cut_y, cut_radius)


def _arc(canvas: Canvas, mark: Mark) -> None:
    x, y, radius, thickness, start, stop = mark.numbers
    canvas.polygon(mark.colours[0], geometry.arc(x, y, radius, thickness, start, stop))


def _ellipse(canvas: Canvas, mark: Mark) -> None:
    x, y, half_width, half_height = mark.numbers
    canvas.polygon(mark.colours[0], geometry.ellipse(x, y, half_width, half_height))


def _polygon(canvas: Canvas, mark: Mark) -> None:
    canvas.polygon(mark.colours[0], mark.points)


def _triangle(canvas: Canvas, mark: Mark) -> None:
    canvas.polygon(mark.colours[0], [(0, 0), (mark.numbers[0], 50), (0, 100)])


def _path(canvas: Canvas, mark: Mark) -> None:
    """A line of a thickness through points, with round joints and ends."""
    (thickness,) = mark.numbers
    for start, stop in pairwise(mark.points):
        canvas.polygon(mark.colours[0], geometry.band(start, stop, thickness))
    for x, y in mark.points:
        canvas.disc(mark.colours[0], x, y, thickness / 2)


def _band(canvas: Canvas, mark: Mark) -> None:
    """A straight bar with square ends between the first two points, the next two, and so on."""
    for start, stop in zip(mark.points[::2], mark.points[1::2], strict=True):
        canvas.polygon(mark.colours[0], geometry.band(start, stop, mark.numbers[0]))


def _waves(canvas: Canvas, mark: Mark) -> None:
    x, y, width, thickness, amplitude, count = mark.numbers
    steps = range(int(count) * 8 + 1)
    crest = [(x + width * step / steps[-1], y - amplitude * math.sin(step * math.pi / 4)) for step in steps]
    canvas.polygon(mark.colours[0], crest + [(across, down + thickness) for across, down in reversed(crest)])


def _pentagram(canvas: Canvas, mark: Mark) -> None:
    """The lines of a five-pointed star drawn in one stroke; the second colour fills the gaps between them."""
    x, y, radius, thickness = mark.numbers
    line, ground = mark.colours
    mitre = thickness / 2 / math.sin(math.radians(18))
    for colour, reach in ((line, radius + mitre), (ground, radius - mitre)):
        canvas.polygon(colour, geometry.star(x, y, reach, points=5, turn=0, inner=0.382))
    # The lines across the middle stop short of the corners, which the two stars have drawn already.
    corners = [geometry.polar(x, y, radius, 144 * index) for index in range(6)]
    for start, stop in pairwise(corners):
        near, far = geometry.between(start, stop, 0.3), geometry.between(start, stop, 0.7)
        canvas.polygon(line, geometry.band(near, far, thickness))


def _star(canvas: Canvas, mark: Mark) -> None:
    """A star at each of the points, or at the one place given by numbers."""
    *place, radius = mark.numbers
    points = int(mark.option("points", 5))
    turn, inner = mark.option("turn", 0), mark.option("inner", 0.382)
    for x, y in mark.points or [(place[0], place[1])]:
        outline = geometry.star(x, y, radius, points=points, turn=turn, inner=inner)
        canvas.polygon(mark.colours[0], outline)


def _star_ring(canvas: Canvas, mark: Mark) -> None:
    """Upright stars on a circle; between ``start`` and ``stop`` degrees if these are given."""
    x, y, ring_radius, radius, count = mark.numbers
    start, stop = mark.option("start", 0), mark.option("stop", 360)
    gaps = count if stop - start == 360 else count - 1
    for index in range(int(count)):
        centre = geometry.polar(x, y, ring_radius, start + (stop - start) * index / gaps)
        outline = geometry.star(
            *centre, radius, points=int(mark.option("points", 5)), turn=0, inner=mark.option("inner", 0.382)
        )
        canvas.polygon(mark.colours[0], outline)


def _star_rows(canvas: Canvas, mark: Mark) -> None:
    x, y, width, height, rows, most, radius = mark.numbers
    for centre_x, centre_y in geometry.star_rows(x, y, width, height, int(rows), int(most)):
        outline = geometry.star(centre_x, centre_y, radius, points=5, turn=0, inner=0.382)
        canvas.polygon(mark.colours[0], outline)


def _sun(canvas: Canvas, mark: Mark) -> None:
    """A disc with pointed rays that reach further."""
    x, y, radius, reach = mark.numbers
    rays = int(mark.option("rays", 16))
    inner = mark.option("inner", 0.9) * radius / reach
    outline = geometry.star(x, y, reach, points=rays, turn=mark.option("turn", 0), inner=inner)
    canvas.polygon(mark.colours[0], outline)
    canvas.disc(mark.colours[0], x, y, radius)


def _rays(canvas: Canvas, mark: Mark) -> None:
    """Straight rays that broaden outwards, between two radii."""
    x, y, inner, outer = mark.numbers
    count, width = int(mark.option("rays", 8)), mark.option("width", 8)
    for index in range(count):
        direction = mark.option("turn", 0) + index * 360 / count
        edges = (direction - width / 2, direction + width / 2)
        near = [geometry.polar(x, y, inner, edge) for edge in edges]
        far = [geometry.polar(x, y, outer, edge) for edge in reversed(edges)]
        canvas.polygon(mark.colours[0], near + far)


def _wheel(canvas: Canvas, mark: Mark) -> None:
    """A rim, a hub, and spokes that taper outwards, with a bead at the rim between any two."""
    x, y, radius, spokes = mark.numbers
    colour = mark.colours[0]
    canvas.ring(colour, x, y, radius, radius * 0.1)
    canvas.disc(colour, x, y, radius * 0.17)
    for index in range(int(spokes)):
        direction = index * 360 / spokes
        shoulders = [geometry.polar(x, y, radius * 0.45, direction + side) for side in (-5, 5)]
        tip = geometry.polar(x, y, radius * 0.95, direction)
        canvas.polygon(colour, [(x, y), shoulders[0], tip, shoulders[1]])
        canvas.disc(colour, *geometry.polar(x, y, radius * 0.88, direction + 180 / spokes), radius * 0.045)


def _cross(canvas: Canvas, mark: Mark) -> None:
    """Two bars over the whole flag that meet at a place."""
    x, y, thickness = mark.numbers
    canvas.rectangle(mark.colours[0], 0, y - thickness / 2, canvas.width, thickness)
    canvas.rectangle(mark.colours[0], x - thickness / 2, 0, thickness, 100)


def _plus(canvas: Canvas, mark: Mark) -> None:
    """A cross with four arms of one length, measured from the centre."""
    x, y, arm, thickness = mark.numbers
    canvas.rectangle(mark.colours[0], x - arm, y - thickness / 2, 2 * arm, thickness)
    canvas.rectangle(mark.colours[0], x - thickness / 2, y - arm, thickness, 2 * arm)


def _saltire(canvas: Canvas, mark: Mark) -> None:
    thickness, *area = mark.numbers
    x, y, width, height = area or (0.0, 0.0, canvas.width, 100.0)
    canvas.polygon(mark.colours[0], geometry.diagonal(x, y, width, height, thickness))
    canvas.polygon(mark.colours[0], geometry.diagonal(x, y + height, width, -height, thickness))


def _diagonal(canvas: Canvas, mark: Mark) -> None:
    """A band from corner to corner: falling, or rising with ``rise=1``."""
    rise = mark.option("rise", 0)
    outline = geometry.diagonal(0, 100 if rise else 0, canvas.width, -100 if rise else 100, mark.numbers[0])
    canvas.polygon(mark.colours[0], outline)


def _serration(canvas: Canvas, mark: Mark) -> None:
    x, depth, points = mark.numbers
    canvas.polygon(mark.colours[0], geometry.serration(x, depth, int(points), canvas.width))


def _shield(canvas: Canvas, mark: Mark) -> None:
    x, y, width, height = mark.numbers
    canvas.polygon(mark.colours[0], geometry.shield(x, y, width, height))


def _wreath(canvas: Canvas, mark: Mark) -> None:
    """Two boughs with leaves, open at the top."""
    x, y, radius = mark.numbers
    colour = mark.colours[0]
    stop = mark.option("stop", 160)
    for side in (1, -1):
        canvas.polygon(colour, geometry.arc(x, y, radius, radius * 0.06, 180, 180 - side * stop))
        for step in range(9):
            direction = 180 - side * (8 + (stop - 8) * step / 8)
            for reach, slant in ((1.1, 14), (0.84, 14)):
                foot = geometry.polar(x, y, radius * 0.97, direction)
                tip = geometry.polar(x, y, radius * reach, direction - side * slant)
                canvas.polygon(colour, geometry.band(foot, tip, radius * 0.1))


def _union_jack(canvas: Canvas, mark: Mark) -> None:
    """The flag of the United Kingdom within a rectangle."""
    x, y, width, height = mark.numbers or (0.0, 0.0, canvas.width, 100.0)
    blue, white, red = mark.colours or (COLOURS["navy"], COLOURS["white"], (200, 16, 46))
    canvas.rectangle(blue, x, y, width, height)
    _saltire(canvas, Mark("saltire", (white,), (1,), (height / 5, x, y, width, height), (), ()))
    for outline in geometry.pinwheel(x, y, width, height, height / 15):
        canvas.polygon(red, outline)
    for colour, thickness in ((white, height / 3), (red, height / 5)):
        canvas.rectangle(colour, x + (width - thickness) / 2, y, thickness, height)
        canvas.rectangle(colour, x, y + (height - thickness) / 2, width, thickness)


_PAINTERS: Mapping[str, Painter] = {
    "arc": _arc,
    "band": _band,
    "checker": _checker,
    "crescent": _crescent,
    "cross": _cross,
    "diagonal": _diagonal,
    "disc": _disc,
    "ellipse": _ellipse,
    "field": _field,
    "horizontal": _horizontal,
    "path": _path,
    "pentagram": _pentagram,
    "plus": _plus,
    "polygon": _polygon,
    "rays": _rays,
    "rectangle": _rectangle,
    "ring": _ring,
    "saltire": _saltire,
    "serration": _serration,
    "shield": _shield,
    "star": _star,
    "star-ring": _star_ring,
    "star-rows": _star_rows,
    "sun": _sun,
    "triangle": _triangle,
    "union-jack": _union_jack,
    "vertical": _vertical,
    "waves": _waves,
    "wheel": _wheel,
    "wreath": _wreath,
}
