"""USDC on its way between pockets: an account's perpetuals or its spot wallet, its own or somebody else's.

Amounts are in 10^-8 USDC, as spot has it; perpetuals hold millionths, and take nothing finer.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from hatmanifesto.loopback.directory import Directory
from hatmanifesto.loopback.margin_rules import MarginRules
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import Refused
from hatmanifesto.loopback.spot import USDC_DECIMALS, USDC_TOKEN
from hatmanifesto.loopback.text import money_text, printed
from hatmanifesto.model.money import MAX_AMOUNT, parse_decimal
from hatmanifesto.venues.hyperliquid.wire import account_actions, actions

FINER: Final = 100
"""How many units of spot make one of the perpetuals."""
SHORT: Final = "Insufficient balance for withdrawal"
SHORT_OF_TOKEN: Final = "Insufficient balance for token transfer"
INVALID: Final = "Invalid send"
PERPS, SPOT = "", "spot"

Note = Callable[..., None]
"""Called with a participant, a kind of ledger update, and its fields."""


class Pocket(NamedTuple):
    """Whose money, and which: PERPS or SPOT."""

    owner: Participant
    dex: str


class Wallets:
    """Every method raises Refused in the venue's words for what cannot be moved."""

    def __init__(self, directory: Directory, rules: MarginRules, note: Note) -> None:
        self._directory = directory
        self._rules = rules
        self._note = note

    # -- what clients ask for ---------------------------------------------------------------------

    def between_classes(self, participant: Participant, text: str, *, to_perp: bool) -> None:
        """usdClassTransfer: between the signer's own pockets, or those of the sub-account that the amount names."""
        text, _, sub_account = text.partition(" subaccount:")
        owner = self.owned(participant, sub_account) if sub_account else participant
        amount = amount_of(text)
        ways = (SPOT, PERPS) if to_perp else (PERPS, SPOT)
        self._move(Pocket(owner, ways[0]), Pocket(owner, ways[1]), amount)
        self._note(owner, "accountClassTransfer", usdc=_told(amount), toPerp=to_perp)

    def send_spot(self, participant: Participant, destination: str, token: str, text: str) -> None:
        """spotSend: to somebody's spot wallet."""
        self._send_spot(participant, self._directory.open(address_of(destination)), token, text)

    def send_asset(self, participant: Participant, fields: dict[str, Any]) -> None:
        """sendAsset: from any pocket to any other."""
        giver = participant
        if fields["fromSubAccount"]:
            giver = self.owned(participant, str(fields["fromSubAccount"]))
        self._send(giver, self._directory.open(address_of(str(fields["destination"]))), fields)

    def agent_send(self, participant: Participant, action: account_actions.AgentSendAsset) -> None:
        """agentSendAsset: the same, between what belongs to one user."""
        taker = self._directory.participants.get(address_of(action.destination))
        family = participant.master or participant.address
        if taker is None or family not in (taker.address, taker.master):
            raise Refused("Agent can only send asset to same user or their sub-accounts.")
        giver = self.owned(participant, action.from_sub_account) if action.from_sub_account else participant
        fields = {"sourceDex": action.source_dex, "destinationDex": action.destination_dex}
        self._send(giver, taker, {**fields, "token": action.token, "amount": action.amount, "nonce": action.nonce})

    def sub_account_spot(self, participant: Participant, action: actions.SubAccountSpotTransfer) -> None:
        """subAccountSpotTransfer: between an account's spot wallet and its sub-account's."""
        ways = (participant, self.owned(participant, action.sub_account_user))
        giver, taker = ways if action.is_deposit else ways[::-1]
        self._send_spot(giver, taker, action.token, action.amount)

    def owned(self, participant: Participant, address: str) -> Participant:
        """Return an account's sub-account."""
        found = self._directory.participants.get(address.lower())
        if found is None or found.master != participant.address:
            raise Refused(f"Invalid sub-account transfer from {participant.address} to {address.lower()}")
        return found

    # -- moving -----------------------------------------------------------------------------------

    def _send_spot(self, giver: Participant, taker: Participant, token: str, text: str) -> None:
        amount = self._of_token(token, text)
        self._move(Pocket(giver, SPOT), Pocket(taker, SPOT), amount)
        self._tell(giver, taker, "spotTransfer", amount, {})

    def _send(self, giver: Participant, taker: Participant, fields: dict[str, Any]) -> None:
        ways = {"sourceDex": str(fields["sourceDex"]), "destinationDex": str(fields["destinationDex"])}
        if any(dex not in (PERPS, SPOT) for dex in ways.values()):
            raise Refused(INVALID)
        amount = self._of_token(str(fields["token"]), str(fields["amount"]))
        self._move(Pocket(giver, ways["sourceDex"]), Pocket(taker, ways["destinationDex"]), amount)
        self._tell(giver, taker, "send", amount, {**ways, "nonce": fields["nonce"]})

    def _of_token(self, token: str, text: str) -> int:
        if token not in (USDC_TOKEN, USDC_TOKEN.partition(":")[0]):
            raise Refused(SHORT_OF_TOKEN)  # nobody holds anything else
        return amount_of(text)

    def _move(self, giver: Pocket, taker: Pocket, amount: int) -> None:
        """Move an amount, wholly or not at all."""
        if giver == taker or (PERPS in (giver.dex, taker.dex) and amount % FINER):
            raise Refused(INVALID)
        if giver.dex == SPOT:
            if amount > giver.owner.spot:
                raise Refused(SHORT_OF_TOKEN)
        elif amount // FINER > int(self._rules.of(giver.owner.account).withdrawable()):
            raise Refused(SHORT)
        for pocket, change in ((giver, -amount), (taker, amount)):
            if pocket.dex == SPOT:
                pocket.owner.spot += change
            else:
                self._rules.pay(pocket.owner.account, change // FINER)
                pocket.owner.paid_in += change // FINER

    def _tell(self, giver: Participant, taker: Participant, kind: str, amount: int, more: dict[str, Any]) -> None:
        told = {
            "token": "USDC",
            "amount": _told(amount),
            "usdcValue": _told(amount),
            "user": giver.address,
            "destination": taker.address,
            "fee": money_text(0),
            "nativeTokenFee": money_text(0),
            "nonce": None,
            "feeToken": "",
            **more,
        }
        for side in {giver.address: giver, taker.address: taker}.values():
            self._note(side, kind, **told)


def address_of(text: str) -> str:
    """Return an address in lower case; raises Refused for what is none."""
    if len(text) != 42 or text[:2].lower() != "0x":
        raise Refused(INVALID)
    try:
        int(text[2:], 16)
    except ValueError:
        raise Refused(INVALID) from None
    return text.lower()


def amount_of(text: str) -> int:
    """Return a positive amount; raises Refused for what is none or finer than spot has it."""
    try:
        amount = parse_decimal(text, USDC_DECIMALS)
    except ValueError:
        raise Refused(INVALID) from None
    if not 0 < amount <= MAX_AMOUNT:
        raise Refused(INVALID)
    return amount


def _told(amount: int) -> str:
    return printed(amount, USDC_DECIMALS)
