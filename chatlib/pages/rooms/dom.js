// Small help with the page's elements. Text goes in as text nodes only.
export const $ = (id) => document.getElementById(id);

/** Return a new element. "data-…" and "aria-…" are attributes, all else are properties. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(data|aria)-/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Write `text` if it is another one: a screen reader reads a live region again when written to. */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Have `list` show `items`, and leave alone what stays: it may have the focus.
 *
 * `make(item)` returns a new element, `update(element, item)` brings one up to date.
 */
export function reconcile(list, items, keyOf, make, update = () => {}) {
  const wanted = new Set(items.map(keyOf));
  const shown = new Map();
  for (const child of [...list.children]) {
    if (wanted.has(child.dataset.key)) shown.set(child.dataset.key, child);
    else child.remove();
  }
  let next = list.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const child = shown.get(key) ?? make(item);
    child.dataset.key = key;
    update(child, item);
    if (child === next) next = next.nextElementSibling;
    else list.insertBefore(child, next);
  }
}
