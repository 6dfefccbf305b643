// A WebSocket that comes back, by the rules of chatlib.rooms.1.
import { delayAfter, inWords, isAskedFor, isFinal } from "./closing.js";

const STEADY = 5_000; // milliseconds: a connection that lived so long proves that all is well
const PATIENCE = 10_000; // milliseconds over the beat, and before the first frame
const RETRY = 4_000; // until a server has said what its own is
const CUT = 1006;

export class Connection {
  /**
   * `where()` returns what to give to WebSocket, each time anew. `on.frame(frame)` gets each frame,
   * `on.state(state)` what has become of the connection: `{kind, why, delay}`, and `on.lost(code,
   * reason)` each end of one, before that. `kind` is "connecting", "open", "lost" (it comes back
   * after `delay` milliseconds) or "closed" (it does not).
   */
  constructor(where, on) {
    this.where = where;
    this.on = on;
    this.socket = null;
    this.timer = null; // of the next attempt, while one is due
    this.deadline = null; // when no frame by then means that the connection is dead
    this.silence = null; // the timer of that
    this.attempts = 0; // since a connection last held
    this.opened = 0;
    this.code = null; // with which the last one closed
    this.beat = 0;
    this.retry = RETRY;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.attempts === 0) this.on.state({ kind: "connecting", why: "", delay: 0 });
    const socket = (this.socket = new WebSocket(...this.where()));
    this.opened = 0;
    this.beat = 0;
    this.heard();
    socket.onmessage = ({ data }) => {
      if (socket === this.socket) this.take(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.socket) this.lost(code, reason);
    };
  }

  take(frame) {
    if (frame.type === "welcome") {
      this.opened = Date.now();
      this.beat = frame.beat * 1000;
      this.retry = frame.retry;
      this.on.state({ kind: "open", why: "", delay: 0 });
    }
    this.heard();
    this.on.frame(frame);
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  /** Take it for lost, and come back: it has missed something, or is dead. */
  again(why) {
    this.let();
    this.lost(CUT, why);
  }

  /** Close it for good. */
  close() {
    clearTimeout(this.timer);
    this.timer = null;
    this.let();
  }

  /**
   * Try now: the network is back, or the reader is. A wait that the server has asked for is kept,
   * unless the reader has `asked`.
   */
  hurry(asked = false) {
    if (this.timer !== null && (asked || !isAskedFor(this.code))) this.open();
    else if (this.socket !== null && Date.now() > this.deadline) this.dead();
  }

  heard() {
    const patience = this.beat + PATIENCE;
    this.deadline = Date.now() + patience;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.dead(), patience);
  }

  dead() {
    this.again("nothing came for too long");
  }

  /** Have nothing to do with the socket any more. To close a dead one may take a minute. */
  let() {
    clearTimeout(this.silence);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }

  lost(code, reason) {
    clearTimeout(this.silence);
    this.socket = null;
    this.code = code;
    if (this.opened && Date.now() - this.opened > STEADY) this.attempts = 0;
    this.on.lost(code, reason);
    const why = inWords(code, reason);
    if (isFinal(code)) {
      this.on.state({ kind: "closed", why, delay: null });
      return;
    }
    const delay = delayAfter(code, this.attempts, this.retry);
    this.attempts += 1;
    this.timer = setTimeout(() => this.open(), delay);
    this.on.state({ kind: "lost", why, delay });
  }
}
