"use strict";
(() => {
  const { classes, shown, columns, base, items } = JSON.parse(document.getElementById("payload").textContent);
  if (!items.length) return;
  const rows = [...document.querySelectorAll("#list > tbody > tr")], pictures = [...document.querySelectorAll(".item")];
  const where = document.getElementById("where"), told = document.getElementById("told");
  const place = `glomfeat ${items.map((item) => item.digest + item.label).join("").slice(0, 4000)}`;
  const other = (k) => 1 - items[k].label;
  let decided = new Array(items.length).fill(null), at = 0;

  try {
    const kept = JSON.parse(localStorage.getItem(place));
    if (Array.isArray(kept) && kept.length === items.length) decided = kept;
  } catch { /* a browser that keeps nothing for files */ }

  function keep() {
    try {
      localStorage.setItem(place, JSON.stringify(decided));
    } catch { /* as above */ }
  }

  const words = (one) => (one === null ? "" : one.decision === "change" ? `change to ${shown[one.label]}` : one.decision);

  function show() {
    pictures.forEach((picture, k) => (picture.hidden = k !== at));
    rows.forEach((row, k) => {
      row.classList.toggle("at", k === at);
      const cell = row.querySelector(".decided");
      cell.textContent = words(decided[k]);
      cell.className = `decided ${decided[k]?.decision ?? ""}`;
    });
    const done = decided.filter(Boolean).length, changed = decided.filter((one) => one?.decision === "change").length;
    const now = words(decided[at]);
    where.textContent = `${at + 1} of ${items.length}: ${items[at].called}, labelled ${shown[items[at].label]}${now && `; decided: ${now}`}. ${done} decided, ${changed} to change.`;
    const change = document.querySelector("#change b");
    if (change) change.textContent = shown[other(at)];
    document.querySelectorAll("[data-class]").forEach((button) => (button.disabled = Number(button.dataset.class) === items[at].label));
  }

  function go(to) {
    at = Math.max(0, Math.min(items.length - 1, to));
    show();
    if (!pictures.length) rows[at].scrollIntoView({ block: "nearest" });
  }

  function decide(decision, label = items[at].label) {
    decided[at] = { decision, label };
    keep();
    const left = [...items.keys()].filter((k) => decided[k] === null);
    go(left.find((k) => k > at) ?? left[0] ?? at);
  }

  function change(label) {
    if (classes[label] !== undefined && label !== items[at].label) decide("change", label);
  }

  const cell = (value) => {
    const text = /^'*[=+@\t\r-]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  function csv() {
    const lines = items.flatMap((item, k) => {
      if (decided[k] === null) return [];
      const of = { name: item.name, image: item.called, name_sha256: item.digest, label: classes[decided[k].label] };
      return [{ ...of, label_before: classes[item.label], decision: decided[k].decision, labels_of: base }];
    });
    return [columns, ...lines.map((line) => columns.map((name) => line[name]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  function save() {
    const done = decided.filter(Boolean).length;
    if (!done) {
      told.textContent = "Nothing is decided yet.";
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = "labels_corrected.csv";
    link.click();
    told.textContent = `${done} of ${items.length} decided; the others keep their labels.`;
  }

  const on = (id, what) => document.getElementById(id)?.addEventListener("click", what);
  on("accept", () => decide("accept"));
  on("skip", () => decide("skip"));
  on("change", () => change(other(at)));
  on("back", () => go(at - 1));
  on("on", () => go(at + 1));
  on("save", save);
  on("anew", () => {
    decided.fill(null);
    keep();
    told.textContent = "";
    go(0);
  });
  document.querySelectorAll("[data-class]").forEach((button) => button.addEventListener("click", () => change(Number(button.dataset.class))));
  rows.forEach((row, k) => row.addEventListener("click", (event) => event.target.closest("details") ?? go(k)));
  pictures.forEach((picture) => picture.querySelector(".big")?.addEventListener("click", (event) => event.target.classList.toggle("whole")));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && event.target.matches?.("#list > tbody > tr")) return go(rows.indexOf(event.target));
    const key = event.key.toLowerCase();
    if (key === "a") decide("accept");
    else if (key === "s") decide("skip");
    else if (key === "c" && classes.length === 2) change(other(at));
    else if (/^[1-9]$/.test(key) && classes.length > 2) change(Number(key) - 1);
    else if (key === "arrowleft") go(at - 1);
    else if (key === "arrowright") go(at + 1);
  });
  show();
})();
