/* The list of videos: one line each, with the labels that it is given. Text becomes text nodes and nothing else. */
"use strict";
window.tikval = window.tikval || {};

tikval.list = (function () {
  const { PEOPLE, labelsOf, unmodelled, missed, extra, name } = tikval.find;
  const SIGN = { hit: "✓", missed: "○", "false alarm": "✗", "not modelled": "–" };

  /**
   * @param {string} tag
   * @param {string} className "" for none
   * @param {...(Node | string | null)} children strings become text; null is left out
   * @returns {HTMLElement}
   */
  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  /** A sign that screen readers leave out, as a word follows. */
  function sign(className, text) {
    const made = element("span", className, text);
    made.setAttribute("aria-hidden", "true");
    return made;
  }

  /** @returns {(Node | string)[]} text with <mark> around what was found */
  function withMarks(pieces) {
    return pieces.map((piece) => (piece.found ? element("mark", "", piece.text) : piece.text));
  }

  /** @returns {HTMLElement} text whose own direction does not turn what stands around it */
  function own(tag, className, ...children) {
    const made = element(tag, className, ...children);
    made.dir = "auto";
    return made;
  }

  const made = new Map(); // chips, to be copied: a page of the list has thousands of them

  /**
   * One label.
   * @param {object} data
   * @param {number} label
   * @param {string | null} mark a key of SIGN
   * @param {boolean} first of its kind in the line: the word is then seen, and not only read out
   * @param {boolean} sought whether the filter names this label
   */
  function chip(data, label, mark, first, sought) {
    const kind = [label, mark, first, sought].join();
    if (!made.has(kind)) made.set(kind, newChip(data, label, mark, first, sought));
    return made.get(kind).cloneNode(true);
  }

  function newChip(data, label, mark, first, sought) {
    const half = data.slugs.length;
    const stance = label < half ? "endorsed" : "confronted";
    const unpredicted = mark === "missed" || mark === "not modelled";
    const word = first ? ` ${mark}` : element("span", "sr", ` ${mark}`);
    return element(
      "li",
      `chip ${stance}${unpredicted ? " unpredicted" : ""}${sought ? " sought" : ""}`,
      sign("sign", label < half ? "+" : "−"),
      element("span", "sr", `${stance}: `),
      data.titles[label % half],
      mark && element("span", `mark ${mark.replace(" ", "-")}`, sign("", SIGN[mark]), word)
    );
  }

  /** @returns {[string | null, number[]][]} labels by mark: what a voice gives, then what is annotated besides */
  function groups(data, voice, i) {
    const list = labelsOf(data, voice, i);
    const truth = voice === PEOPLE ? null : data.annotated[i];
    if (!truth) return [[null, list]];
    return [
      ["hit", list.filter((label) => truth.includes(label))],
      ["false alarm", extra(data, voice, i)],
      [null, list.filter((label) => data.not_annotated.includes(label))],
      ["missed", missed(data, voice, i)],
      ["not modelled", unmodelled(data, voice, i).filter((label) => truth.includes(label))],
    ];
  }

  /** The labels that a voice gives a video, marked against the annotation where there is one. */
  function chips(data, voice, i, sought) {
    const all = groups(data, voice, i).flatMap(([mark, labels]) =>
      labels.map((label, place) => chip(data, label, mark, place === 0, sought[label] === true))
    );
    return all.length ? element("ul", "chips", ...all) : element("span", "none", "All values absent");
  }

  /** The line of one system. */
  function answer(data, s, i, sought) {
    const given = data.said[s][i];
    if (given === null) return element("span", "none", data.failures[i].length ? "No result" : "Not run yet");
    if (typeof given === "string") return element("span", "none", "No result: ", element("code", "", given));
    return chips(data, s, i, sought);
  }

  /** Lines of the annotation and of the systems that are shown. */
  function answers(data, i, shown, sought) {
    const made = element("dl", "answers");
    const line = (title, what, who = "") =>
      made.append(element("div", "", element("dt", who, title), element("dd", "", what)));
    if (data.annotated[i]) line("Annotated", chips(data, PEOPLE, i, sought), "people");
    const systems = shown.filter((voice) => voice !== PEOPLE);
    const answered = systems.some((s) => labelsOf(data, s, i));
    if (answered || data.failures[i].length === 0) {
      systems.forEach((s) => line(data.systems[s], answer(data, s, i, sought)));
    } else if (systems.length) line("Systems", element("span", "none", "No result"));
    return made;
  }

  /** @returns {string} minutes and seconds, `1:05` */
  function clock(seconds) {
    return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  }

  /** Length, account, genre, month, what is said of the post and its plays, as far as they are known. */
  function facts(data, i) {
    const length = data.seconds[i] === null ? "" : clock(data.seconds[i]);
    const made = element("p", "facts-line");
    const names = ["account", "genre", "month"].map((column) => name(data, column, i));
    const plays = data.plays[i] === null ? "" : `${data.plays[i].toLocaleString("en")} plays`;
    for (const fact of [length, ...names, ...data.mark[i].map((place) => data.marks[place]), plays]) {
      if (fact) made.append(element("bdi", "", fact), " ");
    }
    return made.childNodes.length ? made : null;
  }

  /** The caption, and where words were looked for, what stands around them. */
  function excerpts(data, i, view) {
    const texts = view.words.length ? view.texts.of(i) : null;
    const made = [];
    const found = texts ? tikval.search.passages(texts.caption, view.words) : [];
    if (found.length) found.forEach((one) => made.push(own("p", "caption", ...withMarks(one))));
    else if (data.caption[i]) made.push(own("p", "caption", data.caption[i]));
    const spoken = texts ? tikval.search.passages(texts.script, view.words) : [];
    spoken.forEach((one) => made.push(own("p", "passage", ...withMarks(one))));
    return made;
  }

  /** The id, as a link to the video's page. */
  function title(data, i, view) {
    const id = element("bdi", "", ...withMarks(tikval.search.marked(data.id[i], view.words)));
    if (!data.key[i]) return element("h3", "", id);
    const link = element("a", "", id);
    link.href = `videos/${encodeURIComponent(data.key[i])}.html`;
    return element("h3", "", link);
  }

  function failure(data, [stage, reason]) {
    const what = [element("b", "", `Failed in ${data.stages[stage]}:`), " ", element("code", "", reason)];
    return element("p", "failed-line", sign("", "✗"), " ", ...what);
  }

  /**
   * @param {object} data tikval.videos
   * @param {number} i place of the video
   * @param {{shown: number[], sought: boolean[], words: string[], texts: object}} view
   * @returns {HTMLElement} its line of the list
   */
  function video(data, i, view) {
    const about = element("div", "about", title(data, i, view), facts(data, i), ...excerpts(data, i, view));
    const failures = data.failures[i].map((one) => failure(data, one));
    const what = element("div", "", ...failures, answers(data, i, view.shown, view.sought));
    return element("li", "video", about, what);
  }

  return { element, video };
})();
