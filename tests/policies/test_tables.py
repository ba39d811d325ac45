from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._models import Request
from asyncflags._policies.tables import JsonLines, ListReader, PlainLines, Table, UnusableTable

URL = "https://flags.example/fr.gif"
SHA1 = "80bc95fd391772fa61c91ed68567f0980bb45fd9"


def read(reader: ListReader, text: str) -> list[str | Request]:
    """What *reader* makes of the lines of *text*."""
    taken = [reader.take(line.encode(), number) for number, line in enumerate(text.split("\n"), 1)]
    reader.finish()
    return [each for each in taken if each is not None]


def rows(text: str) -> list[str | Request]:
    return read(Table(","), text)


def test_a_row_is_a_request() -> None:
    text = f"url,path,checksum,size,mirrors\n{URL},a/b,SHA-1:{SHA1.upper()},07, http://m/1  http://m/2 \n"
    mirrors = ("http://m/1", "http://m/2")
    assert rows(text) == [Request(URL, path="a/b", checksum=f"sha1:{SHA1}", size=7, mirrors=mirrors)]


def test_columns_stand_in_any_order_and_others_are_passed_over() -> None:
    assert rows(f"Size , note,URL\n1,x,{URL}") == [Request(URL, size=1)]


def test_fields_that_are_left_out_or_empty_say_nothing() -> None:
    assert rows(f"url,path,size\n{URL}\n{URL},,") == [Request(URL), Request(URL)]


@pytest.mark.parametrize("empty", ["", "\r", "  ", ",,", " , ,"])
def test_empty_rows_hold_nothing(empty: str) -> None:
    assert rows(f"{empty}\nurl,path,size\n{empty}\n{URL}\n{empty}") == [Request(URL)]


def test_a_quoted_field_may_hold_separators_quotation_marks_and_line_ends() -> None:
    text = f'note,url\r\n"a ""b"", and\r\nc\r\n\r\nd",{URL}\r\n"x","{URL}?a=1,2"\r\n'
    assert rows(text) == [Request(URL), Request(f"{URL}?a=1,2")]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert rows(f"\ufeffurl\n{URL}") == [Request(URL)]


def test_tabs_separate_where_a_comma_is_a_character() -> None:
    assert read(Table("\t"), f"url\tpath\n{URL}?a,b\tx,y") == [Request(f"{URL}?a,b", path="x,y")]


