"""Servers that lie in parts, refuse them, cut them or fall silent: the file is the right one, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncflags import Timeout, errors
from asyncflags._engine.host_rules import HostRules
from asyncflags._policies.backing_off import BackingOffRules
from asyncflags.testing import FaultyOrigin
from asyncflags.testing._faults.entities import Reply, versioned, with_fields
from asyncflags.testing._faults.liars import LIARS, Liar
from asyncflags.testing._resource import Answer, digest_field
from asyncflags.testing.faulty import FAULTS, Verdict, body_for

from .segmenting import Dividing, SlowFile, Treat, body_of, serve, sha256, whole
from .waiting import decisions

BODY = body_of(40_000)
SERVED = versioned(BODY, 1, "strong")
TRUE_LIES = [liar for liar in LIARS if liar.validators == "strong"]


def lying(liar: Liar, first: int = 0, last: int | None = None) -> Treat:
    """Lie in the parts from number *first* to before *last*."""

    def treat(number: int, reply: Reply) -> Reply | None:
        if number < first or (last is not None and number >= last) or reply.answer.status != 206:
            return None
        resource = versioned(BODY[::-1], 2, "strong") if liar.changes else SERVED
        said = reply.answer.headers["Content-Range"].removeprefix("bytes ").partition("/")[0].split("-")
        return Reply(liar.lie(resource, int(said[0]), int(said[1]) + 1))

    return treat


@pytest.mark.parametrize("liar", TRUE_LIES, ids=lambda liar: liar.name)
async def test_whoever_lies_in_every_part_costs_no_wrong_byte(
    liar: Liar, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY, treat=lying(liar), waits=True)
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert len(dl.told("segments_refused")) == 1
    # The rest is refused over one connection, too, and then the file is asked for as a whole.
    assert "range" not in file.requests[-1].headers


@pytest.mark.parametrize("liar", TRUE_LIES, ids=lambda liar: liar.name)
@pytest.mark.parametrize("number", [1])
async def test_whoever_lies_in_one_part_is_asked_over_one_connection_from_then_on(
    liar: Liar, number: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY, treat=lying(liar, number, number + 1), waits=True)
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    # A lie behind the place where a part was left is not seen, and one in its bytes spoils what is beside it.
    if len(file.parts) > number and "206" not in liar.name:
        assert len(dl.told("segments_refused")) == 1
        # What stands before the first gap is kept.
        assert "range" in file.requests[-1].headers
        assert dl.told("resume_refused") == []


def status(code: int, fields: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    return Answer(code, fields or {}, body)


REFUSALS = {
    "the whole of the same version": status(200, {"ETag": '"v1"'}, BODY),
    "the whole of another version": status(200, {"ETag": '"v2"'}, BODY[::-1]),
    "412": status(412),
    "416": status(416, {"Content-Range": f"bytes */{len(BODY)}"}),
    "416 without a total": status(416),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_an_answer_that_is_no_part_ends_the_dividing(
    case: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(
        BODY, treat=lambda number, reply: Reply(REFUSALS[case]) if number == 0 else None, waits=True
    )
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert len(dl.told("segments_refused")) == 1
    assert len(file.requests) == 3


@pytest.mark.parametrize("code", [401, 403, 404, 410, 429, 503])
async def test_a_status_for_one_more_connection_gives_that_connection_up(
    code: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(
        BODY, treat=lambda number, reply: Reply(status(code)) if number == 0 else None, waits=True
    )
    async with Dividing() as dl:
        result = await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert result.attempts == 1
    assert len(dl.told("segments_limited")) == 1
    assert dl.told("segments_refused") == []
    # What the refused one was to fetch is fetched by the one that is left.
    assert [request.headers.get("range") for request in file.requests[:1]] == [None]
    assert len(file.parts) >= 2


@pytest.mark.parametrize("code", [500, 502, 504, 408])
async def test_a_passing_error_of_one_part_is_tried_again(
    code: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(
        BODY, treat=lambda number, reply: Reply(status(code)) if number in (0, 2) else None, waits=True
    )
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert dl.told("retrying")
    assert dl.told("segments_refused") == []


async def test_a_server_that_names_a_pause_gets_it_and_no_further_connection(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    busy = status(503, {"Retry-After": "1"})
    file = SlowFile(BODY, treat=lambda number, reply: Reply(busy) if number == 0 else None, waits=True)
    async with Dividing(timeout=Timeout(total=None)) as dl:
        engine = dl.client._ready()
        engine.hosts.rules = HostRules(back_off=BackingOffRules(cap=0.0))
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert len(dl.told("backing_off")) == 1


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("after", [0, 1, 399, 1025, 3000])
async def test_a_part_that_is_cut_goes_on_where_it_was(
    after: int, ending: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    def cut(number: int, reply: Reply) -> Reply | None:
        return Reply(reply.answer, after, "close" if ending == "close" else "reset") if number < 6 else None

    file = SlowFile(BODY, treat=cut, waits=True)
    async with Dividing(retries=8) as dl:
        result = await dl.client.download(serve(faulty, file), tmp_path, checksum=sha256(BODY))
    assert whole(tmp_path) == BODY
    assert dl.told("segments_refused") == []
    assert result.attempts == 1 + len(dl.told("retrying"))


@pytest.mark.parametrize("cut", [1, 5000, 39_999])
async def test_a_first_answer_that_is_cut_goes_on_in_parts(
    cut: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY, cuts=[cut])
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert "range" not in file.requests[0].headers
    assert all("range" in request.headers for request in file.requests[1:])


async def test_parts_shorter_than_asked_for_are_taken_as_they_are(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    def shorter(number: int, reply: Reply) -> Reply | None:
        first = int(reply.answer.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])
        body = reply.answer.body[:3000]
        said = f"bytes {first}-{first + len(body) - 1}/{len(BODY)}"
        return Reply(replace(with_fields(reply.answer, {"Content-Range": said}), body=body))

    file = SlowFile(BODY, treat=shorter, waits=True)
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert len(file.parts) > 4
    assert decisions(dl.events) == []


async def test_a_part_that_stalls_is_given_back_and_asked_for_again(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(
        BODY,
        treat=lambda number, reply: Reply(reply.answer, 800, "stall") if number < 2 else None,
        waits=True,
    )
    async with Dividing(timeout=Timeout(read=0.2)) as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert dl.told("segments_refused") == []


async def test_without_progress_the_last_error_is_raised_and_the_part_stays(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY, cuts=[9000, *[0] * 60], piece=0)
    async with Dividing(retries=3) as dl:
        with pytest.raises(errors.TruncatedBody) as caught:
            await dl.client.download(serve(faulty, file), tmp_path)
    assert caught.value.attempts == len(file.requests) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.part", "file.part.json"]


async def test_progress_gives_the_budget_back(faulty: FaultyOrigin, tmp_path: Path) -> None:
    file = SlowFile(BODY, cuts=[2500] * 40, piece=0)
    async with Dividing(retries=1) as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert len(file.requests) > 10


@pytest.mark.parametrize("is_right", [True, False])
async def test_the_digest_of_a_part_is_checked(is_right: bool, faulty: FaultyOrigin, tmp_path: Path) -> None:
    def digested(number: int, reply: Reply) -> Reply | None:
        said = digest_field(reply.answer.body if is_right or number else b"another", ["sha-256"])
        return Reply(with_fields(reply.answer, {"Content-Digest": said}))

    file = SlowFile(BODY, treat=digested, cuts=[12_000])
    async with Dividing(2) as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert bool(dl.told("segments_refused")) is not is_right


async def test_a_whole_that_is_longer_than_announced_in_a_part_is_not_believed(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    def longer(number: int, reply: Reply) -> Reply | None:
        chunked = with_fields(reply.answer, {"Transfer-Encoding": "chunked"})
        return Reply(replace(chunked, body=chunked.body + b"more"))

    file = SlowFile(BODY, treat=longer, waits=True)
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY


RECOVERING = [path for path, fault in FAULTS.items() if fault.verdict is Verdict.RECOVERS]
BROKEN = [
    path for path, fault in FAULTS.items() if path.startswith("/range/") and fault.verdict is Verdict.BROKEN
]


@pytest.mark.parametrize("path", RECOVERING)
async def test_every_fault_that_one_connection_recovers_from_is_recovered_from(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with Dividing(retries=30, timeout=Timeout(read=0.3)) as dl:
        await dl.client.download(faulty.url + path, tmp_path / "file")
    assert whole(tmp_path) == body_for(path)


@pytest.mark.parametrize("path", BROKEN)
async def test_where_no_whole_version_is_ever_sent_nothing_is_delivered(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with Dividing(retries=2, timeout=Timeout(read=0.3)) as dl:
        with pytest.raises(errors.DownloadError):
            await dl.client.download(faulty.url + path, tmp_path / "file")
    assert not (tmp_path / "file").exists()
