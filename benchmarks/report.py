"""Tables of what was measured."""

from __future__ import annotations

from typing import Any

from benchmarks.engines import ENGINES
from benchmarks.measure import best_peer, geometric_mean, ratio, share_of_peak

CACHED_BYTES = 8 << 20
"""Work on less than this may stay in caches: the memory's bandwidth says nothing about it."""


def readable(seconds: float) -> str:
    """A time with a fitting unit.

    Example:
        >>> readable(0.0123), readable(2.5), readable(4.2e-6)
        ('12.3 ms', '2.50 s', '4.2 µs')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            scaled = seconds * factor
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return f"{seconds * 1e6:.1f} µs"


def megabytes(amount: float) -> str:
    """Bytes as MB."""
    return f"{amount / 1e6:.0f} MB"


def label(name: str) -> str:
    """A framework's name for people; `torch@2` and `torch+busy` keep their marks."""
    for mark in "@+":
        if mark in name:
            first, _, rest = name.partition(mark)
            return f"{ENGINES[first].label}{mark}{rest}"
    return ENGINES[name].label


def table(rows: list[list[str]]) -> str:
    """Rows as aligned text; the first is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "─" * len(lines[0]), *lines[1:]])


def add_ratios(entry: dict[str, Any], peaks: dict[str, Any] | None) -> None:
    """Fill in each framework's rate and share of the peak, and our ratio to the best peer."""
    results = entry["results"]
    for found in results.values():
        if "median" not in found:
            continue
        if entry["flops"]:
            found["gflops"] = entry["flops"] / found["median"] / 1e9
        traffic = entry["traffic"] if entry["traffic"] > CACHED_BYTES else 0
        if peaks and (entry["flops"] or traffic):
            found["share"] = share_of_peak(
                found["median"], entry["flops"], traffic,
                peaks["peak_flops"], peaks["peak_bandwidth"],
            )  # fmt: skip
    peer = best_peer(results)
    if peer is not None and "median" in results.get("elinvar", {}):
        ours, theirs = results["elinvar"]["rounds"], results[peer]["rounds"]
        same = len(ours) == len(theirs)
        medians = results["elinvar"]["median"] / results[peer]["median"]
        entry["best_peer"] = peer
        entry["ratio"] = ratio(ours, theirs) if same else medians


def times_table(cases: dict[str, Any], engines: tuple[str, ...]) -> str:
    """Times of one call, our ratio to the best peer, our rate and share of the peak."""
    shown = [name for name in engines if any(name in case["results"] for case in cases.values())]
    rows = [["case", *map(label, shown), "best peer", "ratio", "GFLOP/s", "of peak", ""]]
    for name, case in cases.items():
        results = case["results"]
        own = results.get("elinvar", {})
        rows.append([
            name, *[_time(results.get(engine)) for engine in shown],
            label(case["best_peer"]) if "best_peer" in case else "",
            f"{case['ratio']:.2f}" if "ratio" in case else "",
            f"{own['gflops']:.0f}" if "gflops" in own else "",
            f"{own['share']:.0%}" if "share" in own else "",
            "busy" if case["busy_rounds"] else "",
        ])  # fmt: skip
    return table(rows)


def _time(found: dict[str, Any] | None) -> str:
    if found is None:
        return "—"
    return readable(found["median"]) if "median" in found else "failed"


def first_calls_table(cases: dict[str, Any]) -> str:
    """First calls with empty and with full caches, and memory, where processes stood apart."""
    rows = [["case", "framework", "first, empty caches", "first, full caches", "memory", "in all"]]
    for name, case in cases.items():
        for engine, found in case["results"].items():
            if "memory" in found:
                firsts = [found.get("first_cold"), found.get("first_warm")]
                rows.append([
                    name, label(engine), *["" if f is None else readable(f) for f in firsts],
                    megabytes(found["memory"]), megabytes(found["memory_absolute"]),
                ])  # fmt: skip
    return table(rows) if len(rows) > 1 else ""


def conditions_table(cases: dict[str, Any]) -> str:
    """What a second thread brings, and what a busy neighbour costs."""
    rows = [["case", "framework", "before", "after", "", ""]]
    for name, case in cases.items():
        results = case["results"]
        for key, found in results.items():
            for mark, what in (("speedup", "times as fast"), ("slowdown", "times as slow")):
                if mark in found:
                    base = key.split("+")[0] if mark == "slowdown" else f"{key.split('@')[0]}@1"
                    rows.append([
                        name, label(key), readable(results[base]["median"]),
                        readable(found["median"]), f"{found[mark]:.2f}", what,
                    ])  # fmt: skip
    return table(rows) if len(rows) > 1 else ""


def convolution_lines(cases: dict[str, Any]) -> str:
    """How much of our own best product rate each of our convolutions reaches."""

    def rates(group: str) -> dict[str, float]:
        found = {}
        for name, case in cases.items():
            own = case["results"].get("elinvar", {})
            if name.startswith(group) and "gflops" in own:
                found[name] = own["gflops"]
        return found

    products, convolutions = rates("matmul/"), rates("conv/")
    if not products or not convolutions:
        return ""
    best = max(products, key=lambda name: products[name])
    rows = [["convolution", "GFLOP/s", f"of {best} ({products[best]:.0f})"]]
    rows += [[name, f"{r:.0f}", f"{r / products[best]:.0%}"] for name, r in convolutions.items()]
    return table(rows)


def means_lines(cases: dict[str, Any]) -> str:
    """The geometric mean of our ratios to the best peer, by group, and where we lead."""
    groups: dict[str, list[float]] = {}
    for name, case in cases.items():
        if "ratio" in case:
            groups.setdefault(name.split("/")[0], []).append(case["ratio"])
    if not groups:
        return ""
    rows = [["group", "ratio to the best peer (geometric mean)", "ahead in"]]
    for group, found in groups.items():
        ahead = sum(value <= 1 for value in found)
        rows.append([group, f"{geometric_mean(found):.2f}", f"{ahead} of {len(found)}"])
    return table(rows)


def failures(cases: dict[str, Any]) -> str:
    """A line for each framework that could not do a case; equal ones are told once."""
    told: dict[tuple[str, str], list[str]] = {}
    for name, case in cases.items():
        for engine, found in case["results"].items():
            if "error" in found:
                told.setdefault((engine, found["error"]), []).append(name)
    return "\n".join(
        f"{label(engine)} failed in {names[0]}"
        f"{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}"
        for (engine, text), names in told.items()
    )


def disagreements(cases: dict[str, Any], limit: float = 1e-3) -> str:
    """A line for each framework whose first loss is not ours: it cannot have done the same work."""
    lines = []
    for name, case in cases.items():
        ours = case["results"].get("elinvar", {}).get("loss")
        if ours is None or name.startswith("epoch/"):
            continue  # an epoch mixes its pictures in an order of the framework's own
        for engine, found in case["results"].items():
            loss = found.get("loss")
            if loss is not None and not abs(loss - ours) <= limit * abs(ours):
                lines.append(
                    f"{name}: first loss of {label(engine)} {loss:.6}, of {label('elinvar')} "
                    f"{ours:.6}: not the same work"
                )
    return "\n".join(lines)


def full(report: dict[str, Any]) -> str:
    """All tables, with blank lines between them."""
    cases, engines = report["cases"], tuple(report["engines"])
    plain = {n: c for n, c in cases.items() if not n.startswith(("scaling/", "busy/"))}
    parts = [
        times_table(plain, engines) if plain else "", means_lines(plain),
        first_calls_table(cases), conditions_table(cases), convolution_lines(cases),
        disagreements(cases), failures(cases),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)
