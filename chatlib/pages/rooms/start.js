// The page of chatlib.rooms: who is there, and then the chat.
import "./theme.js";
import { Chat } from "./chat.js";
import { $, write } from "./dom.js";
import { signIn, signOut, whoAmI } from "./session.js";

const RETRY = 3_000; // milliseconds, where the server cannot be reached at the start

let chat = null;

async function start() {
  $("door").hidden = false;
  write($("door-status"), "Connecting…");
  try {
    const name = await whoAmI();
    if (name === null) askForName("Sign in to go on.");
    else enter(name);
  } catch {
    write($("door-status"), "The server cannot be reached. Trying again…");
    setTimeout(start, RETRY);
  }
}

function askForName(why, name = "") {
  $("chat").hidden = true;
  $("door").hidden = false;
  $("sign-in").hidden = false;
  document.title = "Rooms";
  write($("door-status"), why);
  if (name) $("name").value = name;
  if (window.parent === window || document.hasFocus()) $("name").focus();
}

function enter(name) {
  $("door").hidden = true;
  $("sign-in").hidden = true;
  $("chat").hidden = false;
  chat = new Chat(name, (why) => {
    leave();
    askForName(why, name);
  });
}

function leave() {
  chat?.close();
  chat = null;
}

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  write($("door-notice"), "");
  try {
    const name = await signIn($("name").value.trim());
    $("name").value = "";
    enter(name);
  } catch (error) {
    write($("door-notice"), error.message);
  }
});

$("sign-out").addEventListener("click", async () => {
  const name = $("you").textContent;
  try {
    await signOut();
  } catch (error) {
    chat?.composer.notice(error.message);
    return;
  }
  leave();
  askForName("You have signed out.", name);
});

start();
