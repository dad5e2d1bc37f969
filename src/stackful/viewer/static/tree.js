// A value as a tree that opens with the keyboard: <details> is one already.

import { element } from "./dom.js";

/** One named value; `value` is {kind, text, parts?: [[name, value]…], more?: how many parts were left out}. */
function branch([name, value]) {
  const label = [element("span", { class: "name" }, name), " = ", element("span", {}, value.text), " ", element("span", { class: "kind" }, value.kind)];
  if (!value.parts?.length) return element("li", {}, ...label);
  return element("li", {}, element("details", {}, element("summary", {}, ...label), tree(value.parts, value.more)));
}

export function tree(parts, more = 0) {
  const rest = more ? [element("li", { class: "quiet" }, `… ${more} more`)] : [];
  return element("ul", { class: "tree" }, ...parts.map(branch), ...rest);
}
