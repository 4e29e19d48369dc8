"""The terms of one routing decision, as its `route` record has them."""

from typing import final


@final
class Terms:
    """Stage and age of the order, fill chance in ppm, gains and costs in ppb, size ahead, limit price."""

    def __init__(self) -> None:
        self.stage: int = 0
        self.age_ns: int = 0
        self.chance: int = 0
        self.saved: int = 0
        self.fee_saved: int = 0
        self.adverse: int = 0
        self.opportunity: int = 0
        self.value: int = 0
        self.other: int = 0
        self.ahead: int = 0
        self.limit: int = 0

    def copy(self, other: "Terms") -> None:
        """Take over another decision's terms."""
        self.stage = other.stage
        self.age_ns = other.age_ns
        self.chance = other.chance
        self.saved = other.saved
        self.fee_saved = other.fee_saved
        self.adverse = other.adverse
        self.opportunity = other.opportunity
        self.value = other.value
        self.other = other.other
        self.ahead = other.ahead
        self.limit = other.limit

    def clear(self) -> None:
        """Forget the last decision."""
        self.stage = 0
        self.age_ns = 0
        self.chance = 0
        self.saved = 0
        self.fee_saved = 0
        self.adverse = 0
        self.opportunity = 0
        self.value = 0
        self.other = 0
        self.ahead = 0
        self.limit = 0
