"""What an answer's head says about the file: its version, its length, its digests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncflags._engine.intake import size_mismatch
from asyncflags._policies.digests import AnswerDigests, digests_of
from asyncflags._policies.retry import parse_http_date
from asyncflags._policies.validators import Validator
from asyncflags._storage.liveness import this_process
from asyncflags._storage.records import PartRecord
from asyncflags.errors import BodyTooLarge, DigestMissing, ProtocolError, RangeError

if TYPE_CHECKING:
    from asyncflags._engine.held import Held
    from asyncflags._engine.intake import Intake
    from asyncflags._engine.job import Job
    from asyncflags._engine.options import Options
    from asyncflags._transports.base import ResponseStream

__all__ = [
    "Body",
    "check_announced",
    "digests_in",
    "record_of",
    "require_digest",
    "require_digest_of_whole",
    "validator_of",
]


@dataclass(slots=True)
class Body:
    """A whole and verified body with what its answer said of it."""

    intake: Intake
    status: int
    final_url: str
    length_verified: bool
    etag: str | None
    last_modified: str | None
    content_type: str | None
    modified_at: float | None

    @classmethod
    def of(
        cls, stream: ResponseStream, held: Held, final_url: str, options: Options, *, length_verified: bool
    ) -> Body:
        """The body that *stream* completes."""
        last_modified = stream.header("Last-Modified") or held.validator.last_modified
        wants_time = last_modified and (options.mtime == "server" or options.if_exists == "update")
        return cls(
            intake=held.intake,
            status=stream.status,
            final_url=final_url,
            length_verified=length_verified,
            etag=stream.header("ETag"),
            last_modified=last_modified,
            content_type=stream.header("Content-Type") or held.content_type,
            modified_at=parse_http_date(last_modified or "", now=time.time()) if wants_time else None,
        )


def validator_of(stream: ResponseStream) -> Validator:
    """What an answer says of its version."""
    return Validator.of(
        etag=stream.header("ETag"),
        last_modified=stream.header("Last-Modified"),
        date=stream.header("Date"),
        now=time.time(),
    )


def record_of(job: Job, held: Held) -> PartRecord:
    """What another process has to know to go on with a body."""
    return PartRecord(
        url=held.source.name,
        identity=job.identify(),
        source=held.source.identity,
        validator=held.validator,
        total=held.total,
        owner=this_process(),
        content_type=held.content_type,
        digests=held.digests,
    )


def check_announced(job: Job, length: int | None, proven: bool) -> None:
    """Refuse at the head what would be refused at the end.

    Args:
        job: What is downloaded.
        length: Bytes of the whole as the server says; ``None``: it does not, or speaks of coded bytes.
        proven: Whether the framing proves the end of the body.

    Raises:
        BodyTooLarge: It is larger than allowed.
        ChecksumMismatch: It is of another size than expected.
        ProtocolError: Its end cannot be proven, and that is required.
    """
    options = job.options
    if not proven:
        if options.require_length:
            raise ProtocolError(
                "the server does not tell where the body ends, and that is required (require_length)"
            )
        job.tell(
            "length_unverified",
            "the body ends when the connection closes, so nothing proves that it is whole",
        )
    if length is None:
        return
    if options.max_size is not None and length > options.max_size:
        raise BodyTooLarge(
            f"the body has {length} bytes, more than the allowed {options.max_size} (max_size)"
        )
    if job.size is not None and length != job.size:
        raise size_mismatch(job.size, length)


def digests_in(job: Job, headers: Sequence[tuple[str, str]]) -> AnswerDigests:
    """The digests that an answer carries (RFC 9530); what cannot be used is told and is no digest."""
    digests = digests_of(headers)
    for problem in digests.problems:
        job.tell("digest_unusable", problem)
    return digests


def require_digest(job: Job, digests: AnswerDigests) -> None:
    """Refuse the whole without a digest, if one is required.

    Raises:
        DigestMissing: There is none.
    """
    if job.options.require_digest and not digests.representation and not digests.content:
        raise DigestMissing(
            "the server sent no digest that can be checked (Repr-Digest or Content-Digest with sha-256 "
            "or sha-512), and one is required (require_digest, --require-digest)"
        )


def require_digest_of_whole(job: Job, held: Held, digests: AnswerDigests) -> None:
    """Refuse a part, if a digest is required and none is known of the whole (RFC 9110 section 15.3.7).

    A part need not repeat what the answer before said of the whole, and what it says of itself proves no other part.

    Raises:
        RangeError: There is none.
    """
    if job.options.require_digest and not held.digests and not digests.representation:
        raise RangeError("a digest is required, and the server sent none of the whole")
