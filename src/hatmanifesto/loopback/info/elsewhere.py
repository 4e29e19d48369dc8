"""Answers about what is not simulated, such as vaults and staking: what the venue tells of an account that has none."""

from typing import Any, Final

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info.questions import Request, account_of, user_of
from hatmanifesto.loopback.signer import MALFORMED, Malformed
from hatmanifesto.loopback.spot import SPOT_CONTEXT, SPOT_META

_NO_AUCTION: Final = {
    "startTimeSeconds": 0,
    "durationSeconds": 0,
    "startGas": "0.0",
    "currentGas": None,
    "endGas": None,
}
FOR_EVERYBODY: Final[dict[str, Any]] = {
    "perpDexs": [None],
    "perpDexLimits": None,
    "perpDexStatus": {"totalNetDeposit": "0.0"},
    "perpsAtOpenInterestCap": [],
    "perpCategories": [],
    "maxMarketOrderNtls": [[25, "30000000.0"], [20, "5000000.0"], [10, "2000000.0"], [1, "500000.0"]],
    "outcomeMeta": {"outcomes": [], "questions": []},
    "usdcRouting": {"depositRoute": "bridge", "withdrawalRoute": "bridge"},
    "liquidatable": [],
    "leadingVaults": [],
    "vaultSummaries": [],
    "vaultDetails": None,
    "validatorSummaries": [],
    "perpDeployAuctionStatus": _NO_AUCTION,
    "spotPairDeployAuctionStatus": _NO_AUCTION,
}
FOR_A_USER: Final[dict[str, Any]] = {
    "userAbstraction": "disabled",
    "userDexAbstraction": False,
    "userToMultiSigSigners": None,
    "userVaultEquities": [],
    "delegations": [],
    "delegatorSummary": {
        "delegated": "0.0",
        "undelegated": "0.0",
        "totalPendingWithdrawal": "0.0",
        "nPendingWithdrawals": 0,
    },
    "delegatorHistory": [],
    "delegatorRewards": [],
    "spotDeployState": {"states": [], "gasAuction": _NO_AUCTION},
    "isVip": False,
    "legalCheck": {"acceptedTerms": True, "userAllowed": True, "restrictions": "n"},
}


def before_transfer(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    return {
        "fee": "0.0",
        "isSanctioned": False,
        "userExists": participant is not None,
        "userHasSentTx": user_of(request) in loopback.directory.nonces,
    }


def token(loopback: Loopback, request: Request) -> Any:
    for listed in SPOT_META["tokens"]:
        if listed["tokenId"] == request.get("tokenId"):
            price = "1.0" if listed["index"] == 0 else SPOT_CONTEXT["markPx"]
            return {
                "name": listed["name"],
                "maxSupply": SPOT_CONTEXT["totalSupply"],
                "totalSupply": SPOT_CONTEXT["totalSupply"],
                "circulatingSupply": SPOT_CONTEXT["circulatingSupply"],
                "szDecimals": listed["szDecimals"],
                "weiDecimals": listed["weiDecimals"],
                "midPx": price,
                "markPx": price,
                "prevDayPx": price,
                "genesis": None,
                "deployer": None,
                "deployGas": None,
                "deployTime": None,
                "seededUsdc": "0.0",
                "nonCirculatingUserBalances": [],
                "futureEmissions": "0.0",
            }
    raise Malformed(MALFORMED)
