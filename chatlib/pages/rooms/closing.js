// What it means that a connection has closed, and when to come back.
const FIRST_DELAY = 500; // milliseconds
const LONGEST_DELAY = 15_000;
const BUSY_DELAY = 5_000;

// RFC 6455, section 7.4.1, the IANA registry of close codes, and those of chatlib.rooms.1.
const MEANING = {
  1000: "the server closed the connection",
  1001: "the server is going away",
  1003: "the server does not take this kind of message",
  1006: "the line was cut, or the server cannot be reached",
  1007: "the server got text that is not valid UTF-8",
  1008: "the server does not allow it",
  1009: "a message was too big for the server",
  1011: "the server met an error",
  1012: "the server is restarting",
  1013: "the server is busy, or you have too many tabs open",
  4401: "you have to sign in again",
  4403: "you may not be in this room",
  4409: "the room's history has changed on the server",
};
// After these the same attempt would only end the same way.
const FINAL = new Set([1008, 4401, 4403]);
// After these the message on its way would only be refused again.
const OUR_FAULT = new Set([1003, 1007, 1009]);

export const isFinal = (code) => FINAL.has(code);
export const isOurFault = (code) => OUR_FAULT.has(code);
/** Whether the server itself has said how long to wait. */
export const isAskedFor = (code) => code === 1012 || code === 1013;

export function inWords(code, reason) {
  const meaning = MEANING[code] ?? "the server closed the connection";
  return `${meaning} (code ${code}${reason && `: “${reason}”`})`;
}

/**
 * Return how many milliseconds to wait before coming back.
 *
 * By chance, so that not all clients of a server come at once. `attempts` is how many there were
 * since a connection last held; `retry` is over how many milliseconds clients of a server that
 * restarts come back.
 */
export function delayAfter(code, attempts, retry) {
  if (code === 1012 && attempts === 0) return Math.random() * retry;
  if (code === 1013) return BUSY_DELAY + backoff(attempts + 1);
  if ((code === 1006 || code === 4409) && attempts === 0) return 0;
  return backoff(attempts);
}

function backoff(attempts) {
  return Math.min(FIRST_DELAY * 2 ** attempts, LONGEST_DELAY) * (0.5 + Math.random() / 2);
}
