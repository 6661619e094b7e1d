"""The rows of `studies.bench`, and its table for people in Markdown, which the terminal shows, too."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from glomfeat.core.memory import format_bytes
from studies.bench.measure import Side

LEGEND = (
    "Seconds are medians, of the whole process (p: its start, imports and reading included) or of the work alone (w); "
    "ratio: the peer's seconds by ours, by row or arm where numbers differ; of several processes beside one, with its "
    "share of their number. Peak: the largest proportional set size of a process and all below it, looked at ten "
    "times a second, of backends less often, with the file pages that it maps; held for a further row: the difference "
    "of both peaks without such pages, by row. ~: extrapolated from what stands in brackets."
)
QUICK = "QUICK: sizes of seconds, to see that it works; the times and peaks mean nothing and no goal is judged"
AT_LEAST = ("ratio", "efficiency")  # of all other figures a goal is the most
WORDS = {
    "ours_s": "seconds",
    "ours_peak_bytes": "peak",
    "row_bytes": "held for a further row",
    "peak_ratio": "peak ratio",
    "efficiency": "share of the processes",
}


@dataclass(frozen=True)
class Row:
    """Two sides of a piece of work, and what is said of them."""

    ours: Side
    peer: Side
    size: str
    basis: str = "work"  # or "process": which seconds make the ratio
    goals: dict = field(default_factory=dict)  # what a figure should reach, by its name
    agreement: Callable | None = None  # of what both have kept: how far they differ, which its docstring explains
    processes: int = 1  # of ours, where the peer is one and the ratio a speed-up


def largest(ours, peer):
    """Largest difference of a number."""
    return np.abs(ours.astype(float) - peer).max()


def relative(ours, peer):
    """Largest difference of a feature, relative to the largest feature."""
    return largest(ours, peer) / np.abs(peer).max()


def variances(ours, peer):
    """Largest relative difference of a variance explained in the first fold's training rows."""
    a, b = (rows.var(axis=0, ddof=1, dtype=np.float64) for rows in (ours, peer))
    return (np.abs(a - b) / b).max() if len(a) == len(b) else np.inf


def aurocs(ours, peer):
    """Largest difference of an arm's mean AUROC on the outer folds that the peer has done."""
    arms = {key[:2] for key in peer}
    return max(abs(np.mean([ours[key] - peer[key] for key in peer if key[:2] == arm])) for arm in arms)


def row_of(part, row, measured, quick):
    """What bench.json holds of a `Row`, from what was measured of each `Side`; figures only where both were."""
    sides = {"ours": row.ours, "peer": row.peer}
    found = {"part": part, "ours": row.ours.what, "peer": row.peer.what, "size": row.size, "quick": quick}
    found |= {"basis": row.basis, "ours_of": row.ours.of, "peer_of": row.peer.of, "status": "done", "reason": ""}
    lost = {side.what: measured[side] for side in sides.values() if measured[side].status != "done"}
    if lost:
        found["status"] = "failed" if any(one.status == "failed" for one in lost.values()) else "skipped"
        found["reason"] = "; ".join(f"{what}: {one.reason}" for what, one in lost.items())
    else:
        found |= _figures(row, measured[row.ours], measured[row.peer])
    found["goal"] = ", ".join(
        _judged(name, goal, None if quick else found.get(name)) for name, goal in row.goals.items()
    )
    return found


def _figures(row, ours, peer):
    found = {"rounds": min(ours.rounds, peer.rounds)}
    for who, one in (("ours", ours), ("peer", peer)):
        for name in ("process_s", "work_s", "peak_bytes", "mapped_bytes"):
            found[f"{who}_{name}"] = getattr(one, name)
        found[f"{who}_s"] = found[f"{who}_{row.basis}_s"]
    found["ratio"] = row.ours.units / row.peer.units * found["peer_s"] / found["ours_s"]
    found["peak_ratio"] = ours.peak_bytes / peer.peak_bytes
    if row.processes > 1:
        found["efficiency"] = found["ratio"] / row.processes
    if further := row.ours.units - row.peer.units:
        found["row_bytes"] = (ours.peak_bytes - ours.mapped_bytes - (peer.peak_bytes - peer.mapped_bytes)) / further
    if row.agreement:
        found |= {"agreement": float(row.agreement(ours.kept, peer.kept)), "agreement_of": row.agreement.__doc__}
    return found


def _judged(name, goal, figure):
    """A goal in words, and whether a figure reaches it."""
    least, value = name in AT_LEAST, format_bytes(goal) if name.endswith("bytes") else f"{goal:g}"
    said = f"{WORDS.get(name, name)} {'>=' if least else '<='} {value}"
    return (
        said if figure is None else f"{said} ({'met' if (figure >= goal if least else figure <= goal) else 'MISSED'})"
    )


def _seconds(row, who):
    value, of = row[f"{who}_s"], row[f"{who}_of"]
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"~{text} ({of})" if of else text


def cells(row):
    """The shown columns of a row as text, by their headings."""
    done, part = row["status"] == "done", row["part"] + (" (quick)" if row["quick"] else "")
    found = {"part": part, "ours": row["ours"], "peer": row["peer"], "size": row["size"], "ours s": "", "peer s": ""}
    found |= {"ratio": row["status"], "peak, ours / peer": "", "agreement": ""}
    if done:
        share = f" ({row['efficiency']:.0%})" if "efficiency" in row else ""
        found |= {f"{who} s": _seconds(row, who) for who in ("ours", "peer")}
        found["ratio"] = f"{row['ratio']:.3g} {row['basis'][0]}{share}"
        found["peak, ours / peer"] = " / ".join(format_bytes(row[f"{who}_peak_bytes"]) for who in ("ours", "peer"))
        found["agreement"] = f"{row['agreement']:.2g}" if "agreement" in row else ""
    return found | {"goal": row["goal"]}


def to_markdown(report):
    """What was measured where, the table, and what a reader of it must know, from what bench.json holds."""
    rows, machine = report["rows"], report["environment"]
    with_what = [f"Python {machine['python']}"]
    with_what += [f"{name} {machine['packages'].get(name)}" for name in ("torch", "scikit-learn", "numpy", "pillow")]
    budget = f"{machine['cores']} cores, {report['jobs']} jobs, budget {format_bytes(report['memory_bytes'])}"
    lines = [f"`{report['command']}`: {report['date'][:10]}, {report['device']}, {budget}, {', '.join(with_what)}", ""]
    table = [cells(row) for row in rows]
    for k, texts in enumerate([list(table[0]), ["---"] * len(table[0]), *(list(row.values()) for row in table)]):
        lines.append("| " + " | ".join(text if k == 1 else text.replace("|", "\\|") for text in texts) + " |")
    said = [QUICK] if any(row["quick"] for row in rows) else []
    said += [f"{row['part']}, {row['size']}: {row['status']}: {row['reason']}" for row in rows if row["reason"]]
    said += [f"Agreement of {row['part']}: {row['agreement_of']}" for row in rows if "agreement_of" in row]
    return "\n\n".join(["\n".join(lines), *dict.fromkeys(said), LEGEND]) + "\n"
