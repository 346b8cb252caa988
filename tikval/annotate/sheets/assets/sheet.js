/* The sheet as a whole: which item is open and for how long, what the keys do, and what is said about it. */
"use strict";

(function () {
  const { sheet, about, store, media, questions, dialogs, files } = tikval;
  const one = (id) => document.getElementById(id);
  const STEP_MS = 10_000; // after which the time of an open item is kept
  let item = -1, since = null;

  // what is said

  function say(message, action) {
    one("toast").replaceChildren(message);
    if (action) one("toast").append(" ", action);
    one("toast").classList.add("shown");
    clearTimeout(say.timer);
    say.timer = setTimeout(() => one("toast").classList.remove("shown"), 6000);
  }

  function trouble(lost) {
    one("trouble").hidden = !lost;
    one("trouble").textContent = "This browser keeps nothing (its storage is full or closed): press s to save to a file, now and before you close this page.";
    files.tell();
  }

  function showProgress() {
    const done = sheet.items.filter((_, i) => store.done(i)).length;
    one("progress").textContent = `${done} of ${sheet.items.length} done`;
    one("bar").max = sheet.items.length;
    one("bar").value = done;
  }

  function showFeedback() {
    const { gold } = sheet.items[item];
    const closed = gold && store.done(item);
    one("feedback").hidden = !closed;
    if (!closed) return;
    const differ = store.asked(item).filter((slug) => {
      const right = store.own(gold.answers, slug);
      return right !== undefined && right !== store.record(item).answers[slug];
    }).length;
    const lead = differ ? `${differ} of your answers differ from what was agreed; they are marked.` : "All as agreed.";
    one("feedback").textContent = `Practice: ${lead} ${gold.note}`;
  }

  // the item that is open

  /** Adds the seconds since the last call; they count while the page is seen. */
  function count() {
    const now = performance.now();
    if (since !== null && item >= 0) store.addSeconds(item, (now - since) / 1000);
    since = document.visibilityState === "visible" ? now : null;
  }

  function show(i) {
    count();
    item = i;
    store.setPlace(i);
    const { item: id, round, files: paths, caption, script, others } = sheet.items[i];
    one("place").textContent = `Item ${i + 1} of ${sheet.items.length}`;
    one("item").textContent = id;
    one("round").hidden = round !== "practice"; // what is coded again is not told from what is new
    one("previous").disabled = i === 0;
    one("next").disabled = i === sheet.items.length - 1;
    one("caption").textContent = caption || "none";
    one("caption").classList.toggle("none", !caption);
    one("script").textContent = script;
    one("script-box").hidden = !script;
    one("note").value = store.record(i).note;
    one("others").hidden = !others.some(({ note }) => note);
    one("others").replaceChildren(...others.filter(({ note }) => note).map(({ name, note }) =>
      questions.make("p", {}, questions.make("b", { textContent: `${name}: ` }), note)));
    media.show(paths);
    questions.show(i);
    one("material").scrollTop = 0;
    showFeedback();
  }

  const turn = (by) => { if (sheet.items[item + by]) show(item + by); };

  function unfinished() {
    const order = [...sheet.items.keys()];
    const next = [...order.slice(item + 1), ...order.slice(0, item + 1)].find((i) => !store.done(i));
    if (next === undefined) say("Every item is done. Press s to save the table.");
    else show(next);
  }

  function restAbsent() {
    const slugs = questions.restAbsent();
    if (!slugs.length) return;
    const here = item;
    const undo = questions.make("button", { type: "button", textContent: "Take back" });
    undo.addEventListener("click", () => {
      const still = slugs.filter((slug) => store.record(here).answers[slug] === about.absent);
      store.answerAll(here, still, null);
      questions.refresh();
      say("Taken back.");
    });
    say(`${slugs.length} set to absent.`, sheet.items[item].gold ? null : undo);
  }

  function save() {
    count();
    say(`Saved as ${files.save()} in the folder of your downloads.`);
  }

  async function load(file) {
    count();
    try {
      say(await files.load(file));
      showProgress();
      show(store.last());
    } catch (error) { say(error.message); }
  }

  // keys

  const COMMANDS = [
    [["↑", "k"], "previous question", () => questions.move(-1), ["ArrowUp", "k"]],
    [["↓", "j"], "next question", () => questions.move(1), ["ArrowDown", "j"]],
    [["Home", "End"], "first, last question", (key) => questions.last(key === "End"), ["Home", "End"]],
    [["1", "2", "…"], "the option with that key; then the next question", null, []],
    [["?"], "not sure (also the digit after the last option)", null, []],
    [["⌫"], "take the answer back", () => questions.clear(), ["Backspace", "Delete"]],
    [["a"], "all questions of this item that are open: absent", restAbsent, ["a"]],
    [["n"], "note on the question; Esc leaves it", () => questions.writeNote(), ["n"]],
    [["N"], "note on the item", () => one("note").focus(), ["N"]],
    [["e"], "what sets it apart, and examples", () => questions.toggleHelp(), ["e"]],
    [["Space"], "play, pause", () => media.play(), [" "]],
    [[",", "."], "five seconds (or a picture) back, on", (key) => media.step(key === "," ? -1 : 1), [",", "."]],
    [["←", "PgUp"], "previous item", () => turn(-1), ["ArrowLeft", "PageUp"]],
    [["→", "PgDn"], "next item", () => turn(1), ["ArrowRight", "PageDown"]],
    [["u"], "next unfinished item", unfinished, ["u"]],
    [["l"], "list of all items", () => dialogs.openItems(item, show), ["l"]],
    [["g"], "guidelines", () => one("guidelines").showModal(), ["g"]],
    [["s"], "save the table", save, ["s"]],
    [["h", "F1"], "these keys", () => one("keys").showModal(), ["h", "F1"]],
  ];
  const SCROLLING = new Set(["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"]);
  const command = new Map(COMMANDS.flatMap(([, , act, keys]) => keys.map((key) => [key, act])));

  /** The key as a keyboard of the United States has it: digits without shift, Latin letters, no caps lock. */
  function keyOf({ key, code, shiftKey }) {
    if (/^Digit/.test(code) && !shiftKey) return code.at(-1);
    const letter = /^[a-z]$/i.test(key) ? key : key.length === 1 && key > "\x7f" && /^Key/.test(code) ? code.at(-1) : "";
    return letter ? (shiftKey ? letter.toUpperCase() : letter.toLowerCase()) : key;
  }

  function onKey(event) {
    const { target } = event;
    const key = keyOf(event);
    const take = (act) => { event.preventDefault(); event.stopPropagation(); act(key); };
    if ((event.ctrlKey || event.metaKey) && key === "s") return take(save);
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return undefined;
    if (item < 0 || document.querySelector("dialog[open]")) return undefined;
    if (target.closest("textarea, input, select")) return key === "Escape" ? take(questions.focus) : undefined;
    if (SCROLLING.has(key) && target.closest("#help, .text")) return undefined;
    if (key === "Enter" || (key === " " && target.closest("button:not([role=radio]), summary"))) return undefined;
    if (questions.press(key)) return take(() => {});
    return command.has(key) ? take(command.get(key)) : undefined;
  }

  // wiring

  const click = (id, act) => one(id).addEventListener("click", act);
  const pickBy = (id, act) => one(id).addEventListener("change", ({ target }) => {
    const chosen = [...target.files];
    target.value = "";
    if (chosen.length) act(chosen);
  });
  document.addEventListener("keydown", onKey, true);
  document.addEventListener("keyup", (event) => { // some browsers press a button only now
    if (event.key === " " && event.target.closest("[role=radio]")) event.preventDefault();
  }, true);
  document.addEventListener("visibilitychange", count);
  window.addEventListener("pagehide", count);
  setInterval(count, STEP_MS);
  click("previous", () => turn(-1));
  click("next", () => turn(1));
  click("unfinished", unfinished);
  click("rest", restAbsent);
  click("save", save);
  click("load", () => one("pick-table").click());
  click("open-items", () => dialogs.openItems(item, show));
  click("open-guidelines", () => one("guidelines").showModal());
  click("open-keys", () => one("keys").showModal());
  for (const kind of ["folder", "files"]) {
    document.querySelectorAll(`.pick-${kind}`).forEach((button) => button.addEventListener("click", () => one(`pick-${kind}`).click()));
    pickBy(`pick-${kind}`, (chosen) => say(`${media.pick(chosen)} files are at hand until this page is closed.`));
  }
  pickBy("pick-table", ([file]) => load(file));
  one("note").addEventListener("input", ({ target }) => store.note(item, target.value));
  Object.assign(store.heard, {
    trouble,
    changed: () => { showProgress(); showFeedback(); files.changed(); },
    elsewhere: (i) => {
      say("This sheet is open in a second window. What was coded there was taken over here; the later answer counts.");
      showProgress();
      if (i === item) questions.reread();
      if (i === item && document.activeElement !== one("note")) one("note").value = store.record(i).note;
    },
  });

  dialogs.listKeys(COMMANDS);
  showProgress();
  files.tell();
  if (!store.works()) trouble(true);
  if (sheet.items.length) show(store.place());
  else say("This sheet has no items.");
})();
