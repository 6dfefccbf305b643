// The chat of one person: the rooms that are joined, and what is shown of the one in view.
import { Composer } from "./composer.js";
import { $, element, write } from "./dom.js";
import { everyTab } from "./kept.js";
import { MessageList } from "./list.js";
import { INBOX, Places, addressOf, nameFrom, placeAt } from "./places.js";
import { Room } from "./room.js";
import { drawPeople, drawRooms, showCount, titleOf, typingWords } from "./sides.js";

const FIRST_ROOM = "lobby";
// How many rooms are connected at a time, the inbox and the one in view among them. A server lets
// one person have 20 connections, and three windows of this page have to find room in them. The
// other rooms stand in the list without a count until they are opened.
const CONNECTED = 6;
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
    this.rooms = new Map(); // by name: those that are connected
    this.room = null; // the one in view
    this.lastRoom = FIRST_ROOM; // the last one in view that is not the inbox
    this.places = new Places(you);
    this.stopper = new AbortController();
    const { signal } = this.stopper;
    this.list = new MessageList(
      {
        seen: () => this.noteSeen(),
        edit: (message) => this.edit(message),
        remove: ({ key }) => this.room.sender.remove(key),
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
    this.go();
    for (const name of [INBOX, ...this.places.joined]) this.connect(name);
    this.limit();
  }

  listen(signal) {
    const on = (target, kind, heard) => target.addEventListener(kind, heard, { signal });
    on(window, "hashchange", () => this.go());
    on(window, "online", () => this.hurry());
    on(window, "storage", () => this.otherTab());
    on(document, "visibilitychange", () => this.looked());
    on($("try-now"), "click", () => this.hurry(true));
    on($("chat"), "click", ({ target }) => target.closest("a") && this.chosen());
    on($("open-room"), "submit", (event) => {
      event.preventDefault();
      this.openRoom($("room").value);
    });
  }

  /** Leave all rooms. */
  close() {
    this.stopper.abort();
    for (const room of this.rooms.values()) room.close();
    this.rooms.clear();
    for (const id of ["rooms", "history", "outbox", "names-here", "names"]) $(id).replaceChildren();
  }

  /** Show what the address names. */
  go() {
    const place = placeAt(location.hash);
    if (place === null) {
      const room = this.places.joined[0] ?? FIRST_ROOM;
      history.replaceState(null, "", addressOf(room));
      this.show({ room, partner: "" });
    } else {
      this.show(place);
    }
  }

  show({ room: name, partner }) {
    if (name !== INBOX) {
      this.lastRoom = name;
      this.places.join(name);
    }
    const isOther = this.room?.name !== name;
    if (isOther) {
      this.room = this.connect(name);
      this.limit();
      this.list.show(this.room);
      this.drawState();
    }
    this.composer.open(name, partner);
    write($("title"), titleOf(name));
    this.drawPeople();
    this.drawCounts();
    this.chosen();
  }

  connect(name) {
    let room = this.rooms.get(name);
    if (room === undefined) {
      room = new Room(name, this.you, (...told) => this.hear(...told));
      this.rooms.set(name, room);
      room.open();
    }
    return room;
  }

  /** Close the rooms that are too many: those that were in view the longest time ago. */
  limit() {
    const latest = new Set([INBOX, this.room.name, ...this.places.joined]);
    const kept = new Set([...latest].slice(0, CONNECTED));
    for (const [name, room] of this.rooms) {
      const waits = room.outbox.next() !== undefined && latest.has(name);
      if (!kept.has(name) && !waits) {
        this.rooms.delete(name);
        room.close();
      }
    }
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
    this.places.leave(name);
    for (const message of this.rooms.get(name)?.outbox.messages ?? []) {
      this.rooms.get(name).outbox.remove(message.key);
    }
    if (this.room.name === name) location.hash = addressOf(this.places.joined[0] ?? INBOX);
    this.limit();
    this.drawCounts();
  }

  say(text, to) {
    const { room } = this;
    if (room.state.kind === "closed") return `Not sent: ${room.state.why}.`;
    const { length } = [...text];
    if (room.isTooLong(text, to)) {
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

  /** Hear what has changed in a room. */
  hear(room, what, detail) {
    if (this.rooms.get(room.name) !== room) return;
    if (what === "sign in") this.end(detail);
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
    const words = room.name === INBOX ? `${from} wrote to you: ${text}` : `${from}: ${text}`;
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
      this.hurry();
      this.noteSeen();
    } else if (this.room.history.unread === 0) {
      this.list.markEnd();
    }
    this.drawCounts();
  }

  hurry(asked = false) {
    for (const room of this.rooms.values()) room.connection.hurry(asked);
  }

  /** Another tab has read something, joined a room or left one. */
  otherTab() {
    for (const room of this.rooms.values()) room.history.load();
    this.drawCounts();
  }

  /** A place was chosen: the lists beside it have done their work. */
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
    write($("next"), kind !== "lost" ? "" : seconds ? `Next try in ${seconds} s.` : "Trying now…");
    $("try-now").hidden = kind !== "lost";
  }

  drawCounts() {
    const unread = (name) => this.rooms.get(name)?.history.unread ?? 0;
    drawRooms(this.places.joined, this.room.name, unread, (name) => this.leave(name));
    const counts = [...this.rooms.keys()].map((name) => [name, unread(name)]);
    const sum = (some) => some.reduce((total, [, count]) => total + count, 0);
    showCount($("elsewhere"), sum(counts.filter(([name]) => name !== this.room.name)));
    const all = document.hidden ? sum(counts) : 0;
    document.title = `${all ? `(${all}) ` : ""}${titleOf(this.room.name)} · Rooms`;
  }

  drawPeople() {
    const { people, name } = this.room;
    const known = name === INBOX ? this.everybody() : people.names;
    drawPeople(name, known, people.count, this.you);
    if (name === INBOX) this.composer.suggest([...known].filter((each) => each !== this.you));
    write($("typing"), typingWords(people.typing));
  }

  /** Return the names of all whom one may want to write to. */
  everybody() {
    const partners = this.rooms.get(INBOX).history.messages.flatMap(({ from, to }) => [from, to]);
    const present = [...this.rooms.values()].flatMap(({ people }) => [...(people.names ?? [])]);
    return new Set([...partners, ...present]);
  }
}
