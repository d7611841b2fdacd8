"""A table as Markdown, LaTeX (booktabs) and HTML."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import escape

DAGGER = "†"
_LATEX: dict[str, str | int | None] = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "\N{MINUS SIGN}": r"$-$", "<": r"$<$", ">": r"$>$", "α": r"$\alpha$", "λ": r"$\lambda$",
    DAGGER: r"$^\dagger$", "‡": r"$^\ddagger$", "–": "--", "×": r"$\times$",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One number of a table as text."""

    text: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Row:
    """Labels in the first columns, then entries; ``rule`` means a line above the row."""

    labels: tuple[str, ...]
    entries: tuple[Entry, ...] = ()
    rule: bool = False


@dataclass(frozen=True)
class Table:
    """A table in the paper's layout; ``heads`` are of the label columns, then of the entries' columns."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> int:
        """Number of label columns."""
        return len(self.rows[0].labels) if self.rows else 0

    @property
    def frame(self) -> pd.DataFrame:
        """The text of all cells."""
        cells = [[*row.labels, *(entry.text for entry in row.entries)] for row in self.rows]
        return pd.DataFrame(cells, columns=list(self.heads))

    @property
    def bold(self) -> pd.DataFrame:
        """Which entries are bold, in the shape of :attr:`frame`."""
        cells = [[False] * len(row.labels) + [entry.bold for entry in row.entries] for row in self.rows]
        return pd.DataFrame(cells, columns=list(self.heads))


def to_markdown(table: Table) -> str:
    """A pipe table below its title, with its notes at the end."""
    safe = table.frame.map(_pipe_safe)
    body = safe.mask(table.bold, "**" + safe + "**").to_markdown(
        index=False, headers=[_pipe_safe(head) for head in table.heads], disable_numparse=True,
        colalign=["left"] * table.labels + ["right"] * (len(table.heads) - table.labels),
    )  # fmt: skip
    notes = "".join(f"\n- {note}" for note in table.notes)
    return f"**{table.title}**\n\n{body}\n" + (f"{notes}\n" if notes else "")


def _pipe_safe(text: str) -> str:
    return text.replace("|", "\\|")


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return text.translate(str.maketrans(_LATEX))


def to_latex(table: Table) -> str:
    """A ``table*`` float with booktabs rules; needs ``\\usepackage{booktabs}``."""
    safe = table.frame.map(latex_text)
    lines = safe.mask(table.bold, r"\textbf{" + safe + "}").to_latex(
        index=False, header=[latex_text(head) for head in table.heads],
        column_format="l" * table.labels + "r" * (len(table.heads) - table.labels),
    ).splitlines()  # fmt: skip
    first = lines.index(r"\midrule") + 1
    for number, row in reversed(list(enumerate(table.rows))):
        if row.rule and number:
            lines.insert(first + number, r"\midrule")
    caption = " ".join(_sentence(text) for text in (table.title, *table.notes))
    return "\n".join([
        r"\begin{table*}[t]", r"\centering\small", *lines, rf"\caption{{{latex_text(caption)}}}",
        rf"\label{{tab:{table.name}}}", r"\end{table*}", "",
    ])  # fmt: skip


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def to_html(table: Table) -> str:
    """The table and its notes as an HTML fragment, all text escaped; the report's style sheet knows its classes.

    In a table with rules, only the first row of each group shows the group's labels (all but the last, the row's own).
    """
    frame, rules = table.frame, [row.rule for row in table.rows]
    if any(rules):
        frame.iloc[~np.array(rules), : table.labels - 1] = ""
    classes = [
        [" rule" * row.rule for _ in row.labels]
        + ["value" + " words" * (" (" in entry.text) + " rule" * row.rule for entry in row.entries]
        for row in table.rows
    ]
    styler = frame.style.hide(axis="index").format(escape="html").format_index(escape="html", axis="columns")
    styler = styler.apply(lambda _: np.where(table.bold, "font-weight: bold;", ""), axis=None)
    styler = styler.set_td_classes(pd.DataFrame(classes, columns=list(table.heads)))
    body = styler.set_uuid(table.name).set_table_attributes('class="paper"').to_html(cell_ids=False)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return f'<div class="scroll whole">{body}</div>\n<ul class="notes">{notes}</ul>\n'
