// Who uses this tab, and how the server is told so.
//
// The cookie of the session is enough, where it comes through. It does not in a frame of another
// site (a notebook at localhost that shows a page of 127.0.0.1), and it is one for all tabs, of
// which each may be somebody else. So a tab that has signed in shows the token that it got, too. It
// keeps that in memory alone: what is in a storage can be read by any script that ever runs here.
export const base = new URL(".", location.href);
export const PROTOCOL = "chatlib.rooms.1";

let token = null;

/** Ask the server; rejects where it cannot be reached. */
export function ask(path, method = "GET", body = undefined) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const text = JSON.stringify(body);
  return fetch(new URL(path, base), { method, headers, body: text, cache: "no-store" });
}

/** Return the address of a room's WebSocket, and the subprotocols to offer. */
export function socketOf(room, query) {
  const url = new URL(`rooms/${room}`, base);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams(query);
  return [url.href, token ? [PROTOCOL, `token.${token}`] : [PROTOCOL]];
}

/** Return the name that the server knows this browser by; null if it has to sign in. */
export async function whoAmI() {
  const answer = await ask("me");
  if (answer.ok) return (await answer.json()).name;
  if (answer.status === 401) return null;
  throw new Error(`the server answered ${answer.status}`);
}

/** Sign in, and return the name. Throws an Error, in words for the reader. */
export async function signIn(name) {
  token = null;
  const answer = await ask("sign-in", "POST", { name }).catch(() => {
    throw new Error("The server cannot be reached. Try again in a moment.");
  });
  const told = await answer.json().catch(() => ({}));
  if ([404, 405].includes(answer.status)) {
    throw new Error("One cannot sign in here. Sign in to the app that this chat is a part of.");
  }
  if (!answer.ok) throw new Error(refusal(told.detail, answer.status));
  token = told.token;
  return told.name;
}

/** Sign out. Throws an Error, in words for the reader. */
export async function signOut() {
  const answer = await ask("sign-out", "POST").catch(() => {
    throw new Error("You are still signed in: the server cannot be reached.");
  });
  if (!answer.ok) throw new Error(`You are still signed in: the server answered ${answer.status}.`);
  token = null;
}

/** Return in words why something was refused: FastAPI says it as a text, or as a list of faults. */
function refusal(detail, status) {
  if (typeof detail === "string") return detail;
  const words = ({ msg }) => msg.replace("Value error, ", "");
  if (Array.isArray(detail)) return detail.map(words).join("; ");
  return `The server answered ${status}.`;
}
