from __future__ import annotations

import os.path
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.naming import (
    MAX_NAME_SIZE,
    choose_name,
    folded,
    name_from_content_disposition,
    name_from_url,
    numbered,
    path_in_layout_url,
    relative_parts,
    safe_name,
)
from asyncflags.errors import InvalidUrl, UnsafePath

HOSTILE_PIECES = st.sampled_from(
    [
        ".",
        "..",
        " ",
        "-",
        "/",
        "\\",
        ":",
        "\0",
        "\n",
        "\x85",
        "\u202e",
        "\u200d",
        "\u2028",
        "\ud800",
        "\udcff",
        "\u2003",
    ]
    + [
        "con",
        "COM1",
        "lpt²",
        "nul",
        "conin$",
        ".part",
        ".part.json",
        ".tar.gz",
        ".gif",
        "~",
        "*",
        "<",
        "\u0338",
        "e",
    ]
    + ["\u0301", "\u212a", "é", "旗", "🏴", "a" * 50, "旗" * 30, " " * 100, "." * 100, "\u2003" * 40]
)
NAMES = st.text(max_size=30) | st.lists(HOSTILE_PIECES, max_size=12).map("".join)
DEVICES = ["con", "prn", "aux", "nul", "com0", "com1", "com9", "com¹", "lpt3", "lpt³", "conin$", "conout$"]


@given(NAMES)
def test_a_safe_name_is_safe_already(name: str) -> None:
    safe = safe_name(name)
    assert safe is None or safe_name(safe) == safe


@given(NAMES)
def test_a_safe_name_never_leaves_its_folder(name: str) -> None:
    safe = safe_name(name)
    if safe is not None:
        joined = os.path.normpath(os.path.join("/folder", safe))
        assert os.path.split(joined) == ("/folder", safe)


