"""``asyncflags get``: what it asks for, where it puts it, and what it tells."""

from __future__ import annotations

import asyncio
import http.cookiejar
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from asyncflags._cli.cookies import read_cookies
from asyncflags._cli.downloads import event_text
from asyncflags._cli.main import cli
from asyncflags._cli.running import Interruption
from asyncflags._models import Event
from asyncflags.testing import FaultyOrigin, Origin

from .shell import ROOT, environment, shell, started

MODIFIED = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
BODY = b"blue white red " * 100


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        disposition = {"Content-Disposition": 'attachment; filename="tricolore.gif"'}
        running.add("/fr.gif", BODY, last_modified=MODIFIED, headers=disposition, compressible=True)
        running.add("/de.gif", b"black red gold")
        running.add_redirect("/moved.gif", "/de.gif")
        running.add_status("/busy.gif", 503, times=1)
        running.add("/busy.gif", b"at last")
        yield running


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyOrigin]:
    async with FaultyOrigin(interval=0.001) as running:
        yield running


async def test_one_url_becomes_a_file_and_its_path_is_all_that_is_said(
    origin: Origin, tmp_path: Path
) -> None:
    ran = await shell("get", f"{origin.url}/fr.gif", folder=tmp_path)
    assert (ran.code, ran.lines, ran.err) == (0, [str(tmp_path / "fr.gif")], "")
    assert (tmp_path / "fr.gif").read_bytes() == BODY


async def test_output_names_the_file(origin: Origin, tmp_path: Path) -> None:
    ran = await shell("get", f"{origin.url}/fr.gif", "-o", "flag", folder=tmp_path)
    assert (ran.code, ran.lines) == (0, [str(tmp_path / "flag")])
    assert (tmp_path / "flag").read_bytes() == BODY


async def test_a_dash_is_standard_output_which_then_holds_the_body_alone(
    origin: Origin, tmp_path: Path
) -> None:
    ran = await shell("get", f"{origin.url}/fr.gif", "-o", "-", folder=tmp_path)
    assert (ran.code, ran.out, ran.err) == (0, BODY, "")
    assert os.listdir(tmp_path) == []


async def test_the_request_is_made_as_the_options_say(origin: Origin, tmp_path: Path) -> None:
    options = ["-H", "X-One: 1", "-H", "x-one: 2", "-A", "curl/8", "-u", "anna:s:cret", "-b", "a=1; b=2"]
    ran = await shell("get", f"{origin.url}/fr.gif", *options, "--compressed", folder=tmp_path)
    headers = origin.requests[0].headers
    assert headers["X-One"] == "1, 2"
    assert headers["User-Agent"] == "curl/8"
    assert headers["Authorization"] == "Basic YW5uYTpzOmNyZXQ="
    assert sorted(headers["Cookie"].split("; ")) == ["a=1", "b=2"]
    assert "gzip" in headers["Accept-Encoding"]
    assert (ran.code, (tmp_path / "fr.gif").read_bytes()) == (0, BODY)


