"""The modes a cache can be in, and for what share of the keys."""

import re
from typing import Final, Literal

import msgspec

from apicache.errors import InputError, did_you_mean

Mode = Literal["off", "observe", "shadow", "on"]
MODES: Final[tuple[Mode, ...]] = ("off", "observe", "shadow", "on")
"""Calls go through; would-be hits are counted; cached and fresh answers are compared; entries are served."""

_STEPS: Final = 10_000
"""A share is told to the hundredth of a percent."""
_PERCENTAGE: Final = r"(\d+(?:\.\d+)?)\s*%"


class Switch(msgspec.Struct, frozen=True):
    """A mode, and the share of the keys (0 to 1) that it applies to; the cache is off for the others."""

    mode: Mode
    share: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Switch":
        """The switch that a text names: a mode, or `25%` for on with a quarter of the keys; raises InputError."""
        if isinstance(text, str):
            word = text.strip().lower()
            for mode in MODES:
                if word == mode:
                    return cls(mode)
            percentage = re.fullmatch(_PERCENTAGE, word)
            if percentage and float(percentage[1]) <= 100:  # noqa: PLR2004 - percent
                return cls("on", float(percentage[1]) / 100)
        known = [*MODES, "a percentage of the keys such as '25%'"]
        hint = did_you_mean(text, MODES) if isinstance(text, str) else ""
        close = f"; {hint}" if hint.startswith("did you mean") else ""
        raise InputError(f"mode {text!r} is not known{close}; known: {', '.join(known)}")

    def applies_to(self, key: bytes) -> bool:
        """Whether the mode applies to a key, a sha256 digest: a key is always on the same side of the same share."""
        return int.from_bytes(key[:8], "big") % _STEPS < round(self.share * _STEPS)

    def __str__(self) -> str:
        if self.mode == "on" and self.share != 1:
            return f"{self.share * 100:g}%"
        return self.mode