@given(NAMES)
def test_a_safe_name_keeps_every_rule(name: str) -> None:
    safe = safe_name(name)
    if safe is None:
        return
    assert len(safe.encode("utf-8")) <= MAX_NAME_SIZE
    assert not set(safe) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in safe)
    assert safe == unicodedata.normalize("NFC", safe)
    assert safe[0] not in "-." and not safe[0].isspace()
    assert safe[-1] != "." and not safe[-1].isspace()
    assert not safe.lower().endswith((".part", ".part.json"))
    assert safe.partition(".")[0].strip().lower() not in DEVICES


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9 ._()-]{0,40}\.(gif|svg|tar\.gz)", fullmatch=True))
def test_a_decent_name_stays_as_it_is(name: str) -> None:
    if name.partition(".")[0].strip().lower() not in DEVICES:
        assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Drapeau français.gif", "Drapeau français.gif"),
        ("旗.png", "旗.png"),
        ("a/b/fr.gif", "fr.gif"),
        ("..\\..\\fr.gif", "fr.gif"),
        ("/etc/passwd", "passwd"),
        ("C:fr.gif", "C_fr.gif"),
        ("fr.gif:stream", "fr.gif_stream"),
        ('a<b>c"d|e?f*g', "a_b_c_d_e_f_g"),
        ("fr\0.g\x1bi\x7ff\x85", "fr.gif"),
        ("fr\u202efig.exe", "frfig.exe"),
        ("f\u200br\ufeff.gif", "fr.gif"),
        ("e\u200d\u0301.gif", "é.gif"),
        ("e\u0301.gif", "é.gif"),
        ("fr\udcff.gif", "fr_.gif"),
        ("-rf", "rf"),
        (".bashrc", "bashrc"),
        (" . -.fr.gif. . ", "fr.gif"),
        ("fr.gif\u2003", "fr.gif"),
        ("fr.part", "fr.part_"),
        ("fr.PART", "fr.PART_"),
        ("fr.part.json", "fr.part.json_"),
        ("part.json", "part.json"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("con .txt", "_con .txt"),
        ("aux.tar.gz", "_aux.tar.gz"),
        ("console", "console"),
        ("com10", "com10"),
    ],
)
def test_only_what_is_unsafe_in_a_name_changes(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize("device", DEVICES)
def test_no_name_is_a_windows_device(device: str) -> None:
    for name in (device, device.upper(), f"{device}.gif", f"{device} .gif"):
        assert safe_name(name) == f"_{name}"


@pytest.mark.parametrize("name", ["", ".", "..", "...", " ", "-", "a/", "a\\", "/", "\0", "\u202e", " .-. "])
def test_a_name_of_which_nothing_is_left_is_none(name: str) -> None:
    assert safe_name(name) is None


@pytest.mark.parametrize(
    ("name", "ending"), [("a" * 300 + ".gif", ".gif"), ("旗" * 200 + ".tar.gz", ".tar.gz"), ("a" * 300, "a")]
)
def test_a_long_name_is_cut_before_its_ending(name: str, ending: str) -> None:
    safe = safe_name(name)
    assert safe is not None and safe.endswith(ending)
    assert MAX_NAME_SIZE - 3 <= len(safe.encode("utf-8")) <= MAX_NAME_SIZE


def test_cutting_does_not_uncover_a_device_or_a_part_file() -> None:
    assert safe_name("con" + "\u2003" * 100 + "x") == "_con"
    assert safe_name("a" * 240 + ".part" + "b" * 20) == "a" * 239 + ".part_"


@pytest.mark.parametrize("filler", [" ", ".", "\u2003", "\0", "é", "\u0301\u0327"])
def test_a_name_of_any_length_is_taken(filler: str) -> None:
    assert safe_name("a" + filler * 1_000_000 + "b.gif") == safe_name("a" + filler * 2_000 + "b.gif")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h.example/flags/fr.gif", "fr.gif"),
        ("https://h.example/fr.gif?x=/y.png#/z.png", "fr.gif"),
        ("https://h.example/drapeau%20fran%C3%A7ais.gif", "drapeau français.gif"),
        ("https://h.example/drapeau+1.gif", "drapeau+1.gif"),
        ("https://h.example/%FF%FE.gif", "%FF%FE.gif"),
        ("https://h.example/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://h.example/..%5Cfr.gif", "fr.gif"),
        ("https://h.example/%2e%2e", None),
        ("https://h.example/%00", None),
        ("https://h.example/.htaccess", "htaccess"),
        ("https://h.example/100%", "100%"),
        ("https://h.example/flags/", None),
        ("https://h.example/", None),
        ("https://h.example", None),
        ("https://h.example?x=fr.gif", None),
    ],
)
def test_the_name_of_a_url_is_its_last_segment(url: str, name: str | None) -> None:
    assert name_from_url(url) == name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("attachment; filename=fr.gif", "fr.gif"),
        ('attachment; filename="fr.gif"', "fr.gif"),
        ('inline;FILENAME = "fr.gif"', "fr.gif"),
        ('attachment; filename="a; filename=b.gif"', "a; filename=b.gif"),
        ('attachment; x="; filename=evil.gif"; filename=fr.gif', "fr.gif"),
        ('attachment; filename="a \\"b\\" c.gif"', "a _b_ c.gif"),
        ("attachment; filename*=UTF-8''drapeau%20%e2%82%ac.gif", "drapeau €.gif"),
        ("attachment; filename*=iso-8859-1'fr'fran%E7ais.gif", "français.gif"),
        ("attachment; filename=\"ascii.gif\"; filename*=utf-8''%C3%A9.gif", "é.gif"),
        ("attachment; filename*=utf-8''%C3%A9.gif; filename=\"ascii.gif\"", "é.gif"),
        ("attachment; filename*=utf-8''%FF.gif; filename=ascii.gif", "ascii.gif"),
        ("attachment; filename*=koi8-r''%C3.gif; filename=ascii.gif", "ascii.gif"),
        ("attachment; filename*=ascii.gif; filename=other.gif", "other.gif"),
        ("attachment; filename*=utf-8''..; filename=ascii.gif", "ascii.gif"),
        ("attachment; filename*=\"utf-8''quoted.gif\"", "quoted.gif"),
        ("attachment; filename*=utf-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("attachment; filename=first.gif; filename=second.gif", "first.gif"),
        ("filename=fr.gif", "fr.gif"),
        ("attachment; filename=two words.gif ; x=y", "two words.gif"),
        ('attachment; filename="no end.gif', "no end.gif"),
        ('attachment; filename="ends in backslash\\', "ends in backslash"),
        ('attachment; filename="fr.gif"junk; x=y', "fr.gif"),
        ("attachment; filename=fran\xc3\xa7ais.gif", "français.gif"),
        ("attachment; filename=fran\xe7ais.gif", "français.gif"),
        ("attachment; filename=旗.gif", "旗.gif"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename=".bashrc"', "bashrc"),
        ('attachment; filename=""', None),
        ('attachment; filename=".."', None),
        ("attachment; notfilename=fr.gif", None),
        ("attachment; filename", None),
        ("attachment", None),
        ("", None),
        (None, None),
    ],
)
def test_the_name_of_a_content_disposition(value: str | None, name: str | None) -> None:
    assert name_from_content_disposition(value) == name


