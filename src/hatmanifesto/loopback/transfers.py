"""Actions that no block of the matcher executes: money moved between accounts, sub-accounts, agents, builder fees."""

from collections.abc import Callable
from typing import Any, Final

from hatmanifesto.loopback.directory import Directory
from hatmanifesto.loopback.margin_rules import MarginRules
from hatmanifesto.loopback.markets import MONEY_SCALE, USDC
from hatmanifesto.loopback.participants import Builder, Participant
from hatmanifesto.loopback.signer import Envelope, Refused
from hatmanifesto.loopback.text import money_text
from hatmanifesto.loopback.wallets import SHORT, SHORT_OF_TOKEN, Wallets, address_of
from hatmanifesto.model.money import MAX_AMOUNT, format_decimal, parse_decimal
from hatmanifesto.simulation.live import wording
from hatmanifesto.venues.hyperliquid.wire import account_actions as account
from hatmanifesto.venues.hyperliquid.wire import actions as wire

WITHDRAWAL_FEE: Final = 1 * USDC
REQUEST_PRICE: Final = 500
"""What one request of reserved budget costs, micro-USDC."""
SUBACCOUNT_VOLUME: Final = 100_000 * USDC
MOST_SUBACCOUNTS: Final = 10
MOST_BUILDER_TENTHS: Final = 100
BUILDER_MINIMUM: Final = 100 * USDC
DEFAULT_OK: Final[dict[str, Any]] = {"status": "ok", "response": {"type": "default"}}

Noted = Callable[[str, dict[str, Any]], None]
"""Called with an address and its new ledger update."""


