// The chat of one person: what is shown of the room in view, and what stands beside it.
import { Composer } from "./composer.js";
import { Connected } from "./connected.js";
import { $, element, write } from "./dom.js";
import { APP } from "./item.js";
import { MessageList } from "./list.js";
import { INBOX, addressOf, nameFrom, placeAt } from "./places.js";
import { drawPeople, drawRooms, showCount, titleOf, typingWords } from "./sides.js";

const FIRST_ROOM = "lobby";
const READ_ALOUD = 5; // messages that stay in the live region
const STATUS = {
  connecting: "Connecting…",
  open: "Connected.",
  lost: "No connection.",
  closed: "Closed.",
};

export class Chat {
  /** `end(why)` is called when the server does not know `you` any more. */
  constructor(you, end) {
    this.you = you;
    this.end = end;
    this.room = null; // the one in view
    this.lastRoom = FIRST_ROOM; // the last one in view that is not the inbox
    this.connected = new Connected(you, (...told) => this.hear(...told));
    this.stopper = new AbortController();
    const { signal } = this.stopper;
    this.list = new MessageList(
      {
        seen: () => this.noteSeen(),
        edit: (message) => this.edit(message),
        remove: (message) => this.remove(message),
      },
      signal,
    );
    this.composer = new Composer(
      you,
      {
        say: (text, to) => this.say(text, to),
        type: () => this.room.type(),
        to: (name) => history.replaceState(null, "", addressOf(INBOX, name)),
        leave: () => (location.hash = addressOf(this.lastRoom)),
      },
      signal,
    );
    this.listen(signal);
    write($("you"), you);
    this.connected.connect(INBOX);
    this.go();
    this.connected.connectAll(this.room.name);
  }

  listen(signal) {
    const on = (target, kind, heard) => target.addEventListener(kind, heard, { signal });
    on(window, "hashchange", () => this.go());
    on(window, "online", () => this.connected.hurry());
    on(window, "storage", () => this.otherTab());
    on(document, "visibilitychange", () => this.looked());
    on($("try-now"), "click", () => this.connected.hurry(true));
    on($("chat"), "click", ({ target }) => {
      if (target.closest("a[href^='#']")) this.chosen();
    });
    on($("open-room"), "submit", (event) => {
      event.preventDefault();
      this.openRoom($("room").value);
    });
  }

  /** Leave all rooms, and the page as it was. */
  close() {
    this.stopper.abort();
    this.connected.disconnectAll();
    for (const id of ["rooms", "history", "outbox", "names-here", "names"]) $(id).replaceChildren();
    for (const id of ["status", "why", "announcer"]) write($(id), "");
  }

  /** Show what the address names. */
  go() {
    let place = placeAt(location.hash);
    if (place === null) {
      place = { room: this.connected.joined[0] ?? FIRST_ROOM, partner: "" };
      history.replaceState(null, "", addressOf(place.room));
    }
    if (place.room !== INBOX) this.lastRoom = place.room;
    if (place.room !== this.room?.name) {
      this.room = this.connected.enter(place.room);
      this.list.show(this.room);
      this.drawState();
    }
    this.composer.open(place.room, place.partner);
    write($("title"), titleOf(place.room));
    this.drawPeople();
    this.drawCounts();
    this.chosen();
  }

  openRoom(text) {
    const name = nameFrom(text);
    const isRoom = name !== INBOX && placeAt(`#${name}`) !== null;
    const rule = "A room's name has up to 64 small letters, digits, dots, _ or -.";
    write($("room-notice"), isRoom || !text ? "" : rule);
    if (!isRoom) return;
    $("room").value = "";
    location.hash = addressOf(name);
    this.chosen();
  }

  leave(name) {
    this.connected.leave(name);
    if (this.lastRoom === name) this.lastRoom = this.connected.joined[0] ?? FIRST_ROOM;
    if (this.room.name === name) {
      location.replace(addressOf(this.connected.joined[0] ?? INBOX));
    }
    this.drawCounts();
    this.composer.focus();
  }

