// The rooms that one person has joined, and the addresses that lead to them.
import { everyTab, keyOf } from "./kept.js";

export const INBOX = "@me";
const ROOM = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Return the address of a room; of the inbox, with whom to write to. */
export function addressOf(room, partner = "") {
  return `#${room}${partner && `/${encodeURIComponent(partner)}`}`;
}

/** Return `{room, partner}` of such an address; null if it is none. */
export function placeAt(hash) {
  const [room, partner = ""] = hash.slice(1).split("/", 2);
  if (room !== INBOX) return ROOM.test(room) ? { room, partner: "" } : null;
  try {
    return { room, partner: decodeURIComponent(partner) };
  } catch {
    return { room, partner: "" };
  }
}

/** Return what a reader may mean by `text`, as a name of a room. */
export function nameFrom(text) {
  return text.trim().replace(/^#/, "").toLowerCase().replaceAll(/\s+/g, "-");
}

export class Places {
  constructor(you) {
    this.place = keyOf(you, "rooms");
  }

  /** The rooms, the last that was opened first. Another tab may have joined some. */
  get joined() {
    const stored = everyTab.read(this.place);
    return Array.isArray(stored) ? stored.filter((name) => ROOM.test(name)) : [];
  }

  join(room) {
    everyTab.write(this.place, [room, ...this.joined.filter((name) => name !== room)]);
  }

  leave(room) {
    everyTab.write(this.place, this.joined.filter((name) => name !== room));
  }
}
