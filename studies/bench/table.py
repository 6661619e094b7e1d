"""The rows of `studies.bench`, and its tables in Markdown, which the terminal shows, too."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glomfeat.core.memory import format_bytes
from glomfeat.core.words import markdown_table
from studies.bench.measure import Side

LEGEND = (
    "Seconds are medians, of the whole process (p: its start, imports and reading included) or of the work alone (w); "
    "ratio: the peer's seconds by ours, by row or arm where numbers differ; of several processes beside one, with its "
    "share of their number. Peak: the largest proportional set size of a process and all below it, looked at ten "
    "times a second, of backends less often. ~: extrapolated from what stands in brackets. /s: images a second."
)
QUICK = "QUICK: sizes of seconds, to see that it works; the figures mean nothing"
COLUMNS = ("part", "ours", "peer", "size", "ours s", "peer s", "ratio", "peak, ours / peer", "agreement")
VERSIONS = ("torch", "torchvision", "scikit-learn", "numpy", "pillow")


@dataclass(frozen=True)
class Row:
    """Two sides of a piece of work, and how they are compared."""

    ours: Side
    peer: Side
    size: str
    basis: str = "work"  # or "process": which seconds make the ratio
    agreement: Callable | None = None  # how far the results that both kept differ; the report shows its docstring
    processes: int = 1  # of our side, if the peer is a single process and the ratio a speed-up
    per_s: bool = False  # whether to show units a second, too


def relative(ours, peer):
    """Largest difference of a number, relative to the largest of them."""
    return np.abs(ours.astype(float) - peer).max() / np.abs(peer).max()


def variances(ours, peer):
    """Largest relative difference of a variance explained in the first fold's training rows."""
    a, b = (rows.var(axis=0, ddof=1, dtype=np.float64) for rows in (ours, peer))
    return (np.abs(a - b) / b).max() if len(a) == len(b) else np.inf


def aurocs(ours, peer):
    """Largest difference of an arm's mean AUROC on the outer folds that the peer has done."""
    arms = {key[:2] for key in peer}
    return max(abs(np.mean([ours[key] - peer[key] for key in peer if key[:2] == arm])) for arm in arms)


def row_of(part, row, measured):
    """Write a `Row` for bench.json, from the measurements of each `Side`; numbers only if both were measured."""
    sides = {"ours": row.ours, "peer": row.peer}
    found = {"part": part, "ours": row.ours.what, "peer": row.peer.what, "size": row.size, "basis": row.basis}
    lost = {side.what: measured[side] for side in sides.values() if measured[side].status != "done"}
    if lost:
        failed = any(one.status == "failed" for one in lost.values())
        reason = "; ".join(f"{what}: {one.reason}" for what, one in lost.items())
        return found | {"status": "failed" if failed else "skipped", "reason": reason}
    for who, side in sides.items():
        one = measured[side]
        found |= {f"{who}_{name}": getattr(one, name) for name in ("process_s", "work_s", "peak_bytes")}
        found |= {f"{who}_s": found[f"{who}_{row.basis}_s"], f"{who}_of": ""}
        if side.folds < side.of_folds:
            found[f"{who}_of"] = f"{side.folds} of {side.of_folds} folds"
        if row.per_s:
            found[f"{who}_per_s"] = side.units / found[f"{who}_s"]
    found["ratio"] = row.ours.units / row.peer.units * found["peer_s"] / found["ours_s"]
    if row.processes > 1:
        found["efficiency"] = found["ratio"] / row.processes
    if row.agreement:
        kept = measured[row.ours].kept, measured[row.peer].kept
        found |= {"agreement": float(row.agreement(*kept)), "agreement_of": row.agreement.__doc__}
    return found | {"status": "done"}


def _seconds(row, who):
    value, of = row[f"{who}_s"], row[f"{who}_of"]
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    text += f" ({row[f'{who}_per_s']:,.0f}/s)" if f"{who}_per_s" in row else ""
    return f"~{text} ({of})" if of else text


def cells(row):
    """Write the cells of a row as text, by `COLUMNS`."""
    found = {name: row[name] for name in COLUMNS[:4]} | {"ratio": row["status"]}
    if row["status"] == "done":
        share = f" ({row['efficiency']:.0%})" if "efficiency" in row else ""
        found |= {f"{who} s": _seconds(row, who) for who in ("ours", "peer")}
        found["ratio"] = f"{row['ratio']:.3g} {row['basis'][0]}{share}"
        found["peak, ours / peer"] = " / ".join(format_bytes(row[f"{who}_peak_bytes"]) for who in ("ours", "peer"))
    return found | ({"agreement": f"{row['agreement']:.2g}"} if "agreement" in row else {})


def to_markdown(report):
    """Write a report as Markdown: what was measured where, the table, and the notes that its reader needs."""
    rows, machine = report["rows"], report["environment"]
    where = [report["device"], f"{machine['cores']} cores", f"{report['jobs']} jobs"]
    where[1:1] = [f"{machine['gpu']}, CUDA {machine['cuda']}"] if machine.get("gpu") else []
    where += [f"budget {format_bytes(report['memory_bytes'])}", f"glomfeat {machine['glomfeat']}"]
    where += [f"Python {machine['python']}", *(f"{name} {machine['packages'].get(name)}" for name in VERSIONS)]
    table = [COLUMNS, *([found.get(name, "") for name in COLUMNS] for found in map(cells, rows))]
    said = [QUICK] if report["options"]["quick"] else []
    said += [f"{row['status']}: {row['reason']} ({row['size']})" for row in rows if "reason" in row]
    said += [f"Agreement of {row['part']}: {row['agreement_of']}" for row in rows if "agreement_of" in row]
    head = f"`{report['command']}`: {report['date'][:10]}, {', '.join(where)}"
    return "\n\n".join([head, markdown_table(table), *dict.fromkeys(said), LEGEND]) + "\n"
