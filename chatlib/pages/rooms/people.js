// Who is in a room, and who writes.
const TYPING = 4_000; // milliseconds that a word of somebody's typing holds

export class People {
  /** `changed()` is called when somebody comes, leaves, writes or stops. */
  constructor(changed) {
    this.changed = changed;
    this.names = new Set(); // null where there are too many to name
    this.count = 0;
    this.timers = new Map(); // by name: of who types, until that is over
  }

  get typing() {
    return [...this.timers.keys()];
  }

  welcome({ people, count }) {
    this.names = people && new Set(people);
    this.count = count;
    this.changed();
  }

  /** Take a difference. With more than 200 people it has no names; once they are fewer, all. */
  differ({ joined, left, count }) {
    const names = new Set(this.names ?? []);
    for (const name of left) names.delete(name);
    for (const name of joined) names.add(name);
    this.names = names.size === count ? names : null;
    this.count = count;
    for (const name of left) this.stops(name);
    this.changed();
  }

  types(name) {
    clearTimeout(this.timers.get(name));
    this.timers.set(name, setTimeout(() => this.stops(name), TYPING));
    this.changed();
  }

  stops(name) {
    if (!this.timers.has(name)) return;
    clearTimeout(this.timers.get(name));
    this.timers.delete(name);
    this.changed();
  }
}
