/* Searching texts: what counts as the same letter, where words stand, and the files with captions and scripts. */
"use strict";
window.tikval = window.tikval || {};

tikval.search = (function () {
  // Accents of Latin, Greek and Cyrillic letters, and vowel signs of Arabic. Other marks make another letter.
  const ACCENTS = /[\u0300-\u036f\u064b-\u065f\u0670]/g;
  const QUOTES = "\"\u201c\u201d\u201e\u00ab\u00bb";
  const WORDS = new RegExp(`[${QUOTES}]([^${QUOTES}]*)[${QUOTES}]?|[^\\s${QUOTES}]+`, "g");
  const BETWEEN = "\u0000"; // of id, caption and script: no text has it, so no match reaches from one to the next
  const BEFORE = 50; // letters of a passage before the word that was found
  const AFTER = 110;
  const MOST_PASSAGES = 2;

  /**
   * Text as it is compared: without case, accents, fancy letters and double blanks.
   * @param {string} text
   * @returns {string}
   */
  function fold(text) {
    return text
      .normalize("NFKD")
      .toLowerCase()
      .replace(ACCENTS, "")
      .replace(/\u03c2/g, "\u03c3") // the sigma at the end of a word
      .replace(/[\u2018\u2019\u02bc]/g, "'")
      .replace(/\s+/g, " ");
  }

  /**
   * What must be found: words, and what stands between quotation marks as a whole.
   * @param {string} query
   * @returns {string[]} folded, without repetitions
   */
  function words(query) {
    const found = Array.from(query.matchAll(WORDS), (match) => fold(match[1] ?? match[0]).trim());
    return Array.from(new Set(found.filter((word) => word !== "")));
  }

  /**
   * Values whose title or slug has all words, each where a word of it begins.
   * @param {{slugs: string[], titles: string[]}} data
   * @param {string[]} wanted folded words
   * @returns {number[]} their places
   */
  function values(data, wanted) {
    if (wanted.length === 0) return [];
    const names = data.slugs.map((slug, v) => ` ${fold(`${data.titles[v]} ${slug}`).replace(/[^\p{L}\p{N}]+/gu, " ")}`);
    const parts = wanted.map((word) => ` ${word.replace(/[^\p{L}\p{N}]+/gu, " ").trim()}`).filter((part) => part !== " ");
    return data.slugs.map((_, v) => v).filter((v) => parts.length > 0 && parts.every((part) => names[v].includes(part)));
  }

  /**
   * Folded text, and for each of its letters the place in `text` where what it stands for begins.
   * @param {string} text
   * @returns {{folded: string, at: number[]}} `at` is one longer than `folded`
   */
  function foldWithPlaces(text) {
    const at = [];
    let folded = "";
    let place = 0;
    for (const letter of text) {
      let piece = letter > "\u0020" && letter < "\u007f" ? letter.toLowerCase() : fold(letter);
      if (piece === " " && folded.endsWith(" ")) piece = "";
      for (let i = 0; i < piece.length; i++) at.push(place);
      folded += piece;
      place += letter.length;
    }
    at.push(text.length);
    return { folded, at };
  }

  /** @returns {[number, number][]} where any of the words stands in `folded`, in order, none touching another */
  function ranges(folded, wanted) {
    const all = [];
    for (const word of wanted) {
      for (let from = folded.indexOf(word); from >= 0; from = folded.indexOf(word, from + word.length)) {
        all.push([from, from + word.length]);
      }
    }
    all.sort((a, b) => a[0] - b[0]);
    const merged = [];
    for (const [from, to] of all) {
      const last = merged[merged.length - 1];
      if (last && from <= last[1]) last[1] = Math.max(last[1], to);
      else merged.push([from, to]);
    }
    return merged;
  }

  /** @returns {{text: string, found: boolean}[]} `text` between two folded places, cut where words begin and end */
  function pieces(text, at, hits, from, to) {
    const cut = [];
    let done = from;
    for (const [a, b] of hits) {
      if (b <= from || a >= to) continue;
      if (a > done) cut.push({ text: text.slice(at[done], at[a]), found: false });
      cut.push({ text: text.slice(at[Math.max(a, from)], at[Math.min(b, to)]), found: true });
      done = Math.min(b, to);
    }
    if (done < to) cut.push({ text: text.slice(at[done], at[to]), found: false });
    return cut;
  }

  /**
   * A whole text with the words that were found in it.
   * @param {string} text
   * @param {string[]} wanted folded words
   * @returns {{text: string, found: boolean}[]}
   */
  function marked(text, wanted) {
    const { folded, at } = foldWithPlaces(text);
    return pieces(text, at, ranges(folded, wanted), 0, folded.length);
  }

  /**
   * Short passages around the first place of each word that is there.
   * @param {string} text
   * @param {string[]} wanted folded words
   * @returns {{text: string, found: boolean}[][]} none where no word is there
   */
  function passages(text, wanted) {
    const { folded, at } = foldWithPlaces(text);
    const hits = ranges(folded, wanted);
    const windows = [];
    for (const word of wanted) {
      const place = folded.indexOf(word);
      if (place < 0 || windows.some(([from, to]) => place >= from && place + word.length <= to)) continue;
      if (windows.length === MOST_PASSAGES) break;
      windows.push([atBlank(folded, place - BEFORE, 1), atBlank(folded, place + word.length + AFTER, -1)]);
    }
    windows.sort((a, b) => a[0] - b[0]);
    return windows.map(([from, to]) => {
      const cut = pieces(text, at, hits, from, to);
      if (from > 0) cut.unshift({ text: "\u2026 ", found: false });
      if (to < folded.length) cut.push({ text: " \u2026", found: false });
      return cut;
    });
  }

  /** The next end of a word from `place` on in a direction, if one is near. */
  function atBlank(folded, place, direction) {
    if (place <= 0) return 0;
    if (place >= folded.length) return folded.length;
    for (let step = 0; step < 20; step++) {
      if (folded[place + direction * step] === " ") return place + direction * step + (direction > 0 ? 1 : 0);
    }
    return place;
  }

  /**
   * The texts of all videos, loaded by the first search: a script element for each file.
   * @param {object} data tikval.videos
   */
  function texts(data) {
    const folded = data.id.map((id, i) => fold(id) + BETWEEN + fold(data.caption[i]));
    let waiting = null; // what is called when all files are there or have failed
    let open = data.text_files;
    let missing = 0;

    function take(number) {
      const chunk = (tikval.texts || [])[number];
      if (!chunk) missing += 1;
      else {
        chunk.script.forEach((script, j) => {
          const i = chunk.first + j;
          folded[i] = [data.id[i], chunk.caption[j], script].map(fold).join(BETWEEN);
        });
      }
      open -= 1;
      if (open === 0) waiting.forEach((call) => call());
    }

    /** Calls `then` when all is loaded: immediately if it is. */
    function load(then) {
      if (open === 0) return then();
      if (waiting) return void waiting.push(then);
      waiting = [then];
      for (let number = 0; number < data.text_files; number++) {
        const script = document.createElement("script");
        script.src = `data/text-${number}.js`;
        script.addEventListener("load", () => take(number));
        script.addEventListener("error", () => take(number));
        document.head.append(script);
      }
    }

    /** @returns {{caption: string, script: string} | null} of one video; null if they are not loaded */
    function of(i) {
      const chunk = (tikval.texts || []).find((one) => one && i >= one.first && i < one.first + one.script.length);
      return chunk ? { caption: chunk.caption[i - chunk.first], script: chunk.script[i - chunk.first] } : null;
    }

    return {
      load,
      of,
      ready: () => open === 0,
      missing: () => missing,
      has: (i, wanted) => wanted.every((word) => folded[i].includes(word)),
    };
  }

  return { fold, words, values, marked, passages, texts };
})();
