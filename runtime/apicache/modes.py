"""The modes a cache can be in."""

from typing import Final, Literal

Mode = Literal["on", "off"]
MODES: Final[tuple[Mode, ...]] = ("on", "off")
