// The list of runs: filters, pages, the keyboard.

import { get } from "./api.js";
import { element, status, time } from "./dom.js";

const PAGE = 100;
const body = document.getElementById("runs");
const text = document.getElementById("text");
const more = document.getElementById("more");
const chosen = new Set();
let shown = PAGE;
let selected = null;
let asked = 0;
let before = "";

/** Fetch what the filters let through and show it; an answer that a newer question overtook is dropped. */
export async function refresh() {
  const question = ++asked;
  const page = await get("runs", { text: text.value.trim(), status: [...chosen].join(","), limit: shown });
  if (question !== asked || before === JSON.stringify(page)) return; // what a person points at stays where it is
  before = JSON.stringify(page);
  show(page);
}

function show(page) {
  const focused = document.activeElement?.closest?.("tr")?.dataset.run;
  body.replaceChildren(...page.runs.map(row));
  if (focused) rowOf(focused)?.querySelector("a").focus();
  more.hidden = page.runs.length >= page.total;
  more.textContent = `Show more (${page.runs.length} of ${page.total})`;
  document.getElementById("empty").hidden = page.runs.length > 0;
  document.getElementById("hint").textContent = text.value || chosen.size ? "Change the filters." : "stackful run program.py starts one.";
  document.getElementById("store").textContent = page.store;
  showStatuses(page.counts);
}

function row(run) {
  const link = element("a", { href: `?run=${encodeURIComponent(run.id)}` }, run.id);
  return element(
    "tr",
    { "data-run": run.id, "aria-selected": String(run.id === selected), onclick: choose },
    element("td", {}, link),
    element("td", {}, run.program),
    element("td", {}, status(run.status)),
    element("td", {}, run.step || (run.line ?? "").split("/").pop()),
    element("td", { class: "number" }, String(run.steps)),
    element("td", {}, time(run.updated)),
  );
}

function choose(event) {
  if (event.ctrlKey || event.metaKey) return; // a link like others: open it in another tab
  event.preventDefault();
  select(event.currentTarget.dataset.run);
}

/** Mark a run as the selected one and tell the page. */
export function select(run) {
  selected = run;
  for (const each of body.children) each.setAttribute("aria-selected", String(each.dataset.run === run));
  document.dispatchEvent(new CustomEvent("selected", { detail: run }));
}

const rowOf = (run) => [...body.children].find((each) => each.dataset.run === run);

function showStatuses(counts) {
  const fieldset = document.getElementById("statuses");
  const focused = document.activeElement?.dataset?.status;
  const buttons = Object.entries(counts).map(([name, count]) =>
    element("button", { type: "button", "data-status": name, "aria-pressed": String(chosen.has(name)), onclick: () => toggle(name) }, `${name} ${count}`),
  );
  fieldset.replaceChildren(fieldset.firstElementChild, ...buttons);
  buttons.find((button) => button.dataset.status === focused)?.focus();
}

function toggle(name) {
  if (!chosen.delete(name)) chosen.add(name);
  shown = PAGE;
  refresh();
}

function move(step) {
  const rows = [...body.children];
  const at = rows.indexOf(document.activeElement?.closest?.("tr"));
  rows[Math.min(rows.length - 1, Math.max(0, at + step))]?.querySelector("a").focus();
}

body.addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  move(steps[event.key]);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(input|textarea|select)$/i.test(event.target.tagName)) {
    event.preventDefault();
    text.focus();
  }
});

let pause;
text.addEventListener("input", () => {
  clearTimeout(pause);
  shown = PAGE;
  pause = setTimeout(refresh, 150); // not one question for each letter
});
text.form.addEventListener("submit", (event) => event.preventDefault());
text.addEventListener("keydown", (event) => event.key === "ArrowDown" && move(1));
more.addEventListener("click", () => {
  shown += PAGE;
  refresh();
});
