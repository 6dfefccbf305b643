// The list of a room's messages: what is in it, and which part of it is in view.
//
// It is laid out from its end, so it stays there by itself, and older messages above move nothing.
import { $, write } from "./dom.js";
import { idOf } from "./history.js";
import { item } from "./item.js";
import { INBOX } from "./places.js";
import { drawOutbox } from "./waiting.js";

const NEAR_END = 40; // pixels: who is so near is at the end
const NEAR_TOP = 400; // when older messages are fetched

export class MessageList {
  /**
   * `on.seen()` is called when another part may be in view; `on.edit(message)` and
   * `on.remove(message)` where the reader wants that of one that was not sent.
   */
  constructor(on, signal) {
    this.on = on;
    this.room = null;
    this.line = null; // the id behind which the new messages begin
    this.news = null; // the id of the first of them
    this.loading = false;
    const click = (button, clicked) => button.addEventListener("click", clicked, { signal });
    click($("newest"), () => {
      $("log").focus({ preventScroll: true }); // the button goes
      this.toEnd();
    });
    click($("front").querySelector("button"), () => {
      $("log").focus({ preventScroll: true });
      this.loadEarlier();
    });
    $("log").addEventListener("scroll", () => this.scrolled(), { signal });
    // A list that has become higher may have room for more, and one in view may be read.
    const observer = new ResizeObserver(() => this.scrolled());
    observer.observe($("log"));
    signal.addEventListener("abort", () => observer.disconnect());
  }

  get atEnd() {
    return $("log").scrollTop > -NEAR_END;
  }

  /** The cursor of the last message in view; null if there is none yet. */
  get seen() {
    const { history } = this.room;
    if (history.messages.length === 0) return history.cursor;
    const end = this.atEnd ? Infinity : $("log").getBoundingClientRect().bottom;
    for (let child = $("history").lastElementChild; child; child = child.previousElementSibling) {
      if (child.getBoundingClientRect().bottom > end) continue;
      const message = history.messages[Number(child.dataset.id) - history.oldest];
      return `${message.id}.${message.tag}`;
    }
    return null;
  }

  /** Show `room` from its first new message on, or its end. */
  show(room) {
    this.room = room;
    this.loading = false;
    this.line = room.history.unread ? idOf(room.history.read) : null;
    $("history").replaceChildren();
    this.news = this.firstNew();
    this.draw(room.history.messages);
    this.toStart();
    this.drawOutbox();
    this.front();
    this.scrolled();
  }

  /** Show what has come. */
  add() {
    const { history } = this.room;
    const last = Number($("history").lastElementChild?.dataset.id ?? history.oldest - 1);
    const came = history.messages.slice(last + 1 - history.oldest);
    const { atEnd } = this;
    if (atEnd && history.cut()) this.forget();
    this.news ??= this.firstNew();
    this.keepView(() => this.draw(came));
    this.front();
    this.scrolled();
  }

  /** From here on, messages are new. */
  markEnd() {
    this.line = this.room.history.head;
    this.moveNews();
  }

  unmark() {
    this.line = null;
    this.moveNews();
  }

  drawOutbox() {
    this.keepView(() => drawOutbox(this.room, this.on));
  }

  toEnd() {
    $("log").scrollTop = 0;
  }

  /** Have the first new message, or the note, at the top of what is in view. */
  toStart() {
    this.toEnd();
    const start = $("history").querySelector("li:has(> .note, > .new)");
    if (!start) return;
    const top = start.getBoundingClientRect().top - $("log").getBoundingClientRect().top;
    if (top < 0) $("log").scrollTop += top;
  }

  scrolled() {
    if (this.room === null) return;
    const log = $("log");
    $("newest").hidden = this.atEnd;
    const above = log.scrollHeight - log.clientHeight + log.scrollTop;
    if (above < NEAR_TOP && !$("front").classList.contains("failed")) this.loadEarlier();
    this.on.seen();
  }

  async loadEarlier() {
    const { room } = this;
    if (this.loading || !room.history.more || room.history.cursor === null) return;
    this.loading = true;
    let failed = "";
    try {
      await room.earlier();
    } catch (error) {
      failed = error.message;
    }
    if (room !== this.room) return;
    this.loading = false;
    this.front(failed);
    this.drawEarlier();
    this.scrolled();
  }

  drawEarlier() {
    const { history } = this.room;
    const first = $("history").firstElementChild;
    const count = first ? Number(first.dataset.id) - history.oldest : history.messages.length;
    if (count <= 0) return;
    const made = history.messages.slice(0, count).map((message) => this.make(message));
    $("history").prepend(...made);
    if (first) this.redraw(Number(first.dataset.id)); // it has one before it now
    this.moveNews();
  }

  /** Say what is at the top of the list. */
  front(failed = "") {
    const { history, name } = this.room;
    const front = $("front");
    front.classList.toggle("failed", failed !== "");
    front.querySelector("button").hidden = failed === "";
    const text = failed ? "Earlier messages could not be loaded." : beginning(name, history);
    write(front.querySelector("span"), text);
  }

  /** Return the id of the first message that is new, if the ones before it are here too. */
  firstNew() {
    const { history, you } = this.room;
    if (this.line === null || history.oldest > this.line + 1) return null;
    return history.messages.find(({ id, from }) => id > this.line && from !== you)?.id ?? null;
  }

  moveNews() {
    const before = this.news;
    this.news = this.firstNew();
    if (before === this.news) return;
    if (before !== null) this.redraw(before);
    if (this.news !== null) this.redraw(this.news);
  }

  redraw(id) {
    const { history } = this.room;
    const message = history.messages[id - history.oldest];
    if (message) $("history").querySelector(`[data-id="${id}"]`)?.replaceWith(this.make(message));
  }

  draw(messages) {
    $("history").append(...messages.map((message) => this.make(message)));
  }

  make(message) {
    const { history, you } = this.room;
    const before = history.messages[message.id - history.oldest - 1];
    const note = history.note?.after === message.id - 1 ? history.note.text : "";
    return item(message, before, you, note, message.id === this.news);
  }

  /** Take out of the page what is no more in the history. */
  forget() {
    const list = $("history");
    while (Number(list.firstElementChild?.dataset.id) < this.room.history.oldest) {
      list.firstElementChild.remove();
    }
    this.redraw(this.room.history.oldest); // it has none before it now
  }

  /** Change the end of the list, and leave in view what is, unless that is the end. */
  keepView(change) {
    const log = $("log");
    const { atEnd } = this;
    const before = log.scrollHeight;
    change();
    if (!atEnd) log.scrollTop -= log.scrollHeight - before;
  }
}

function beginning(name, history) {
  if (history.cursor === null) return "";
  if (history.note && history.messages.length === 0) return history.note.text;
  if (history.more) return "Loading earlier messages…";
  if (history.first > 1) return "Older messages are no longer kept.";
  if (name === INBOX) {
    return history.messages.length
      ? "Each of these is between you and one other person."
      : "Nobody has written to you yet.";
  }
  return `This is the beginning of #${name}.`;
}
