"""The countries of ISO 3166-1 with the descriptions of their flags."""

from __future__ import annotations

from asyncflags.testing.flags._data import africa, americas, asia, europe, oceania
from asyncflags.testing.flags.notation import Country, Mark, parse_countries

__all__ = ["COUNTRIES", "Country", "Mark", "most_populous"]

_TABLES = (africa.TABLE, americas.TABLE, asia.TABLE, europe.TABLE, oceania.TABLE)

COUNTRIES: tuple[Country, ...] = tuple(
    sorted(
        (country for table in _TABLES for country in parse_countries(table)), key=lambda country: country.code
    )
)
"""All officially assigned alpha-2 codes, in alphabetical order."""


def most_populous(count: int) -> tuple[Country, ...]:
    """The countries with the most people.

    Populations are estimates for the middle of 2024, rounded, after the World Population Prospects 2024 of
    the United Nations; they serve for ranking and nothing else.

    Args:
        count: How many; all of them if there are fewer.

    Returns:
        The most populous first; equals in the order of their codes.

    Raises:
        ValueError: The count is negative.
    """
    if count < 0:
        raise ValueError(f"The count is {count}, but it must be 0 or more.")
    return tuple(sorted(COUNTRIES, key=lambda country: -country.population)[:count])
