// What the three pages do. A page says which WebSocket it opens in <body data-socket>, where {id}
// stands for the value of the element with that id. One that has a form #connect opens it when
// the form is sent, the others at once. <body data-pass> names a query parameter that goes from the
// page's own address into the WebSocket's.
"use strict";

const MAX_MESSAGES = 500;
const FIRST_DELAY = 500; // milliseconds before the first attempt to reconnect
const LONGEST_DELAY = 15_000;
const RESTART_SPREAD = 4_000; // milliseconds over which pages come back after a restart
const STEADY = 5_000; // a connection that lived this long proves that the server is well
const MAX_ATTEMPTS = 20; // in a row, on a page where the reader can press Connect
const NO_CONNECTION = "Not sent: no connection.";

// RFC 6455, section 7.4.1, and the IANA registry of close codes.
const MEANING = {
  1000: "the server closed it, with nothing wrong",
  1001: "the server is going away, perhaps to restart",
  1003: "the server does not take this kind of message",
  1005: "the server closed it and gave no reason",
  1006: "the line was cut",
  1007: "the server got text that is not valid UTF-8",
  1008: "the server's rules do not allow it",
  1009: "the message is too big for the server",
  1011: "the server met an error",
  1012: "the server has stopped or is restarting",
  1013: "the server is busy",
};
// After these the same attempt would only end the same way again.
const FINAL = new Set([1000, 1008]);

const $ = (id) => document.getElementById(id);
const connectForm = $("connect");
const box = $("messageText");

let socket = null;
let timer = null; // of the next attempt, while one is due
let attempts = 0; // since a connection last held
let retryAddress = null;
let lastSent = "";

function address() {
  const path = document.body.dataset.socket.replace(/\{(.+?)\}/g, (_, id) =>
    encodeURIComponent($(id).value ?? $(id).textContent),
  );
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const passed = new URLSearchParams(location.search).get(document.body.dataset.pass);
  if (passed !== null) url.searchParams.set(document.body.dataset.pass, passed);
  return url.href;
}

function say(state, text, next = "") {
  document.body.dataset.state = state;
  // A screen reader announces a live region that is written to, even with the same words.
  if ($("status").textContent !== text) $("status").textContent = text;
  $("retry").textContent = next;
  const again = state === "open"; // then it closes this connection and opens another one
  if (connectForm) connectForm.querySelector("button").textContent = again ? "Connect again" : "Connect";
}

function notice(text) {
  $("notice").textContent = text;
}

/** Open a WebSocket in place of the one before. `before` says why that one was lost. */
function connect(url, before = "") {
  clearTimeout(timer);
  timer = null;
  if (socket?.readyState === WebSocket.OPEN) socket.close(1000);
  if (attempts === 0) say("connecting", "Connecting…");
  else $("retry").textContent = "Trying now…";
  const mine = (socket = new WebSocket(url));
  let opened = null;

  mine.onopen = () => {
    if (mine !== socket) return mine.close(1000); // replaced before it was open
    opened = performance.now();
    if ($("notice").textContent.startsWith(NO_CONNECTION)) notice("");
    say("open", before ? `Connected again. The connection was lost: ${before}.` : "Connected.");
  };
  mine.onmessage = (event) => {
    if (mine === socket) show(event.data);
  };
  mine.onclose = (event) => {
    if (mine !== socket) return;
    if (opened !== null && performance.now() - opened > STEADY) attempts = 0;
    if (opened !== null) lost(url, event);
    else refused(url, before);
  };
}

function lost(url, { code, reason }) {
  const meaning = MEANING[code] ?? (code < 4000 ? "the server closed it" : "the app ended it");
  const why = `${meaning} (code ${code}${reason && `: “${reason}”`})`;
  if (code === 1009 && !box.value) {
    box.value = lastSent;
    notice("Your message was too big for the server. It is back in the box; make it shorter.");
  }
  if (FINAL.has(code)) {
    const again = connectForm ? "Press Connect" : "Reload the page";
    say("closed", `Connection closed: ${why}. ${again} to connect again.`);
  } else {
    retry(url, why, code === 1012 ? RESTART_SPREAD : 0);
  }
}

function refused(url, before) {
  const why =
    "the server refused, or cannot be reached. The browser is not told which (code 1006)";
  if (connectForm && !before) {
    say("closed", `Not connected: ${why}. Check Item ID and Token, then press Connect.`);
  } else if (connectForm && attempts >= MAX_ATTEMPTS) {
    say("closed", `Gave up after ${attempts} attempts: ${why}. Press Connect to try again.`);
  } else if (before) {
    retry(url, before);
  } else {
    say("lost", `Not connected: ${why}. Trying again…`);
    schedule(url, "");
  }
}

function retry(url, why, spread = 0) {
  say("lost", `Connection lost: ${why}. Reconnecting…`);
  schedule(url, why, spread);
}

function schedule(url, why, spread = 0) {
  // Random, so that not all clients of a restarted server come at once.
  const longest = Math.min(FIRST_DELAY * 2 ** attempts, LONGEST_DELAY);
  const backoff = longest * (0.5 + Math.random() / 2);
  const delay = backoff + spread * Math.random();
  attempts += 1;
  $("retry").textContent = `Next try in ${Math.ceil(delay / 1000)} s.`;
  retryAddress = () => connect(url, why);
  timer = setTimeout(retryAddress, delay);
}

function retryNow() {
  if (timer !== null && !document.hidden) retryAddress();
}

function show(data) {
  const text = typeof data === "string" ? data : `(a binary message of ${data.size} bytes)`;
  const item = document.createElement("li");
  const said = /^(You wrote|Client #(-?\d+) says|[^:]{1,45}):(?= )/.exec(text);
  if (said) {
    const who = document.createElement("span");
    who.textContent = said[0];
    item.append(who, text.slice(said[0].length));
    if (said[2]) item.dataset.client = Math.abs(said[2] % 6);
    if (said[2] && said[2] === $("ws-id")?.textContent) item.dataset.client = "me";
  } else {
    item.textContent = text;
    item.classList.toggle("left", /^Client #-?\d+ left the chat$/.test(text));
  }
  $("messages").append(item);
  if ($("messages").childElementCount > MAX_MESSAGES) $("messages").firstElementChild.remove();
}

$("talk").addEventListener("submit", (event) => {
  event.preventDefault();
  box.focus();
  if (socket?.readyState !== WebSocket.OPEN) {
    const comes = timer !== null || socket?.readyState === WebSocket.CONNECTING;
    const again = connectForm ? "Press Connect first" : "Reload the page";
    notice(`${NO_CONNECTION} ${comes ? "Wait until there is one" : again}; the text stays here.`);
  } else if (box.value === "") {
    notice("Nothing to send: the box is empty.");
  } else {
    lastSent = box.value;
    socket.send(lastSent);
    box.value = "";
    notice("");
  }
});

connectForm?.addEventListener("submit", (event) => {
  event.preventDefault();
  attempts = 0;
  notice("");
  connect(address());
});

// The notebook that the page stands in says whether it is light or dark.
window.addEventListener("message", ({ source, data }) => {
  const told = source === window.parent && ["light", "dark"].includes(data?.theme);
  if (told) document.documentElement.dataset.theme = data.theme;
});

window.addEventListener("online", retryNow);
document.addEventListener("visibilitychange", retryNow);

if ($("ws-id")) $("ws-id").textContent = Date.now();
if (connectForm) say("idle", "Not connected yet.");
else connect(address());
