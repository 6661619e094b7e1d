"use strict";
(() => {
  // on a narrow screen a row becomes a block, in which each cell says what its column is
  for (const one of document.querySelectorAll("#arms, table.plain")) {
    const titles = [...one.tHead.rows[0].cells].map((cell) => (cell.querySelector("button") ?? cell).textContent.trim());
    for (const row of one.tBodies[0].rows) [...row.cells].forEach((cell, k) => (cell.dataset.label = titles[k]));
    one.classList.add("stacks");
    one.classList.toggle("short", one.rows.length < 14);
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details.methods:not(:has(pre))").forEach((part) => (part.open = true)));
  const table = document.getElementById("arms");
  if (!table) return;
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const search = document.getElementById("filter"), tied = document.getElementById("tied");
  const all = document.getElementById("all"), said = document.getElementById("said");
  const less = new Set(["brier", "ece", "fn", "fp", "fn_t", "fp_t", "fit_s", "predict_ms", "peak_vram_mb", "parameters", "auroc_sd", "tied_with_best", "arm", "weights"]);
  const value = (row, k) => row.cells[k].dataset.v ?? "";

  function sort(key, direction) {
    const k = heads.findIndex((head) => head.dataset.key === key);
    if (k < 0) return;
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => {
      const one = value(a, k), other = value(b, k);
      if (one === "" || other === "") return (one === "") - (other === "");
      const gap = Number(one) - Number(other);
      return sign * (Number.isNaN(gap) ? one.localeCompare(other) : gap);
    });
    body.append(...rows);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[k].setAttribute("aria-sort", direction);
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.cells[0].textContent.toLowerCase() + " " + row.textContent.toLowerCase();
      row.hidden = (tied.checked && !row.classList.contains("tied")) || !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    table.classList.toggle("all", all.checked);
    said.textContent = shown === body.rows.length ? "" : `${shown} of ${body.rows.length} arms shown`;
  }

  function rows() {
    const place = payload.columns.indexOf("arm");
    const byArm = new Map(payload.rows.map((row) => [row[place], row]));
    return [...body.rows].filter((row) => !row.hidden).map((row) => byArm.get(value(row, 0)));
  }

  const quote = (cell) => (cell === null ? "" : /[",\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell));
  const csv = () => [payload.columns, ...rows()].map((row) => row.map(quote).join(",")).join("\n") + "\n";

  function latex() {
    const tex = (text) => String(text).replace(/[\\{}_%#&$^~]/g, (c) => (c === "\\" ? "\\textbackslash{}" : c === "^" || c === "~" ? `\\${c}{}` : `\\${c}`));
    const at = (row, key) => row[payload.columns.indexOf(key)];
    const number = (x) => (typeof x === "number" ? x.toFixed(3) : "--");
    const shown = ["average_precision", "sensitivity_t", "specificity_t", "brier"];
    const lines = rows().map((row) => {
      const limits = typeof at(row, "auroc") === "number" ? `${number(at(row, "auroc"))} (${number(at(row, "auroc_lo"))}--${number(at(row, "auroc_hi"))})` : "--";
      return [tex(at(row, "arm")), limits, ...shown.map((key) => number(at(row, key)))].join(" & ") + " \\\\";
    });
    const head = "Arm & AUROC (95\\,\\% limits) & AP & Sensitivity & Specificity & Brier \\\\";
    return ["\\begin{tabular}{lrrrrr}", "\\toprule", head, "\\midrule", ...lines, "\\bottomrule", "\\end{tabular}", ""].join("\n");
  }

  async function copy(text, what) {
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    said.textContent = done ? `${what} copied` : `the browser does not let this page copy; results.csv holds the table`;
  }

  function follow() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("filter")) search.value = asked.get("filter");
    if (asked.has("tied")) tied.checked = true;
    if (asked.has("all")) all.checked = true;
    if (asked.has("sort")) sort(asked.get("sort"), asked.get("order") === "up" ? "ascending" : "descending");
    filter();
  }

  heads.forEach((head) => {
    const button = head.querySelector("button"), tip = head.querySelector("[role=tooltip]");
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort"), first = less.has(head.dataset.key) ? "ascending" : "descending";
      sort(head.dataset.key, now === null ? first : now === "ascending" ? "descending" : "ascending");
    });
    const place = () => {
      const box = head.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - 290))}px`;
      tip.style.top = `${box.bottom + 4}px`;
    };
    head.addEventListener("pointerenter", place);
    button.addEventListener("focus", place);
  });
  search.addEventListener("input", filter);
  tied.addEventListener("change", filter);
  all.addEventListener("change", filter);
  document.getElementById("copy-csv").addEventListener("click", () => copy(csv(), "CSV"));
  document.getElementById("copy-latex").addEventListener("click", () => copy(latex(), "LaTeX"));
  addEventListener("hashchange", follow);
  follow();
})();
