from __future__ import annotations

import struct
import zlib

import pytest

from asyncflags.testing.flags.countries import COUNTRIES, most_populous
from asyncflags.testing.flags.drawing import draw_flag
from asyncflags.testing.flags.notation import parse_countries, parse_mark
from asyncflags.testing.flags.origin import picture

WHITE = (255, 255, 255)
CODES = [country.code for country in COUNTRIES]
BY_CODE = {country.code: country for country in COUNTRIES}


def flag(code: str) -> bytes:
    """The picture as the origin serves it, which draws each only once."""
    return picture(code.lower()).body


class Pixels:
    """A decoder of its own for PNG with a palette and unfiltered rows; it shares nothing with the encoder."""

    def __init__(self, png: bytes) -> None:
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        chunks = _chunks(png[8:])
        self.width: int
        self.height: int
        self.width, self.height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        assert form == [8, 3, 0, 0, 0]
        assert list(chunks)[-1] == b"IEND"
        colours = chunks[b"PLTE"]
        self.palette = [tuple(colours[at : at + 3]) for at in range(0, len(colours), 3)]
        self.data = zlib.decompress(chunks[b"IDAT"])

    def at(self, across: float, down: float) -> tuple[int, ...]:
        """The colour at shares of the width and the height."""
        row, column = int(down * self.height), int(across * self.width)
        return self.palette[self.data[row * (self.width + 1) + 1 + column]]


def _chunks(rest: bytes) -> dict[bytes, bytes]:
    chunks = {}
    while rest:
        size, kind = struct.unpack(">I4s", rest[:8])
        content, (checksum,) = rest[8 : 8 + size], struct.unpack(">I", rest[8 + size : 12 + size])
        assert checksum == zlib.crc32(kind + content)
        chunks[kind] = content
        rest = rest[12 + size :]
    return chunks


def is_red(colour: tuple[int, ...]) -> bool:
    return colour[0] > 150 and max(colour[1:]) < 90


def is_blue(colour: tuple[int, ...]) -> bool:
    return colour[2] > 90 and colour[0] < 80 and colour[1] < 110


def is_green(colour: tuple[int, ...]) -> bool:
    return colour[1] > 80 and colour[0] < 60


def is_yellow(colour: tuple[int, ...]) -> bool:
    return min(colour[:2]) > 170 and colour[2] < 90


def test_all_countries_of_the_standard_are_there_once() -> None:
    assert len(COUNTRIES) == len(BY_CODE) == 249
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in BY_CODE)
    assert len({country.name for country in COUNTRIES}) == 249


def test_most_populous_ranks_by_population() -> None:
    assert [country.code for country in most_populous(4)] == ["IN", "CN", "US", "ID"]
    ranked = [country.population for country in most_populous(300)]
    assert ranked == sorted(ranked, reverse=True)
    assert len(ranked) == 249


def test_most_populous_refuses_a_negative_count() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        most_populous(-1)


def test_every_flag_is_a_whole_png() -> None:
    for code in CODES:
        check_form(code)


def check_form(code: str) -> None:
    pixels = Pixels(flag(code))
    assert (pixels.width, pixels.height) == (330, 220)
    assert len(pixels.data) == (330 + 1) * 220
    rows = [pixels.data[at : at + 331] for at in range(0, len(pixels.data), 331)]
    assert {row[0] for row in rows} == {0}
    assert max(max(row[1:]) for row in rows) < len(pixels.palette) <= 256


def test_no_two_flags_are_the_same_picture() -> None:
    assert len({flag(code) for code in CODES}) == 249


def test_drawing_twice_gives_the_same_bytes() -> None:
    assert draw_flag(BY_CODE["BR"]) == flag("BR")


def test_france_is_blue_white_red_from_left_to_right() -> None:
    pixels = Pixels(flag("FR"))
    for down in (0.05, 0.5, 0.95):
        assert is_blue(pixels.at(0.16, down))
        assert pixels.at(0.5, down) == WHITE
        assert is_red(pixels.at(0.84, down))


