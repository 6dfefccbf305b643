// One message as it is shown, with what stands above it.
import { element } from "./dom.js";
import { addressOf } from "./places.js";

// Has said what no person has said: the app has published it. No person's name begins with @.
export const APP = "@server";
const NOT_SHOWN = "(Something that this page cannot show.)";
const GROUP = 5 * 60_000; // milliseconds: after a longer pause the author is named again
const COLOURS = 6;
const LINK = /https?:\/\/[^\s<>"]*[^\s<>"'.,;:!?)\]]/g;
const time = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayOfYear = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

/**
 * Return the list item of `message`. `before` is the message above it, if there is one; `note` is
 * what is to be said between the two, and `isNew` whether those that are not read begin here.
 */
export function item(message, before, you, note, isNew) {
  const at = new Date(message.at);
  const newDay = !before || new Date(before.at).toDateString() !== at.toDateString();
  const alone = newDay || note || isNew || !goesWith(message, before);
  const own = message.from === you;
  const made = element("li", { className: own ? "own" : "", "data-id": message.id });
  if (newDay) made.append(element("p", { className: "day" }, dayOf(at)));
  if (note) made.append(element("p", { className: "note" }, note));
  if (isNew) made.append(element("p", { className: "new" }, "New"));
  const title = full.format(at);
  const shown = element("time", { dateTime: at.toISOString(), title }, time.format(at));
  const when = message.undated ? "" : shown;
  const words = message.from === null && !message.text ? NOT_SHOWN : message.text;
  const head = { className: alone ? "head" : "head unseen" };
  made.append(
    element("p", head, ...authors(message, you), " ", when),
    element("p", { className: "text", title: alone ? "" : title }, ...withLinks(words)),
  );
  return made;
}

/** Return the parts of who speaks to whom. */
function authors({ from, to }, you) {
  if (from === null) return [element("strong", { className: "person" }, APP)];
  if (to === undefined) return [person(from, you)];
  return [person(from, you), element("span", { className: "to" }, " to "), person(to, you, "you")];
}

/** Return a name, by which one writes to that person. The list of people is for the keyboard. */
function person(name, you, ownName = "You") {
  if (name === you) return element("strong", { className: "person" }, ownName);
  return element(
    "a",
    {
      className: "person",
      href: addressOf("@me", name),
      tabIndex: -1,
      title: `Write to ${name} alone`,
      "data-colour": colourOf(name),
    },
    name,
  );
}

/** Return the number of the colour of `name`, the same on every page. */
export function colourOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 383 + character.codePointAt(0)) % 65_521;
  return sum % COLOURS;
}

function goesWith(message, before) {
  return (
    message.from === before.from && message.to === before.to && message.at - before.at < GROUP
  );
}

function dayOf(at) {
  return (at.getFullYear() === new Date().getFullYear() ? day : dayOfYear).format(at);
}

/** Return `text` in pieces, of which addresses of the web are links. */
function withLinks(text) {
  const pieces = [];
  let end = 0;
  for (const { 0: address, index } of text.matchAll(LINK)) {
    const link = { href: address, target: "_blank", rel: "noopener noreferrer" };
    pieces.push(text.slice(end, index), element("a", link, address));
    end = index + address.length;
  }
  return [...pieces, text.slice(end)];
}