@pytest.mark.parametrize("header", [URL, "path,size", "url,url", "url,size,Size", "link"])
def test_a_table_has_to_name_its_columns(header: str) -> None:
    with pytest.raises(UnusableTable, match="line 1 "):
        rows(f"{header}\n{URL}")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("ftp://h/", "line 2: .*'ftp'"),
        (",path", "line 2: the url is missing"),
        (f"{URL},../x", "line 2: .*climbs out"),
        (f"{URL},/x", "line 2: .*is absolute"),
        (f"{URL},,abc", "line 2: .*checksum"),
        (f"{URL},,,1.5", "line 2: the size '1.5' is no number of bytes"),
        (f"{URL},,,-1", "line 2: the size"),
        (f"{URL},,,\u0663", "line 2: the size"),
        (f"{URL},,,,h/x", "line 2: .*URL"),
        (f"{URL},,,,,x", "line 2 has 6 fields"),
        (f'"{URL}"x', "line 2: text follows the quotation mark"),
        (f'"{URL}', "line 2: a quotation mark opens a field and none closes it"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_line(row: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rows(f"url,path,checksum,size,mirrors\n{row}")


def test_a_row_after_a_bad_one_is_read() -> None:
    reader = Table(",")
    reader.take(b"url", 1)
    with pytest.raises(ValueError, match="line 2"):
        reader.take(b'"x"y', 2)
    assert reader.take(URL.encode(), 3) == Request(URL)


def test_a_quotation_mark_that_is_never_closed_does_not_gather_the_whole_list() -> None:
    reader = Table(",")
    reader.take(b"url", 1)
    assert reader.take(b'"open', 2) is None
    for number in range(3, 100_000):
        try:
            reader.take(b"x" * 1000, number)
        except ValueError as error:
            assert "line 2: a quotation mark opens a field" in str(error)
            break
    assert number < 1000
    assert reader.take(URL.encode(), number + 1) == Request(URL)


def test_a_json_object_is_a_request() -> None:
    row = {
        "url": URL,
        "path": "é/b",
        "checksum": f"sha1:{SHA1}",
        "size": 7,
        "mirrors": ["http://m/1"],
        "x": [1],
    }
    expected = Request(URL, path="é/b", checksum=f"sha1:{SHA1}", size=7, mirrors=("http://m/1",))
    assert read(JsonLines(), f"\ufeff{json.dumps(row)}\r\n\n  \n") == [expected]


def test_null_says_nothing() -> None:
    row = {"url": URL, "path": None, "checksum": None, "size": None, "mirrors": None}
    assert read(JsonLines(), json.dumps(row)) == [Request(URL)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1 is not JSON"),
        (URL, "line 1 is not JSON"),
        ("[" * 100_000, "line 1 is not JSON"),
        (f'"{URL}"', "line 1 is no JSON object"),
        ("{}", "line 1: the url is missing"),
        ('{"url": 1}', "line 1: url must be a text, not 1"),
        (f'{{"url": "{URL}", "size": "7"}}', "line 1: size must be a whole number"),
        (f'{{"url": "{URL}", "size": true}}', "line 1: size must be a whole number"),
        (f'{{"url": "{URL}", "size": 7.0}}', "line 1: size must be a whole number"),
        (f'{{"url": "{URL}", "size": -7}}', "line 1: the size '-7'"),
        (f'{{"url": "{URL}", "path": ""}}', "line 1: .*is empty"),
        (f'{{"url": "{URL}", "mirrors": "{URL}"}}', "line 1: mirrors must be an array"),
        (f'{{"url": "{URL}", "mirrors": [1]}}', "line 1: mirrors must be an array"),
        (f'{{"url": "{URL}", "mirrors": ["x"]}}', "line 1: .*URL"),
    ],
)
def test_an_object_that_cannot_be_used_is_named_with_its_line(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(JsonLines(), line)


def test_a_plain_list_holds_urls() -> None:
    assert read(PlainLines(), f"# flags\n{URL}\n\n") == [URL]


@pytest.mark.parametrize("reader", [Table(","), Table("\t"), JsonLines(), PlainLines()])
def test_a_line_that_is_not_utf_8_is_named(reader: ListReader) -> None:
    with pytest.raises(ValueError, match="line 3 is not UTF-8"):
        reader.take(b"\xff", 3)


def test_no_refusal_shows_a_password() -> None:
    for reader, line in (
        (Table(","), "https://me:hunter2@h:x/"),
        (JsonLines(), '{"url": "https://me:hunter2@h:x/"}'),
    ):
        reader.take(b"url" if isinstance(reader, Table) else b"", 1)
        with pytest.raises(ValueError, match="line 2") as caught:
            reader.take(line.encode(), 2)
        assert "hunter2" not in str(caught.value)


fields = st.text(st.sampled_from('ab ,"\n\t'), max_size=6)


@given(st.lists(st.tuples(fields, fields), max_size=6), st.sampled_from([",", "\t"]))
def test_what_a_program_writes_is_read(notes: list[tuple[str, str]], separator: str) -> None:
    urls = [f"{URL}?{number}" for number in range(len(notes))]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(["a", "url", "b"])
    writer.writerows([first, url, second] for (first, second), url in zip(notes, urls, strict=True))
    assert read(Table(separator), text.getvalue()) == [Request(url) for url in urls]


@given(
    st.sampled_from(["json", "csv", "tsv"]),
    st.lists(st.text('url,"{}:[]\t\n\r h/', max_size=20) | st.text(max_size=10), max_size=5),
)
def test_no_text_raises_anything_but_value_error(kind: str, lines: list[str]) -> None:
    reader: ListReader = JsonLines() if kind == "json" else Table("," if kind == "csv" else "\t")
    for number, line in enumerate(["url,path", *lines] if kind == "csv" else lines, 1):
        try:
            reader.take(line.encode("utf-8", "surrogatepass"), number)
        except ValueError as error:
            assert "line " in str(error)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_no_json_value_raises_anything_but_value_error(value: object) -> None:
    for name in ("url", "path", "checksum", "size", "mirrors"):
        line = json.dumps({"url": URL, name: value})
        try:
            JsonLines().take(line.encode(), 1)
        except ValueError as error:
            assert "line 1" in str(error)
