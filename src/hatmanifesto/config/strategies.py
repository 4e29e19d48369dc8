"""Finding a strategy's class: one that is shipped, by name, or a person's own file, `path.py:ClassName`."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from hatmanifesto import build
from hatmanifesto.config.problems import suggestion
from hatmanifesto.core.strategy import Strategy
from hatmanifesto.errors import UserError

SHIPPED: Final = {
    "touch_joiner": ("hatmanifesto.strategy.touch_joiner", "TouchJoiner"),
    "market_making": ("hatmanifesto.strategy.market_making", "MarketMaking"),
    "parent_orders": ("hatmanifesto.strategy.parent_orders", "ParentOrders"),
}
"""Names of the strategies that come with the program, and where they are."""
SHIPPED_PARAMS: Final[dict[str, dict[str, Any]]] = {
    "touch_joiner": {"order_size": "100 USD", "max_position": "1000 USD"},
    "market_making": {"order_size": "100 USD", "max_position": "1000 USD", "gamma": 0.001},
    "parent_orders": {"order_size": "500 USD", "every": "65s", "within": "60s"},
}
"""Arguments that a shipped strategy gets where the configuration gives none."""


class StrategyClass(NamedTuple):
    """A loaded class, its name as configured, its defaults, and the BLAKE2b-128 of its source file."""

    name: str
    cls: type[Strategy]
    defaults: dict[str, Any]
    source_hash: str
    shipped: bool


def load_strategy(name: str, folder: Path = Path()) -> StrategyClass:
    """Return a strategy's class; UserError says what is missing. Relative files are looked for in
    `folder` (that of the configuration), then in the working directory."""
    if name in SHIPPED:
        module_name, class_name = SHIPPED[name]
        module = importlib.import_module(module_name)
        source = Path(module.__file__ or "").parent / (module_name.rpartition(".")[2] + ".py")
        return StrategyClass(name, getattr(module, class_name), SHIPPED_PARAMS[name], _hash(source), True)
    file, colon, class_name = name.rpartition(":") if ":" in name else (name, "", "")
    if not file.endswith(".py"):
        hint = suggestion(name, list(SHIPPED))
        own = "our own is written as path/to/file.py:ClassName"
        raise UserError(f"there is no strategy {name}", f"{hint} Y{own}" if hint.endswith("?") else f"{hint}; y{own}")
    path = next((place for place in (folder / file, Path(file)) if place.is_file()), None)
    if path is None:
        raise UserError(f"the strategy file {file} does not exist", "check its path and name")
    found = _class_in(_import(path), path, class_name if colon else "")
    return StrategyClass(name, found, {}, _hash(path), False)


def _hash(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes().replace(b"\r\n", b"\n"), digest_size=16).hexdigest()


def _import(path: Path) -> Any:
    module_name = f"hat_strategy_{path.stem}_{_hash(path)[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} cannot be imported", "name a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[module_name]
        raise UserError(f"{path}, line {error.lineno}: {error.msg}", "correct the file") from error
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise UserError(f"{path} fails when it is imported: {_named(error)}", "correct the file") from error
    return module


def _class_in(module: Any, path: Path, name: str) -> type[Strategy]:
    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Strategy) and value.__module__ == module.__name__
    }
    if not name:
        if len(own) != 1:
            what = "no strategy class" if not own else f"the strategies {', '.join(own)}"
            raise UserError(f"{path} has {what}", f"name the class: {path.name}:ClassName")
        return next(iter(own.values()))
    found = getattr(module, name, None)
    if found is None:
        raise UserError(f"{path} has no class {name}", suggestion(name, list(own)))
    if not (inspect.isclass(found) and issubclass(found, Strategy)):
        raise UserError(
            f"{name} in {path} is not a strategy",
            f"write `class {name}(hatmanifesto.core.strategy.Strategy)`",
        )
    return found


def make_strategy(loaded: StrategyClass, params: dict[str, Any]) -> Strategy:
    """Call the constructor; UserError names the argument or the exception."""
    try:
        signature = inspect.signature(loaded.cls)
    except ValueError:
        signature = None  # a compiled class without a text signature: its own TypeError has to do
    if signature is not None:
        names = [
            name for name, item in signature.parameters.items() if item.kind is not inspect.Parameter.VAR_POSITIONAL
        ]
        try:
            _by_name(signature).bind(**params)
        except TypeError as error:
            takes = f"its parameters are {', '.join(names)}" if names else "it takes no parameters"
            raise UserError(f"{loaded.name}: {error}", f"{takes}; set them in params") from error
    try:
        return loaded.cls(**params)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in params.items())
        raise UserError(
            f"{loaded.name}({given}) fails: {_named(error)}", "correct its params or its constructor"
        ) from error


def _by_name(signature: inspect.Signature) -> inspect.Signature:
    """Return the signature with every parameter open to its name.

    mypyc calls all of them positional-only where one has a float as default, though the class takes names; where they
    truly are, the call itself says so.
    """
    positional, named = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return signature.replace(
        parameters=[one.replace(kind=named) if one.kind is positional else one for one in signature.parameters.values()]
    )


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def checked_strategies(strategies: list[Strategy]) -> list[Strategy]:
    """Have the answer of `quote` checked where the engine runs as plain Python, which would not see it.

    The compiled engine refuses anything but None by itself.
    """
    if build.mode() == "interpreted":
        for strategy in strategies:
            _check_answer(strategy)
    return strategies


def _check_answer(strategy: Strategy) -> None:
    quote = strategy.quote

    def checked(view: Any, quotes: Any) -> None:
        answer: object = quote(view, quotes)
        if answer is not None:
            raise TypeError(f"quote() must return nothing, it returned {answer!r}")

    strategy.quote = checked  # type: ignore[method-assign]
