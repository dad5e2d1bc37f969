// One run: what it is, where it stands, what it asks, what it has done.

import { act, get, hasToken } from "./api.js";
import { element, size, status, time } from "./dom.js";
import { tree } from "./tree.js";

const place = document.getElementById("detail");
let current = null;
let asked = 0;
let before = "";

/** Show a run; null for none. */
export async function show(run) {
  current = run;
  before = "";
  place.setAttribute("aria-busy", "true");
  await refresh();
  place.scrollTop = 0;
}

/** Fetch the run that is shown again. */
export async function refresh() {
  if (!current) return;
  const question = ++asked;
  const open = openFrames();
  let run, parts;
  try {
    run = await get(`runs/${encodeURIComponent(current)}`);
    parts = describe(run, open);
  } catch (error) {
    parts = [element("p", { class: "error" }, error.message)];
  }
  if (question !== asked || isBusy() || before === JSON.stringify(run)) return;
  before = run ? JSON.stringify(run) : "";
  place.replaceChildren(...parts);
  place.removeAttribute("aria-busy");
}

/** While a form is being filled in or a dialog is open, what is shown stays. */
const isBusy = () => place.querySelector("dialog[open]") !== null || place.querySelector("form.question")?.contains(document.activeElement);

const openFrames = () => new Set([...place.querySelectorAll(".frame[open]")].map((frame) => frame.dataset.key));

function describe(run, open) {
  return [
    element("h2", {}, run.id, " ", status(run.status)),
    hasToken() ? actions(run) : null,
    run.question ? question(run) : null,
    facts(run),
    run.error ? element("pre", { class: "error" }, run.error) : null,
    ...section("Result", run.result && tree([["result", run.result]])),
    ...stack(run, open),
    ...section("Signals that wait", run.signals?.length && tree(run.signals)),
    ...timeline(run),
  ].filter(Boolean);
}

function section(title, content) {
  return content ? [element("h3", {}, title), content] : [];
}

function facts(run) {
  const rows = [
    ["Program", run.program],
    ["Started", run.created && time(run.created)],
    ["Changed", run.updated && time(run.updated)],
    ["Wakes", run.wake && time(run.wake)],
    ["Waits for", run.waits],
    ["Deadline", run.deadline && time(run.deadline)],
    ["Queue", run.queue],
    ["Steps", String(run.steps)],
    ["Last step", run.step],
    ["Stored", run.size != null && size(run.size)],
    ["Worker", run.owner],
    ["Parent", run.parent && element("a", { href: `?run=${encodeURIComponent(run.parent)}` }, run.parent)],
    ["Attributes", Object.keys(run.attributes ?? {}).length > 0 && JSON.stringify(run.attributes)],
  ];
  const shown = rows.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("dl", { class: "facts" }, ...shown);
}

function stack(run, open) {
  if (run.stack_error) return section("Suspended stack", element("p", { class: "error" }, run.stack_error));
  if (!run.stack?.length) return [];
  const frames = run.stack.map((frame, index) => frameOf(frame, index, open));
  return section("Suspended stack, innermost first", element("div", {}, ...frames));
}

function frameOf(frame, index, open) {
  const key = `${index} ${frame.function}`;
  const isOpen = open.size ? open.has(key) : index === 0;
  const lines = frame.source.map(([number, text]) =>
    element("span", number === frame.line ? { class: "current", "aria-current": "true" } : {}, `${String(number).padStart(5)}  ${text}`),
  );
  return element(
    "details",
    { class: "frame", "data-key": key, open: isOpen },
    element("summary", {}, element("code", {}, frame.function), " ", element("span", { class: "quiet" }, `${frame.file}:${frame.line}`)),
    element("pre", {}, ...lines),
    tree(frame.locals),
  );
}

