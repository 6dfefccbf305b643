// The page with the search's results: questions and sections first, from sections.js, which
// making/sections.py writes. What Sphinx's own index finds, pages and names, stands below them.
"use strict";

const SHOWN = { questions: 4, sections: 10, loose: 5 };
// A hit has so much of what the words weigh; a rare word weighs more.
const ENOUGH = 0.75;
// Files, changes and the list on the start page name everything, and explain little.
const LESS = /^(files\/|CHANGELOG|index\.html)/;
const COMMON = new Set(
  `a about all an and any are as at be by can do does for from get has have how i if in into is it its
  me my no not of on or so than that the their them then there this to use was what when where which
  who why with you your`.split(/\s+/),
);
const WORD = /[\p{L}\p{N}_]+/gu;

const wordsOf = (text) => text.toLowerCase().match(WORD) ?? [];

const escaped = (term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// How well a term is in a text: as it is, at the start of a word, or by its stem.
function matcher(term, stem) {
  const at = (pattern) => new RegExp(`(?<![\\p{L}\\p{N}_])${pattern}`, "giu");
  const whole = at(`${escaped(term)}(?![\\p{L}\\p{N}_])`);
  const kinds = [[whole, 1], [at(escaped(term)), 0.7]];
  if (stem.length > 2 && !/^\d/.test(term)) kinds.push([at(escaped(stem)), 0.4]);
  return (text) => {
    for (const [pattern, weight] of kinds) {
      const count = text.match(pattern)?.length;
      if (count) return weight * (1 + Math.log2(count) / 4);
    }
    return 0;
  };
}

// The entries that fit, best first: each is [title, address, where it is, text].
function found(entries, terms, phrase) {
  const stemmer = new Stemmer();
  const rows = terms.map((term) => {
    const match = matcher(term, stemmer.stemWord(term));
    return entries.map(([title, , , text]) => [match(title), match(text)]);
  });
  const rare = rows.map((row) => {
    const having = row.filter(([title, text]) => title || text).length;
    return Math.log(1 + entries.length / (1 + having));
  });
  const all = rare.reduce((sum, weight) => sum + weight, 0);
  const hits = entries.map((entry, at) => {
    let score = 0;
    let covered = 0;
    const long = 1 + Math.log2(1 + entry[3].length / 2000);
    rows.forEach((row, term) => {
      const [title, text] = row[at];
      score += rare[term] * (4 * title + text / long);
      covered += rare[term] * Math.min(1, Math.max(title, text));
    });
    if (terms.length > 1) {
      if (entry[0].toLowerCase().includes(phrase)) score *= 2;
      else if (entry[3].toLowerCase().includes(phrase)) score *= 1.5;
    }
    if (LESS.test(entry[1])) score /= 2;
    return { entry, score: score * covered, covered: covered / all };
  });
  return hits.filter((hit) => hit.score > 0).sort((a, b) => b.score - a.score);
}

// The words around the first that was looked for.
function excerpt(text, terms) {
  const places = terms.map((term) => text.toLowerCase().indexOf(term)).filter((at) => at >= 0);
  const start = Math.max(0, (places.length ? Math.min(...places) : 0) - 60);
  const end = start + 220;
  return `${start ? "… " : ""}${text.slice(start, end)}${end < text.length ? " …" : ""}`;
}

// Sphinx's script on the next page takes the words from the address, marks them, and takes them off.
function marking(address, terms) {
  const [page, anchor] = address.split("#");
  return `${page}?highlight=${encodeURIComponent(terms.join(" "))}${anchor ? `#${anchor}` : ""}`;
}

function listed(name, hits, terms, below) {
  const section = document.createElement("section");
  section.append(Object.assign(document.createElement("h2"), { textContent: name }));
  const list = section.appendChild(document.createElement("ol"));
  for (const { entry } of hits) {
    const [title, address, where] = entry;
    const item = list.appendChild(document.createElement("li"));
    const link = item.appendChild(document.createElement("a"));
    link.href = marking(address, terms);
    link.textContent = where && !below.question ? `${where} › ${title}` : title;
    const told = below.question ? where : excerpt(entry[3], terms);
    item.append(Object.assign(document.createElement("p"), { textContent: told }));
  }
  return section;
}

function show(query) {
  const words = [...new Set(wordsOf(query))];
  const telling = words.filter((word) => !COMMON.has(word));
  const terms = telling.length ? telling : words;
  if (!terms.length) return;
  const phrase = query.trim().toLowerCase();
  const questions = found(SECTIONS.questions, terms, phrase).filter((hit) => hit.covered >= ENOUGH);
  const sections = found(SECTIONS.sections, terms, phrase);
  const close = sections.filter((hit) => hit.covered >= ENOUGH);
  const loose = sections.filter((hit) => hit.covered < ENOUGH);
  const room = Math.max(0, SHOWN.loose - close.length);
  const best = [...close, ...loose.slice(0, room)].slice(0, SHOWN.sections);
  const results = document.createElement("div");
  results.id = "section-results";
  if (questions.length) {
    const asked = questions.slice(0, SHOWN.questions);
    results.append(listed("Questions", asked, terms, { question: true }));
  }
  if (best.length) results.append(listed("Sections", best, terms, { question: false }));
  document.getElementById("search-results").before(results);
  // What Sphinx has found is marked too, whichever button of the mouse opens it.
  for (const event of ["click", "auxclick"]) {
    document.getElementById("search-results").addEventListener(event, ({ target }) => {
      const link = target.closest("a[href]");
      if (link && !link.search) link.search = `?highlight=${encodeURIComponent(terms.join(" "))}`;
    });
  }
}

// This listener comes before that of Sphinx's own script.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  // A page from the disk may read no other: the results stand without their first lines then.
  if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  // Sphinx skips numbers, and making/search.py has them in the index: 1006, 403.
  const parse = Search._parseQuery;
  Search._parseQuery = (query) => {
    const parsed = parse(query);
    // Sphinx has stored the words to mark, without numbers; those in the address count.
    localStorage.removeItem("sphinx_highlight_terms");
    const [, terms, , highlighted] = parsed;
    for (const number of query.match(/(?<![\p{L}\p{N}_])\d{3,}(?![\p{L}\p{N}_])/gu) ?? []) {
      terms.add(number);
      highlighted.add(number);
    }
    return parsed;
  };
  // Sections are above. Pages say which chapter they are.
  const perform = Search._performSearch;
  Search._performSearch = (...query) => {
    const index = Search._index;
    index.alltitles = {};
    const numbered = /(?:^|\/)(\d\d)_[^/]*$/;
    index.titles = index.titles.map((title, at) => {
      const chapter = numbered.exec(index.docnames[at]);
      return chapter && !title.startsWith(chapter[1]) ? `${chapter[1]} ${title}` : title;
    });
    return perform(...query);
  };
  const query = new URLSearchParams(location.search).get("q");
  if (!query) return;
  const script = document.createElement("script");
  script.src = `${document.documentElement.dataset.content_root}_static/sections.js`;
  script.addEventListener("load", () => show(query));
  document.head.append(script);
});
