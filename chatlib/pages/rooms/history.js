// The messages of a room that this page has, without a hole, and up to where they are read.
import { everyTab, keyOf } from "./kept.js";

const KEPT = 400; // messages that stay when the list is cut to size, and
const MOST = 600; // those that make it be cut

export class History {
  constructor(you, room) {
    this.you = you;
    this.place = keyOf(you, "read", room);
    this.messages = [];
    this.cursor = null; // "id.tag" of the last message, or of where the list begins
    this.begun = 0; // how many times the list has begun anew
    this.first = 1; // the oldest message that the server keeps, as far as is known
    this.note = null; // {after, text}: what is to be said behind the message with the id `after`
    this.load();
  }

  /** Read anew up to where all is read: another tab may have gone on. */
  load() {
    const stored = everyTab.read(this.place);
    this.read = isCursor(stored) ? stored : null;
  }

  get head() {
    return idOf(this.cursor ?? "0.");
  }

  /** How many messages of others are not read yet. */
  get unread() {
    if (this.read === null) return 0;
    const read = idOf(this.read);
    const here = this.messages.filter(({ id, from }) => id > read && from !== this.you).length;
    return here + Math.max(0, this.oldest - 1 - read);
  }

  /** The id of the oldest message that is here; where none is, of the next one that comes. */
  get oldest() {
    return this.messages[0]?.id ?? this.head + 1;
  }

  /** Whether the server may have older ones. */
  get more() {
    return this.oldest > this.first;
  }

  /** Begin the list anew behind the cursor `after`. */
  begin(after, first, note = undefined) {
    this.messages = [];
    this.cursor = after;
    this.begun += 1;
    this.first = first;
    this.note = note === undefined ? null : { after: idOf(after), text: note };
  }

  /** Take a message. Return false where others are missing before it. */
  add(message) {
    if (message.id !== this.head + 1) return message.id <= this.head;
    date([message], this.messages.at(-1));
    this.messages.push(message);
    this.cursor = `${message.id}.${message.tag}`;
    return true;
  }

  /** Take older messages; false if they do not go with those that are here. */
  addEarlier({ messages, first }) {
    this.first = messages.length ? first : this.oldest;
    if (messages.length && messages.at(-1).id !== this.oldest - 1) return false;
    date(messages);
    this.messages.unshift(...messages);
    return true;
  }

  /** Forget the oldest messages if there are very many; return whether there were. */
  cut() {
    if (this.messages.length <= MOST) return false;
    this.messages = this.messages.slice(-KEPT);
    return true;
  }

  /** Note that all up to `cursor` is read. Return whether that is news. */
  markRead(cursor) {
    if (this.read !== null && idOf(cursor) <= idOf(this.read)) return false;
    this.restart(cursor);
    return true;
  }

  /** Note that what is read ends at `cursor`, even if that is earlier: it is another history. */
  restart(cursor) {
    this.read = cursor;
    everyTab.write(this.place, cursor);
  }
}

/** Give a message whose time is not known, since an app has published it, that of one beside it. */
function date(messages, before = messages.find(({ at }) => at)) {
  let at = before?.at ?? Date.now();
  for (const message of messages) {
    if (message.at) at = message.at;
    else Object.assign(message, { at, undated: true });
  }
}

export const idOf = (cursor) => Number(cursor.split(".")[0]);
const isCursor = (text) => typeof text === "string" && /^\d{1,15}\.[0-9a-f]{8}$/.test(text);
