// The rooms that one person has joined, and those of them that are connected.
import { INBOX, Places } from "./places.js";
import { Room } from "./room.js";
import { ask } from "./session.js";

// How many are connected at a time, the inbox and the one in view among them. A server lets one
// person have 20 connections, and three windows of this page have to find room in them. The other
// rooms stand in the list without a count until they are opened.
const MOST = 6;

export class Connected {
  /** `tell(room, what, detail)` hears of all that changes in a room; see there. */
  constructor(you, tell) {
    this.you = you;
    this.tell = tell;
    this.places = new Places(you);
    this.rooms = new Map(); // by name
  }

  get joined() {
    return this.places.joined;
  }

  get all() {
    return [...this.rooms.values()];
  }

  get inbox() {
    return this.rooms.get(INBOX);
  }

  /** Join the room `name`, and return it. */
  enter(name) {
    if (name !== INBOX) this.places.join(name);
    const room = this.connect(name);
    this.limit(name);
    return room;
  }

  /** Connect what is joined, as far as there is room; `current` is the one in view. */
  connectAll(current) {
    for (const name of [INBOX, ...this.joined].slice(0, MOST)) this.connect(name);
    this.limit(current);
  }

  /** Leave `name` for good, with what is not sent there. */
  leave(name) {
    this.places.leave(name);
    const room = this.rooms.get(name);
    for (const { key } of [...(room?.outbox.messages ?? [])]) room.outbox.remove(key);
    this.disconnect(name);
  }

  connect(name) {
    let room = this.rooms.get(name);
    if (room === undefined) {
      room = new Room(name, this.you, (...told) => {
        if (this.rooms.get(name) === room) this.tell(...told);
      });
      this.rooms.set(name, room);
      room.open();
    }
    return room;
  }

  /** Disconnect what is too much: what was in view longest ago, and has nothing to send. */
  limit(current) {
    const kept = new Set([...new Set([INBOX, current, ...this.joined])].slice(0, MOST));
    for (const { name, outbox } of this.all) {
      if (!kept.has(name) && outbox.next() === undefined) this.disconnect(name);
    }
  }

  disconnect(name) {
    const room = this.rooms.get(name);
    this.rooms.delete(name);
    room?.close();
  }

  disconnectAll() {
    for (const { name } of this.all) this.disconnect(name);
  }

  hurry(asked = false) {
    for (const { connection } of this.all) connection.hurry(asked);
  }

  unread(name) {
    return this.rooms.get(name)?.history.unread ?? 0;
  }

  /** Return the names of all whom one may want to write to. */
  everybody() {
    const partners = this.inbox.history.messages.flatMap(({ from, to }) => [from, to]);
    const present = this.all.flatMap(({ people }) => [...(people.names ?? [])]);
    return new Set([...partners, ...present].filter((name) => name && name !== this.you));
  }

  /**
   * Say a first message to somebody whom the inbox does not know, in a room where they are: `error`
   * is what the inbox said. From then on it knows them.
   */
  async introduce(error) {
    const { outbox, sender, history } = this.inbox;
    const message = outbox.get(error.key);
    const isThere = ({ name, people }) => name !== INBOX && people.names?.has(message?.to);
    const room = this.all.find(isThere);
    if (room === undefined) {
      sender.error(error);
      return;
    }
    const { key, text, to } = message;
    try {
      const answer = await ask(`rooms/${room.name}/messages`, "POST", { key, text, to });
      const told = await answer.json();
      if (answer.ok) sender.ack(key, told.id <= history.head);
      else sender.error({ ...error, text: String(told.detail), retry: answer.status >= 500 });
    } catch {
      sender.error({ ...error, retry: true });
    }
  }
}
