from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.links import LOWEST_PRIORITY, MAX_MIRRORS, Mirror, duplicates
from asyncflags._policies.urls import parse_url

BASE = "https://flags.example/dir/fr.gif"
A, B = "https://a.example/fr.gif", "https://b.example/fr.gif"


def urls(*values: str) -> list[str]:
    return [mirror.url for mirror in duplicates(values, BASE)]


def test_the_mirrors_of_the_rfc_are_read() -> None:
    # RFC 6249 section 3, in one field and in two.
    first = "<http://www2.example.com/example.ext>; rel=duplicate; pri=1; pref"
    second = "<ftp://ftp.example.com/example.ext>; rel=duplicate; pri=2; geo=gb; depth=1"
    mirrors = (Mirror("http://www2.example.com/example.ext", 1),)
    assert duplicates([first, second], BASE) == duplicates([f"{second}, {first}"], BASE) == mirrors


@pytest.mark.parametrize(
    "link",
    [
        f"<{A}>; rel=duplicate",
        f'<{A}>;rel="duplicate"',
        f"<{A}> ;\tREL = Duplicate ; pri=x",
        f'<{A}>; rel="nofollow  DUPLICATE"',
        f"<{A}>; type=text/plain; rel=duplicate",
        f'<{A}>; title="a, <b>; \\" rel=next"; rel=duplicate',
        f"<{A}>; title*=UTF-8''%e2%82%ac; rel=duplicate",
        f"<{A}>;;rel=duplicate;",
        f"<{A}>; rel=duplicate; rel=next",
        f", ,<{A}>; rel=duplicate, ",
        "<//a.example/fr.gif>; rel=duplicate",
        f"<{A}#part>; rel=duplicate",
        "<https://me:secret@a.example/fr.gif>; rel=duplicate",
    ],
)
def test_every_way_to_name_a_mirror_is_read(link: str) -> None:
    assert urls(link) == [A]


@pytest.mark.parametrize(
    "link",
    [
        "",
        f"<{A}>",
        f"<{A}>; rel",
        f"<{A}>; rel=",
        f"<{A}>; rel=duplicates",
        f"<{A}>; rel=next; rel=duplicate",
        f"<{A}>; rev=duplicate",
        f'<{A}>; rel=duplicate; anchor="#other"',
        f"<{A}>; rel=duplicate junk",
        f"<{A}> rel=duplicate",
        f"<{A}; rel=duplicate",
        f"{A}; rel=duplicate",
        f'<{A}>; rel="duplicate',
        "<ftp://a.example/fr.gif>; rel=duplicate",
        "<file:///etc/passwd>; rel=duplicate",
        "<https://a.example:99999/>; rel=duplicate",
        "<>; rel=duplicate",
        f"<{BASE}>; rel=duplicate",
        "<fr.gif#x>; rel=duplicate",
    ],
)
def test_what_names_no_mirror_is_left_out(link: str) -> None:
    assert urls(link) == []


@pytest.mark.parametrize(
    "broken",
    ["junk", f"{B}; rel=duplicate", f"<{B}> rel=duplicate", f"<{B}>; rel=duplicate x", f'<{B}>; "x, y"', "="],
)
def test_a_malformed_link_does_not_hide_the_next(broken: str) -> None:
    assert urls(f"{broken}, <{A}>; rel=duplicate") == [A]
    assert urls(broken, f"<{A}>; rel=duplicate") == [A]


@pytest.mark.parametrize(
    ("reference", "url"),
    [("de.gif", "https://flags.example/dir/de.gif"), ("/de.gif", "https://flags.example/de.gif"),
     ("../de.gif", "https://flags.example/de.gif"), ("?v=2", "https://flags.example/dir/fr.gif?v=2")],
)  # fmt: skip
def test_a_reference_is_resolved_against_what_answered(reference: str, url: str) -> None:
    assert urls(f"<{reference}>; rel=duplicate") == [url]


@pytest.mark.parametrize(
    ("parameter", "priority"),
    [("pri=1", 1), ('pri="20"', 20), ("pri=999999", 999999), ("pri=0", LOWEST_PRIORITY), ("pri=-1", LOWEST_PRIORITY),
     ("pri=1000000", LOWEST_PRIORITY), ("pri=x", LOWEST_PRIORITY), ("pri=\u0661", LOWEST_PRIORITY),
     ("pri", LOWEST_PRIORITY), ("x=1", LOWEST_PRIORITY), ("pri=3; pri=1", 3)],
)  # fmt: skip
def test_a_priority_is_from_1_to_999999(parameter: str, priority: int) -> None:
    assert duplicates([f"<{A}>; rel=duplicate; {parameter}"], BASE) == (Mirror(A, priority),)


def test_the_limits_are_those_of_the_rfc_and_a_hundred() -> None:
    assert (LOWEST_PRIORITY, MAX_MIRRORS) == (999_999, 100)


def test_the_best_come_first_and_equals_stay_in_order() -> None:
    links = ", ".join(
        f"<https://m{number}.example/>; rel=duplicate; pri={pri}" for number, pri in enumerate([5, 2, 5, 1])
    )
    assert urls(links, f"<{A}>; rel=duplicate") == [
        *(f"https://m{number}.example/" for number in (3, 1, 0, 2)),
        A,
    ]


def test_a_mirror_named_twice_counts_once_with_its_best_priority() -> None:
    links = [f"<{A}>; rel=duplicate; pri=9", "<HTTPS://A.example:443/fr.gif>; rel=duplicate; pri=3"]
    assert duplicates(links, BASE) == (Mirror(A, 3),)


def test_of_very_many_mirrors_the_best_are_kept() -> None:
    links = ", ".join(
        f"<https://m{number}.example/>; rel=duplicate; pri={1000 - number}" for number in range(300)
    )
    mirrors = duplicates([links], BASE)
    assert len(mirrors) == MAX_MIRRORS
    assert [mirror.priority for mirror in mirrors] == list(range(701, 701 + MAX_MIRRORS))


TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            ["<", ">", ";", ",", '"', "\\", "=", " ", "rel", "duplicate", "pri", A, "<x>; rel=duplicate"]
        ),
        max_size=14,
    ).map("".join),
)


@given(st.lists(TEXTS, max_size=3))
def test_any_text_gives_mirrors_that_can_be_asked_or_none(values: list[str]) -> None:
    for mirror in duplicates(values, BASE):
        assert parse_url(mirror.url).url == mirror.url
        assert 1 <= mirror.priority <= LOWEST_PRIORITY


def test_a_hostile_field_costs_little() -> None:
    for piece in ("<", "<a", "<a>;", '<a>;x="', "<a>;x=,", ",", '"', "\\", '"\\', "<a>; x", "<a> ", " ;"):
        assert urls(piece * 20_000) == []
