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

// The page with the search's results. This listener comes before that of Sphinx's own script.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  // A page from the disk may read no other: the results stand without their first lines then.
  if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  // Sphinx skips numbers, and making/search.py has them in the index: 1006, 403.
  const parse = Search._parseQuery;
  Search._parseQuery = (query) => {
    const parsed = parse(query);
    const [, terms, , highlighted] = parsed;
    for (const number of query.match(/(?<![\p{L}\p{N}_])\d{3,}(?![\p{L}\p{N}_])/gu) ?? []) {
      terms.add(number);
      highlighted.add(number);
    }
    return parsed;
  };
});