  /** Send what is written; return why it cannot be, or nothing. */
  say(text, to) {
    const { room } = this;
    if (room.state.kind === "closed") return `Not sent: ${room.state.why}.`;
    if (room.isTooLong(text, to)) {
      const { length } = [...text];
      return `This is too long: ${length} characters, and at most ${room.max.text} are taken.`;
    }
    room.say(text, to);
    this.list.unmark();
    this.list.toEnd();
    return "";
  }

  edit(message) {
    this.room.sender.remove(message.key);
    this.composer.edit(message);
  }

  remove({ key }) {
    this.room.sender.remove(key);
    this.composer.focus(); // the button has gone
  }

  /** Hear what has changed in a room. */
  hear(room, what, detail) {
    if (what === "sign in") this.end(detail);
    else if (what === "nobody") this.connected.introduce(detail);
    else if (what === "unread") this.drawCounts();
    else if (what === "message") this.announce(room, detail);
    if (room !== this.room) {
      if (what === "message") room.history.cut();
    } else if (what === "list" && detail) this.list.show(room);
    else if (what === "list" || what === "message") this.list.add();
    else if (what === "outbox") this.list.drawOutbox();
    else if (what === "people") this.drawPeople();
    else if (what === "state") this.drawState();
    else if (what === "error") this.composer.notice(detail);
  }

  /** Have a screen reader read what comes, and not what was there before. */
  announce(room, { from, text }) {
    if (from === this.you || (room !== this.room && room.name !== INBOX)) return;
    const author = from ?? APP;
    const words = room.name === INBOX ? `${author} wrote to you: ${text}` : `${author}: ${text}`;
    const region = $("announcer");
    region.append(element("p", {}, words));
    while (region.childElementCount > READ_ALOUD) region.firstElementChild.remove();
  }

  noteSeen() {
    if (document.hidden || !this.room.isCaughtUp) return;
    const { seen } = this.list;
    if (seen !== null && this.room.history.markRead(seen)) this.drawCounts();
  }

  /** The reader has turned to this tab, or away from it. */
  looked() {
    if (!document.hidden) {
      this.connected.hurry();
      this.noteSeen();
    } else {
      this.list.mark();
    }
    this.drawCounts();
  }

  /** Another tab has read something, joined a room or left one. */
  otherTab() {
    for (const { history } of this.connected.all) history.load();
    this.drawCounts();
  }

  /** A place was chosen: what was unfolded for that has done its work. */
  chosen() {
    for (const id of ["places", "people"]) {
      if ($(id).matches(":popover-open")) $(id).hidePopover();
    }
    // Not where that brings up a keyboard, or takes the focus from the page around this one.
    const isFramed = window.parent !== window && !document.hasFocus();
    if (matchMedia("(hover: hover)").matches && !isFramed) this.composer.focus();
  }

  drawState() {
    const { kind, why, delay } = this.room.state;
    document.body.dataset.state = kind;
    write($("status"), STATUS[kind]);
    const kept = kind === "lost" ? " What you write is kept, and sent when it is back." : "";
    write($("why"), why && `${kind === "closed" ? "Closed" : "No connection"}: ${why}.${kept}`);
    const seconds = Math.ceil(delay / 1000);
    const next = seconds ? `Next try in ${seconds} s.` : "Trying now…";
    write($("next"), kind === "lost" ? next : "");
    if (kind !== "lost" && document.activeElement === $("try-now")) this.composer.focus();
    $("try-now").hidden = kind !== "lost";
  }

  drawCounts() {
    const { connected, room } = this;
    const unread = (name) => connected.unread(name);
    drawRooms(connected.joined, room.name, unread, (name) => this.leave(name));
    const all = connected.all.reduce((sum, { name }) => sum + unread(name), 0);
    showCount($("elsewhere"), all - unread(room.name));
    document.title = `${document.hidden && all ? `(${all}) ` : ""}${titleOf(room.name)} · Rooms`;
  }

  drawPeople() {
    const { people, name } = this.room;
    const names = name === INBOX ? this.connected.everybody() : people.names;
    if (name === INBOX) this.composer.suggest([...names]);
    drawPeople(name, names, people.count, this.you);
    write($("typing"), typingWords(people.typing));
  }
}
