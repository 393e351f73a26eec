"""Owns how money is shown to people: lines that add up to their total, and what nobody saw said as such."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.budgets import Line, said, shown, total
from bot.core.sanitize import inline


def cost_table(lines: Sequence[Line]) -> str:
    """Render a track's lines by role and model with their total; empty where there is none."""
    if not lines:
        return ""
    amounts = shown([line.micros for line in lines])
    rows = ["| work | model | runs | calls | tokens | cost |", "|---|---|---:|---:|---:|---:|"]
    rows += [
        _row(line.role, inline(line.model), line, amount) for line, amount in zip(lines, amounts, strict=True)
    ]
    whole = total(lines)
    rows.append(_row("**total**", "", whole, sum(amounts)))
    notes = ["Costs are list prices; a free tier is counted as if it were paid."] if whole.micros else []
    if whole.unknown:
        notes.append(
            f"Of this {said(whole.unknown)} is reckoned, not seen: runs that were killed, at what they had reserved, "
            "and models without a known price."
        )
    if whole.reserved:
        notes.append(f"{said(whole.reserved)} is reserved for what still runs.")
    return "\n".join(rows) + ("\n\n" + " ".join(notes) if notes else "")


def _row(work: str, model: str, line: Line, amount: int) -> str:
    return f"| {work} | {model} | {line.runs} | {line.requests} | {line.tokens:,} | {said(amount)} |"
