// What is written and not known to be kept by the server, as it stands below the list.
import { $, element, reconcile, write } from "./dom.js";

/** Show the outbox of `room`; `on.edit(message)` and `on.remove(message)` do what a reader asks. */
export function drawOutbox(room, on) {
  reconcile(
    $("outbox"),
    room.outbox.shown,
    ({ key }) => key,
    (message) => make(message, on),
    update,
  );
}

function make(message, on) {
  const made = element("li", { className: "own waiting" });
  if (message.to !== undefined) {
    const you = element("strong", { className: "person" }, "You");
    made.append(element("p", { className: "head" }, you, ` to ${message.to}`));
  }
  const edit = element("button", { className: "quiet", type: "button" }, "Edit");
  const remove = element("button", { className: "quiet", type: "button" }, "Remove");
  edit.addEventListener("click", () => on.edit(message));
  remove.addEventListener("click", () => on.remove(message));
  made.append(
    element("p", { className: "text" }, message.text),
    element("p", { className: "fate" }, element("span"), " ", edit, " ", remove),
  );
  return made;
}

function update(made, { failed }) {
  const hasFailed = failed !== undefined;
  made.classList.toggle("failed", hasFailed);
  write(made.querySelector(".fate span"), hasFailed ? `Not sent: ${failed}` : "Not sent yet");
  for (const button of made.querySelectorAll("button")) button.hidden = !hasFailed;
}
