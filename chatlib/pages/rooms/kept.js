// What this page keeps in the browser.
//
// localStorage is one for all tabs: it has the rooms, and up to where each is read. sessionStorage
// is each tab's own: it has what is not sent yet, which two tabs must not both send. Where a
// browser allows neither, all is kept for as long as the page is open.
import { base } from "./session.js";

class Kept {
  constructor(kind) {
    this.unwritten = new Map(); // what the browser did not take: it may be full
    try {
      this.storage = window[kind];
    } catch {
      this.storage = null;
    }
  }

  read(key) {
    try {
      return JSON.parse(this.unwritten.get(key) ?? this.storage?.getItem(key) ?? null);
    } catch {
      return null; // something else wrote it
    }
  }

  write(key, value) {
    const text = JSON.stringify(value);
    try {
      this.storage.setItem(key, text);
      this.unwritten.delete(key);
    } catch {
      this.unwritten.set(key, text);
    }
  }
}

export const everyTab = new Kept("localStorage");
export const thisTab = new Kept("sessionStorage");

/** Return the key of a thing. One host may serve several chats, below different prefixes. */
export function keyOf(...parts) {
  return ["rooms", base.pathname, ...parts].map(encodeURIComponent).join(" ");
}
