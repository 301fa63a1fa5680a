"use strict";
/* Keys. All that they do can be done without them, and without this file. */
(() => {
  const steps = () => [...document.querySelectorAll("[data-step]")];

  const step = (by) => {
    const all = steps();
    const at = all.findIndex((it) => it.contains(document.activeElement));
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by;
    if (all[next]) {
      all[next].focus();
      all[next].scrollIntoView({ block: "nearest" });
    }
  };

  const follow = (selector) => {
    const link = document.querySelector(selector);
    if (link) link.click();
  };

  const open = () => {
    const here = steps().find((it) => it === document.activeElement);
    const link = here && (here.querySelector("a[data-open]") || here.querySelector("a"));
    if (link) link.click();
  };

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    n: () => follow('a[rel="next"]'),
    p: () => follow('a[rel="prev"]'),
    c: () => follow('[data-key="c"]'),
    "/": () => document.getElementById("q").select(),
    "?": () => follow('[data-key="?"]'),
    Enter: open,
  };

  const isTyping = (it) => it.matches("input, textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape" && isTyping(event.target)) event.target.blur();
    if (isTyping(event.target) || !Object.hasOwn(keys, event.key)) return;
    if (event.key === "Enter" && !event.target.matches("[data-step]")) return;
    event.preventDefault();
    keys[event.key]();
  });
})();
