"""The rows of `studies.bench`, and its table for people in Markdown, which the terminal shows, too."""

from glomfeat.core.memory import format_bytes
from studies.bench.plan import agree

HEADINGS = ("part", "ours", "peer", "size", "ours s", "peer s", "ratio", "peak, ours / peer", "agreement", "goal")
NUMBERS = ("ours s", "peer s", "ratio", "peak, ours / peer", "agreement")
FIGURES = (
    *("ours_s", "peer_s", "ours_process_s", "ours_work_s", "peer_process_s", "peer_work_s", "ratio"),
    *("ours_peak_bytes", "peer_peak_bytes", "ours_mapped_bytes", "peer_mapped_bytes", "peak_ratio", "row_bytes"),
    *("rounds", "agreement", "agreement_of", "efficiency"),
)
LEGEND = (
    "Seconds are medians, of the whole process (p: its start, imports and reading included) or of the work alone (w); "
    "ratio: the peer's seconds by ours, by row where the numbers of rows differ; of several processes beside one, with "
    "its share of their number. Peak: the largest proportional set size of a process and all below it, looked at ten "
    "times a second, with the file pages that it maps; held for a further row: the difference of both peaks without "
    "such pages, by row. ~: extrapolated from what stands in brackets."
)
MARKS = {None: "", True: " (met)", False: " (MISSED)"}
QUICK = "QUICK: sizes of seconds, to see that it works; the times and peaks mean nothing and no goal is judged"


def row_of(benchmark, pair, sides, measured, quick):
    """A row of the table, from a `Pair` and the `Side` and `Measured` of each name; unknown figures are None."""
    names = [pair.ours, *pair.peer]
    row = {
        "part": benchmark.part,
        "ours": sides[pair.ours].what,
        "peer": " + ".join(sides[name].what for name in pair.peer),
        "size": benchmark.size,
        "basis": pair.basis,
        "extrapolated": "; ".join(
            f"{who} extrapolated from {sides[name].of}"
            for who, name in zip(["ours", *["peer"] * len(pair.peer)], names, strict=True)
            if sides[name].of
        ),
        "quick": quick,
        "status": "done",
        "reason": "",
        **dict.fromkeys(FIGURES),
        "goal": ", ".join(map(str, pair.goals)),
        "met": None,
    }
    lost = [f"{sides[name].what}: {measured[name].failed}" for name in names if measured[name].failed]
    if lost:
        skipped = all(measured[name].skipped for name in names if measured[name].failed)
        return row | {"status": "skipped" if skipped else "failed", "reason": "; ".join(lost)}
    row |= _figures(pair, sides, measured)
    if pair.agreement:
        found = agree(pair.agreement, measured[pair.ours], measured[pair.peer[0]])
        row |= dict(zip(("agreement", "agreement_of"), found, strict=True))
    verdicts = [None if quick else goal.met(row) for goal in pair.goals]
    said = [f"{goal}{MARKS[met]}" for goal, met in zip(pair.goals, verdicts, strict=True)]
    judged = [met for met in verdicts if met is not None]
    return row | {"goal": ", ".join(said), "met": all(judged) if judged else None}


def _figures(pair, sides, measured):
    ours, peers = measured[pair.ours], [measured[name] for name in pair.peer]
    found = {"rounds": min(one.rounds for one in [ours, *peers])}
    for who, sides_of in (("ours", [ours]), ("peer", peers)):
        for name, of_all in (("process_s", sum), ("work_s", sum), ("peak_bytes", max), ("mapped_bytes", max)):
            found[f"{who}_{name}"] = of_all(getattr(one, name) for one in sides_of)
    found |= {f"{who}_s": found[f"{who}_{pair.basis}_s"] for who in ("ours", "peer")}
    units = sides[pair.ours].units / sides[pair.peer[0]].units
    found["ratio"] = units * found["peer_s"] / found["ours_s"]
    found["efficiency"] = found["ratio"] / pair.processes if pair.processes > 1 else None
    found["peak_ratio"] = found["ours_peak_bytes"] / found["peer_peak_bytes"]
    if further := sides[pair.ours].units - sides[pair.peer[0]].units:
        held = [found[f"{who}_peak_bytes"] - found[f"{who}_mapped_bytes"] for who in ("ours", "peer")]
        found["row_bytes"] = (held[0] - held[1]) / further
    return found


def _seconds(row, who):
    value, head = row[f"{who}_s"], f"{who} extrapolated from "
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    of = [part.removeprefix(head) for part in row["extrapolated"].split("; ") if part.startswith(head)]
    return f"~{text} ({of[0]})" if of else text


def cells(row):
    """The shown columns of a row as text."""
    figures = ["", "", row["status"], ""]
    if row["status"] == "done":
        share = f" ({row['efficiency']:.0%})" if row["efficiency"] else ""
        peaks = " / ".join(format_bytes(row[f"{who}_peak_bytes"]) for who in ("ours", "peer"))
        ratio = f"{row['ratio']:.3g} {row['basis'][0]}{share}"
        figures = [_seconds(row, "ours"), _seconds(row, "peer"), ratio, peaks]
    agreement = "" if row["agreement"] is None else f"{row['agreement']:.2g}"
    part = row["part"] + (" (quick)" if row["quick"] else "")
    return [part, row["ours"], row["peer"], row["size"], *figures, agreement, row["goal"]]


def remarks(report):
    """What a reader of the table must know, a line each."""
    rows = report["rows"]
    said = [QUICK] if any(row["quick"] for row in rows) else []
    said += dict.fromkeys(
        f"{row['part']}, {row['size']}: {row['status']}: {row['reason']}" for row in rows if row["reason"]
    )
    of = {row["part"]: row["agreement_of"] for row in rows if row["agreement_of"]}
    return [*said, *(f"Agreement of {part}: {what}." for part, what in of.items()), LEGEND]


def title_of(report):
    """Where and when it was measured, and with what."""
    packages = report["environment"]["packages"]
    shown = [f"{name} {packages[name]}" for name in ("torch", "scikit-learn", "numpy", "pillow") if name in packages]
    return (
        f"{report['date'][:10]}, {report['device']}, {report['environment']['cores']} cores, {report['jobs']} jobs, "
        f"budget {format_bytes(report['memory_bytes'])}, Python {report['environment']['python']}, {', '.join(shown)}"
    )


def to_markdown(report):
    """The table as Markdown, from what bench.json holds."""
    rule = "|".join("---:" if name in NUMBERS else "---" for name in HEADINGS)
    lines = [f"`{report['command']}`: {title_of(report)}", "", "| " + " | ".join(HEADINGS) + " |", f"|{rule}|"]
    lines += ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in map(cells, report["rows"])]
    return "\n".join([*lines, "", *(line + "\n" for line in remarks(report))])
