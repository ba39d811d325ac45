"""An nginx of one's own, on loopback, for as long as a benchmark runs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 10.0
LIMIT_BYTES_PER_SECOND = 100_000_000

CONFIGURATION = """
{user}
daemon off; worker_processes 2; pid {run}/pid; error_log {run}/errors.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=20000;
    client_body_temp_path {run}/body; proxy_temp_path {run}/proxy; fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096; root {files};
        location /limited/ {{ alias {files}/; limit_rate {limit}; }}
    }}
    server {{
        listen 127.0.0.1:{tls_port} ssl backlog=4096; root {files};
        ssl_certificate {run}/server.pem; ssl_certificate_key {run}/server.pem;
    }}
}}
"""


class OriginFailed(Exception):
    """nginx is not there, or does not start."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the files are served.

    Attributes:
        plain: The http address, without a slash at the end.
        secure: The https address.
        authority: The certificate to trust for it, in PEM.
        version: nginx's.
    """

    plain: str
    secure: str
    authority: Path
    version: str

    @property
    def limited(self) -> str:
        """The http address under which a response is sent at `LIMIT_BYTES_PER_SECOND` at most."""
        return f"{self.plain}/limited"


def find_nginx() -> str:
    # It stands in a folder that only the administrator's path has.
    found = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin")
    if found is None:
        raise OriginFailed("nginx is not installed, and serves the files here: apt-get install nginx-light")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; held at once, so that none of them comes twice."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def make_certificates(run: Path) -> Path:
    """Write the server's certificate and key to ``server.pem``; the authority's certificate is returned."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(run / "authority.pem")
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        run / "server.pem"
    )
    return run / "authority.pem"


@contextmanager
def serving(files: Path, run: Path, limit: int = LIMIT_BYTES_PER_SECOND) -> Iterator[Origin]:
    """Serve the folder *files*; what nginx needs for itself goes into *run*.

    Raises:
        OriginFailed: nginx is not there, or does not start.
    """
    nginx = find_nginx()
    run.mkdir(parents=True, exist_ok=True)
    authority = make_certificates(run)
    port, tls_port = free_ports(2)
    # Its workers would else give up the right to read the temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    text = CONFIGURATION.format(user=user, run=run, files=files, port=port, tls_port=tls_port, limit=limit)
    (run / "nginx.conf").write_text(text)
    command = [nginx, "-e", str(run / "errors.log"), "-p", str(run), "-c", str(run / "nginx.conf")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        wait_until_listening(process, port, run / "errors.log")
        yield Origin(
            f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}", authority, version_of_nginx(nginx)
        )
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def wait_until_listening(process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                said = errors.read_text() if errors.exists() else "it said nothing"
                raise OriginFailed(f"nginx did not start: {said}") from None
            time.sleep(0.02)
        else:
            return


def version_of_nginx(nginx: str) -> str:
    done = subprocess.run([nginx, "-v"], capture_output=True, text=True)
    found = re.search(r"\d+(\.\d+)+", done.stderr + done.stdout)
    return found[0] if found else "of an unknown version"
