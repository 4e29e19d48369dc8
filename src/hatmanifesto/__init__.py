"""Hat Manifesto: a maker-first trading system for crypto perpetual futures."""

from typing import Final

__version__: Final = "0.1.0"
