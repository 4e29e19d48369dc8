"""The one exception that a person caused and can repair: what is wrong, and what to do about it."""

from typing import Final


class UserError(Exception):
    """A command cannot go on, and nothing was half done.

    `message` says what is wrong, `remedy` what to do (a command, an option, a place to look); the
    command line prints both and exits with `exit_code`.
    """

    def __init__(self, message: str, remedy: str = "", exit_code: int = 2) -> None:
        super().__init__(message)
        self.message: Final[str] = message
        self.remedy: Final[str] = remedy
        self.exit_code: Final[int] = exit_code

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message
