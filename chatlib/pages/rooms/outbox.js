// What is written in a room and not known to be kept by the server. It survives a reload.
//
// Each message has a key. The server keeps a key once, so a message may be sent again whenever
// nothing was heard of it, and results in one.
import { keyOf, thisTab } from "./kept.js";

export class Outbox {
  constructor(you, room) {
    this.place = keyOf(you, "outbox", room);
    const stored = thisTab.read(this.place);
    this.messages = Array.isArray(stored) ? stored : [];
    this.acked = new Map(); // by key: those that the server has, and whose receipt is on its way
  }

  /** All that is to be shown as not yet in the list, in order. */
  get shown() {
    return [...this.acked.values(), ...this.messages];
  }

  add(text, to) {
    this.messages.push({ key: newKey(), text, ...(to && { to }) });
    this.write();
  }

  /** Return the message to send next, if there is one. */
  next() {
    return this.messages.find((message) => message.failed === undefined);
  }

  get(key) {
    return this.messages.find((message) => message.key === key);
  }

  /** Note that the server has it. It is shown until it comes as a message of the room. */
  ack(key) {
    const message = this.get(key);
    if (message === undefined) return;
    this.acked.set(key, message);
    this.remove(key);
  }

  /** Note that it has come as a message of the room; return whether it was one of these. */
  arrive(key) {
    return this.acked.delete(key) || this.remove(key);
  }

  /** Note that the server will not have it, whatever is done. */
  fail(key, why) {
    const message = this.get(key);
    if (message === undefined) return;
    message.failed = why;
    this.write();
  }

  /** Wait for no receipt any more: the list has begun anew. */
  forget() {
    this.acked.clear();
  }

  remove(key) {
    const before = this.messages.length;
    this.messages = this.messages.filter((message) => message.key !== key);
    if (this.messages.length !== before) this.write();
    return this.messages.length !== before;
  }

  write() {
    thisTab.write(this.place, this.messages);
  }
}

/** Return 128 random bits. crypto.randomUUID() is only there on https and on localhost. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
