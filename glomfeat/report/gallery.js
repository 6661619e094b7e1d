"use strict";
(() => {
  const whose = document.getElementById("whose"), large = document.getElementById("large");
  const picture = new Image();
  const galleries = [...document.querySelectorAll(".gallery")];

  function choose(choice) {
    document.querySelectorAll("#errors [data-choice]").forEach((said) => (said.hidden = said.dataset.choice !== choice));
    for (const gallery of galleries) {
      const rows = JSON.parse(gallery.dataset.lists)[choice];
      const shown = new Map([...gallery.children].map((card) => [Number(card.dataset.row), card]));
      for (const card of shown.values()) card.hidden = true;
      for (const row of rows) {
        shown.get(row).hidden = false;
        gallery.append(shown.get(row));
      }
    }
  }

  function enlarge(button) {
    const from = button.querySelector("img");
    picture.src = from.src;
    picture.alt = from.alt;
    if (!picture.isConnected) large.querySelector("form").after(picture);
    document.getElementById("large-said").textContent = from.alt;
    large.at = button;
    if (!large.open) large.showModal();
  }

  function go(step) {
    const buttons = [...document.querySelectorAll(".gallery > :not([hidden]) .enlarge")];
    const next = buttons[buttons.indexOf(large.at) + step];
    if (next) enlarge(next);
  }

  if (whose) {
    whose.addEventListener("change", () => choose(whose.value));
    choose(whose.value);
  }
  if (!large) return;
  document.querySelectorAll(".enlarge").forEach((button) => button.addEventListener("click", () => enlarge(button)));
  large.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      event.preventDefault();
      go(step);
    }
  });
  large.addEventListener("click", (event) => event.target === large && large.close());
  large.addEventListener("close", () => large.at.focus());
})();
