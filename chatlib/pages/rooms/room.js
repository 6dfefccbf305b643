// A room that this page has joined: its connection, its messages, its people, what is to be sent.
// It knows nothing of how that is shown.
import { Connection } from "./connection.js";
import { History, idOf } from "./history.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { INBOX } from "./places.js";
import { Sender } from "./sender.js";
import { ask, socketOf } from "./session.js";

const LAST = 50; // messages of a room that is entered anew
// Who has missed more than this does not read on from there, but begins with the newest.
const TOO_MANY = 500;
const TYPING_PAUSE = 1_000; // milliseconds
const NOTES = {
  trimmed: "Messages are missing here. They are no longer kept.",
  diverged: "The history of this room has changed on the server. This is what it is now.",
};

export class Room {
  /**
   * `tell(room, what, detail)` is called with what has changed: "list" (it goes on, or is another
   * one if `detail`), "message", "outbox", "people", "state", "unread"; with "error" and words
   * for the reader; "nobody" and an error frame, when the one to write to is not known here; and
   * with "sign in", and why, when the server does not know `you`.
   */
  constructor(name, you, tell) {
    this.name = name;
    this.you = you;
    this.tell = (what, detail) => tell(this, what, detail);
    this.history = new History(you, name);
    this.people = new People(() => this.tell("people"));
    this.outbox = new Outbox(you, name);
    this.state = { kind: "connecting", why: "", delay: 0 };
    this.max = { text: 4000, frame: 16384 };
    this.target = null; // the head of the welcome, until all up to it is here
    this.skips = false; // whether it begins with the newest
    this.anew = false; // whether what comes now is another list
    this.typed = 0; // when the others were last told that one types
    this.connection = new Connection(() => socketOf(name, this.query()), {
      frame: (frame) => this.take(frame),
      state: (state) => this.become(state),
      lost: (code, reason) => this.lost(code, reason),
    });
    this.sender = new Sender(
      this.outbox,
      (message) => this.connection.send(message),
      () => this.tell("outbox"),
    );
  }

  open() {
    this.connection.open();
  }

  /** Say where to go on: behind what is here, or behind what was read at an earlier visit. */
  query() {
    const after = this.history.cursor ?? this.history.read;
    return after && !this.skips ? { after } : { last: LAST };
  }

  /** Whether the list is all that the room had when it was last connected. */
  get isCaughtUp() {
    return this.target === null && this.history.cursor !== null;
  }

  say(text, to) {
    this.sender.add(text, to);
  }

  /** Return whether the server would not take `text` since it is too long. */
  isTooLong(text, to) {
    const frame = JSON.stringify({ type: "say", key: "k".repeat(32), text, to });
    const bytes = new TextEncoder().encode(frame).length;
    return [...text].length > this.max.text || bytes > this.max.frame;
  }

  /** Tell the others that one types, now and then. */
  type() {
    const now = Date.now();
    if (this.state.kind !== "open" || this.name === INBOX) return;
    if (now - this.typed < TYPING_PAUSE) return;
    this.typed = now;
    this.connection.send({ type: "typing" });
  }

  /** Get older messages. Throw an Error if that failed. */
  async earlier() {
    const { history } = this;
    const { begun } = history;
    const query = `before=${history.oldest}&limit=${LAST}`;
    const answer = await ask(`rooms/${this.name}/messages?${query}`);
    if (answer.status === 401) this.signIn();
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const page = await answer.json();
    if (begun === history.begun && !history.addEarlier(page)) this.missed();
  }

  close() {
    this.connection.close();
    this.sender.stop(1000, "");
  }

  become(state) {
    this.state = state;
    this.tell("state");
  }

  lost(code, reason) {
    this.target = null;
    this.sender.stop(code, reason);
    if (code === 4401) this.signIn();
  }

  signIn() {
    this.tell("sign in", "Your session has ended. Sign in again to go on.");
  }

  take(frame) {
    if (frame.type === "welcome") this.welcome(frame);
    else if (frame.type === "message") this.message(frame);
    else if (frame.type === "ack") this.sender.ack(frame.key, frame.id <= this.history.head);
    else if (frame.type === "error") this.error(frame);
    else if (frame.type === "people") this.people.differ(frame);
    else if (frame.type === "typing" && frame.from !== this.you) this.people.types(frame.from);
    else if (frame.type === "beat" && frame.head !== this.history.head) this.missed();
  }

  welcome({ you, history, after, head, people, count, max }) {
    if (you !== this.you) {
      this.tell("sign in", `This browser has signed in as ${you}. Sign in again to go on.`);
      return;
    }
    this.skips = history !== "diverged" && head - idOf(after) > TOO_MANY;
    if (this.skips) {
      this.connection.again("too much was missed");
      return;
    }
    this.max = max;
    this.target = head;
    if (history !== "complete" || after !== this.history.cursor) this.begin(history, after);
    this.people.welcome({ people, count });
    this.caughtUp();
  }

  begin(history, after) {
    const oldest = history === "trimmed" ? idOf(after) + 1 : 1;
    this.history.begin(after, oldest, NOTES[history]);
    this.outbox.forget();
    this.anew = true;
    const isAnother = history === "trimmed" || history === "diverged";
    // Who comes for the first time has missed nothing but what somebody wrote to them.
    const isFirst = this.history.read === null && this.name === INBOX;
    if (isAnother || isFirst) this.history.restart(after);
  }

  message(message) {
    if (!this.history.add(message)) {
      this.missed();
      return;
    }
    this.people.stops(message.from);
    if (message.from === this.you) this.sender.arrive(message.key);
    if (this.target !== null) {
      this.caughtUp();
      return;
    }
    this.tell("message", message);
    this.tell("unread");
  }

  /** Go on as usual, if all that was missed is here. */
  caughtUp() {
    if (this.history.head < this.target) return;
    this.target = null;
    if (this.history.read === null) this.history.restart(this.history.cursor);
    this.tell("list", this.anew);
    this.anew = false;
    this.tell("unread");
    this.sender.start();
  }

  error(error) {
    if (error.code === "nobody") this.tell("nobody", error);
    else if (error.key) this.sender.error(error);
    else this.tell("error", error.text);
  }

  missed() {
    this.connection.again("a message was missed");
  }
}
