"""Lists that say more than URLs, and lists of checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from asyncflags._cli.input_list import OpenList, count_urls, read_all
from asyncflags._cli.main import cli
from asyncflags._models import Request
from asyncflags.testing import Origin

from .shell import shell

URL = "http://127.0.0.1:9/file"
FRANCE, GERMANY = b"blue white red", b"black red gold"
FRANCE_SHA256 = hashlib.sha256(FRANCE).hexdigest()
GERMANY_SHA1 = hashlib.sha1(GERMANY).hexdigest()


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        running.add("/fr.gif", FRANCE)
        running.add("/de.gif", GERMANY)
        yield running


class Pieces:
    """A file that comes in pieces of a few bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        piece, self._data = self._data[:7], self._data[7:]
        return piece


def read(name: str, data: bytes) -> tuple[list[str | Request], list[str]]:
    batches = list(read_all(OpenList(Pieces(data), name)))
    return [url for batch in batches for url in batch.urls], [
        why for each in batches for why in each.refusals
    ]


def table(separator: str, base: str) -> str:
    rows = (
        ("url", "path", "note", "checksum", "size", "mirrors"),
        (f"{base}/fr.gif", "by/fr", "a", f"sha256:{FRANCE_SHA256}", str(len(FRANCE)), f"{base}/x {base}/y"),
        (f"{base}/de.gif", "", "", "", "", ""),
    )
    return "".join(f"{separator.join(row)}\n" for row in rows)


def json_lines(base: str) -> str:
    rows = (
        {"url": f"{base}/fr.gif", "path": "by/fr", "note": 1, "checksum": f"sha256:{FRANCE_SHA256}",
         "size": len(FRANCE), "mirrors": [f"{base}/x", f"{base}/y"]},
        {"url": f"{base}/de.gif", "path": None},
    )  # fmt: skip
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", table(",", "http://h")),
        ("list.TSV", table("\t", "http://h")),
        ("list.jsonl", json_lines("http://h")),
        ("list.ndjson", json_lines("http://h")),
    ],
)
def test_every_kind_of_list_says_the_same(name: str, text: str) -> None:
    first = Request(
        "http://h/fr.gif",
        path="by/fr",
        checksum=f"sha256:{FRANCE_SHA256}",
        size=len(FRANCE),
        mirrors=("http://h/x", "http://h/y"),
    )
    assert read(name, text.encode()) == ([first, Request("http://h/de.gif")], [])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("list.csv", b"url\nhttp://h/1\nnonsense\nhttp://h/2\n", "list.csv, line 3: this is not a URL"),
        ("list.csv", b'url\nhttp://h/1\nhttp://h/2\n"http://h/3', "list.csv, line 4: a quotation mark opens"),
        ("list.tsv", b"url\tsize\nhttp://h/1\t1\nhttp://h/2\t2\nx\ty\tz", "list.tsv, line 4 has 3 fields"),
        (
            "list.jsonl",
            b'{"url":"http://h/1"}\n{"url":3}\n{"url":"http://h/2"}',
            "line 2: url must be a text",
        ),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_read(name: str, data: bytes, reason: str) -> None:
    urls, (told,) = read(name, data)
    assert [url.url for url in urls if isinstance(url, Request)] == ["http://h/1", "http://h/2"]
    assert reason in told


def test_a_table_without_a_column_of_urls_is_refused_once() -> None:
    urls, (told,) = read("list.csv", b"http://h/1\nhttp://h/2\nhttp://h/3\n")
    assert urls == []
    assert "line 1 must name the columns and one of them url" in told


@pytest.mark.parametrize(("name", "lines"), [("l.csv", 2), ("l.tsv", 2), ("l.jsonl", 3), ("l.meta4", None)])
def test_the_line_of_column_names_is_not_counted(tmp_path: Path, name: str, lines: int | None) -> None:
    (tmp_path / name).write_bytes(b"one\n\ntwo\nthree\n")
    assert count_urls(str(tmp_path / name)) == lines


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.jsonl"])
async def test_what_a_list_says_is_done(origin: Origin, tmp_path: Path, name: str) -> None:
    separators = {"list.csv": ",", "list.tsv": "\t"}
    text = table(separators[name], origin.url) if name in separators else json_lines(origin.url)
    (tmp_path / name).write_text(text)
    ran = await shell("get", "-i", name, "-d", "new", "--json", folder=tmp_path)
    found = {each["path"]: each["checksum"] for each in ran.objects}
    new = tmp_path / "new"
    assert found == {str(new / "by" / "fr"): f"sha256:{FRANCE_SHA256}", str(new / "de.gif"): None}
    assert ran.code == 0


