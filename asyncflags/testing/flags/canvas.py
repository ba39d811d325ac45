"""A small raster canvas: flat shapes on a palette, smooth edges, PNG out.

All coordinates are hundredths of the canvas's height, ``x`` to the right and ``y`` downwards from the upper
left corner. A pixel belongs to a shape when its centre does. The canvas is twice as fine as the picture;
four of its pixels make one of the picture, in the mean of their colours.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0 to 255 each."""

Point: TypeAlias = tuple[float, float]
"""A place on the canvas, in hundredths of its height."""

Span: TypeAlias = tuple[int, int, int]
"""A row of fine pixels, the first column and the column after the last one."""

PICTURE_WIDTH = 330
"""Pixels."""
PICTURE_HEIGHT = 220
"""Pixels; every flag is drawn in the proportion 3:2."""

_FINE = 2
_MOST_COLOURS = 256


class _Palette(dict[tuple[int, int, int, int], int]):
    """The colours in use; as a mapping it mixes four fine pixels into one of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.colours: list[Colour] = []
        self._numbers: dict[Colour, int] = {}

    def number(self, colour: Colour) -> int | None:
        """The number of a colour, taken up if there is room; None if there is not."""
        if colour not in self._numbers:
            if len(self.colours) == _MOST_COLOURS:
                return None
            self._numbers[colour] = len(self.colours)
            self.colours.append(colour)
        return self._numbers[colour]

    def __missing__(self, quad: tuple[int, int, int, int]) -> int:
        channels = zip(*(self.colours[number] for number in quad), strict=True)
        red, green, blue = (round(sum(channel) / len(quad)) for channel in channels)
        number = self.number((red, green, blue))
        # A full palette costs one edge pixel its smoothness and nothing else.
        self[quad] = quad[0] if number is None else number
        return self[quad]


class Canvas:
    """A picture in the making; later shapes cover earlier ones."""

    def __init__(self, background: Colour) -> None:
        """Start with a canvas of one colour."""
        self.width = PICTURE_WIDTH / PICTURE_HEIGHT * 100
        self._columns = PICTURE_WIDTH * _FINE
        self._rows = PICTURE_HEIGHT * _FINE
        self._scale = self._rows / 100
        self._palette = _Palette()
        self._pixels = bytearray(self._columns * self._rows)
        self._palette.number(background)

    def rectangle(self, colour: Colour, x: float, y: float, width: float, height: float) -> None:
        """Fill a rectangle given by its upper left corner and its size."""
        left, right, top, bottom = (_first_from(edge * self._scale) for edge in (x, x + width, y, y + height))
        self._fill(colour, ((row, left, right) for row in range(top, bottom)))

    def polygon(self, colour: Colour, points: Sequence[Point]) -> None:
        """Fill a polygon, which may be concave; what its outline surrounds twice stays empty."""
        scaled = [(x * self._scale, y * self._scale) for x, y in points]
        self._fill(colour, _polygon_spans(scaled))

    def disc(self, colour: Colour, x: float, y: float, radius: float) -> None:
        """Fill a disc."""
        self._fill(colour, self._disc_spans(x, y, radius))

    def ring(self, colour: Colour, x: float, y: float, radius: float, thickness: float) -> None:
        """Fill a ring whose outer radius is given; the thickness is measured inwards."""
        self.crescent(colour, x, y, radius, x, y, radius - thickness)

    def crescent(
        self, colour: Colour, x: float, y: float, radius: float, cut_x: float, cut_y: float, cut_radius: float
    ) -> None:
        """Fill what a second disc leaves of a first one; the ground shows through the cut."""
        cut = self._disc_spans(cut_x, cut_y, cut_radius)
        self._fill(colour, _without(self._disc_spans(x, y, radius), cut))

    def png(self) -> bytes:
        """Encode the picture as PNG with a palette of 8 bits (PNG specification, sections 5 and 11)."""
        rows = b"".join(b"\0" + row for row in self._picture_rows())
        header = struct.pack(">IIBBBBB", PICTURE_WIDTH, PICTURE_HEIGHT, 8, 3, 0, 0, 0)
        palette = b"".join(bytes(colour) for colour in self._palette.colours)
        parts = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)

    def _fill(self, colour: Colour, spans: Iterable[Span]) -> None:
        number = self._palette.number(colour)
        if number is None:
            raise ValueError(f"The canvas already holds {_MOST_COLOURS} colours; draw with fewer.")
        pixels, rows, columns = self._pixels, self._rows, self._columns
        ink = bytes([number]) * columns
        for row, start, stop in spans:
            start, stop = max(start, 0), min(stop, columns)
            if 0 <= row < rows and start < stop:
                offset = row * columns
                pixels[offset + start : offset + stop] = ink[: stop - start]

    def _disc_spans(self, x: float, y: float, radius: float) -> list[Span]:
        x, y, radius = x * self._scale, y * self._scale, max(radius, 0) * self._scale
        spans = []
        for row in range(_first_from(y - radius), _first_from(y + radius)):
            half = math.sqrt(max(radius * radius - (row + 0.5 - y) ** 2, 0))
            spans.append((row, _first_from(x - half), _first_from(x + half)))
        return spans

    def _picture_rows(self) -> Iterator[bytes]:
        pixels, columns = bytes(self._pixels), self._columns
        # Neighbouring rows of a flag are mostly alike, so each distinct pair is mixed once.
        mixed: dict[tuple[bytes, bytes], bytes] = {}
        for offset in range(0, len(pixels), _FINE * columns):
            pair = pixels[offset : offset + columns], pixels[offset + columns : offset + 2 * columns]
            if pair not in mixed:
                mixed[pair] = self._mix(*pair)
            yield mixed[pair]

    def _mix(self, upper: bytes, lower: bytes) -> bytes:
        if upper == lower and upper[::2] == upper[1::2]:
            return upper[::2]
        quads = zip(upper[::2], upper[1::2], lower[::2], lower[1::2], strict=True)
        return bytes(map(self._palette.__getitem__, quads))


def _first_from(edge: float) -> int:
    """The first pixel whose centre lies at an edge or after it."""
    return math.ceil(edge - 0.5)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _without(spans: Iterable[Span], cut: Iterable[Span]) -> Iterator[Span]:
    """Take one shape out of another; both have at most one span a row."""
    removed = {row: (start, stop) for row, start, stop in cut}
    for row, start, stop in spans:
        gap_start, gap_stop = removed.get(row, (stop, stop))
        yield row, start, min(stop, gap_start)
        yield row, max(start, gap_stop), stop


def _polygon_spans(points: Sequence[Point]) -> Iterator[Span]:
    crossings: dict[int, list[float]] = {}
    for index, end in enumerate(points):
        (upper_x, upper_y), (lower_x, lower_y) = sorted((points[index - 1], end), key=lambda point: point[1])
        for row in range(_first_from(upper_y), _first_from(lower_y)):
            share = (row + 0.5 - upper_y) / (lower_y - upper_y)
            crossings.setdefault(row, []).append(upper_x + share * (lower_x - upper_x))
    for row, columns in crossings.items():
        columns.sort()
        for start, stop in zip(columns[::2], columns[1::2], strict=True):
            yield row, _first_from(start), _first_from(stop)
