// Elements from plain data. Text only ever becomes text nodes: nothing that a run holds is read as HTML.

/** An element: its tag, properties (`class`, `on…` handlers, attributes), and children (elements or strings). */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** Seconds since the epoch as a person says it; the exact time is in the element's title. */
export function time(seconds) {
  const exact = new Date(seconds * 1000);
  return element("time", { datetime: exact.toISOString(), title: exact.toLocaleString() }, distance(seconds));
}

function distance(seconds) {
  const ahead = seconds - Date.now() / 1000;
  const size = Math.abs(ahead);
  const [number, unit] =
    size >= 86400 ? [size / 86400, "d"] : size >= 3600 ? [size / 3600, "h"] : size >= 60 ? [size / 60, "min"] : [size, "s"];
  const text = `${Math.floor(number)} ${unit}`;
  return ahead > 0 ? `in ${text}` : `${text} ago`;
}

/** A number of bytes for people. */
export function size(bytes) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (bytes < 1024) return unit === "B" ? `${bytes} B` : `${bytes.toFixed(1)} ${unit}`;
    bytes /= 1024;
  }
  return `${bytes.toFixed(1)} GiB`;
}

export function status(name) {
  return element("span", { class: `status status-${name}` }, name);
}