class Transfers:
    """`strict`: the venue's volume gates hold. Every method returns the answer on the wire or raises Refused."""

    def __init__(self, directory: Directory, rules: MarginRules, noted: Noted, *, strict: bool) -> None:
        self.directory = directory
        self.rules = rules
        self.noted = noted
        self.wallets = Wallets(directory, rules, self._note)
        self.strict = strict
        self.now_ms = 0

    def pay_in(self, participant: Participant, amount: int) -> None:
        """Pay micro-USDC into an account from outside."""
        self.rules.pay(participant.account, amount)
        participant.paid_in += amount
        self._note(participant, "deposit", usdc=money_text(amount))

    def _note(self, participant: Participant, kind: str, **delta: Any) -> None:
        self.noted(participant.address, participant.note(self.now_ms, kind, **delta))

    def _take(self, participant: Participant, amount: int, words: str) -> None:
        """Take free money out of an account; Refused in these words when there is not enough."""
        if amount <= 0 or amount > int(self.rules.of(participant.account).withdrawable()):
            raise Refused(words)
        self.rules.pay(participant.account, -amount)
        participant.paid_in -= amount

    def _move(self, giver: Participant, taker: Participant, amount: int, kind: str, **more: Any) -> None:
        self._take(giver, amount, SHORT)
        self.rules.pay(taker.account, amount)
        taker.paid_in += amount
        for side in (giver, taker):
            self._note(side, kind, usdc=money_text(amount), user=giver.address, destination=taker.address, **more)

    # -- signed as a whole ------------------------------------------------------------------------

    def act(self, action: wire.Action, participant: Participant) -> dict[str, Any]:
        """Execute an action that the matcher does not know."""
        match action:
            case wire.CreateSubAccount(name=name):
                return self._create_subaccount(participant, name)
            case wire.SubAccountTransfer(sub_account_user=address, is_deposit=deposit, usd=amount):
                self._subaccount_transfer(participant, address.lower(), deposit, amount)
            case wire.ReserveRequestWeight(weight=weight):
                if not 0 < weight <= 1 << 31:
                    raise Refused("Invalid weight.")
                self._take(participant, weight * REQUEST_PRICE, SHORT)
                participant.requests -= weight
            case wire.TopUpIsolatedOnlyMargin(asset=asset, leverage=leverage):
                self._top_up(participant, asset, leverage)
            case wire.VaultTransfer(vault_address=vault):
                raise Refused(f"Vault not registered: {vault}")
            case wire.SubAccountSpotTransfer():
                self.wallets.sub_account_spot(participant, action)
            case account.SubAccountModify(sub_account_user=address, name=name):
                self.wallets.owned(participant, address).name = name
            case account.AgentSendAsset():
                self.wallets.agent_send(participant, action)
            case account.AgentSetAbstraction(abstraction=mode):
                _only_standard(asked=mode == "i")
            case account.AgentEnableDexAbstraction():
                _only_standard(asked=False)
        return DEFAULT_OK

    def _top_up(self, participant: Participant, asset: int, leverage: str) -> None:
        """Bring an isolated position to a lower leverage."""
        margin = self.rules.of(participant.account)
        if not 0 <= asset < len(margin.legs):
            raise Refused(wording.UNKNOWN_ASSET)
        leg = margin.legs[asset]
        try:
            hundredths = parse_decimal(leverage, 2)
        except ValueError:
            hundredths = 0
        if hundredths < 100:
            raise Refused("Invalid leverage value")
        missing = int(leg.notional()) * 100 // hundredths - int(margin.leg_equity(asset))
        if leg.isolated and leg.position.size != 0 and missing <= 0:
            raise Refused("Invalid leverage value")
        refusal = self.rules.change_margin(participant.account, leg.instrument, max(missing, 1))
        if refusal:
            raise Refused(refusal)

    def _create_subaccount(self, participant: Participant, name: str) -> dict[str, Any]:
        if participant.master:
            raise Refused("Sub-accounts cannot have sub-accounts.")
        if self.strict and participant.volume < SUBACCOUNT_VOLUME:
            raise Refused(
                "Cannot create sub-accounts until enough volume traded. Required: "
                f"${format_decimal(SUBACCOUNT_VOLUME, MONEY_SCALE)}. "
                f"Traded: ${format_decimal(participant.volume, MONEY_SCALE)}."
            )
        if len(self.directory.subaccounts(participant.address)) >= MOST_SUBACCOUNTS:
            raise Refused("Too many sub-accounts.")
        made = self.directory.open_subaccount(participant, name)
        return {"status": "ok", "response": {"type": "createSubAccount", "data": made.address}}

    def _subaccount_transfer(self, participant: Participant, address: str, deposit: bool, amount: int) -> None:
        other = self.directory.participants.get(address)
        if other is None or other.master != participant.address or not 0 < amount <= MAX_AMOUNT:
            giver, taker = (participant.address, address) if deposit else (address, participant.address)
            raise Refused(f"Invalid sub-account transfer from {giver} to {taker}")
        if deposit:
            self._move(participant, other, amount, "subAccountTransfer")
        else:
            self._move(other, participant, amount, "subAccountTransfer")

    # -- signed by the user -----------------------------------------------------------------------

    def act_as_user(self, envelope: Envelope, participant: Participant) -> dict[str, Any]:
        """Execute a user-signed action: it concerns the signer's own account."""
        fields = envelope.fields
        try:
            match fields["type"]:
                case "approveAgent":
                    name = str(fields.get("agentName") or "")
                    agent = str(fields["agentAddress"])
                    self.directory.approve(participant.address, agent, name, self.now_ms)
                case "approveBuilderFee":
                    self._approve_builder(participant, str(fields["builder"]).lower(), str(fields["maxFeeRate"]))
                case "usdSend":
                    self._send(participant, fields)
                case "sendAsset":
                    self.wallets.send_asset(participant, fields)
                case "spotSend":
                    words = [str(fields[name]) for name in ("destination", "token", "amount")]
                    self.wallets.send_spot(participant, *words)
                case "usdClassTransfer":
                    to_perp = fields["toPerp"] is True
                    self.wallets.between_classes(participant, str(fields["amount"]), to_perp=to_perp)
                case "cDeposit" | "cWithdraw" | "tokenDelegate":
                    raise Refused(SHORT_OF_TOKEN)  # nobody holds what could be staked
                case "convertToMultiSigUser":
                    raise Refused("Multi-sig users are not simulated here.")
                case "userSetAbstraction":
                    _only_standard(asked=fields["abstraction"] == "disabled")
                case "userDexAbstraction":
                    _only_standard(asked=fields["enabled"] is False)
                case "withdraw3":
                    amount = usdc(str(fields["amount"]))
                    self._take(participant, amount, SHORT)
                    told = {"usdc": money_text(amount - WITHDRAWAL_FEE), "nonce": envelope.nonce, "fee": "1.0"}
                    self._note(participant, "withdraw", **told)
        except (KeyError, ValueError):
            raise Refused("Invalid send") from None
        return DEFAULT_OK

    def _send(self, participant: Participant, fields: dict[str, Any]) -> None:
        destination = address_of(str(fields["destination"]))
        amount = usdc(str(fields["amount"]))
        if amount > int(self.rules.of(participant.account).withdrawable()):
            raise Refused(SHORT)
        self._move(participant, self.directory.open(destination), amount, "internalTransfer", fee="0.0")

    def _approve_builder(self, participant: Participant, builder: str, rate: str) -> None:
        """Allow a builder's fee up to a rate such as 0.01%."""
        other = self.directory.participants.get(builder)
        if other is None or int(self.rules.of(other.account).account_value()) < BUILDER_MINIMUM:
            raise Refused("Builder has insufficient balance to be approved.")
        if not rate.endswith("%"):
            raise Refused("Invalid builder fee.")
        tenths = parse_decimal(rate.removesuffix("%"), 3)  # a tenth of a basis point is 0.001 %
        if not 0 <= tenths <= MOST_BUILDER_TENTHS:
            raise Refused("Invalid builder fee.")
        participant.builders[builder] = Builder(int(other.account.index), tenths)


def _only_standard(*, asked: bool) -> None:
    """Accounts are kept in the venue's standard mode; the others are not simulated."""
    if not asked:
        raise Refused("Only the standard account mode is simulated here.")


def usdc(text: str) -> int:
    """Return an amount in micro-USDC; raises ValueError for what is none or has more decimals."""
    amount = parse_decimal(text, MONEY_SCALE)
    if not 0 < amount <= MAX_AMOUNT:
        raise ValueError(text)
    return amount
