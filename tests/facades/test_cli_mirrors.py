"""Several places for one file: ``--mirror`` and Metalink documents at the prompt."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from asyncflags._cli.main import cli
from asyncflags.testing import Origin

from .shell import shell

BODY = b"blue white red " * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
URL = "http://127.0.0.1:9/file"
GONE = "http://127.0.0.1:9"
QUICK = ["--retries", "0"]


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        running.add("/fr.gif", BODY)
        running.add("/copy/fr.gif", BODY)
        running.add("/wrong/fr.gif", b"black red gold " * 1000)
        running.add("/de.gif", b"black red gold")
        yield running


def metalink(*files: str) -> str:
    return f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{"".join(files)}</metalink>'


def entry(name: str, *urls: str, inside: str = "") -> str:
    return f'<file name="{name}">{inside}{"".join(f"<url>{url}</url>" for url in urls)}</file>'


async def test_a_mirror_is_asked_when_the_url_fails(origin: Origin, tmp_path: Path) -> None:
    url = f"{origin.url}/none.gif"
    ran = await shell(
        "get", url, "--mirror", f"{GONE}/fr.gif", "--mirror", f"{origin.url}/fr.gif", *QUICK, folder=tmp_path
    )
    assert (ran.code, ran.lines) == (0, [str(tmp_path / "none.gif")])
    assert (tmp_path / "none.gif").read_bytes() == BODY
    assert f"{url} is given up: the server answered 404 Not Found" in ran.err


async def test_a_mirror_gets_none_of_your_credentials(tmp_path: Path) -> None:
    async with Origin() as first, Origin() as second:
        second.add("/fr.gif", BODY)
        options = ["-u", "anna:secret", "-H", "X-Token: 1", "-b", "a=1", "--mirror", f"{second.url}/fr.gif"]
        ran = await shell("get", f"{first.url}/fr.gif", *options, *QUICK, folder=tmp_path)
        told = second.requests[0].headers
    assert ran.code == 0
    assert first.requests[0].headers["Authorization"]
    assert not {"Authorization", "X-Token", "Cookie"} & set(told)


async def test_a_mirror_with_other_bytes_is_named_and_the_file_comes_from_the_next(
    origin: Origin, tmp_path: Path
) -> None:
    ran = await shell(
        "get", f"{origin.url}/wrong/fr.gif", "--checksum", f"sha256:{SHA256}",
        "--mirror", f"{origin.url}/copy/fr.gif", *QUICK, folder=tmp_path,
    )  # fmt: skip
    assert (ran.code, (tmp_path / "fr.gif").read_bytes()) == (0, BODY)
    assert f"{origin.url}/wrong/fr.gif is given up: " in ran.err


async def test_when_no_mirror_has_the_file_nothing_is_left_under_its_name(
    origin: Origin, tmp_path: Path
) -> None:
    ran = await shell(
        "get", f"{origin.url}/wrong/fr.gif", "--checksum", f"sha256:{SHA256}",
        "--mirror", f"{origin.url}/de.gif", *QUICK, folder=tmp_path,
    )  # fmt: skip
    assert (ran.code, os.listdir(tmp_path)) == (9, [])


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["get", URL, URL, "--mirror", URL], "--mirror takes one URL"),
        (["get", "-i", "list", "--mirror", URL], "--mirror takes one URL"),
        (["get", URL, "--mirror", "ftp://h/x"], "--mirror: URLs of the scheme 'ftp' cannot be downloaded"),
        (["get", URL, "--mirror", "h/x"], "--mirror: "),
        (["get", URL, "--segments", "0"], "--segments: must be at least 1, not 0"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: list[str], phrase: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert phrase in result.stderr


@pytest.mark.parametrize("ending", [".meta4", ".metalink", ".META4"])
async def test_a_metalink_is_downloaded_file_by_file(origin: Origin, tmp_path: Path, ending: str) -> None:
    sized = f'<size>{len(BODY)}</size><hash type="sha-256">{SHA256}</hash>'
    first = entry("flags/fr.gif", f"{origin.url}/wrong/fr.gif", f"{origin.url}/copy/fr.gif", inside=sized)
    second = entry("de.gif", f"{origin.url}/de.gif")
    (tmp_path / f"flags{ending}").write_text(metalink(first, second))
    ran = await shell("get", "-i", f"flags{ending}", "-d", "new", "--no-journal", *QUICK, folder=tmp_path)
    new = tmp_path / "new"
    assert (ran.code, sorted(ran.lines)) == (0, [str(new / "de.gif"), str(new / "flags" / "fr.gif")])
    assert (new / "flags" / "fr.gif").read_bytes() == BODY


async def test_a_metalink_whose_hash_does_not_hold_is_exit_code_9(origin: Origin, tmp_path: Path) -> None:
    hashed = f'<hash type="sha-256">{"0" * 64}</hash><hash type="md5">{hashlib.md5(BODY).hexdigest()}</hash>'
    document = metalink(entry("fr.gif", f"{origin.url}/fr.gif", inside=hashed))
    (tmp_path / "fr.meta4").write_text(document)
    ran = await shell("get", "-i", "fr.meta4", "-d", "new", "--no-journal", *QUICK, folder=tmp_path)
    assert (ran.code, os.listdir(tmp_path / "new")) == (9, [])


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("<metalink", "not well-formed"),
        ("", "not well-formed"),
        ("<!DOCTYPE metalink><metalink/>", "has a document type declaration"),
        ('<metalink xmlns="http://www.metalinker.org/"/>', "is of version 3"),
        (metalink(entry("../fr.gif", URL)), "climbs out of its folder"),
        (metalink(entry("fr.gif", "ftp://h/x")), "no http or https URL for the file 'fr.gif'"),
        (metalink(), "names no file"),
    ],
)
async def test_a_wrong_metalink_is_named_with_its_reason(tmp_path: Path, document: str, reason: str) -> None:
    (tmp_path / "fr.meta4").write_text(document)
    ran = await shell("get", "-i", "fr.meta4", "-d", "new", "--no-journal", folder=tmp_path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
    assert ran.err.startswith("asyncflags: fr.meta4: ")
    assert reason in ran.err


def test_a_metalink_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["get", "-i", str(tmp_path / "none.meta4"), "--no-journal"])
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "none.meta4 cannot be read: no such file" in result.stderr


def test_a_dry_run_tells_where_the_files_of_a_metalink_go(tmp_path: Path) -> None:
    path = tmp_path / "flags.meta4"
    path.write_text(metalink(entry("flags/fr.gif", URL), entry("de.gif", f"{URL}?de")))
    result = CliRunner().invoke(cli, ["get", "--dry-run", "-d", str(tmp_path), "-i", str(path)])
    assert result.stdout == f"{URL} -> {tmp_path}/flags/fr.gif\n{URL}?de -> {tmp_path}/de.gif\n"
    assert result.exit_code == 0


@pytest.mark.parametrize("most", [1, 4])
async def test_a_large_file_comes_over_as_many_connections_as_are_allowed_and_help(
    origin: Origin, tmp_path: Path, most: int
) -> None:
    body = os.urandom(9 << 20)
    url = origin.add("/flags.iso", body)
    origin.throttle("/flags.iso", 6 << 20)
    ran = await shell("get", url, "--segments", str(most), folder=tmp_path)
    assert (ran.code, (tmp_path / "flags.iso").read_bytes() == body) == (0, True)
    assert os.listdir(tmp_path) == ["flags.iso"]
    # The first one asks for the whole; a further one comes only with its range.
    assert ["Range" in request.headers for request in origin.requests][:2] == [False, True][:most]
