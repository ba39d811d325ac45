"""Real files from a real server, through every door: nginx and the flag pictures of Debian."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

import asyncflags.aiohttp
from asyncflags import AsyncDownloader, Downloader

from .shell import shell

FLAGS = Path("/usr/share/iso-flags-png-320x240")
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
COUNT = 262
PATIENCE_SECONDS = 5.0

pytestmark = [
    pytest.mark.skipif(
        NGINX is None, reason="NOT TESTED against a real server: nginx is missing (apt install nginx-light)"
    ),
    pytest.mark.skipif(
        not FLAGS.is_dir(), reason="NOT TESTED with real flags: apt install iso-flags-png-320x240"
    ),
]

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    types {{ image/png png; }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=511;
        root {root};
        keepalive_requests 50;
    }}
}}
"""


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text() if log.exists() else "nginx ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(0.025)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail("nginx does not listen")


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of an nginx of our own that serves the flags."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, root=FLAGS))
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_listening(process, port, folder / "error.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    """Name to hash of every flag."""
    return hashes(FLAGS)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_package_holds_the_flags_of_the_world(expected: dict[str, str]) -> None:
    assert len(expected) == COUNT


@pytest.mark.parametrize("durability", ["fsync", "rename"])
async def test_flags_through_the_asynchronous_face(
    durability: asyncflags._engine.options.Durability, nginx: str, expected: dict[str, str], tmp_path: Path
) -> None:
    requests = [
        asyncflags.Request(f"{nginx}/{name}", checksum=f"sha256:{digest}")
        for name, digest in expected.items()
    ]
    async with AsyncDownloader(durability=durability) as dl:
        report = await dl.download_many(requests, tmp_path)
    report.raise_for_errors()
    assert (report.completed, report.attempts) == (COUNT, COUNT)
    assert hashes(tmp_path) == expected


async def test_flags_one_by_one_at_once(nginx: str, expected: dict[str, str], tmp_path: Path) -> None:
    async with AsyncDownloader(durability="rename") as dl:
        results = await asyncio.gather(*(dl.download(f"{nginx}/{name}", tmp_path) for name in expected))
    assert hashes(tmp_path) == expected
    assert {result.content_type for result in results} == {"image/png"}
    assert all(result.etag and result.last_modified and result.length_verified for result in results)


def test_flags_through_the_blocking_face(nginx: str, expected: dict[str, str], tmp_path: Path) -> None:
    with Downloader() as dl:
        results = list(dl.map([f"{nginx}/{name}" for name in expected], tmp_path))
    assert [result.path.name for result in results if result.path] == list(expected)
    assert hashes(tmp_path) == expected


async def test_flags_through_a_server(
    nginx: str, expected: dict[str, str], tmp_path: Path, aiohttp_client: AiohttpClient
) -> None:
    async def handler(request: web.Request) -> web.Response:
        dl = asyncflags.aiohttp.get_downloader(request)
        result = await dl.download(f"{nginx}/{request.match_info['name']}", tmp_path)
        return web.json_response({"size": result.size})

    app = web.Application()
    app.router.add_get("/{name}", handler)
    asyncflags.aiohttp.setup(app, durability="rename")
    client = await aiohttp_client(app)

    async def ask(name: str) -> int:
        async with client.get(f"/{name}") as response:
            size: int = (await response.json())["size"]
            return size

    sizes = await asyncio.gather(*map(ask, expected))
    assert sum(sizes) == sum(path.stat().st_size for path in FLAGS.iterdir())
    assert hashes(tmp_path) == expected


async def test_flags_through_the_shell(nginx: str, expected: dict[str, str], tmp_path: Path) -> None:
    flags = tmp_path / "flags"
    ran = await shell(
        "get",
        "-i",
        "-",
        "-d",
        str(flags),
        folder=tmp_path,
        data="".join(f"{nginx}/{name}\n" for name in expected).encode(),
    )
    assert ran.code == 0, ran.err
    assert len(ran.lines) == COUNT
    assert hashes(flags) == expected