function timeline(run) {
  if (!run.checkpoints?.length) return [];
  const rows = run.checkpoints.map((each) =>
    element(
      "tr",
      {},
      element("td", { class: "number" }, String(each.seq)),
      element("td", {}, each.step ?? ""),
      element("td", {}, each.line ?? ""),
      element("td", { class: "number" }, size(each.size)),
      element("td", {}, time(each.taken)),
      element("td", {}, hasToken() ? button("Fork here", () => fork(run, each.seq)) : ""),
    ),
  );
  const head = ["No.", "Step", "Line", "Size", "Taken", ""].map((title) => element("th", {}, title));
  return section("Checkpoints", element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
}

// --- actions ---

const ENDED = new Set(["finished", "failed", "cancelled"]);

function actions(run) {
  const buttons = [];
  if (!ENDED.has(run.status)) buttons.push(button("Send a signal…", () => signal(run)), button("Cancel the run…", () => cancel(run), "danger"));
  if (run.status === "failed" || run.status === "cancelled") buttons.push(button("Retry", () => perform(run, "retry")));
  if (run.size != null) buttons.push(button("Fork", () => fork(run)));
  return element("div", { class: "actions" }, ...buttons);
}

function button(text, action, kind = "") {
  return element("button", { type: "button", class: kind, onclick: action }, text);
}

async function perform(run, action, body) {
  try {
    const done = await act(run.id, action, body);
    if (done.run && done.run !== run.id) document.dispatchEvent(new CustomEvent("go", { detail: done.run }));
    else await refresh();
  } catch (error) {
    place.prepend(element("p", { class: "error", role: "alert" }, error.message));
  }
}

const fork = (run, at) => perform(run, "fork", at == null ? {} : { at });

/** A modal dialog with a form; resolves to its fields, or null. */
function ask(title, fields, submit, kind = "") {
  return new Promise((resolve) => {
    const form = element(
      "form",
      { method: "dialog" },
      element("p", {}, title),
      ...fields,
      element("div", { class: "actions" }, element("button", { value: "yes", class: kind }, submit), element("button", { value: "no", formnovalidate: true }, "Back")),
    );
    const dialog = element("dialog", { "aria-label": title }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? new FormData(form) : null);
    });
    place.append(dialog);
    dialog.showModal();
  });
}

async function cancel(run) {
  const said = await ask(`Cancel ${run.id}? Its finally blocks run, then it ends.`, [], "Cancel the run", "danger");
  if (said) await perform(run, "cancel");
}

async function signal(run) {
  const name = element("label", {}, "Signal ", element("input", { name: "name", required: true }));
  const value = element("label", {}, "Value, as JSON ", element("textarea", { name: "value", rows: 3 }, "null"));
  const said = await ask(`Send a signal to ${run.id}`, [name, value], "Send");
  if (!said) return;
  try {
    await perform(run, "signal", { name: said.get("name"), value: JSON.parse(said.get("value")) });
  } catch (error) {
    place.prepend(element("p", { class: "error", role: "alert" }, `The value is not JSON: ${error.message}`));
  }
}

// --- the form of ask() ---

function question(run) {
  const fields = run.question.fields.map(field);
  const send = (event) => {
    event.preventDefault();
    const values = Object.fromEntries(run.question.fields.map((each) => [each.name, valueOf(each, event.target.elements[each.name])]));
    document.activeElement?.blur();
    perform(run, "answer", { values });
  };
  const submit = element("button", { disabled: !hasToken() }, hasToken() ? "Answer" : "Answering takes the token that stackful serve prints");
  return element("form", { class: "question", onsubmit: send }, element("p", {}, run.question.text), ...fields, submit);
}

function field(each) {
  const attributes = { name: each.name, required: each.required };
  const input = {
    "yes/no": () => element("input", { ...attributes, required: false, type: "checkbox", checked: each.default === true }),
    number: () => element("input", { ...attributes, type: "number", step: "any", value: each.default }),
    choice: () => element("select", attributes, ...each.choices.map((choice) => element("option", { selected: choice === each.default }, choice))),
    text: () => element("textarea", { ...attributes, rows: 2 }, each.default ?? ""),
  }[each.kind]();
  return element("label", {}, `${each.label || each.name} `, input);
}

function valueOf(each, input) {
  if (each.kind === "yes/no") return input.checked;
  if (each.kind === "number") return input.value === "" ? null : Number(input.value);
  return input.value;
}
