// The page: the list on the left, the selected run on the right, and the events that keep both true.

import { watch } from "./api.js";
import * as detail from "./detail.js";
import * as list from "./list.js";

const live = document.getElementById("live");

/** The run that the address names. */
const named = () => new URLSearchParams(location.search).get("run");

document.addEventListener("selected", ({ detail: run }) => {
  if (run && named() !== run) history.pushState(null, "", `?run=${encodeURIComponent(run)}`);
  detail.show(run);
});

document.addEventListener("go", ({ detail: run }) => list.select(run)); // to a run that another one led to

window.addEventListener("popstate", () => list.select(named()));

// One refresh at a time, and one more for whatever changed meanwhile.
let isRefreshing = false;
let isStale = false;

async function refresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isStale) {
    isStale = false;
    await Promise.allSettled([list.refresh(), detail.refresh()]);
  }
  isRefreshing = false;
}

watch(refresh, (stands) => (live.textContent = stands ? "live" : "connection lost, trying again"));
await list.refresh();
if (named()) list.select(named());
