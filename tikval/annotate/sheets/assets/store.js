/* What the coder answered, item by item: in memory, in the browser's storage and as the table. */
"use strict";

tikval.store = (function () {
  const { sheet, about, table } = tikval;
  const PREFIX = `tikval ${sheet.digest} `;
  const LONGEST = { note: 4000, value: 1000 };
  const NO_TIME = new Date(0).toISOString(); // of a line whose time a spreadsheet made unreadable
  const SPACES = /[\s\x1c-\x1f\x85]+/g; // as Python's str.split() has them
  const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;
  const words = new Map(sheet.questions.map((one) => [one.slug, [...one.options.map(({ word }) => word), sheet.not_sure]]));
  const places = new Map(sheet.items.map((one, i) => [`${about.annotators[one.round]}\n${one.item}`, i]));
  const heard = { trouble: () => {}, changed: () => {}, elsewhere: () => {} };
  const unkept = new Set(); // items whose last change is in neither the browser nor a file
  let failing = false; // what the browser did with the last change
  let filedAt = ""; // when the table was written to a file

  const own = (object, key) => (object && Object.hasOwn(object, key) ? object[key] : undefined);
  const text = (value, longest) => (typeof value === "string" ? value.replace(CONTROL, "").slice(0, longest) : "");
  const when = (value) => (Number.isNaN(Date.parse(value)) ? "" : new Date(value).toISOString());

  /** A record of an item with nothing in it but what the sheet asks, whoever wrote it. */
  function clean(raw) {
    const record = { answers: Object.create(null), notes: Object.create(null), note: text(own(raw, "note"), LONGEST.note) };
    for (const [slug, allowed] of words) {
      const answer = own(own(raw, "answers"), slug);
      if (allowed.includes(answer)) record.answers[slug] = answer;
      const note = text(own(own(raw, "notes"), slug), LONGEST.value);
      if (note.trim()) record.notes[slug] = note;
    }
    const seconds = Number(own(raw, "seconds"));
    return { ...record, coded_at: when(own(raw, "coded_at")), seconds: seconds > 0 && seconds < 1e7 ? seconds : 0 };
  }

  function stored(i) {
    try {
      const there = localStorage.getItem(PREFIX + i);
      return there === null ? null : clean(JSON.parse(there));
    } catch { return null; }
  }

  function put(name, value) {
    try {
      localStorage.setItem(PREFIX + name, value);
      return true;
    } catch { return false; }
  }

  const records = sheet.items.map((_, i) => stored(i) ?? clean({}));
  const begun = (i) => records[i].coded_at !== "";
  const asked = (i) => sheet.items[i].asked ?? sheet.questions.map(({ slug }) => slug);
  const open = (i) => asked(i).filter((slug) => !(slug in records[i].answers));
  const done = (i) => open(i).length === 0;

  function keep(i) {
    failing = !put(i, JSON.stringify(records[i]));
    if (!failing) unkept.delete(i);
    else if (begun(i)) unkept.add(i);
    heard.trouble(failing || unkept.size > 0);
  }

  /** Takes over a record that is later than ours; the time that an item was open is the longer one. */
  function merge(i, other) {
    const seconds = Math.max(records[i].seconds, other.seconds);
    const later = other.coded_at > records[i].coded_at;
    records[i] = { ...(later ? other : records[i]), seconds };
    return later;
  }

  /** What another window may have written meanwhile. */
  function refresh(i) {
    const there = stored(i);
    if (there) merge(i, there);
  }

  function change(i, apply) {
    refresh(i);
    apply(records[i]);
    const after = begun(i) ? Date.parse(records[i].coded_at) + 1 : 0; // a clock may be set back
    records[i].coded_at = new Date(Math.max(Date.now(), after)).toISOString();
    keep(i);
    heard.changed(i);
  }

  /** Gives questions one answer; null takes theirs back. */
  const answerAll = (i, slugs, word) => change(i, ({ answers }) => {
    for (const slug of slugs) if (word) answers[slug] = word; else delete answers[slug];
  });
  const answer = (i, slug, word) => answerAll(i, [slug], word);
  const note = (i, value) => change(i, (record) => { record.note = text(value, LONGEST.note); });
  const noteOn = (i, slug, value) => change(i, ({ notes }) => {
    if (value.trim()) notes[slug] = text(value, LONGEST.value);
    else delete notes[slug];
  });

  function addSeconds(i, seconds) {
    refresh(i);
    records[i].seconds += seconds;
    keep(i);
  }

  // the table

  /** What all others answered to a question that is settled; nothing where they differ. */
  function agreed(i, slug) {
    const answers = new Set(sheet.items[i].others.map((one) => own(one.answers, slug)));
    const [one] = answers;
    return answers.size === 1 ? one : undefined;
  }

  const isAsked = (i, slug) => !sheet.items[i].asked || sheet.items[i].asked.includes(slug);

  function cellsOf(i) {
    const item = sheet.items[i], record = records[i];
    const notes = [...words.keys()].filter((slug) => slug in record.notes);
    return [
      ...[item.item, about.annotators[item.round], item.probability ?? "", sheet.codebook, i + 1],
      ...[record.coded_at, Math.round(record.seconds * 10) / 10],
      // what is not asked is nobody's judgement here, whatever others agree on
      ...[...words.keys()].map((slug) => own(record.answers, slug) ?? about.not_answered),
      record.note,
      notes.map((slug) => `${slug}: ${record.notes[slug].replace(SPACES, " ").trim()}`).join("\n"),
    ];
  }

  /** Every item that was begun, in the coder's order. */
  function csv() {
    const lines = sheet.items.flatMap((_, i) => (begun(i) ? [cellsOf(i)] : []));
    return table.csv([[...about.before, ...words.keys(), ...about.after], ...lines]);
  }

  function answersIn(line, where) {
    const pairs = [];
    for (const [slug, allowed] of words) {
      const word = (line.get(slug) ?? "").trim();
      if (allowed.includes(word)) pairs.push([slug, word]);
      else if (word && word !== about.not_answered) {
        throw new Error(`${where}, column ${slug}: “${word.slice(0, 40)}” is none of ${allowed.join(", ")}`);
      }
    }
    return Object.fromEntries(pairs);
  }

  function notesIn(cell) {
    const pairs = cell.split(/\r?\n/).map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]);
    return Object.fromEntries(pairs.filter(([slug]) => words.has(slug)));
  }

  /** Item and record of a line; the item is undefined where this sheet does not have it. Raises for one not ours. */
  function recordIn(line, where) {
    const [annotator, codebook] = [line.get("annotator").trim(), line.get("codebook").trim()];
    if (!Object.values(about.annotators).includes(annotator)) {
      throw new Error(`${where}: it was coded by “${annotator.slice(0, 60)}”, and this is the sheet of ${sheet.coder}`);
    }
    if (codebook !== sheet.codebook) {
      throw new Error(`${where}: it was coded with codebook “${codebook.slice(0, 60)}”, and this sheet has ${sheet.codebook}`);
    }
    const record = {
      answers: answersIn(line, where), notes: notesIn(line.get("value_notes") ?? ""), note: line.get("note"),
      coded_at: line.get("coded_at"), seconds: line.get("seconds"),
    };
    return [places.get(`${annotator}\n${line.get(sheet.key).trim()}`), record];
  }

  /** Takes over what an earlier record has on questions that are open here. */
  function fill(i, { answers, notes, note }) {
    const slugs = open(i).filter((slug) => slug in answers);
    const noted = Object.keys(notes).filter((slug) => !(slug in records[i].notes));
    const lacksNote = note && !records[i].note;
    if (!slugs.length && !noted.length && !lacksNote) return false;
    change(i, (record) => {
      for (const slug of slugs) record.answers[slug] = answers[slug];
      for (const slug of noted) record.notes[slug] = notes[slug];
      if (lacksNote) record.note = note;
    });
    return true;
  }

  /**
   * Takes a table in: of each item the later state stays, filled up from the other; nothing is changed where any line
   * is not ours.
   * @returns {{taken: number, filled: number, older: number, unknown: number}} items
   */
  function load(content) {
    const { columns, lines } = table.parse(content);
    const missing = [sheet.key, "annotator", "codebook", "coded_at"].filter((name) => !columns.includes(name));
    if (missing.length) throw new Error(`it is no table of this sheet: it has no column ${missing.join(", ")}`);
    const read = lines.map(([number, line]) => recordIn(line, `line ${number}`));
    const known = read.filter(([i]) => i !== undefined);
    if (read.length && !known.length) throw new Error("none of its items is in this sheet");
    const found = { taken: 0, filled: 0, older: 0, unknown: read.length - known.length };
    for (const [i, raw] of known) {
      const record = { ...clean(raw), coded_at: when(raw.coded_at) || NO_TIME };
      refresh(i);
      found[merge(i, record) ? "taken" : fill(i, record) ? "filled" : "older"] += 1;
      keep(i);
    }
    return found;
  }

  /** The item that was coded last: there the coder stopped. */
  const last = () => records.reduce((best, { coded_at }, i) => (coded_at > records[best].coded_at ? i : best), 0);

  function storedText(name) {
    try { return localStorage.getItem(PREFIX + name) ?? ""; } catch { return ""; }
  }

  /** Where the coder was, else where to begin. */
  function place() {
    const there = storedText("at");
    return /^\d+$/.test(there) && Number(there) < records.length ? Number(there) : last();
  }

  /** Takes note that a file has all that was coded until a time. */
  function filed(time) {
    filedAt = time;
    put("filed", time);
    for (const i of unkept) if (records[i].coded_at <= time) unkept.delete(i);
    heard.trouble(failing || unkept.size > 0);
  }
  filedAt = when(storedText("filed"));

  window.addEventListener("storage", ({ key, storageArea, newValue }) => {
    if (storageArea !== localStorage) return;
    if (key === null) records.forEach((_, i) => { if (begun(i)) keep(i); }); // somebody emptied the storage
    if (!key?.startsWith(PREFIX) || newValue === null) return;
    const i = Number(key.slice(PREFIX.length));
    const there = records[i] && stored(i);
    if (there && merge(i, there)) heard.elsewhere(i);
  });

  return {
    answer, answerAll, note, noteOn, addSeconds, csv, load, begun, done, open, asked, isAsked, agreed, place, own, heard,
    record: (i) => records[i],
    last,
    setPlace: (i) => put("at", String(i)),
    works: () => put("works", "1"),
    atRisk: () => unkept.size > 0,
    filed, filedAt: () => filedAt,
    later: () => records.filter((record) => record.coded_at > filedAt).length,
  };
})();
