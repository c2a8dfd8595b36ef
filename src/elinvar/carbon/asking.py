"""Asking a server for JSON: with time-outs, patience, and distrust of what comes back."""

from __future__ import annotations

import email.utils
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from elinvar.core.errors import DataError, ElinvarError, RemoteError, ValueRangeError, message

LARGEST = 16 << 20  # bytes of an answer
LONGEST_WAIT = 60.0  # seconds that we wait because a server asks for it; else the user shall know
AGAIN = (408, 425, 429, 500, 502, 503, 504)  # answers after which asking again may help
CLOCK_DIFFERENCE = 600.0  # seconds between a server's clock and ours


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a server is asked.

    Attributes:
        timeout: seconds for each try.
        tries: how many.
        pause: seconds before the second try; twice as long before each further one.
        sleep, clock: for tests.
    """

    timeout: float = 10.0
    tries: int = 4
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time


@contextmanager
def discreet() -> Iterator[None]:
    """Within, errors do not show the user's line: a token may be written there."""
    try:
        yield
    except ElinvarError as error:
        lines = str(error).splitlines()
        hidden = type(error)("\n".join(one for one in lines if not one.startswith("  at ")))
        hidden.__dict__.update(error.__dict__)
        raise hidden from None


def refuse(
    op: str, text: str, hint: str | None = None, status: int | None = None, wait: Any = None
) -> NoReturn:
    """Raise a RemoteError."""
    error = RemoteError(message(op, text, hint))
    error.status, error.wait = status, wait
    raise error from None


def json_from(
    op: str,
    url: str,
    parameters: Mapping[str, Any],
    headers: Mapping[str, str],
    patience: Patience,
) -> Any:
    """What a server answers to a GET.

    Args:
        op: who asks, for errors.
        url: without a query.
        parameters: the query.
        headers: with the secret; it goes nowhere but to this server, and stands in no error.
        patience: see there.

    Raises:
        RemoteError: no answer, or one that refuses.
        DataError: the answer is no JSON, or larger than 16 MB.
        ValueRangeError: the URL is none, or would send the secret over a line that others can read.
    """
    where = _checked(op, url)
    query = urllib.parse.urlencode(parameters)
    tried = 0
    while True:
        tried += 1
        try:
            return _once(op, f"{url}?{query}" if query else url, headers, where, patience)
        except RemoteError as error:
            again = error.status is None or error.status in AGAIN
            if not again or tried >= patience.tries:
                raise
            wait = error.wait
            if wait is not None and wait > LONGEST_WAIT:
                raise  # the text says for how long
            patience.sleep(max(wait or 0.0, patience.pause * 2 ** (tried - 1)))


def _checked(op: str, url: str) -> urllib.parse.SplitResult:
    where = urllib.parse.urlsplit(url)
    if where.scheme not in ("https", "http") or not where.hostname:
        text = f"the address must begin with https://, received {url[:80]!r}"
        raise ValueRangeError(message(op, text))
    if where.scheme == "http" and not _is_here(where.hostname):
        text = f"the token would go to {where.hostname} over http, where others can read it"
        raise ValueRangeError(message(op, text, "write https://"))
    return where


def _is_here(host: str | None) -> bool:
    return host in ("localhost", "::1") or (host or "").startswith("127.")


def _once(
    op: str,
    address: str,
    headers: Mapping[str, str],
    where: urllib.parse.SplitResult,
    patience: Patience,
) -> Any:
    import http.client
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        """Follows nowhere: the secret is for this server."""

        def redirect_request(self, *arguments: Any, **options: Any) -> None:
            return None

    parts: list[Any] = [Stay()]
    if _is_here(where.hostname):
        parts.append(urllib.request.ProxyHandler({}))
    host = where.netloc.rpartition("@")[2]
    request = urllib.request.Request(address, headers={"Accept": "application/json", **headers})
    try:
        with urllib.request.build_opener(*parts).open(request, timeout=patience.timeout) as answer:
            body = _body(op, answer, host, patience)
            _check_clock(op, answer.headers.get("Date"), host, patience)
    except urllib.error.HTTPError as error:
        with error:
            _refused(op, error, host, patience)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, DataError | RemoteError):
            raise
        why = getattr(error, "reason", None) or error
        slow = isinstance(why, TimeoutError)
        text = f"{host} did not answer: "
        text += f"nothing within {patience.timeout:g} s" if slow else _printable(str(why))
        refuse(op, text, "is there a connection?")
    return _parsed(op, body, host)


