/* What is unfolded over the sheet: all items with their state, the guidelines and the keys. */
"use strict";

tikval.dialogs = (function () {
  const { sheet, store, questions: { make } } = tikval;
  const one = (id) => document.getElementById(id);
  const STATES = { done: ["●", "done"], part: ["◐", "in part"], none: ["○", "not begun"] };

  const stateOf = (i) => (store.done(i) ? "done" : store.begun(i) ? "part" : "none");

  /** All items; choosing one closes the list and opens the item. */
  function openItems(current, goTo) {
    const lines = sheet.items.map(({ item, round, caption }, i) => {
      const [sign, words] = STATES[stateOf(i)];
      const button = make("button", { type: "button", data: { state: stateOf(i) } },
        make("span", { className: "sign", textContent: sign, aria: { hidden: "true" } }),
        make("span", { className: "number", textContent: String(i + 1) }),
        make("span", { className: "id", textContent: item }),
        make("span", { className: "beginning", textContent: caption.slice(0, 90) }),
        make("span", { className: "state", textContent: round === "practice" ? `practice, ${words}` : words }));
      button.addEventListener("click", () => { one("items").close(); goTo(i); });
      if (i === current) button.setAttribute("aria-current", "true");
      return make("li", {}, button);
    });
    one("list").replaceChildren(...lines);
    one("items").showModal();
    const mine = lines[current].firstChild;
    mine.focus();
    mine.scrollIntoView({ block: "center" });
  }

  one("list").addEventListener("keydown", (event) => {
    const by = { ArrowDown: "nextSibling", ArrowUp: "previousSibling" }[event.key];
    if (!by) return;
    event.preventDefault();
    event.target.closest("li")[by]?.firstChild.focus();
  });

  function listKeys(keys) {
    const rows = keys.map(([names, meaning]) => make("tr", {},
      make("th", { scope: "row" }, ...names.flatMap((name) => [make("kbd", { textContent: name }), " "])),
      make("td", { textContent: meaning })));
    one("keys").append(make("table", {}, make("tbody", {}, ...rows)));
  }

  one("guidelines").append(make("dl", {}, ...sheet.guidelines.flatMap(([heading, text]) =>
    [make("dt", { textContent: heading }), make("dd", { textContent: text })])));
  if (!sheet.guidelines.length) one("guidelines").append(make("p", { textContent: "This codebook has none." }));
  for (const dialog of document.querySelectorAll("dialog")) {
    const close = make("button", { type: "button", className: "small close", textContent: "×", aria: { label: "Close" } });
    close.addEventListener("click", () => dialog.close());
    dialog.prepend(close);
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }

  return { openItems, listKeys, stateOf };
})();
