// When what is in an outbox is sent: in order, and one at a time without an answer.
import { isOurFault } from "./closing.js";

const FIRST_WAIT = 1_000; // milliseconds, where the server does not say how long
const LONGEST_WAIT = 30_000;

export class Sender {
  /** `send(message)` gives one to the connection; `changed()` is called when the outbox changes. */
  constructor(outbox, send, changed) {
    this.outbox = outbox;
    this.send = send;
    this.changed = changed;
    this.ready = false;
    this.sent = null; // the key of the message without an answer
    this.refusals = 0; // how many times in a row one was to be sent again
    this.waiting = null; // the timer of that
  }

  start() {
    this.ready = true;
    this.next();
  }

  /** Stop: the connection has closed with `code`. What was sent is sent again on the next one. */
  stop(code, reason) {
    this.ready = false;
    clearTimeout(this.waiting);
    this.waiting = null;
    const { sent } = this;
    this.sent = null;
    if (sent !== null && isOurFault(code)) {
      this.outbox.fail(sent, reason || `the server did not take it (code ${code})`);
    }
    this.changed();
  }

  add(text, to) {
    this.outbox.add(text, to);
    this.changed();
    this.next();
  }

  /** The server has the message `key`, which may be in the list already. */
  ack(key, listed) {
    if (listed) this.outbox.arrive(key);
    else this.outbox.ack(key);
    this.answered(key);
  }

  /** A message of one's own is in the list: no matter whether its ack comes later, or never. */
  arrive(key) {
    if (this.outbox.arrive(key)) this.answered(key);
  }

  error({ key, text, retry, wait }) {
    if (key !== this.sent) return;
    if (!retry) {
      this.outbox.fail(key, text);
      this.answered(key);
      return;
    }
    const longest = Math.min(FIRST_WAIT * 2 ** this.refusals, LONGEST_WAIT);
    const delay = wait ? wait * 1000 : longest * (0.5 + Math.random() / 2);
    this.refusals += 1;
    this.sent = null;
    this.waiting = setTimeout(() => {
      this.waiting = null;
      this.next();
    }, delay);
    this.changed();
  }

  remove(key) {
    this.outbox.remove(key);
    this.changed();
  }

  answered(key) {
    this.changed();
    if (key !== this.sent) return;
    this.sent = null;
    this.refusals = 0;
    this.next();
  }

  next() {
    if (!this.ready || this.sent !== null || this.waiting !== null) return;
    const message = this.outbox.next();
    if (message === undefined) return;
    this.sent = message.key;
    const { key, text, to } = message;
    this.send({ type: "say", key, text, ...(to && { to }) });
  }
}
