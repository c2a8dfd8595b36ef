"""Any sequence of commands on two stores and a remote, against a model that keeps plain dictionaries."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

pytest.importorskip("fsspec")

from elinvar import data
from elinvar.core.errors import DataError, ValueRangeError
from elinvar.store import objects

pytestmark = pytest.mark.any_level
CONTENTS = st.dictionaries(
    st.sampled_from(["a", "b/c", "b/d", "e f"]),
    st.binary(max_size=2) | st.sampled_from(["large", "just small"]),
    min_size=1,
)
LONG = {"large": bytes(objects.PACKED + 1), "just small": b"x" * objects.PACKED}
PLACES = st.sampled_from(["one", "two"])


def content_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Histories(RuleBasedStateMachine):
    """The model: contents of versions by store, which tags they have, which were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="elinvar-test-"))
        self.model: dict[str, list[dict[str, bytes]]] = {"one": [], "two": [], "remote": []}
        self.dropped: dict[str, set[int]] = {"one": set(), "two": set(), "remote": set()}
        self.tags: dict[str, dict[str, int]] = {"one": {}, "two": {}, "remote": {}}
        self.count = 0

    def teardown(self) -> None:
        for folder in self.top.glob("*/checkouts/*"):
            folder.chmod(0o700)
        shutil.rmtree(self.top, ignore_errors=True)

    def kept(self, place: str) -> list[int]:
        numbers = range(1, len(self.model[place]) + 1)
        return [number for number in numbers if number not in self.dropped[place]]

    @rule(place=PLACES, content=CONTENTS)
    def commit(self, place: str, content: dict[str, bytes | str]) -> None:
        content = {name: LONG.get(value, value) for name, value in content.items()}
        self.count += 1
        source = self.top / f"in{self.count}"
        for name, value in content.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(value)
        found = data.commit(source, "x", str(self.count), store=self.top / place)
        history = self.model[place]
        if history and history[-1] == content:
            assert not found.is_new
            self.dropped[place].discard(len(history))
        else:
            assert found.is_new
            history.append(content)
        assert found.number == len(history)

    @precondition(lambda self: self.model["one"])
    @rule(tag=st.sampled_from(["v1", "v2"]), which=st.integers(0, 9))
    def tag(self, tag: str, which: int) -> None:
        number = which % len(self.model["one"]) + 1
        tags = self.tags["one"]
        if tags.get(tag, number) != number:
            with pytest.raises(ValueRangeError, match=f"the tag '{tag}' is that of"):
                data.tag(f"x@{number}", tag, store=self.top / "one")
            return
        data.tag(f"x@{number}", tag, store=self.top / "one")
        tags[tag] = number

    @rule(place=PLACES, which=st.integers(0, 9))
    def drop(self, place: str, which: int) -> None:
        kept = self.kept(place)
        if not kept:
            return
        number = kept[which % len(kept)]
        if number in self.tags[place].values():
            with pytest.raises(ValueRangeError, match="has the tag"):
                data.drop(f"x@{number}", store=self.top / place)
            return
        data.drop(f"x@{number}", store=self.top / place)
        self.dropped[place].add(number)

    @precondition(lambda self: self.model["one"])
    @rule()
    def prune(self) -> None:
        would = data.prune(store=self.top / "one")
        done = data.prune(dry_run=False, store=self.top / "one")
        assert would.objects == done.objects
        assert data.prune(store=self.top / "one").objects == 0

    def merge(self, source: str, target: str) -> None:
        news = set(range(len(self.model[target]) + 1, len(self.model[source]) + 1))
        if news:
            self.model[target] = list(self.model[source])
            self.dropped[target] |= self.dropped[source] & news

    def messages(self, place: str) -> list[str]:
        return [version.message for version in reversed(data.log("x", self.top / place))]

    @rule(place=PLACES)
    def push(self, place: str) -> None:
        mine, theirs = self.model[place], self.model["remote"]
        if not mine:
            return
        url = str(self.top / "remote")
        if not self.begins(place):
            with pytest.raises(DataError, match=r"each have versions|newer versions"):
                data.push("x", url, store=self.top / place)
            return
        found = data.push("x", url, store=self.top / place)
        assert found.versions == len(mine) - len(theirs)
        self.merge(place, "remote")
        self.tags["remote"] |= self.tags[place]
        self.remote_messages = self.messages(place)

    remote_messages: list[str] = []  # noqa: RUF012

    def begins(self, place: str) -> bool:
        """Whether the remote's history is the beginning of a store's."""
        theirs = self.remote_messages
        return self.messages(place)[: len(theirs)] == theirs

    @precondition(lambda self: self.model["remote"])
    @rule(place=PLACES)
    def pull(self, place: str) -> None:
        mine = self.messages(place) if self.model[place] else []
        both = min(len(mine), len(self.remote_messages))
        call = lambda: data.pull("x", str(self.top / "remote"), store=self.top / place)  # noqa: E731
        if mine[:both] != self.remote_messages[:both]:
            with pytest.raises(DataError, match="each have versions of 'x'"):
                call()
            return
        lost = self.dropped["remote"] - self.dropped[place]
        if lost & set(range(1, len(mine) + 1)):
            return  # what one place gave up and the other did not: the pull may lack it
        call()
        self.merge("remote", place)
        self.tags[place] = {**self.tags["remote"], **self.tags[place]}

    @invariant()
    def everything_is_there(self) -> None:
        for place in ("one", "two"):
            history = self.model[place]
            if not history:
                continue
            store = self.top / place
            assert data.verify(store=store).ok
            found = data.log("x", store)
            assert len(found) == len(history)
            assert {version.number for version in found if version.dropped} == self.dropped[place]
            tags = {tag: version.number for version in found for tag in version.tags}
            assert tags == self.tags[place]
            for number in self.kept(place)[-2:]:
                folder = data.checkout(f"x@{number}", self.top / "out", store=store)
                assert content_of(folder) == history[number - 1]
                shutil.rmtree(folder)


Histories.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
test_any_commands = Histories.TestCase