def _body(op: str, answer: Any, host: str, patience: Patience) -> bytes:
    """The whole answer, if it is of a sane size and does not drip in for ever."""
    end = time.monotonic() + 3 * patience.timeout
    pieces, size = [], 0
    while piece := answer.read1(1 << 16):
        size += len(piece)
        pieces.append(piece)
        if size > LARGEST:
            text = f"{host} answers with more than {LARGEST >> 20} MB"
            raise DataError(message(op, text, "is it the right address?"))
        if time.monotonic() > end:
            refuse(op, f"{host} did not answer: it took more than {3 * patience.timeout:g} s")
    promised = answer.headers.get("Content-Length", "")
    if promised.isdigit() and size < int(promised):
        refuse(op, f"{host} broke off: {size} of {promised} bytes came")
    return b"".join(pieces)


def _parsed(op: str, body: bytes, host: str) -> Any:
    def no_number(text: str) -> NoReturn:
        raise ValueError(f"{text} is no number of JSON")

    try:
        return json.loads(body, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        text = f"{host} answers with something that is not JSON: {_printable(why)}"
        raise DataError(message(op, text, "is it the right address?")) from None


def _refused(op: str, error: Any, host: str, patience: Patience) -> NoReturn:
    """Say what a status means."""
    status = error.code
    try:
        said = _words(error.read1(4096))
    except (OSError, ValueError, AttributeError):
        said = ""
    tail = f": {said}" if said else ""
    wait = _wait(error.headers.get("Retry-After"), patience)
    if status == 401:
        hint = "the token or password is wrong, or has expired"
        refuse(op, f"{host} does not know who asks (401){tail}", hint, status)
    if status == 403:
        hint = "the account's plan does not include this; or the token is not for it"
        refuse(op, f"{host} does not allow it (403){tail}", hint, status)
    if status == 404:
        hint = "is the region or zone right, and the address?"
        refuse(op, f"{host} has nothing there (404){tail}", hint, status)
    if status == 429:
        when = "" if wait is None else f"; it wants to be asked again in {wait:.0f} s"
        refuse(op, f"{host} was asked too often (429){when}{tail}", None, status, wait)
    if 300 <= status < 400:
        text = f"{host} sends elsewhere ({status}), where the token does not belong"
        refuse(op, text, "give the address where it sends to, if you trust it", status)
    if status >= 500:
        refuse(op, f"{host} is out of order ({status}){tail}", "try again later", status, wait)
    refuse(op, f"{host} refuses ({status}){tail}", None, status, wait)


def _words(body: bytes) -> str:
    """What an error's answer says: its message if it is JSON, else its beginning."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
        for name in ("message", "error", "detail"):
            if isinstance(found, dict) and isinstance(found.get(name), str):
                return _printable(found[name])
    except (ValueError, RecursionError):
        pass
    return "" if "<" in text else _printable(text)


def _printable(text: str) -> str:
    """At most 200 characters, and none that moves the cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _wait(said: str | None, patience: Patience) -> float | None:
    """Seconds of a `Retry-After`: a number or a date."""
    if not said:
        return None
    if said.strip().isdigit():
        return float(said.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - patience.clock())
    except (ValueError, TypeError, OverflowError):
        return None


def _check_clock(op: str, date: str | None, host: str, patience: Patience) -> None:
    """A clock that is wrong would have us run at the wrong hours and miss deadlines."""
    try:
        theirs = email.utils.parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    difference = patience.clock() - theirs
    if abs(difference) > CLOCK_DIFFERENCE:
        which = "ahead of" if difference > 0 else "behind"
        text = f"this machine's clock is {abs(difference) / 60:.0f} minutes {which} {host}'s"
        hint = "set the clock: with a wrong one, plans are for the wrong hours"
        raise DataError(message(op, text, hint))