def test_germany_is_black_red_gold_from_top_to_bottom() -> None:
    pixels = Pixels(flag("DE"))
    assert pixels.at(0.5, 0.16) == (0, 0, 0)
    assert is_red(pixels.at(0.5, 0.5))
    assert is_yellow(pixels.at(0.5, 0.84))


def test_japan_is_a_red_disc_on_white() -> None:
    pixels = Pixels(flag("JP"))
    assert is_red(pixels.at(0.5, 0.5)) and is_red(pixels.at(0.5, 0.22)) and is_red(pixels.at(0.68, 0.5))
    assert pixels.at(0.02, 0.02) == pixels.at(0.5, 0.18) == pixels.at(0.72, 0.5) == WHITE


def test_the_edge_of_a_disc_is_smooth() -> None:
    assert len(Pixels(flag("JP")).palette) > 2


def test_the_united_states_have_thirteen_stripes_and_a_canton() -> None:
    pixels = Pixels(flag("US"))
    stripes = [pixels.at(0.9, (2 * stripe + 1) / 26) for stripe in range(13)]
    assert all(is_red(colour) for colour in stripes[::2])
    assert set(stripes[1::2]) == {WHITE}
    assert is_blue(pixels.at(0.01, 0.02)) and is_blue(pixels.at(0.4, 0.52))
    assert is_red(pixels.at(0.01, 0.96))


def test_the_united_states_have_fifty_stars() -> None:
    pixels = Pixels(flag("US"))
    width, height = 62 / 150, 0.5385
    centres = [
        (width * (2 * column + 1 + row % 2) / 12, height * (row + 1) / 10)
        for row in range(9)
        for column in range(6 - row % 2)
    ]
    assert len(centres) == 50
    assert all(pixels.at(*centre) == WHITE for centre in centres)


def test_china_has_one_big_star_and_four_small_ones_in_the_canton() -> None:
    pixels = Pixels(flag("CN"))
    for x, y in ((25, 25), (50, 10), (60, 20), (60, 35), (50, 45)):
        assert is_yellow(pixels.at(x / 150, y / 100))
    assert is_red(pixels.at(0.75, 0.75))


def test_sweden_has_a_yellow_cross_nearer_to_the_hoist() -> None:
    pixels = Pixels(flag("SE"))
    assert is_yellow(pixels.at(0.375, 0.1)) and is_yellow(pixels.at(0.9, 0.5))
    assert is_blue(pixels.at(0.1, 0.1)) and is_blue(pixels.at(0.6, 0.9))


def test_brazil_keeps_its_band_within_the_globe() -> None:
    pixels = Pixels(flag("BR"))
    assert is_green(pixels.at(0.02, 0.02)) and is_yellow(pixels.at(0.15, 0.5))
    assert is_blue(pixels.at(0.5, 0.3)) and pixels.at(0.5, 0.41) == WHITE
    assert is_yellow(pixels.at(0.32, 0.4)) and is_yellow(pixels.at(0.7, 0.55))


def test_a_crescent_is_open_towards_the_star() -> None:
    pixels = Pixels(flag("TR"))
    assert pixels.at(28.5 / 150, 0.5) == WHITE
    assert is_red(pixels.at(50 / 150, 0.5))
    assert pixels.at(83 / 150, 0.5) == WHITE


def test_an_unknown_figure_is_named() -> None:
    (country,) = parse_countries("ZZ | Nowhere | 1 | blob white 1 2 3")
    with pytest.raises(ValueError, match="'blob'"):
        draw_flag(country)


def test_an_unknown_colour_is_named_with_its_line() -> None:
    with pytest.raises(ValueError, match="ZZ.*'mauve'"):
        parse_countries("ZZ | Nowhere | 1 | field mauve")


def test_a_mark_sorts_its_words() -> None:
    mark = parse_mark("star white*2 #ff0080 10 -2.5 3,4 points=7")
    assert mark.colours == (WHITE, (255, 0, 128))
    assert (mark.weights, mark.numbers, mark.points) == ((2, 1), (10, -2.5), ((3, 4),))
    assert mark.option("points", 5) == 7
    assert mark.option("turn", 9) == 9
