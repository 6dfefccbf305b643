// What stands beside the conversation: the rooms, and the people.
import { $, element, reconcile, write } from "./dom.js";
import { colourOf } from "./item.js";
import { INBOX, addressOf } from "./places.js";

const order = new Intl.Collator();

export const titleOf = (name) => (name === INBOX ? "Messages to you" : `#${name}`);

/** Show the rooms `names`. `unread(name)` is how many messages wait there, `leave(name)` goes. */
export function drawRooms(names, current, unread, leave) {
  const sorted = [INBOX, ...[...names].sort(order.compare)];
  reconcile(
    $("rooms"),
    sorted,
    (name) => name,
    (name) => makeRoom(name, leave),
    (made, name) => {
      const link = made.querySelector("a");
      if (name === current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      showCount(made.querySelector(".count"), unread(name));
    },
  );
}

function makeRoom(name, leave) {
  const label = element("span", { className: "label" }, titleOf(name));
  const count = element("span", { className: "count" });
  const link = element("a", { href: addressOf(name) }, label, " ", count);
  const made = element("li", {}, link);
  if (name === INBOX) return made;
  const title = `Leave #${name}`;
  const button = element("button", { className: "quiet leave", title, "aria-label": title }, "×");
  button.addEventListener("click", () => leave(name));
  made.append(button);
  return made;
}

/** Show a number of unread messages; nothing for none. */
export function showCount(badge, count) {
  badge.hidden = count === 0;
  const shown = count > 999 ? "999+" : String(count);
  if (badge.dataset.count === shown) return;
  badge.dataset.count = shown;
  badge.replaceChildren(shown, element("span", { className: "unseen" }, " unread"));
}

/** Show who is in a room, a set or null if they are many; in the inbox, whom one may write to. */
export function drawPeople(room, names, count, you) {
  const inInbox = room === INBOX;
  const others = [...(names ?? [])].filter((name) => name !== you).sort(order.compare);
  let note = "";
  if (inInbox) note = others.length ? "Choose to whom to write." : "Nobody else is here yet.";
  else if (names === null) note = `${count} people are here, too many to name.`;
  else if (count && !others.length) note = "Nobody else is here.";
  write($("people-note"), note);
  const shownCount = inInbox || !count ? "" : String(count);
  for (const id of ["how-many", "count-here"]) write($(id), shownCount);
  const shown = names?.has(you) ? [you, ...others] : others;
  reconcile($("names-here"), shown, (name) => name, (name) => makePerson(name, you));
}

function makePerson(name, you) {
  if (name === you) {
    return element("li", {}, element("span", { className: "person" }, `${name} (you)`));
  }
  const link = {
    className: "person",
    href: addressOf(INBOX, name),
    title: `Write to ${name} alone`,
    "data-colour": colourOf(name),
  };
  return element("li", {}, element("a", link, name));
}

/** Return who types, in words. */
export function typingWords(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return `${names.length} people are typing…`;
}