async def test_a_file_of_another_size_than_listed_is_refused(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"url,size\n{origin.url}/fr.gif,3\n{origin.url}/de.gif,14\n")
    ran = await shell("get", "-i", "list.csv", "-d", "new", "--retries", "0", folder=tmp_path)
    assert (ran.code, os.listdir(tmp_path / "new")) == (9, ["de.gif"])
    assert "fr.gif" in ran.err


def test_a_dry_run_follows_the_paths_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"url,path\n{URL},by/fr\n{URL},by/fr\n{URL},\n")
    arguments = ["get", "--dry-run", "-d", str(tmp_path), "-i", str(tmp_path / "list.csv")]
    result = CliRunner().invoke(cli, arguments)
    assert result.stdout == f"{URL} -> {tmp_path}/by/fr\n{URL} -> {tmp_path}/file\n"
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1


async def test_files_are_checked_against_a_list_of_checksums(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "SUMS").write_text(f"{FRANCE_SHA256}  fr.gif\nSHA1 (./de.gif) = {GERMANY_SHA1}\n")
    urls = [f"{origin.url}/fr.gif", f"{origin.url}/de.gif"]
    ran = await shell("get", *urls, "--checksums", "SUMS", "--json", "-q", folder=tmp_path)
    assert {each["checksum"] for each in ran.objects} == {f"sha256:{FRANCE_SHA256}", f"sha1:{GERMANY_SHA1}"}
    assert (ran.code, ran.err) == (0, "")


async def test_a_file_that_is_not_the_listed_one_is_refused(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "SUMS").write_text(f"{'0' * 64} *fr.gif\n")
    ran = await shell("get", f"{origin.url}/fr.gif", "--checksums", "SUMS", folder=tmp_path)
    assert (ran.code, os.listdir(tmp_path)) == (9, ["SUMS"])


async def test_a_file_that_is_not_listed_is_told_and_kept(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "SUMS").write_text(f"{FRANCE_SHA256}  other.gif\n")
    ran = await shell("get", f"{origin.url}/fr.gif", "--checksums", "SUMS", "-q", folder=tmp_path)
    assert (ran.code, (tmp_path / "fr.gif").read_bytes()) == (0, FRANCE)
    assert ran.err == f"asyncflags: no checksum is listed for fr.gif [{origin.url}/fr.gif]\n"


async def test_a_checksum_of_its_own_counts_more_than_the_list(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "SUMS").write_text(f"{'0' * 64}  fr.gif\n")
    options = ["--checksum", f"sha256:{FRANCE_SHA256}", "--checksums", "SUMS"]
    ran = await shell("get", f"{origin.url}/fr.gif", *options, folder=tmp_path)
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (None, 3, "SUMS cannot be read: no such file"),
        (b"nonsense\n", 2, "SUMS: line 1 of the checksum list is malformed"),
        (b"\xff\xfe\x00", 2, "SUMS is not UTF-8"),
        (b"# nothing\n", 2, "SUMS holds no checksum"),
    ],
)
def test_a_list_of_checksums_that_cannot_be_used_is_told(
    tmp_path: Path, content: bytes | None, code: int, reason: str
) -> None:
    path = tmp_path / "SUMS"
    if content is not None:
        path.write_bytes(content)
    result = CliRunner().invoke(cli, ["get", URL, "--checksums", str(path)])
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert reason in result.stderr


def test_a_list_of_checksums_needs_names() -> None:
    result = CliRunner().invoke(cli, ["get", URL, "-o", "-", "--checksums", "SUMS"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "-o - and --checksums exclude each other" in result.stderr


async def test_a_digest_can_be_required(origin: Origin, tmp_path: Path) -> None:
    origin.add("/digest.gif", FRANCE, digests=["sha-256"])
    urls = [f"{origin.url}/digest.gif", f"{origin.url}/de.gif"]
    ran = await shell("get", *urls, "--require-digest", folder=tmp_path)
    assert (ran.code, ran.lines) == (9, [str(tmp_path / "digest.gif")])
    assert "Want-Repr-Digest" in origin.requests[0].headers
