/* The questions of the item that is open: one line each, made once and filled anew for every item. */
"use strict";

tikval.questions = (function () {
  const { sheet, about, store } = tikval;
  const { own } = store;
  const one = (id) => document.getElementById(id);
  const KEYS = "123456789qwrtyiopdfzxcvbm"; // of options; the other letters are commands
  const MANY = 5; // options that stand beside the title
  let item = 0, at = 0;

  function make(tag, settings = {}, ...inside) {
    const { data = {}, aria = {}, ...plain } = settings;
    const node = Object.assign(document.createElement(tag), plain);
    Object.assign(node.dataset, data);
    for (const [name, value] of Object.entries(aria)) node.setAttribute(name === "role" ? name : `aria-${name}`, value);
    node.append(...inside);
    return node;
  }

  const title = (question, word) => {
    if (word === undefined) return "not answered";
    return word === sheet.not_sure ? "not sure" : (question.options.find((option) => option.word === word)?.title ?? word);
  };

  /** The choices of a question with their keys; "not sure" has ?, and the digit after the last option. */
  function choices(question) {
    const options = question.options.map(({ word, title, help }, i) => ({ word, title, help, keys: [KEYS[i] ?? ""] }));
    const digit = options.length < 9 ? String(options.length + 1) : "0";
    return [...options, { word: sheet.not_sure, title: "not sure", help: "", keys: [digit, "?"] }];
  }

  function makeLine(question, place) {
    const id = (part) => `q${place}-${part}`;
    const buttons = choices(question).map(({ word, title, help, keys }) => {
      const button = make("button", { type: "button", title: help, tabIndex: -1, data: { word }, aria: { role: "radio", checked: "false" } },
        make("kbd", { textContent: keys[0], aria: { hidden: "true" } }), make("span", { textContent: title }));
      button.addEventListener("click", () => { activate(place, false); answer(place, word); button.focus(); });
      return button;
    });
    const note = make("textarea", { rows: 1, maxLength: 1000, hidden: true, placeholder: "Note", aria: { label: `Note on ${question.title}` } });
    const noteButton = make("button", { type: "button", className: "small", textContent: "✎", title: "Note (n)", tabIndex: -1, aria: { label: `Note on ${question.title}` } });
    const helpButton = make("button", { type: "button", className: "small", textContent: "i", title: "What sets it apart, and examples (e)", tabIndex: -1, aria: { label: `About ${question.title}` } });
    const parts = {
      title: make("span", { className: "title", id: id("title"), textContent: question.title }),
      definition: make("span", { className: "definition", id: id("definition"), textContent: question.definition }),
      feedback: make("span", { className: "feedback" }),
      others: make("div", { className: "beside" }),
      group: make("div", { className: "options", aria: { role: "radiogroup", labelledby: id("title"), describedby: id("definition") } }, ...buttons),
      settled: make("span", { className: "settled-answer" }),
    };
    const line = make("div", { className: `question${buttons.length > MANY ? " many" : ""}` },
      make("div", { className: "asked" }, parts.title, " ", parts.feedback, parts.definition), parts.group, parts.settled,
      make("div", { className: "small-buttons" }, noteButton, helpButton), parts.others, note);
    line.addEventListener("click", () => activate(place, false));
    line.addEventListener("focusin", () => activate(place, false));
    noteButton.addEventListener("click", () => { activate(place, false); writeNote(); });
    helpButton.addEventListener("click", () => { activate(place, false); toggleHelp(); });
    note.addEventListener("input", () => { grow(note); store.noteOn(item, question.slug, note.value); });
    note.addEventListener("blur", () => { note.hidden = !note.value.trim(); });
    return { ...parts, line, buttons, note, question, choices: choices(question) };
  }

  const lines = sheet.questions.map(makeLine);
  const headings = new Map();
  for (const { question, line } of lines) {
    if (!headings.has(question.section)) {
      const heading = make("section", { className: "section" }, make("h2", { textContent: question.section }));
      headings.set(question.section, heading);
      one("questions").append(heading);
    }
    headings.get(question.section).append(line);
  }
  one("help").hidden = !window.matchMedia("(min-width: 100rem)").matches; // there it has a column of its own
  const hasAbsent = sheet.questions.some(({ options }) => options.some(({ word }) => word === about.absent));

  function grow(note) {
    note.style.height = "auto";
    note.style.height = `${note.scrollHeight + 2}px`;
  }

  /** A practice item that was answered whole shows what was agreed, and is closed. */
  const closed = () => Boolean(sheet.items[item].gold) && store.done(item);
  const canAnswer = (slug) => store.isAsked(item, slug) && !closed();

  function besideOf({ question }) {
    return sheet.items[item].others.flatMap((other) => {
      const note = own(other.value_notes, question.slug);
      const word = own(other.answers, question.slug);
      const given = make("b", { textContent: title(question, word), data: { word: word ?? "" } });
      return [make("p", {}, `${other.name}: `, given, ...(note ? [make("q", { textContent: note })] : []))];
    });
  }

  function feedbackOf({ question, line, feedback }, given) {
    const gold = closed() ? sheet.items[item].gold : null;
    const right = gold && own(gold.answers, question.slug);
    line.classList.toggle("right", Boolean(right) && right === given);
    line.classList.toggle("wrong", Boolean(right) && right !== given);
    feedback.textContent = right && right !== given ? `Agreed: ${title(question, right)}` : "";
  }

  function fill(line) {
    const { slug } = line.question;
    const record = store.record(item);
    const isAsked = store.isAsked(item, slug);
    const given = record.answers[slug];
    line.buttons.forEach((button) => {
      button.setAttribute("aria-checked", String(isAsked && button.dataset.word === given));
      button.disabled = !canAnswer(slug);
    });
    line.group.hidden = !isAsked;
    line.settled.hidden = isAsked;
    line.settled.textContent = isAsked ? "" : `agreed: ${title(line.question, store.agreed(item, slug))}`;
    line.line.classList.toggle("settled", !isAsked);
    line.line.classList.toggle("open", isAsked && given === undefined);
    feedbackOf(line, given);
  }

  function reach(line) {
    const checked = line.buttons.find((button) => button.getAttribute("aria-checked") === "true");
    line.buttons.forEach((button) => { button.tabIndex = -1; });
    const button = checked ?? line.buttons[0];
    button.tabIndex = 0;
    return button;
  }

  function refresh() {
    lines.forEach(fill);
    const slugs = store.asked(item), left = store.open(item).length;
    const gold = closed() && sheet.items[item].gold;
    one("rest").hidden = !hasAbsent || Boolean(sheet.items[item].asked);
    one("rest").disabled = left === 0;
    one("answered").textContent = gold
      ? `${slugs.filter((slug) => own(gold.answers, slug) === store.record(item).answers[slug]).length} of ${slugs.length} as agreed`
      : `${slugs.length - left} of ${slugs.length} answered`;
    lines.forEach(reach);
  }

  /** Shows what is stored of the item; a note that is being written is left alone. */
  function reread() {
    for (const { note, question } of lines) {
      if (note === document.activeElement) continue;
      note.value = own(store.record(item).notes, question.slug) ?? "";
      note.hidden = !note.value;
      if (note.value) grow(note);
    }
    refresh();
  }

  /** Opens an item at its first open question. */
  function show(i) {
    document.activeElement?.blur();
    item = i;
    for (const line of lines) {
      line.others.replaceChildren(...(store.isAsked(item, line.question.slug) ? besideOf(line) : []));
    }
    reread();
    const [first] = store.open(item);
    const asked = store.asked(item);
    const there = sheet.questions.findIndex(({ slug }) => slug === (first ?? asked[0]));
    activate(Math.max(there, 0), true);
  }

  /** Makes a question the one that keys are about. */
  function activate(place, focus) {
    lines[at].line.classList.remove("active");
    at = place;
    const line = lines[at];
    line.line.classList.add("active");
    if (!one("help").hidden) showHelp();
    if (!focus) return;
    const button = reach(line);
    if (button.disabled || line.group.hidden) document.activeElement?.blur();
    button.focus({ preventScroll: true });
    line.line.scrollIntoView({ block: "nearest" });
  }

  /** To the next question that can be answered, or where none can, to the next one. */
  function move(by) {
    const can = (line) => store.isAsked(item, line.question.slug);
    let place = at + by;
    while (lines[place] && !can(lines[place])) place += by;
    if (lines[place]) activate(place, true);
  }

  function answer(place, word) {
    const { slug } = lines[place].question;
    if (!canAnswer(slug)) return;
    store.answer(item, slug, word);
    refresh();
  }

  /** @returns {boolean} whether the key is that of an option */
  function press(key) {
    const choice = lines[at].choices.find(({ keys }) => keys.includes(key));
    if (!choice) return false;
    const place = at;
    answer(place, choice.word);
    if (canAnswer(lines[place].question.slug)) move(1);
    return true;
  }

  /** Says absent where nothing is said yet: never by itself. */
  function restAbsent() {
    if (one("rest").hidden) return [];
    const open = lines.filter(({ question: { slug, options } }) =>
      canAnswer(slug) && store.open(item).includes(slug) && options.some(({ word }) => word === about.absent));
    const slugs = open.map(({ question }) => question.slug);
    if (slugs.length) store.answerAll(item, slugs, about.absent);
    refresh();
    return slugs;
  }

  function writeNote() {
    const { note } = lines[at];
    note.hidden = false;
    grow(note);
    note.focus();
  }

  function texts(heading, list) {
    return list.length ? [make("h3", { textContent: heading }), make("ul", {}, ...list.map((textContent) => make("li", { textContent })))] : [];
  }

  function showHelp() {
    const { question } = lines[at];
    const helped = question.options.filter(({ help }) => help);
    const close = make("button", { type: "button", className: "small", textContent: "×", title: "Close (e)", aria: { label: "Close" } });
    close.addEventListener("click", toggleHelp);
    one("help").replaceChildren(
      make("div", { className: "help-head" }, make("h2", { textContent: question.title }), close),
      make("p", { className: "lead", textContent: question.definition }),
      make("dl", {}, ...[...helped.map(({ title, help }) => [title, help]), ...question.about].flatMap(([heading, textContent]) =>
        [make("dt", { textContent: heading }), make("dd", { textContent })])),
      ...question.examples.flatMap(([word, list]) => texts(`Examples: ${title(question, word)}`, list)),
    );
    one("help").scrollTop = 0;
  }

  function toggleHelp() {
    one("help").hidden = !one("help").hidden;
    if (one("help").hidden) return;
    showHelp();
    lines[at].line.scrollIntoView({ block: "nearest" });
  }

  return {
    show, reread, refresh, move, press, restAbsent, writeNote, toggleHelp, make,
    last: (end) => activate(end ? lines.length - 1 : 0, true),
    clear: () => answer(at, null),
    focus: () => activate(at, true),
  };
})();
