"""Wrong input and failures: one sentence, the right exit code, never a traceback."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from asyncflags._cli.main import cli
from asyncflags.testing import FaultyOrigin, Origin

from .shell import environment, shell

URL = "http://127.0.0.1:9/file"


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyOrigin]:
    async with FaultyOrigin() as running:
        yield running


def refused(*arguments: str) -> Result:
    """Run what is refused before anything is downloaded."""
    result = CliRunner().invoke(cli, arguments)
    assert result.stdout == ""
    assert result.stderr.startswith("asyncflags: ")
    assert result.stderr.count("\n") == 1
    return result


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["get"], "no URL given"),
        (["fetch"], "there is no command 'fetch'"),
        ([URL], "write asyncflags get URL"),
        (["get", "--nope", URL], "--nope"),
        (["get", "-o", "x", URL, URL], "-o takes one URL"),
        (["get", "-o", "x", "-i", "list"], "-o takes one URL"),
        (["get", "-o", "x", "-d", "y", URL], "-o and -d exclude each other"),
        (["get", "-o", "", URL], "the destination is empty"),
        (["get", "--checksum", "md5:" + 32 * "0", URL, URL], "--checksum takes one URL"),
        (["get", "--checksum", "sha999:00", URL], "'sha999' is unknown"),
        (["get", "--checksum", "sha256:00", URL], "sha256 has 64"),
        (["get", "--checksum", 64 * "0", URL], f"so write sha256:{64 * '0'}"),
        (["get", "-j", "0", URL], "-j/--jobs: must be at least 1, not 0"),
        (["get", "-j", "many", URL], "-j/--jobs: 'many' is not a whole number"),
        (["get", "--per-host", "-1", URL], "--per-host: must be at least 1, not -1"),
        (["get", "--per-host", "most", URL], "--per-host: 'most' is neither a whole number nor 'auto'"),
        (["get", "--rate", "often", URL], "--rate: 'often' is no rate of requests: write 5/s, 30/m or 100/h"),
        (["get", "--rate", "0/s", URL], "--rate: '0/s' is no rate of requests"),
        (["get", "--rate", "5/w", URL], "--rate: '5/w' is no rate of requests"),
        (["get", "--rate", "5/", URL], "--rate: '5/' is no rate of requests"),
        (["get", "--limit-rate", "fast", URL], "--limit-rate: 'fast' is not a number of bytes"),
        (["get", "--limit-rate-per-host", "-1", URL], "--limit-rate-per-host: '-1' is not a number"),
        (["get", "--deadline", "noon", URL], "--deadline: 'noon' is not a number of seconds"),
        (["get", "--retries", "-1", URL], "--retries: must be at least 0"),
        (["get", "--timeout", "soon", URL], "--timeout: 'soon' is not a number of seconds"),
        (["get", "--read-timeout", "nan", URL], "--read-timeout: must be a number of seconds"),
        (["get", "--max-size", "0", URL], "--max-size: must be at least 1 byte"),
        (["get", "--max-size", "9X", URL], "--max-size: '9X' is not a number of bytes: write 500, 64k"),
        (["get", "-H", "no name: x", URL], "-H/--header: 'no name' is not the name of a header"),
        (["get", "-H", "X: a\r\nY: b", URL], "the header X holds a control character"),
        (["get", "-A", "a\nb", URL], "-A/--user-agent: holds a line break"),
        (["get", "-b", "nothing", URL], "neither NAME=VALUE nor a file that exists"),
        (["get", "-b", "=x", URL], "is no cookie"),
        (["get", "--proxy", "socks5://h:1", URL], "--proxy: the proxy cannot be used"),
        (["get", "-4", "-6", URL], "-4 and -6 exclude each other"),
        (["get", "--json", "-o", "-", URL], "-o - and --json exclude each other"),
        (["get", "--key", "key.pem", URL], "name that with --cert"),
        (["get", "--if-exists", "newer", URL], "--if-exists"),
        (["demo", "--latency", "-1"], "--latency"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: list[str], phrase: str) -> None:
    result = refused(*arguments)
    assert phrase in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("value", ["hunter2", "Bearer hunter2"])
def test_a_secret_whose_header_name_was_forgotten_is_not_shown(value: str) -> None:
    assert "hunter2" not in refused("get", "-H", value, URL).stderr


def test_a_password_is_not_asked_for_where_nobody_can_answer() -> None:
    result = refused("get", "-u", "anna", URL)
    assert "the password is missing" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("option", ["--cacert", "--cert", "-i"])
def test_a_file_that_cannot_be_read_is_exit_code_3(option: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    result = refused("get", URL, option, missing)
    assert f"{missing} cannot be read: no such file or directory" in result.stderr
    assert result.exit_code == 3


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    result = refused("get", "-i", str(tmp_path))
    assert "is a directory" in result.stderr
    assert result.exit_code == 3


@pytest.mark.parametrize("option", ["--cacert", "--cert", "-b"])
def test_a_file_of_another_kind_is_exit_code_2(option: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary\n")
    result = refused("get", URL, option, str(tmp_path / "notes.txt"))
    assert "notes.txt" in result.stderr
    assert result.exit_code == 2


def test_cookies_and_cookie_files_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "jar").write_text("# Netscape HTTP Cookie File\n")
    assert "not both" in refused("get", URL, "-b", "a=b", "-b", str(tmp_path / "jar")).stderr


def test_no_arguments_at_all_show_the_help() -> None:
    result = CliRunner().invoke(cli, [])
    assert "Commands:" in result.stderr
    assert result.exit_code == 2


def test_an_unforeseen_error_is_a_sentence_and_with_v_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(given: object) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr("asyncflags._cli.get.make_plan", fail)
    assert "RuntimeError: no idea; run again with -v" in refused("get", URL).stderr
    result = CliRunner().invoke(cli, ["get", "-v", URL])
    assert "Traceback" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("path", "code", "phrase"),
    [
        ("/404", 8, "the server answered 404"),
        ("/401", 6, "the server answered 401"),
        ("/cut-length", 7, "500"),
        ("/redirect-loop", 7, "redirect"),
        ("/redirect-ftp", 2, "ftp"),
        ("/bad-status-line", 7, ""),
    ],
)
async def test_what_the_server_does_wrong_decides_the_code(
    faulty: FaultyOrigin, tmp_path: Path, path: str, code: int, phrase: str
) -> None:
    ran = await shell("get", "--retries", "0", faulty.url + path, folder=tmp_path)
    assert phrase in ran.err
    assert ran.err.startswith("asyncflags: ")
    assert ran.err.count("\n") == 1
    assert (ran.code, ran.out, os.listdir(tmp_path)) == (code, b"", [])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:1/x", 4),
        ("not-a-url", 2),
        ("ftp://127.0.0.1/x", 2),
    ],
    ids=["refused", "no-url", "scheme"],
)
async def test_what_cannot_be_reached_decides_the_code(tmp_path: Path, url: str, code: int) -> None:
    ran = await shell("get", "--retries", "0", url, folder=tmp_path)
    assert ran.err.startswith("asyncflags: ")
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, b"", 1)


async def test_a_file_that_is_not_the_expected_one_is_exit_code_9(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    ran = await shell("get", "--checksum", f"md5:{32 * '0'}", f"{faulty.url}/ok", folder=tmp_path)
    assert "expected 00000000000000000000000000000000" in ran.err
    assert (ran.code, os.listdir(tmp_path)) == (9, [])


async def test_a_file_that_is_too_large_is_exit_code_1(faulty: FaultyOrigin, tmp_path: Path) -> None:
    ran = await shell("get", "--max-size", "0.5k", f"{faulty.url}/ok", folder=tmp_path)
    assert "allowed 512" in ran.err
    assert (ran.code, os.listdir(tmp_path)) == (1, [])


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (["-o", "missing/file"], "no such file or directory"),
        (["-d", "taken/folder"], "not a directory"),
        (["-d", "taken"], "taken"),
        (["-o", "/dev/full"], "no space left on device"),
        (["-o", "taken", "--if-exists", "error"], "exists"),
    ],
)
async def test_a_destination_that_cannot_be_written_is_exit_code_3(
    faulty: FaultyOrigin, tmp_path: Path, options: list[str], phrase: str
) -> None:
    (tmp_path / "taken").write_text("mine")
    ran = await shell("get", f"{faulty.url}/ok", *options, folder=tmp_path)
    assert phrase in ran.err
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("options", [[], ["-o", "-"]])
async def test_standard_output_on_a_full_disk_is_exit_code_3(
    faulty: FaultyOrigin, tmp_path: Path, options: list[str]
) -> None:
    command = [sys.executable, "-m", "asyncflags", "get", f"{faulty.url}/ok", *options]
    with open("/dev/full", "wb") as full:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path)
        )
        _, err = await process.communicate()
    assert b"no space left on device" in err
    assert err.count(b"\n") == 1
    assert process.returncode == 3


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Origin]:
    """An https origin whose authority nobody knows; ``ca.pem`` is its certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Origin(ssl=context) as running:
        running.add("/file", b"secret")
        yield running


async def test_an_unknown_certificate_is_exit_code_5_unless_its_authority_is_named(
    secure: Origin, tmp_path: Path
) -> None:
    refusal = await shell("get", f"{secure.url}/file", "-d", "files", folder=tmp_path)
    assert (refusal.code, refusal.out, refusal.err.count("\n")) == (5, b"", 1)
    trusted = await shell("get", f"{secure.url}/file", "--cacert", "ca.pem", "-o", "-", folder=tmp_path)
    assert (trusted.code, trusted.out, trusted.err) == (0, b"secret", "")


async def test_insecure_downloads_and_warns(secure: Origin, tmp_path: Path) -> None:
    ran = await shell("get", f"{secure.url}/file", "-k", "-o", "-", folder=tmp_path)
    assert (ran.code, ran.out) == (0, b"secret")
    assert ran.err.startswith("asyncflags: warning: certificates are not verified")
