// What is folded on the screen is open on paper.
"use strict";

let opened = [];

window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("article details:not([open])")];
  for (const details of opened) details.open = true;
});

window.addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
  opened = [];
});

// Who comes for one section wants its answer: the folds of that section are open. A link within the
// page opens none, so whoever reads the chapter can still guess first.
document.addEventListener("DOMContentLoaded", () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const section = target?.closest("article section");
  if (!section) return;
  for (const details of section.querySelectorAll("details")) {
    if (details.closest("section") === section) details.open = true;
  }
});
