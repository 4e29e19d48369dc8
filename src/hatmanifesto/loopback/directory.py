"""Who is who: accounts, their agents and sub-accounts, and whose account a signature acts for."""

import hashlib
from collections.abc import Callable
from typing import Final

from hatmanifesto.loopback.participants import Agent, Participant
from hatmanifesto.loopback.signer import Envelope, NonceSet, Refused
from hatmanifesto.simulation.live.account import LiveAccount

NAMED_AGENTS: Final = 3
AGENTS_A_SUBACCOUNT: Final = 2
LONGEST_NAME: Final = 16
DAY_MS: Final = 86_400_000
USUAL_DAYS: Final = 90
MOST_DAYS: Final = 180
_VALID_UNTIL: Final = " valid_until "
REMOVAL_MS: Final = 5_000
"""How long after the removal of an agent no other is approved."""

OpenAccount = Callable[[str], LiveAccount]


class Directory:
    """Addresses are lower case throughout. `open_account` opens one at the matcher, under the money's rules."""

    def __init__(self, open_account: OpenAccount) -> None:
        self._open_account = open_account
        self.participants: Final[dict[str, Participant]] = {}
        self.by_index: Final[dict[int, Participant]] = {}
        self.nonces: Final[dict[str, NonceSet]] = {}
        self._agents: dict[str, tuple[str, Agent]] = {}  # address -> (master, agent)
        self._replaced: dict[str, str] = {}  # a replaced agent -> its master
        self._used: set[str] = set()

    def open(self, address: str, master: str = "", name: str = "") -> Participant:
        """Return an address's participant, opening its account if there is none."""
        address = address.lower()
        participant = self.participants.get(address)
        if participant is None:
            account = self._open_account(address)
            participant = self.participants[address] = Participant(address, account, master, name)
            self.by_index[int(account.index)] = participant
        return participant

    def open_subaccount(self, master: Participant, name: str) -> Participant:
        """Open a sub-account of an account."""
        made = f"{master.address}/{name}/{len(self.subaccounts(master.address))}"
        return self.open("0x" + hashlib.blake2b(made.encode(), digest_size=20).hexdigest(), master.address, name)

    def subaccounts(self, master: str) -> list[Participant]:
        """Return an address's sub-accounts, oldest first."""
        return [participant for participant in self.participants.values() if participant.master == master.lower()]

    # -- agents -----------------------------------------------------------------------------------

    def approve(self, master: str, agent: str, name: str, now_ms: int, usual_ms: int = USUAL_DAYS * DAY_MS) -> None:
        """Let an agent act for an account, in place of its agent of the same name; the zero address takes that away.

        It is valid for `usual_ms` unless `name` says otherwise, which may end with ` valid_until MS`. Raises Refused
        with the venue's words, KeyError for an unknown master.
        """
        participant = self.participants[master.lower()]
        agent = agent.lower()
        name, _, until = name.partition(_VALID_UNTIL)
        valid_until_ms = now_ms + usual_ms
        if until:
            if not until.isdigit() or not now_ms < int(until) <= now_ms + MOST_DAYS * DAY_MS:
                raise Refused("Agent valid_until already expired.")
            valid_until_ms = int(until)
        if len(name) > LONGEST_NAME:
            raise Refused(f"Agent name must be at most {LONGEST_NAME} characters.")
        old = participant.agents.get(name)
        if int(agent, 16) == 0:
            if old is not None:
                del participant.agents[name]
                self._deregister(old)
                participant.removed_agent_ms = now_ms
            return
        if now_ms < participant.removed_agent_ms + REMOVAL_MS:
            raise Refused("User has pending agent removal")
        limit = NAMED_AGENTS + AGENTS_A_SUBACCOUNT * len(self.subaccounts(participant.address))
        if name and old is None and sum(1 for each in participant.agents if each) >= limit:
            raise Refused(f"Too many extra agents for cumulative volume traded. Current limit is {limit}")
        if agent in self._used or agent in self.participants:
            raise Refused("Extra agent already used.")
        if old is not None:
            self._deregister(old)
            self._replaced[old.address] = participant.address
        made = Agent(agent, name, valid_until_ms)
        participant.agents[name] = made
        self._agents[agent] = (participant.address, made)
        self._used.add(agent)

    def _deregister(self, agent: Agent) -> None:
        self._agents.pop(agent.address, None)
        self.nonces.pop(agent.address, None)

    def master_of(self, agent: str, now_ms: int) -> str | None:
        """Return whose valid agent an address is."""
        master, found = self._agents.get(agent, ("", None))
        return None if found is None or found.valid_until_ms < now_ms else master

    # -- who acts ---------------------------------------------------------------------------------

    def actor(self, envelope: Envelope, now_ms: int) -> tuple[str, Participant]:
        """Return (signer, whose account acts). Raises Refused with the venue's words for one it does not know."""
        for signer in envelope.signers:
            # what an agent signs as a user is its own affair, and it has no account
            master = signer if envelope.action is None else self.master_of(signer, now_ms) or signer
            participant = self.participants.get(master)
            if participant is None:
                continue
            if envelope.vault is not None:
                owned = self.participants.get(envelope.vault)
                if owned is None or owned.master != master:
                    raise Refused(f"Vault not registered: {envelope.vault}")
                participant = owned
            return signer, participant
        for signer in envelope.signers:
            if signer in self._replaced:
                raise Refused(f"Must deposit before performing actions. User: {self._replaced[signer]}")
        if envelope.action is None:
            raise Refused(f"Must deposit before performing actions. User: {envelope.signers[0]}")
        raise Refused(f"User or API Wallet {envelope.signers[0]} does not exist.")

    def use_nonce(self, signer: str, nonce: int, now_ms: int) -> None:
        """Use up a signer's nonce; raises Refused with the venue's words."""
        self.nonces.setdefault(signer, NonceSet()).use(nonce, now_ms)

    def address_of(self, index: int) -> str:
        """Return an account's address; those of the market's own participants are made up from their number."""
        participant = self.by_index.get(index)
        return participant.address if participant is not None else f"0x{index + 1:040x}"
