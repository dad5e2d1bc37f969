// What the server answers: reads are open to whoever can reach it, actions carry the token that `stackful serve` printed.

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname + location.search); // out of the address bar, and of screenshots
}

/** Whether actions can be tried at all. */
export const hasToken = () => sessionStorage.getItem("token") !== null;

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value != null));
  return answer(await fetch(`api/${path}?${query}`));
}

export async function act(run, action, body = {}) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${sessionStorage.getItem("token")}` };
  return answer(await fetch(`api/runs/${encodeURIComponent(run)}/${action}`, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function answer(response) {
  const data = await response.json();
  if (!response.ok) throw new Error(data.error);
  return data;
}

/** Call `changed` whenever runs have changed, and `state` with whether the connection stands. */
export function watch(changed, state) {
  const events = new EventSource("api/events");
  events.addEventListener("open", () => state(true));
  events.addEventListener("error", () => state(false)); // the browser connects again by itself
  events.addEventListener("changed", (event) => changed(JSON.parse(event.data)));
}
