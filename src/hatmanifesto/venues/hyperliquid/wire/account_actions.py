"""Actions that are signed as a whole and concern the account, not its orders: names, referrals, where money lies.

This project's own sessions send none of them; other clients do.
"""

import msgspec


class RegisterReferrer(
    msgspec.Struct, frozen=True, tag_field="type", tag="registerReferrer", forbid_unknown_fields=True
):
    """Make a referral code."""

    code: str


class SubAccountModify(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="subAccountModify", forbid_unknown_fields=True
):
    """Give a sub-account another name."""

    sub_account_user: str
    name: str


class AgentSendAsset(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="agentSendAsset", forbid_unknown_fields=True
):
    """Move a token between what belongs to one user: dexes, spot, sub-accounts."""

    destination: str
    source_dex: str
    destination_dex: str
    token: str
    amount: str
    from_sub_account: str
    nonce: int


class AgentSetAbstraction(
    msgspec.Struct, frozen=True, tag_field="type", tag="agentSetAbstraction", forbid_unknown_fields=True
):
    """Set how balances are kept together: i (disabled), u (unified account), p (portfolio margin)."""

    abstraction: str


class AgentEnableDexAbstraction(
    msgspec.Struct, frozen=True, tag_field="type", tag="agentEnableDexAbstraction", forbid_unknown_fields=True
):
    """The abstraction that was there before unified accounts."""


class EvmUserModify(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="evmUserModify", forbid_unknown_fields=True
):
    """Which blocks of the venue's virtual machine an account uses."""

    using_big_blocks: bool


class GossipPriorityBid(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="gossipPriorityBid", forbid_unknown_fields=True
):
    """A bid for being told of blocks earlier."""

    slot_id: int
    ip: str
    max_gas: int


class ClaimRewards(msgspec.Struct, frozen=True, tag_field="type", tag="claimRewards", forbid_unknown_fields=True):
    """Fetch what referrals earned."""


class SetDisplayName(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="setDisplayName", forbid_unknown_fields=True
):
    """The account's name on the leaderboard."""

    display_name: str


AccountAction = (
    RegisterReferrer
    | SubAccountModify
    | AgentSendAsset
    | AgentSetAbstraction
    | AgentEnableDexAbstraction
    | EvmUserModify
    | GossipPriorityBid
    | ClaimRewards
    | SetDisplayName
)
