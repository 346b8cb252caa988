/* The page of all videos: its form, its address and its pages of the list.
 *
 * The form's state stands in the address behind the #, so that a view can be sent to somebody and Back returns to it,
 * and so that other pages link to the videos behind a number. The keys, of which none must be there:
 *
 *   q        words of ids, captions and scripts       value    slug of a value, `face`
 *   stance   endorsed, confronted                     who      people, or `system NAME`
 *   agree    agrees, misses, adds, differ             result   succeeded, failed, or `reason REASON`
 *   account, genre, month   as the site names them    mark     what a source says of the post, `pinned`
 *   sort     id, values, plays, disagreement          page     from 1
 *
 *   videos.html#value=face&stance=endorsed&who=system+local
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const PAGE = 50; // videos
  const AT_ONCE = 30; // lines of answers that are drawn in one go: about what a screen shows
  const TYPING_MS = 150;
  const MOST_VALUES = 6; // that a search offers
  const FIELDS = ["q", "value", "stance", "who", "agree", "result", "account", "genre", "month", "mark", "sort"];
  const FOLDED = FIELDS.filter((name) => name !== "q" && name !== "sort");
  const data = tikval.videos;
  const one = (id) => document.getElementById(id);
  const number = (n) => n.toLocaleString("en");
  const many = (n, what) => `${number(n)} ${what}${n === 1 ? "" : "s"}`;

  if (!data) {
    one("broken").textContent = "The data of this page are missing: data/videos.js could not be loaded.";
    one("broken").hidden = false;
    return;
  }

  const form = one("filters");
  const field = (name) => form.elements.namedItem(name);
  const texts = tikval.search.texts(data);
  let found = [];
  let page = 1;
  let typing = 0;
  let drawn = 0; // counts lists: what is left of an older one is not drawn
  let ready = false; // the first list comes as a whole: Back returns to where one was in it
  let asked = 0; // counts updates: a search whose texts come late must not undo a newer one

  /** Fills a list of the form, or takes it away where it has nothing to choose from. */
  function offer(name, options, least = 1) {
    for (const [value, text] of options) field(name).append(new Option(text, value));
    if (options.length < least) field(name).parentElement.hidden = true;
  }

  function offerAll() {
    const people = data.annotated.some((labels) => labels !== null);
    const systems = data.systems.map((system) => [`system ${system}`, system]);
    const voices = systems.length + Number(people);
    offer("value", voices ? data.slugs.map((slug, v) => [slug, data.titles[v]]) : []);
    field("stance").parentElement.hidden = voices === 0;
    offer("who", [...(people ? [["people", "the annotators"]] : []), ...systems], 2);
    const compared = people && systems.length > 0;
    const adds = "predicts what is not annotated";
    const against = { agrees: "a system agrees fully", misses: "misses something", adds };
    const among = systems.length > 1 ? [["differ", "systems differ"]] : [];
    offer("agree", [...(compared ? Object.entries(against) : []), ...among]);
    offer("result", results(), 3);
    for (const [name, names] of [["account", data.accounts], ["genre", data.genres], ["month", data.months]]) {
      offer(name, counted(data[name], names).sort(byName), data[name].includes(null) ? 1 : 2);
    }
    offer("mark", counted(data.mark, data.marks).sort(byName));
    if (!data.plays.some((plays) => plays !== null)) field("sort").querySelector("[value=plays]").remove();
    if (!compared) Array.from(field("sort").options).at(-1).remove();
  }

  /** Choices of "result" with the number of videos of each reason. */
  function results() {
    const counts = new Map();
    data.id.forEach((_, i) => {
      for (const reason of tikval.find.reasons(data, i)) counts.set(reason, (counts.get(reason) || 0) + 1);
    });
    const text = (reason) => (reason === "missing" ? "not run yet" : reason);
    const each = Array.from(counts.keys()).sort();
    return [
      ["succeeded", "all succeeded"],
      ...(each.length ? [["failed", "failed anywhere"]] : []),
      ...each.map((reason) => [`reason ${reason}`, `${text(reason)} (${number(counts.get(reason))})`]),
    ];
  }

  function counted(column, names) {
    const counts = names.map(() => 0);
    for (const place of column.flat()) if (place !== null) counts[place] += 1;
    return names.map((name, place) => [name, `${name} (${number(counts[place])})`]);
  }

  const { compare } = new Intl.Collator("en", { numeric: true });
  const byName = (a, b) => compare(a[0], b[0]);

  /** @returns {object} what the form asks for; nothing in it that the form does not offer */
  function state() {
    return Object.fromEntries(FIELDS.map((name) => [name, field(name).value]));
  }

  /**
   * The address is as hostile as any text: what the form does not offer is left out.
   * @returns {boolean} false for an anchor of the page, as the link to its content
   */
  function readAddress() {
    if (/^#[^=]+$/.test(location.hash)) return false;
    const params = new URLSearchParams(location.hash.slice(1));
    for (const name of FIELDS) {
      field(name).value = (params.get(name) || "").slice(0, 200);
      if (field(name).selectedIndex === -1) field(name).selectedIndex = 0;
    }
    page = Math.max(1, Number.parseInt(params.get("page"), 10) || 1);
    return true;
  }

  /** @param {boolean} step whether Back shall return to what was before */
  function writeAddress(step) {
    const params = new URLSearchParams(Object.entries(state()).filter(([, value]) => value !== ""));
    if (page > 1) params.set("page", String(page));
    const address = `#${params}`;
    if (address === (location.hash || "#")) return;
    if (step) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  /** Finds and shows; where words are looked for, as soon as the texts are there. */
  function update(keepPage) {
    const now = state();
    const words = tikval.search.words(now.q);
    const turn = ++asked;
    const show = () => {
      if (turn !== asked) return;
      found = tikval.find.videos(data, now, words, texts);
      offerValues(now, words);
      page = keepPage ? Math.min(page, pages()) : 1;
      showControls(now);
      showPage(now, words);
      if (!ready) comeBack();
      ready = true;
    };
    if (!keepPage) page = 1;
    if (words.length === 0 || texts.ready()) return show();
    one("count").textContent = "Reading the scripts…";
    texts.load(show);
  }

  /** Values that are named like what is looked for: a click shows the videos that have one. */
  function offerValues(now, words) {
    const named = field("value").options.length > 1 ? tikval.search.values(data, words) : [];
    const buttons = named.slice(0, MOST_VALUES).map((v) => {
      const chosen = { ...now, q: "", value: data.slugs[v] };
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${data.titles[v]} (${number(tikval.find.videos(data, chosen, [], texts).length)})`;
      button.addEventListener("click", () => choose(data.slugs[v]));
      return button;
    });
    one("offers").querySelector("span").replaceChildren(...buttons);
    one("offers").hidden = buttons.length === 0;
  }

  function choose(slug) {
    field("q").value = "";
    field("value").value = slug;
    finish(true);
    one("found").focus(); // the button is gone
  }

  const pages = () => Math.max(1, Math.ceil(found.length / PAGE));

  /** The count, and what depends on the filters and not on the page. */
  function showControls(now) {
    const all = data.id.length;
    const part = found.length < all || FIELDS.some((name) => name !== "sort" && now[name]);
    const late = now.q && texts.missing() ? `, ${many(texts.missing(), "file")} of texts could not be loaded` : "";
    one("count").textContent = (part ? `${number(found.length)} of ${many(all, "video")}` : many(all, "video")) + late;
    one("clear").hidden = !part;
    one("nothing").hidden = found.length > 0;
    one("save").hidden = found.length === 0;
    const set = FOLDED.filter((name) => now[name]).length;
    one("more-title").textContent = set ? `Filters (${set})` : "Filters";
    for (const name of FOLDED) field(name).classList.toggle("set", now[name] !== "");
    one("hint").hidden = !(now.agree && (now.value || now.stance));
  }

  function showPage(now, words) {
    const wanted = now.value ? tikval.find.wantedLabels(data, now) : [];
    const shown = tikval.find.voices(data, now.who);
    const view = { shown, sought: wanted, words, texts };
    one("videos").replaceChildren();
    one("videos").classList.remove("whole");
    one("videos").start = (page - 1) * PAGE + 1;
    draw(found.slice((page - 1) * PAGE, page * PAGE), view, ++drawn, ready ? Math.ceil(AT_ONCE / shown.length) : PAGE);
    for (const pager of document.querySelectorAll(".pager")) {
      pager.hidden = pages() === 1;
      pager.querySelector(".page").textContent = `Page ${number(page)} of ${number(pages())}`;
      // not `disabled`: a button that has the focus must not lose it
      pager.querySelector(".previous").setAttribute("aria-disabled", String(page === 1));
      pager.querySelector(".next").setAttribute("aria-disabled", String(page === pages()));
    }
  }

  /** The first videos immediately, so that they are soon seen, and the others behind the frame that shows them. */
  function draw(places, view, turn, many) {
    if (turn !== drawn) return;
    one("videos").append(...places.slice(0, many).map((i) => tikval.list.video(data, i, view)));
    const later = () => setTimeout(() => draw(places.slice(many), view, turn, 2 * many));
    if (places.length > many) requestAnimationFrame(later);
  }

  function turnPage(by, below) {
    if (page + by < 1 || page + by > pages()) return;
    page += by;
    showPage(state(), tikval.search.words(state().q));
    writeAddress(true);
    if (!below) return;
    one("found").focus({ preventScroll: true });
    document.querySelector(".tools").scrollIntoView();
  }

  /**
   * Before a video's page: which one it was. Scrolling back by numbers would miss it, as lines that were not seen yet
   * have no height of their own.
   */
  function leave(event) {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    history.scrollRestoration = "manual";
    history.replaceState({ video: link.href }, "");
  }

  function comeBack() {
    const from = history.state && history.state.video;
    const link = Array.from(one("videos").querySelectorAll("a")).find((each) => each.href === from);
    history.scrollRestoration = "auto";
    if (!link) return;
    one("videos").classList.add("whole"); // heights are known before anything is scrolled
    link.scrollIntoView({ block: "center", behavior: "instant" });
    link.focus({ preventScroll: true });
  }

  function save() {
    const table = new Blob([tikval.find.table(data, found)], { type: "text/csv;charset=utf-8" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(table);
    link.download = "videos.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function clear() {
    for (const name of FIELDS) if (name !== "sort") field(name).value = "";
    update(false);
    writeAddress(true);
    one("found").focus(); // the button is gone
  }

  /** What was typed is looked for when no letter has come for a moment. */
  function typed() {
    clearTimeout(typing);
    if (field("q").value.trim()) texts.load(() => {});
    typing = setTimeout(() => finish(false), TYPING_MS);
  }

  function finish(step) {
    clearTimeout(typing);
    update(false);
    writeAddress(step);
  }

  function slash(event) {
    const busy = event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key !== "/" || busy) return;
    event.preventDefault();
    one("q").focus();
    one("q").select();
  }

  /** On a narrow screen the filters are folded; the summary has how many are set. */
  function fold(narrow) {
    one("more").open = !narrow.matches;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    finish(false);
  });
  form.addEventListener("change", (event) => event.target.name !== "q" && finish(true));
  field("sort").addEventListener("change", () => finish(true));
  field("q").addEventListener("input", typed);
  one("videos").addEventListener("click", leave);
  one("clear").addEventListener("click", clear);
  one("save").addEventListener("click", save);
  for (const pager of document.querySelectorAll(".pager")) {
    const below = pager.id === "pages-bottom";
    pager.querySelector(".previous").addEventListener("click", () => turnPage(-1, below));
    pager.querySelector(".next").addEventListener("click", () => turnPage(1, below));
  }
  document.addEventListener("keydown", slash);
  window.addEventListener("hashchange", () => {
    if (readAddress()) update(true);
  });
  const narrow = window.matchMedia("(max-width: 40rem)");
  narrow.addEventListener("change", fold);
  fold(narrow);
  offerAll();
  readAddress();
  one("browser").hidden = false;
  update(true);
})();