@given(st.text(st.sampled_from("filename*=\"\\';%Eé \ud800/.a"), max_size=30))
def test_any_content_disposition_gives_a_safe_name_or_none(tail: str) -> None:
    for value in (tail, f"attachment; filename={tail}", f"attachment; filename*=utf-8''{tail}"):
        name = name_from_content_disposition(value)
        assert name is None or safe_name(name) == name


@pytest.mark.parametrize(
    "value", ["a" * 60_000, ";" * 60_000, ' ;"' * 20_000, "; a" * 20_000, '; a="' + "\\" * 60_000]
)
def test_a_hostile_content_disposition_is_read_in_linear_time(value: str) -> None:
    assert name_from_content_disposition(value) is None


FIELD = 'attachment; filename="server.gif"'


@pytest.mark.parametrize(
    ("url", "field", "from_server", "name"),
    [
        ("https://h.example/url.gif", FIELD, False, "url.gif"),
        ("https://h.example/url.gif", FIELD, True, "server.gif"),
        ("https://h.example/url.gif", None, True, "url.gif"),
        ("https://h.example/url.gif", "attachment", True, "url.gif"),
        ("https://h.example/", FIELD, False, "index.html"),
        ("https://h.example/", FIELD, True, "server.gif"),
        ("https://h.example/", None, True, "index.html"),
    ],
)
def test_the_server_names_a_file_only_when_it_may(
    url: str, field: str | None, from_server: bool, name: str
) -> None:
    assert choose_name(url=url, content_disposition=field, from_server=from_server) == name


@pytest.mark.parametrize(
    ("name", "number", "result"),
    [
        ("flag.gif", 2, "flag-2.gif"),
        ("a.tar.gz", 2, "a-2.tar.gz"),
        ("v1.2.TAR.xz", 3, "v1.2-3.TAR.xz"),
        ("README", 10, "README-10"),
        (".bashrc", 2, ".bashrc-2"),
        ("Mr. Flag goes home", 2, "Mr. Flag goes home-2"),
        ("dir.d/flag.gif", 2, "dir.d/flag-2.gif"),
        ("dir.d/flag", 2, "dir.d/flag-2"),
    ],
)
def test_a_number_stands_before_the_ending(name: str, number: int, result: str) -> None:
    assert numbered(name, number) == result


@given(NAMES, st.integers(2, 10**6))
def test_a_numbered_safe_name_is_safe_and_another(name: str, number: int) -> None:
    safe = safe_name(name)
    if safe is not None:
        assert numbered(safe, number) != safe
        assert safe_name(numbered(safe, number)) == numbered(safe, number)


