"""The clients that are measured: what each is called, how it is asked, and how to get it."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

AT_ONCE = 64
CLIENTS = Path(__file__).with_name("peers_clients.py")
OURS = "asyncflags"


@dataclass(frozen=True, slots=True)
class Errand:
    """One run's work, as a client has to know it.

    Attributes:
        urls: What to download.
        folder: Where to.
        notes: A folder for lists and the like.
        authority: The certificate to trust; ``None``: no https.
        checksum: The SHA-256 that the one file is to be checked for, in hexadecimal digits; ``None``: unchecked.
    """

    urls: Sequence[str]
    folder: Path
    notes: Path
    authority: Path | None = None
    checksum: str | None = None

    def noted(self, name: str, text: str) -> str:
        """The path of a file in *notes* that holds *text*."""
        path = self.notes / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    @property
    def listing(self) -> str:
        """The path of a file with a URL a line."""
        return self.noted("urls.txt", "".join(f"{url}\n" for url in self.urls))


Command = Callable[[Errand], list[str]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A client.

    Attributes:
        name: As it is called here.
        program: The command it is, or the distribution that a program here imports.
        install: How to get it.
        command: What to run.
        checked: What to run where the file's SHA-256 is to be checked; ``None``: it cannot.
        whole: Whether a file gets its name only when it is whole.
        works: The works it takes part in unasked; empty: all.
    """

    name: str
    program: str
    install: str
    command: Command
    checked: Command | None = None
    whole: bool = False
    works: tuple[str, ...] = ()

    def version(self) -> str | None:
        """``None``: it is not installed."""
        if not self.install.startswith("apt-get"):
            return version_of_distribution(self.program)
        path = shutil.which(self.program)
        return version_of_program(path) if path else None

    def can(self, errand: Errand) -> bool:
        return errand.checksum is None or self.checked is not None

    def asked(self, errand: Errand) -> list[str]:
        """The command that does the errand."""
        if errand.checksum is None:
            return self.command(errand)
        assert self.checked is not None
        return self.checked(errand)


def version_of_distribution(name: str) -> str | None:
    if name == "":
        return "Linux" if sys.platform == "linux" else None
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def version_of_program(path: str) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return first_version(done.stdout + done.stderr)


def first_version(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else "unknown"


def asyncflags(errand: Errand, *more: str) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "asyncflags",
        "get",
        "-q",
        "-j",
        str(AT_ONCE),
        "--per-host",
        str(AT_ONCE),
    ]
    if "--journal" not in more:
        command += ["--no-journal"]
    if "--durability" not in more:
        command += ["--durability", "rename"]
    if errand.authority:
        command += ["--cacert", str(errand.authority)]
    if errand.checksum:
        command += ["--checksum", f"sha256:{errand.checksum}"]
    what = ["-i", errand.listing] if len(errand.urls) > 1 else [errand.urls[0]]
    return [*command, *more, *what, "-d", str(errand.folder)]


def careful(errand: Errand) -> list[str]:
    # The run before left a journal, with which there would be nothing to do.
    journal = errand.notes / "journal"
    for path in errand.notes.glob(f"{journal.name}*"):
        path.unlink()
    return asyncflags(errand, "--journal", str(journal), "--durability", "fsync")


def workers(errand: Errand) -> list[str]:
    return asyncflags(errand, "--workers", "auto")


def curl(errand: Errand) -> list[str]:
    pairs = ((url, errand.folder / name_of(url)) for url in errand.urls)
    config = errand.noted("curl.txt", "".join(f'url = "{url}"\noutput = "{path}"\n' for url, path in pairs))
    trust = ["--cacert", str(errand.authority)] if errand.authority else []
    return ["curl", "-q", "-sS", "--fail", "-Z", "--parallel-max", str(AT_ONCE), *trust, "-K", config]


def curl_checked(errand: Errand) -> list[str]:
    url = errand.urls[0]
    sums = errand.noted("sums.txt", f"{errand.checksum}  -\n")
    script = 'curl -q -sS --fail "$1" | tee "$2" | sha256sum --status -c "$3"'
    return ["sh", "-c", script, "sh", url, str(errand.folder / name_of(url)), sums]


def wget2(errand: Errand) -> list[str]:
    trust = [f"--ca-certificate={errand.authority}"] if errand.authority else []
    command = ["wget2", "--no-config", "-q", "--no-robots", f"--max-threads={AT_ONCE}", *trust]
    return [*command, "-P", str(errand.folder), "-i", errand.listing]


def aria2(errand: Errand) -> list[str]:
    command = ["aria2c", "--no-conf", "-q", f"-j{AT_ONCE}", "-x1", "-s1", "--file-allocation=none"]
    if errand.authority:
        command.append(f"--ca-certificate={errand.authority}")
    if errand.checksum:
        command.append(f"--checksum=sha-256={errand.checksum}")
    what = ["-i", errand.listing] if len(errand.urls) > 1 else [errand.urls[0]]
    return [*command, "-d", str(errand.folder), *what]


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def library(name: str) -> Command:
    """The program here that uses the library."""

    def command(errand: Errand) -> list[str]:
        words = [errand.listing, str(errand.folder), str(errand.authority or ""), errand.checksum or ""]
        return [sys.executable, str(CLIENTS), name, *words]

    return command


def of_python(name: str, *, checked: bool = True, whole: bool = True) -> Peer:
    command = library(name)
    return Peer(name, name, "make bench installs it", command, command if checked else None, whole)


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(OURS, OURS, "make bench installs it", asyncflags, asyncflags, whole=True),
        Peer("curl", "curl", "apt-get install curl", curl, curl_checked),
        Peer("wget2", "wget2", "apt-get install wget2", wget2),
        Peer("aria2", "aria2c", "apt-get install aria2", aria2, aria2),
        of_python("aiohttp"),
        of_python("httpx"),
        of_python("requests"),
        of_python("pycurl"),
        of_python("parfive", checked=False, whole=False),
        of_python("pypdl", checked=False, whole=False),
        of_python("obstore"),
        Peer("splice", "", "it needs Linux", library("splice"), works=("big",)),
        Peer(f"{OURS}-workers", OURS, "make bench installs it", workers, workers, True, ("none",)),
        Peer(f"{OURS}-careful", OURS, "make bench installs it", careful, careful, True, ("none",)),
    )
}
"""By name, ours first; those whose work is none run only when they are named."""


def chosen(wanted: str, work: str) -> list[Peer]:
    """The peers of a list with commas, ours always among them; an empty list: those for *work*.

    Raises:
        ValueError: One of the names is not a peer's.
    """
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if unknown := [name for name in names if name not in PEERS]:
        raise ValueError(f"no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    if not names:
        return [peer for peer in PEERS.values() if not peer.works or work in peer.works]
    return [PEERS[name] for name in dict.fromkeys([OURS, *names])]
