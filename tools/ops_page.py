"""Write docs/ops.md from the op table: `python tools/ops_page.py`."""

from __future__ import annotations

from pathlib import Path

from elinvar.ops.record import Absent
from elinvar.ops.table import TABLE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ops.md"


def page() -> str:
    """The text of the page."""
    lines = ["# The primitives", "", "Made from the op table by `tools/ops_page.py`.", ""]
    for family in dict.fromkeys(op.family for op in TABLE):
        lines += [f"## {family}", ""]
        for op in (op for op in TABLE if op.family == family):
            named = [f"{p} (optional)" if p in op.optional else p for p in op.params]
            params = f" · params: {', '.join(named)}" if named else ""
            derivative = (
                f"none ({op.derivative.reason})" if isinstance(op.derivative, Absent) else "yes"
            )
            lines += [f"### {op.name}", "", f"derivative: {derivative}{params}", ""]
            lines += ["```text", op.doc.strip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