@given(st.text("aé旗", min_size=200, max_size=300), st.integers(2, 100))
def test_numbers_tell_long_names_apart(name: str, number: int) -> None:
    assert len({numbered(f"{name}.gif", number), numbered(f"{name}.gif", number + 1)}) == 2


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://h.example/flags/fr.gif?x=1#y", "h.example/flags/fr.gif"),
        ("https://me:pw@H.Example:443/fr.gif", "h.example/fr.gif"),
        ("http://h.example:8080/fr.gif", "h.example_8080/fr.gif"),
        ("http://[::1]:8080/fr.gif", "__1_8080/fr.gif"),
        ("https://h.example/flags/", "h.example/flags/index.html"),
        ("https://h.example", "h.example/index.html"),
        ("https://h.example//a/../b/./c", "h.example/_/a/_/b/_/c"),
        ("https://h.example/..", "h.example/_"),
        ("https://h.example/a%2Fb", "h.example/a_b"),
        ("https://h.example/%2e%2e%2fb", "h.example/_b"),
        ("https://h.example/a%20b/%C3%A9", "h.example/a b/é"),
        ("https://h.example/con/.git/x.part", "h.example/_con/git/x.part_"),
    ],
)
def test_a_url_maps_to_a_path_of_its_own(url: str, path: str) -> None:
    assert path_in_layout_url(url) == path


@given(st.text(st.sampled_from("./\\%2eEfF5c:a-\n"), max_size=30))
def test_a_path_from_a_url_stays_inside(path: str) -> None:
    mapped = path_in_layout_url(f"http://h.example/{path}")
    assert relative_parts(mapped) == tuple(mapped.split("/"))
    assert all(safe_name(part) == part for part in relative_parts(mapped))


def test_a_path_is_not_made_of_what_is_no_url() -> None:
    with pytest.raises(InvalidUrl):
        path_in_layout_url("h.example/fr.gif")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("fr.gif", ("fr.gif",)),
        ("flags/fr.gif", ("flags", "fr.gif")),
        ("flags\\eu/fr.gif", ("flags", "eu", "fr.gif")),
        ("./flags/./fr.gif", ("flags", "fr.gif")),
        (".config/.flags", (".config", ".flags")),
        ("-x/E\u0301.part", ("-x", "E\u0301.part")),
        ("..flags/fr..gif", ("..flags", "fr..gif")),
    ],
)
def test_a_given_path_keeps_its_spelling(path: str, parts: tuple[str, ...]) -> None:
    assert relative_parts(path) == parts


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "is empty"),
        (".", "names no file"),
        ("/etc/passwd", "is absolute"),
        ("\\fr.gif", "is absolute"),
        ("\\\\server\\share", "is absolute"),
        ("C:fr.gif", "drive letter"),
        ("c:\\fr.gif", "drive letter"),
        ("flags/C:/fr.gif", "drive letter"),
        ("..", "climbs"),
        ("flags/../../fr.gif", "climbs"),
        ("flags\\..\\fr.gif", "climbs"),
        ("flags/.. /fr.gif", "dots and spaces"),
        ("flags/... ", "dots and spaces"),
        ("flags//fr.gif", "empty component"),
        ("flags/", "empty component"),
        ("fr\0.gif", "NUL"),
    ],
)
def test_a_given_path_that_may_leave_the_folder_is_refused(path: str, says: str) -> None:
    with pytest.raises(UnsafePath, match=says) as caught:
        relative_parts(path)
    assert caught.value.name == path


@given(NAMES)
def test_a_given_path_is_refused_or_stays_inside(path: str) -> None:
    try:
        parts = relative_parts(path)
    except UnsafePath as error:
        assert str(error).isprintable()
        return
    joined = os.path.normpath(os.path.join("/folder", *parts))
    assert joined == "/folder/" + "/".join(parts)


SAME = [("FR.gif", "fr.GIF"), ("e\u0301", "É"), ("Straße", "STRASSE"), ("\u212a", "k"), ("Ω", "\u2126")]


@pytest.mark.parametrize(("one", "other"), [*SAME, ("\u1fb3\u0301", "\u03b1\u0301\u0345")])
def test_names_that_some_file_system_takes_for_one_have_one_key(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def test_names_that_differ_otherwise_have_two_keys() -> None:
    assert folded("fr.gif") != folded("fr.png")


@given(NAMES)
def test_a_key_is_its_own_key(name: str) -> None:
    assert folded(folded(name)) == folded(name)
    assert folded(unicodedata.normalize("NFD", name)) == folded(name)
