"""The Python peers, each the shortest honest program that a user of that library would write.

``python peers_clients.py CLIENT LISTING FOLDER AUTHORITY CHECKSUM``: download every URL of LISTING into FOLDER, 64
at once. AUTHORITY is the certificate to trust, or empty; CHECKSUM the SHA-256 of the one file in hexadecimal
digits, or empty where none is to be computed. Where the library leaves the files to the program, each is written
under another name and renamed when it is whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

AT_ONCE = 64
CHUNK = 128 << 10

Write = Callable[[bytes], object]


def hashing(write: Write, update: Write) -> Write:
    def both(data: bytes) -> None:
        update(data)
        write(data)

    return both


class Errand:
    """What the command line asks for."""

    def __init__(self, listing: str, folder: str, authority: str, checksum: str) -> None:
        with open(listing) as file:
            self.urls = file.read().split()
        self.folder = folder
        self.authority = authority
        self._checksum = checksum

    def path(self, url: str) -> str:
        return os.path.join(self.folder, url.rpartition("/")[2])

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority or None)

    @contextmanager
    def opened(self, url: str) -> Iterator[Write]:
        """What takes the bytes of *url*; its file gets its name when all of them are there."""
        path = self.path(url)
        digest = hashlib.sha256() if self._checksum else None
        with open(path + ".part", "wb") as file:
            yield file.write if digest is None else hashing(file.write, digest.update)
        if digest is not None and digest.hexdigest() != self._checksum:
            raise ValueError(f"{url} has another checksum")
        os.replace(path + ".part", path)

    async def each(self, get: Callable[[str], Awaitable[None]]) -> None:
        """Await *get* with every URL, as many at once as are wanted."""
        waiting = iter(self.urls)

        async def work() -> None:
            for url in waiting:
                await get(url)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())


def run_aiohttp(errand: Errand) -> None:
    import aiohttp
    import uvloop

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=errand.context())
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, raise_for_status=True
        ) as session:

            async def get(url: str) -> None:
                async with session.get(url) as response:
                    with errand.opened(url) as write:
                        async for chunk in response.content.iter_any():
                            write(chunk)

            await errand.each(get)

    uvloop.run(main())


def run_httpx(errand: Errand) -> None:
    import httpx
    import uvloop

    async def main() -> None:
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        async with httpx.AsyncClient(limits=limits, verify=errand.context(), timeout=60) as client:

            async def get(url: str) -> None:
                async with client.stream("GET", url) as response:
                    response.raise_for_status()
                    with errand.opened(url) as write:
                        async for chunk in response.aiter_raw():
                            write(chunk)

            await errand.each(get)

    uvloop.run(main())


def run_requests(errand: Errand) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import requests

    mine = threading.local()

    def make_session() -> None:
        mine.session = requests.Session()
        mine.session.verify = errand.authority or True

    def get(url: str) -> None:
        with mine.session.get(url, stream=True, timeout=60) as response:
            response.raise_for_status()
            with errand.opened(url) as write:
                for chunk in response.iter_content(CHUNK):
                    write(chunk)

    with ThreadPoolExecutor(AT_ONCE, initializer=make_session) as executor:
        for _ in executor.map(get, errand.urls):
            pass


def run_pycurl(errand: Errand) -> None:
    from contextlib import ExitStack

    import pycurl

    multi = pycurl.CurlMulti()
    idle = [pycurl.Curl() for _ in range(min(AT_ONCE, len(errand.urls)))]
    files: dict[pycurl.Curl, ExitStack] = {}
    waiting = iter(errand.urls)

    def begin(handle: pycurl.Curl, url: str) -> None:
        files[handle] = ExitStack()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.WRITEFUNCTION, files[handle].enter_context(errand.opened(url)))
        multi.add_handle(handle)

    for handle in idle:
        handle.setopt(pycurl.FAILONERROR, 1)
        handle.setopt(pycurl.BUFFERSIZE, CHUNK)
        if errand.authority:
            handle.setopt(pycurl.CAINFO, errand.authority)
        begin(handle, next(waiting))
    while files:
        multi.perform()
        _, done, failed = multi.info_read()
        if failed:
            raise SystemExit(f"{failed[0][0].getinfo(pycurl.EFFECTIVE_URL)}: {failed[0][2]}")
        for handle in done:
            files.pop(handle).close()
            multi.remove_handle(handle)
            if url := next(waiting, None):
                begin(handle, url)
        if not done:
            multi.select(1.0)


def run_obstore(errand: Errand) -> None:
    from obstore.store import HTTPStore

    parts = urlsplit(errand.urls[0])
    options: dict[str, object] = {"allow_http": True, "timeout": "600s"}
    if errand.authority:
        with open(errand.authority) as file:
            options["root_certificate"] = file.read()
    store = HTTPStore.from_url(f"{parts.scheme}://{parts.netloc}", client_options=options)  # type: ignore[arg-type,unused-ignore]

    async def get(url: str) -> None:
        answer = await store.get_async(urlsplit(url).path.lstrip("/"))
        with errand.opened(url) as write:
            async for chunk in answer.stream(min_chunk_size=1 << 20):
                write(chunk)

    asyncio.run(errand.each(get))


def run_parfive(errand: Errand) -> None:
    import parfive

    downloader = parfive.Downloader(max_conn=AT_ONCE, max_splits=1, progress=False)
    for url in errand.urls:
        downloader.enqueue_file(url, path=errand.folder)
    if errors := downloader.download().errors:
        raise SystemExit(f"{len(errors)} of {len(errand.urls)} failed: {errors[0]}")


def run_pypdl(errand: Errand) -> None:
    import pypdl

    downloader = pypdl.Pypdl(max_concurrent=AT_ONCE)
    tasks = [{"url": url, "file_path": errand.path(url)} for url in errand.urls]
    downloader.start(tasks=tasks, multisegment=False, display=False)
    if downloader.failed:
        raise SystemExit(f"{len(downloader.failed)} of {len(errand.urls)} failed: {downloader.failed[0]}")


def run_splice(errand: Errand) -> None:
    """No client: what the kernel needs to carry a body from a socket into a file, one file after another."""
    import fcntl
    import socket

    most = 1 << 20
    end, start = os.pipe()
    fcntl.fcntl(start, fcntl.F_SETPIPE_SZ, most)
    for url in errand.urls:
        parts = urlsplit(url)
        assert parts.hostname and parts.port, url
        with (
            socket.create_connection((parts.hostname, parts.port)) as link,
            open(errand.path(url), "wb", 0) as file,
        ):
            link.sendall(
                f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
            )
            # One byte at a time, so that none of the body is read with the head.
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += link.recv(1)
            assert head.startswith(b"HTTP/1.1 200"), head
            while count := os.splice(link.fileno(), start, most):
                while count:
                    count -= os.splice(end, file.fileno(), count)


def main() -> None:
    client, *words = sys.argv[1:]
    globals()[f"run_{client}"](Errand(*words))


if __name__ == "__main__":
    main()
