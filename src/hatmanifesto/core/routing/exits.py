"""Stop-loss and take-profit of one desk: latched until the position is closed, so that neither fires twice."""

from typing import Final, final

from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.routing.fixed_point import PPB
from hatmanifesto.core.routing.rules import NOT_SET, Rules
from hatmanifesto.core.strategy import View
from hatmanifesto.model.routing import EXIT_DONE, STOP_LOSS, TAKE_PROFIT

NONE: Final = 0


@final
class ExitGuard:
    """Watches the desk's profit at the mark against its average price, as money or as a share of the cost.

    `state` is NONE, STOP_LOSS or TAKE_PROFIT. While it is set, and for `reenter_after_ns` after the position was
    closed, the desk sends only what reduces its position.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules: Final[Rules] = rules
        self.state: int = NONE
        self.resume_ns: int = -1
        self.profit: int = 0

    def check(self, desk: Desk, view: View) -> int:
        """Return the verdict that has just become true (STOP_LOSS, TAKE_PROFIT, EXIT_DONE), else 0."""
        size = int(desk.position.size)
        if size == 0:
            if self.state == NONE:
                return 0
            self.state = NONE
            self.resume_ns = int(view.now_ns) + self.rules.reenter_after_ns
            return EXIT_DONE
        if self.state != NONE or view.mark_price <= 0:
            return 0
        rules = self.rules
        cost = int(desk.position.cost)
        self.profit = size * int(view.mark_price) * int(desk.holding.factor) - cost
        if cost < 0:
            cost = -cost
        if _reached(-self.profit, rules.stop_loss, rules.stop_loss_ppb, cost):
            self.state = STOP_LOSS
        elif _reached(self.profit, rules.take_profit, rules.take_profit_ppb, cost):
            self.state = TAKE_PROFIT
        return self.state

    def reducing_only(self, now: int) -> bool:
        """Tell whether quotes that could add to the position are held back."""
        return self.state != NONE or now < self.resume_ns


def _reached(amount: int, limit: int, limit_ppb: int, cost: int) -> bool:
    if limit != NOT_SET and amount >= limit:
        return True
    return limit_ppb != NOT_SET and amount * PPB >= limit_ppb * cost
