"""Requests over HTTP: queries, and actions when there is no WebSocket to send them on."""

from typing import Final

import aiohttp

from hatmanifesto.venues.hyperliquid.transport.outcomes import Answered, Lost, Outcome, Refused, refusal_or_loss

MAX_ANSWER: Final = 64 << 20
_HEADERS: Final = {"Content-Type": "application/json"}


class HttpChannel:
    """One connection pool to one base URL. Proxies of the environment are not used: a venue on 127.0.0.1 has none."""

    def __init__(self, base_url: str, timeout_s: float = 5.0) -> None:
        self.base_url: Final[str] = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 3.0))
        self._session: aiohttp.ClientSession | None = None

    async def request(self, path: str, body: bytes) -> Outcome:
        """Post JSON to `/info` or `/exchange` and say what became of it; raises nothing that a network causes."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.post(self.base_url + path, data=body, headers=_HEADERS) as answer:
                text = await _read(answer)
                if text is None:
                    return Lost(f"an answer of more than {MAX_ANSWER} bytes")
                if answer.status == 200:
                    return Answered(text)
                return refusal_or_loss(answer.status, text.decode("utf-8", "replace"))
        except aiohttp.ClientConnectorError as error:
            return Refused(0, f"not connected: {error.os_error}")
        except aiohttp.ConnectionTimeoutError:
            return Refused(0, "not connected in time")
        except TimeoutError:
            return Lost("no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Lost(f"{type(error).__name__}: {error}"[:200])

    async def close(self) -> None:
        """Close the pool."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read(answer: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER:
            return None
        parts.append(part)
    return b"".join(parts)
