from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import asyncflags
from asyncflags import Request, StorageError, read_metalink
from asyncflags._policies.metalink import MAX_DOCUMENT_SIZE
from asyncflags.testing import Origin

NAMESPACE = "urn:ietf:params:xml:ns:metalink"
SHA1, SHA256 = "80bc95fd391772fa61c91ed68567f0980bb45fd9", "ab" * 32
DOCUMENT = f"""<metalink xmlns="{NAMESPACE}">
  <file name="flags/fr.gif">
    <size>7</size><hash type="sha-1">{SHA1}</hash><hash type="sha-256">{SHA256}</hash>
    <url priority="2">http://second/fr.gif</url>
    <url>http://last/fr.gif</url>
    <url priority="1">http://first/fr.gif</url>
  </file>
  <file name="de.gif"><url>http://first/de.gif</url></file>
</metalink>""".encode()
REQUESTS = [
    Request(
        "http://first/fr.gif",
        path="flags/fr.gif",
        checksum=f"sha256:{SHA256}",
        size=7,
        mirrors=("http://second/fr.gif", "http://last/fr.gif"),
    ),
    Request("http://first/de.gif", path="de.gif"),
]


def test_each_file_becomes_a_request_to_its_best_url_with_its_strongest_checksum() -> None:
    assert read_metalink(DOCUMENT) == REQUESTS


def test_a_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "flags.meta4"
    path.write_bytes(DOCUMENT)
    assert read_metalink(path) == read_metalink(str(path)) == REQUESTS


def test_what_is_wrong_is_said_with_the_file_it_is_wrong_in(tmp_path: Path) -> None:
    path = tmp_path / "flags.meta4"
    path.write_bytes(DOCUMENT.replace(b"7</size>", b"-7</size>"))
    with pytest.raises(ValueError, match=r"flags\.meta4: the size of the file 'flags/fr\.gif' is '-7'"):
        read_metalink(path)


def test_a_document_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*none\.meta4: no such file") as caught:
        read_metalink(tmp_path / "none.meta4")
    assert caught.value.path == str(tmp_path / "none.meta4")


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ValueError, match=f"longer than {MAX_DOCUMENT_SIZE} bytes"):
        read_metalink("/dev/zero")


async def test_the_requests_are_downloaded(origin: Origin, tmp_path: Path) -> None:
    origin.add("/fr.gif", b"tricolore")
    checksum = hashlib.sha256(b"tricolore").hexdigest()
    document = f"""<metalink xmlns="{NAMESPACE}"><file name="a/b.gif"><hash type="sha-256">{checksum}</hash>
        <url>{origin.url}/none</url><url>{origin.url}/fr.gif</url></file></metalink>"""
    async with asyncflags.AsyncDownloader() as dl:
        report = await dl.download_many(read_metalink(document.encode()), tmp_path)
    report.raise_for_errors()
    assert (tmp_path / "a" / "b.gif").read_bytes() == b"tricolore"
