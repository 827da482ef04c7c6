"""Errors in words, and the exit codes of every command.

0 done; 1 failure; 2 wrong usage; 3 unhealthy; 4 configuration: a setting, the data directory, the database's version or a data file,
that is, whatever the operator must change before the command can work.
"""

from collections.abc import Iterator

from tradekit.chat.render import fill
from tradekit.chat.texts import text_for
from tradekit.config import SeveralConfigurationErrors
from tradekit.domain.errors import (
    BadInput,
    Busy,
    ConfigurationError,
    DataDirectoryInUse,
    DataError,
    ExchangeUnavailable,
    KeyRefused,
    NotFound,
    OperatorError,
    RuleRefused,
    SchemaMismatch,
    SealBroken,
    StorageFailed,
    TradekitError,
    Unavailable,
    UnknownUser,
)

OK, FAILURE, USAGE, UNHEALTHY, CONFIGURATION, INTERRUPTED = 0, 1, 2, 3, 4, 130


def exit_code(error: TradekitError) -> int:
    """What the process ends with."""
    if isinstance(error, OperatorError):
        return CONFIGURATION
    return USAGE if isinstance(error, BadInput) else FAILURE


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside groups of errors, which task groups make."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def words(error: TradekitError) -> str:
    """One line per problem: what is wrong, where it comes from, what to do."""
    match error:
        case SeveralConfigurationErrors():
            return "\n".join(words(each) for each in error.errors)
        case ConfigurationError():
            origin = f" ({error.origin})" if error.origin and error.origin not in error.setting else ""
            return _line(f"{error.setting}: {error.problem}{origin}", error.fix)
        case DataDirectoryInUse():
            return _line(f"{error.directory} is in use by {error.holder}", "stop that process, or name another directory with --data")
        case SchemaMismatch():
            return _line(f"the database has revision {error.found}, this version of tradekit needs {error.expected}", error.fix)
        case DataError():
            return _line(f"{error.path} {error.problem}", error.fix)
        case BadInput():
            return _line(f"{error.field} {error.value!r} {error.problem}", error.hint)
        case UnknownUser():
            return _line(f"nobody is registered as {error.who}", "`tradekit users list` shows everybody")
        case NotFound():
            return _line(f"there is no {error.kind} {error.name}", "")
        case KeyRefused():
            return f"{error.check}: {text_for(f'error.{error.check.lower()}').replace('{venue}', error.venue or 'the venue')}"
        case RuleRefused():
            return _refused_rule(error)
        case SealBroken():
            return _line(f"the {error.what} does not open with the key-encryption key {error.key_id}", error.fix)
        case StorageFailed():
            return _line(f"the database failed: {error.reason}", "`tradekit doctor` finds out more")
        case Busy():
            return _line(f"busy: {error.queue} holds {error.limit} already", "try again")
        case Unavailable():
            return _line(f"{error.what} is not available{': ' + error.reason if error.reason else ''}", "")
        case ExchangeUnavailable():
            return _line(f"{error.venue} did not answer{': ' + error.reason if error.reason else ''}", "")
        case _:
            return _line(str(error), "")


def _refused_rule(error: RuleRefused) -> str:
    said = fill(text_for(f"error.{error.check.lower()}"), error.detail, "en")
    if "text" not in error.detail or "column" not in error.detail:
        return f"{error.check}: {said}"
    return f"{error.check}: {said}\n  {error.detail['text']}\n  {'^':>{int(error.detail['column'])}}"


def _line(problem: str, fix: str) -> str:
    text = problem.rstrip(".") + "."
    if not fix:
        return text
    end = "" if fix.endswith(("?", "!")) else "."
    return f"{text} {fix[0].upper()}{fix[1:].rstrip('.')}{end}"
