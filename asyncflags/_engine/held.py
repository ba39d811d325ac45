"""What a job holds of its body between its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncflags._engine.answers import validator_of
from asyncflags._policies.ranges import Ranges
from asyncflags._policies.validators import Validator

if TYPE_CHECKING:
    from asyncflags._engine.intake import Intake
    from asyncflags._engine.sources import Source
    from asyncflags._policies.digests import Digest
    from asyncflags._transports.base import ResponseStream

__all__ = ["Held"]


@dataclass(slots=True, eq=False)
class Held:
    """A body as far as it has come, and what its answers said of it.

    Attributes:
        intake: Has taken the bytes.
        source: Where the last of them came from.
        total: Bytes of the whole, or ``None`` while no answer told.
        content_type: The ``Content-Type`` field, or ``None``.
        digests: What that source said that the whole hashes to.
        is_provable: Whether the framing tells a whole body from a part, and the bytes are as stored.
        is_mixed: Whether bytes of several sources were joined, which only a checksum can prove.
        may_divide: Whether the rest may come over several connections.
    """

    intake: Intake
    source: Source
    _validator: Validator | None = None
    _answer: ResponseStream | None = None
    total: int | None = None
    content_type: str | None = None
    digests: tuple[Digest, ...] = ()
    is_provable: bool = False
    is_mixed: bool = False
    may_divide: bool = True

    @property
    def there(self) -> Ranges:
        """Which bytes are there."""
        ranges = self.intake.ranges
        return ranges if ranges is not None else Ranges(((0, self.intake.written),))

    def heard(self, answer: ResponseStream) -> None:
        """What is held is of the version of *answer*, from its first byte on."""
        self._answer, self._validator = answer, None

    @property
    def validator(self) -> Validator:
        """What the source said of its version; read only when somebody asks, which is seldom."""
        if self._validator is None:
            self._validator = Validator() if self._answer is None else validator_of(self._answer)
            self._answer = None
        return self._validator

    @validator.setter
    def validator(self, value: Validator) -> None:
        self._validator = value

    @property
    def can_be_left(self) -> bool:
        """Whether what is there could be continued later by another process."""
        return self.is_provable and not self.is_mixed and self.validator.condition is not None

    @property
    def can_be_continued(self) -> bool:
        """Whether what is there could be continued by the next attempt."""
        return self.can_be_left or (self.is_provable and self.is_mixed and self.intake.is_checked)
