// The box in which one writes.
import { $, reconcile, element, write } from "./dom.js";
import { keyOf, thisTab } from "./kept.js";
import { INBOX } from "./places.js";

export class Composer {
  /**
   * `on.say(text, to)` is called with what is to be sent, and returns why it cannot be, if so.
   * `on.type()` is called as one writes, `on.to(name)` when another recipient is chosen, and
   * `on.leave()` when one turns away from direct messages.
   */
  constructor(you, on, signal) {
    this.you = you;
    this.on = on;
    this.room = null;
    this.draft = null;
    const listen = (id, kind, heard) => $(id).addEventListener(kind, heard, { signal });
    listen("text", "input", () => this.typed());
    listen("text", "keydown", (event) => this.pressed(event));
    listen("to", "keydown", (event) => this.pressed(event));
    listen("to", "change", () => this.on.to($("to").value.trim()));
    listen("talk", "submit", (event) => {
      event.preventDefault();
      this.submit();
    });
  }

  /** Write in `room`; in the inbox, to `partner`. */
  open(room, partner) {
    if (room !== this.room) {
      this.room = room;
      this.draft = keyOf(this.you, "draft", room);
      $("text").value = thisTab.read(this.draft) ?? "";
      this.notice("");
    }
    const inInbox = room === INBOX;
    $("recipient").hidden = !inInbox;
    $("to").value = partner;
    $("text").placeholder = inInbox ? "Message to one person" : `Message to #${room}`;
  }

  suggest(names) {
    reconcile($("names"), names, (name) => name, (name) => element("option", { value: name }));
  }

  focus() {
    const wanted = this.room === INBOX && !$("to").value ? $("to") : $("text");
    wanted.focus({ preventScroll: true });
  }

  /** Have a message back that was not sent, before what is in the box by now. */
  edit({ text, to }) {
    $("text").value = [text, $("text").value].filter(Boolean).join("\n");
    if (to !== undefined) this.on.to(to);
    this.keep();
    this.notice("");
    $("text").focus();
  }

  notice(text) {
    write($("notice"), text);
  }

  typed() {
    this.keep();
    this.notice("");
    if ($("text").value.trim()) this.on.type();
  }

  pressed(event) {
    if (event.isComposing) return; // Enter and Escape are the input method's
    if (event.key === "Escape" && this.room === INBOX) {
      event.preventDefault();
      this.on.leave();
    } else if (event.key === "Enter" && !event.shiftKey && event.target === $("text")) {
      event.preventDefault();
      this.submit();
    }
  }

  submit() {
    const text = $("text").value;
    const to = $("to").value.trim();
    $("text").focus({ preventScroll: true });
    if (!text.trim()) return;
    if (this.room === INBOX && !to) {
      this.notice("To whom? Choose a person, or write a name into the field above.");
      $("to").focus();
      return;
    }
    const refusal = this.on.say(text, this.room === INBOX ? to : undefined);
    this.notice(refusal);
    if (refusal) return;
    $("text").value = "";
    this.keep();
  }

  keep() {
    thisTab.write(this.draft, $("text").value);
  }
}