async def test_the_password_file_counts_with_netrc_only(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    await shell("get", f"{origin.url}/de.gif", folder=tmp_path)
    await shell("get", f"{origin.url}/de.gif", "--netrc", folder=tmp_path)
    assert ["Authorization" in request.headers for request in origin.requests] == [False, True]


async def test_the_proxy_comes_from_the_environment_or_the_option(origin: Origin, tmp_path: Path) -> None:
    proxy = {"http_proxy": origin.url}
    await shell("get", "http://flags.invalid/fr.gif", "-q", folder=tmp_path, more=proxy)
    await shell("get", "http://flags.invalid/de.gif", "--proxy", origin.url, folder=tmp_path)
    direct = await shell("get", f"{origin.url}/de.gif", "--proxy", "", folder=tmp_path,
                         more={"http_proxy": "http://127.0.0.1:1"})  # fmt: skip
    targets = [request.target for request in origin.requests]
    assert targets == ["http://flags.invalid/fr.gif", "http://flags.invalid/de.gif", "/de.gif"]
    assert direct.code == 0


async def test_the_file_is_named_and_dated_by_the_server_on_request(origin: Origin, tmp_path: Path) -> None:
    options = ["--content-disposition", "--mtime", "server", "-d", "by/server"]
    ran = await shell("get", f"{origin.url}/fr.gif", *options, folder=tmp_path)
    path = tmp_path / "by" / "server" / "tricolore.gif"
    assert ran.lines == [str(path)]
    assert path.stat().st_mtime == MODIFIED.timestamp()


async def test_json_has_an_object_for_each_download(origin: Origin, tmp_path: Path) -> None:
    url = origin.url
    secret = url.replace("//", "//anna:secret@")
    ran = await shell("get", "--json", f"{secret}/fr.gif", f"{url}/none", "nonsense", folder=tmp_path)
    found = {each["url"].rpartition("/")[2]: each for each in ran.objects}
    assert found["fr.gif"].pop("elapsed") > 0
    assert found["fr.gif"] == {
        "url": url.replace("//", "//***@") + "/fr.gif", "path": str(tmp_path / "fr.gif"), "size": len(BODY),
        "status": 200, "attempts": 1, "checksum": None, "skipped": False, "error": None,
    }  # fmt: skip
    assert found["none"]["status"] == 404
    assert found["none"]["error"]["type"] == "StatusError"
    assert found["nonsense"]["error"]["type"] == "InvalidUrl"
    assert all(each.keys() == found["none"].keys() for each in (found["nonsense"],))
    assert ran.code == 2
    assert "secret" not in ran.err


async def test_partial_failure_keeps_what_came_and_ends_in_a_summary(origin: Origin, tmp_path: Path) -> None:
    urls = [f"{origin.url}/de.gif", f"{origin.url}/none"]
    ran = await shell("get", *urls, folder=tmp_path)
    assert (ran.code, ran.lines) == (8, [str(tmp_path / "de.gif")])
    first, last = ran.err.splitlines()
    assert first == f"asyncflags: the server answered 404 Not Found [{origin.url}/none]"
    assert last.startswith("asyncflags: 1 downloaded, 1 failed, 0 skipped; 14 B in ")


async def test_quiet_leaves_paths_and_errors(origin: Origin, tmp_path: Path) -> None:
    urls = [f"{origin.url}/de.gif", f"{origin.url}/none"]
    ran = await shell("get", "-q", *urls, folder=tmp_path)
    assert (ran.code, ran.lines) == (8, [str(tmp_path / "de.gif")])
    assert ran.err.count("\n") == 1


async def test_existing_files_are_skipped_on_request(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "fr.gif").write_text("mine")
    urls = [f"{origin.url}/fr.gif", f"{origin.url}/de.gif"]
    ran = await shell("get", "--if-exists", "skip", "--layout", "flat", *urls, folder=tmp_path)
    assert "1 downloaded, 0 failed, 1 skipped" in ran.err
    assert (tmp_path / "fr.gif").read_text() == "mine"
    assert ran.code == 0


async def test_verbose_tells_of_retries_and_redirects(origin: Origin, tmp_path: Path) -> None:
    ran = await shell("get", "-v", f"{origin.url}/busy.gif", f"{origin.url}/moved.gif", folder=tmp_path)
    assert "asyncflags: attempt 1 failed: the server answered 503" in ran.err
    assert f"asyncflags: redirected to {origin.url}/de.gif [{origin.url}/moved.gif]" in ran.err
    assert ran.code == 0


def test_every_event_is_a_sentence() -> None:
    pause = Event("backing_off", "http://h/", "the host asks for a pause of 3 s", 3.0)
    assert event_text(pause) == "backing off: the host asks for a pause of 3 s [http://h/]"
    assert event_text(Event("length_unverified", "http://h/", "it ends")) == "it ends [http://h/]"


async def test_a_dry_run_tells_and_touches_nothing(origin: Origin, tmp_path: Path) -> None:
    urls = [f"{origin.url}/a/fr.gif", f"{origin.url}/b/fr.gif", f"{origin.url}/"]
    ran = await shell("get", "--dry-run", "-d", "new", *urls, "nonsense", folder=tmp_path)
    paths = [tmp_path / "new" / name for name in ("fr.gif", "fr-2.gif", "index.html")]
    assert ran.lines == [f"{url} -> {path}" for url, path in zip(urls, paths, strict=True)]
    assert (origin.requests, os.listdir(tmp_path), ran.code) == ([], [], 2)


def test_a_dry_run_reads_the_list_and_follows_the_layout(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("http://h/a/b\nbad\n")
    arguments = ["get", "--dry-run", "--json", "--layout", "url", "-d", str(tmp_path)]
    result = CliRunner().invoke(cli, [*arguments, "-i", str(tmp_path / "list")])
    assert result.stdout == f'{{"url": "http://h/a/b", "path": "{tmp_path}/h/a/b"}}\n'
    assert "line 2" in result.stderr
    assert result.exit_code == 2


def test_cookie_files_keep_the_cookies_of_a_session(tmp_path: Path) -> None:
    (tmp_path / "jar").write_text(
        "# Netscape HTTP Cookie File\n"
        "h\tFALSE\t/\tFALSE\t0\tsession\t1\n"
        "h\tFALSE\t/\tFALSE\t99999999999\tlasting\t2\n"
        "h\tFALSE\t/\tFALSE\t1\texpired\t3\n"
    )
    jar = read_cookies([str(tmp_path / "jar")])
    assert isinstance(jar, http.cookiejar.CookieJar)
    assert sorted(cookie.name for cookie in jar) == ["lasting", "session"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_the_run_cleanly(
    faulty: FaultyOrigin, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    arrived = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: object) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        arrived.set()
        await reader.read()

    faulty.script("/stall", stall)
    async with started("get", f"{faulty.url}/ok", f"{faulty.url}/stall", folder=tmp_path) as process:
        await arrived.wait()
        assert process.stdout is not None
        assert await process.stdout.readline() == f"{tmp_path / 'ok'}\n".encode()
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == code
    assert os.listdir(tmp_path) == ["ok"]
    assert [line.split(" ")[1] for line in err.decode().splitlines()] == ["stopping;", "1"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
async def test_a_second_ctrl_c_ends_at_once(faulty: FaultyOrigin, tmp_path: Path) -> None:
    # Nobody reads the pipe, so the thread that writes the body cannot end and neither can the run.
    reading, writing = os.pipe()
    async with started(
        "get", f"{faulty.url}/endless-body", "-o", "-", folder=tmp_path, stdout=writing
    ) as run:
        os.close(writing)
        assert run.stderr is not None
        while not faulty.requests:
            await asyncio.sleep(0.01)
        run.send_signal(signal.SIGINT)
        assert b"interrupt again" in await run.stderr.readline()
        run.send_signal(signal.SIGINT)
        assert await run.wait() == 130
        await run.stderr.read()
    os.close(reading)


@pytest.mark.parametrize("options", [[], ["-o", "-"]])
async def test_a_reader_that_leaves_ends_the_run_quietly(
    origin: Origin, tmp_path: Path, options: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    async with started("get", f"{origin.url}/fr.gif", *options, folder=tmp_path, stdout=writing) as process:
        os.close(writing)
        _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_standard_output_may_be_closed(origin: Origin, tmp_path: Path) -> None:
    command = f'exec "{sys.executable}" -m asyncflags get {origin.url}/de.gif >&- 2>&-'
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, cwd=tmp_path, env=environment(tmp_path)
    )
    assert await process.wait() == 0
    assert os.listdir(tmp_path) == ["de.gif"]


def test_help_imports_nothing_heavy_and_fits_80_columns(tmp_path: Path) -> None:
    program = (
        "import sys, asyncflags._cli.main as shell\n"
        "try: shell.cli(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'aiohttp', 'rich', 'ssl', 'uvloop', 'multiprocessing'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    for arguments in (["--help"], ["get", "--help"], ["--version"]):
        ran = subprocess.run(
            [sys.executable, "-c", program, *arguments], env=environment(tmp_path), capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        *shown, heavy = ran.stdout.splitlines()
        assert heavy == "[]"
        assert max(map(len, shown)) <= 80


def test_every_option_of_get_has_a_help_text() -> None:
    context = cli.make_context("asyncflags", ["get"], resilient_parsing=True)
    command = cli.get_command(context, "get")
    assert command is not None
    assert [option.name for option in command.params[1:] if not getattr(option, "help", "")] == []


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell_name: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell_name])
    assert "_ASYNCFLAGS_COMPLETE" in result.stdout
    assert (result.stderr, result.exit_code) == ("", 0)


def test_options_are_completed(tmp_path: Path) -> None:
    variables = {
        "_ASYNCFLAGS_COMPLETE": "bash_complete",
        "COMP_WORDS": "asyncflags get --if",
        "COMP_CWORD": "2",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "asyncflags"], env=environment(tmp_path, **variables), capture_output=True,
        text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert ran.stdout == "plain,--if-exists\n"


async def test_signals_that_the_shell_has_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    try:
        Interruption(task, loop).listen()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)
        assert not task.cancelling()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGINT, before)
