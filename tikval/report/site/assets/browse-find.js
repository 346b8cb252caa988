/* Which videos are found, in which order, and as a table. Nothing here touches the page.
 *
 * `data` is tikval.videos: columns over videos, labels as places in "V endorsed ones, then V confronted ones".
 * A `state` is what the form asks for: strings, "" for no restriction.
 */
"use strict";
window.tikval = window.tikval || {};

tikval.find = (function () {
  const PEOPLE = -1; // a voice, as are the places of systems

  /** @returns {number[]} whom "labelled by" names: PEOPLE, places of systems, or all of them */
  function voices(data, who) {
    if (who === "people") return [PEOPLE];
    const systems = systemsOf(data, who);
    return who.startsWith("system ") ? systems : [PEOPLE, ...systems];
  }

  /** @returns {number[]} the system that is chosen, else all of them */
  function systemsOf(data, who) {
    const place = who.startsWith("system ") ? data.systems.indexOf(who.slice(7)) : -1;
    return place >= 0 ? [place] : data.systems.map((_, s) => s);
  }

  /** @returns {number[] | null} labels that a voice gives a video; null without an annotation or a result */
  function labelsOf(data, voice, i) {
    const answer = voice === PEOPLE ? data.annotated[i] : data.said[voice][i];
    return Array.isArray(answer) ? answer : null;
  }

  /** @returns {number[]} labels that a system does not model: no statement, which is not "absent" */
  function unmodelled(data, s, i) {
    return data.unmodelled[s] || data.unmodelled_of[s][i] || [];
  }

  /** @returns {boolean[] | null} for each label whether it is asked for; null if neither value nor stance is chosen */
  function wantedLabels(data, state) {
    const half = data.slugs.length;
    const value = state.value ? data.slugs.indexOf(state.value) : -1;
    if (value < 0 && !state.stance) return null;
    const right = (label) =>
      (value < 0 || label % half === value) && (!state.stance || label < half === (state.stance === "endorsed"));
    return Array.from({ length: 2 * half }, (_, label) => right(label));
  }

  /** @returns {number[]} labels that are annotated and modelled, and that the system does not predict */
  function missed(data, s, i) {
    const mine = labelsOf(data, s, i);
    const without = unmodelled(data, s, i);
    return data.annotated[i].filter((label) => !mine.includes(label) && !without.includes(label));
  }

  /** @returns {number[]} labels that the system predicts and that the annotator, who looked for them, does not */
  function extra(data, s, i) {
    const unknown = data.not_annotated;
    return labelsOf(data, s, i).filter((label) => !data.annotated[i].includes(label) && !unknown.includes(label));
  }

  /** Whether a system has a result and models a label, but does not predict it. */
  function lacks(data, s, i, label) {
    const mine = labelsOf(data, s, i);
    return mine !== null && !mine.includes(label) && !unmodelled(data, s, i).includes(label);
  }

  /**
   * Whether a video is as "agreement" asks for; value and stance then name the labels.
   * @returns {(i: number) => boolean}
   */
  function agreement(data, state, wanted) {
    const counts = (label) => wanted === null || wanted[label];
    const chosen = systemsOf(data, state.who);
    const others = data.systems.map((_, s) =>
      data.systems.map((_, t) => t).filter((t) => t !== s && (chosen.includes(s) || chosen.includes(t)))
    );
    // whether a system predicts what another one lacks; one of the two is chosen
    const alone = (s, i) =>
      (labelsOf(data, s, i) || []).some((label) => counts(label) && others[s].some((t) => lacks(data, t, i, label)));
    const judged = (i) => (data.annotated[i] ? chosen.filter((s) => labelsOf(data, s, i)) : []);
    const right = (s, i) =>
      !missed(data, s, i).some(counts) &&
      !extra(data, s, i).some(counts) &&
      (wanted === null || labelsOf(data, s, i).some(counts)); // that a value is absent is no news
    switch (state.agree) {
      case "agrees":
        return (i) => judged(i).some((s) => right(s, i));
      case "misses":
        return (i) => judged(i).some((s) => missed(data, s, i).some(counts));
      case "adds":
        return (i) => judged(i).some((s) => extra(data, s, i).some(counts));
      default: // "differ"
        return (i) => others.some((_, s) => alone(s, i));
    }
  }

  /** @returns {string[]} reasons of a video's failures, in any stage; "missing" where a system was not run on it */
  function reasons(data, i) {
    const found = data.failures[i].map(([, reason]) => reason);
    for (const answers of data.said) if (typeof answers[i] === "string") found.push(answers[i]);
    if (found.length === 0 && data.said.some((answers) => answers[i] === null)) found.push("missing");
    return Array.from(new Set(found));
  }

  /** @returns {(i: number) => boolean} */
  function result(data, asked) {
    if (asked === "succeeded") return (i) => reasons(data, i).length === 0;
    if (asked === "failed") return (i) => reasons(data, i).some((reason) => reason !== "missing");
    return (i) => reasons(data, i).includes(asked.slice("reason ".length));
  }

  /**
   * Places of the videos that the form asks for, in the order that it asks for.
   * @param {object} data
   * @param {object} state
   * @param {string[]} words folded words that must be in the texts
   * @param {object} texts tikval.search.texts(data), loaded if there are words
   * @returns {number[]}
   */
  function videos(data, state, words, texts) {
    const tests = [];
    for (const [name, column] of [["account", "accounts"], ["genre", "genres"], ["month", "months"]]) {
      if (!state[name]) continue;
      const place = data[column].indexOf(state[name]);
      tests.push((i) => data[name][i] === place);
    }
    if (state.mark) tests.push((i) => data.mark[i].includes(data.marks.indexOf(state.mark)));
    if (state.result) tests.push(result(data, state.result));
    const wanted = wantedLabels(data, state);
    if (state.agree) tests.push(agreement(data, state, wanted));
    else if (wanted) {
      const asked = voices(data, state.who);
      tests.push((i) => asked.some((voice) => (labelsOf(data, voice, i) || []).some((label) => wanted[label])));
    }
    if (words.length) tests.push((i) => texts.has(i, words));
    const all = data.id.map((_, i) => i);
    return sorted(data, state, tests.length ? all.filter((i) => tests.every((test) => test(i))) : all);
  }

  /** Sorting is stable: videos that are alike stay in the order of the catalog. */
  function sorted(data, state, found) {
    if (state.sort === "id") {
      const { compare } = new Intl.Collator("en", { numeric: true });
      return found.sort((a, b) => compare(data.id[a], data.id[b]));
    }
    const amount = { values: amountOfLabels, plays: (data) => (i) => data.plays[i] ?? -1, disagreement }[state.sort];
    if (!amount) return found;
    const of = amount(data, state);
    const amounts = new Map(found.map((i) => [i, of(i)]));
    return found.sort((a, b) => amounts.get(b) - amounts.get(a));
  }

  /** @returns {(i: number) => number} how many different labels a video is given */
  function amountOfLabels(data, state) {
    const asked = voices(data, state.who);
    return (i) => {
      const labels = new Set();
      for (const voice of asked) for (const label of labelsOf(data, voice, i) || []) labels.add(label);
      return labels.size;
    };
  }

  /** @returns {(i: number) => number} labels missed or not annotated, over the systems; -1: nothing can be compared */
  function disagreement(data, state) {
    const systems = systemsOf(data, state.who);
    return (i) => {
      const judged = data.annotated[i] ? systems.filter((s) => labelsOf(data, s, i)) : [];
      const sizes = judged.map((s) => missed(data, s, i).length + extra(data, s, i).length);
      return sizes.length ? sizes.reduce((sum, size) => sum + size) : -1;
    };
  }

  /**
   * One line per video: what it is, what failed, and the labels that annotators and systems give it.
   * @param {object} data
   * @param {number[]} found
   * @returns {string} CSV with CRLF, as spreadsheets and programs read it
   */
  function table(data, found) {
    const names = ["video_id", "seconds", "account", "genre", "month", "failures"];
    const people = data.annotated.some((labels) => labels) ? ["annotated"] : [];
    const told = data.marks.length || data.plays.some((plays) => plays !== null) ? ["post", "plays"] : [];
    const lines = [[...names, ...told, ...people, ...data.systems]];
    for (const i of found) {
      const failures = data.failures[i].map(([stage, reason]) => `${data.stages[stage]}: ${reason}`);
      const about = [data.id[i], data.seconds[i], name(data, "account", i), name(data, "genre", i)];
      const answers = data.said.map((column) => spelled(data, column[i]));
      const annotated = people.map(() => spelled(data, data.annotated[i]));
      const post = told.length ? [data.mark[i].map((place) => data.marks[place]).join("; "), data.plays[i]] : [];
      lines.push([...about, name(data, "month", i), failures.join("; "), ...post, ...annotated, ...answers]);
    }
    return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
  }

  /** @returns {string} `face+ humility-`, `none` where all is absent, `error: timeout`, or nothing without an answer */
  function spelled(data, answer) {
    if (answer === null) return "";
    if (typeof answer === "string") return `error: ${answer}`;
    const half = data.slugs.length;
    return answer.map((label) => data.slugs[label % half] + (label < half ? "+" : "-")).join(" ") || "none";
  }

  /** The name of a video's account, genre or month; "" where it has none. */
  function name(data, column, i) {
    return data[column][i] === null ? "" : data[`${column}s`][data[column][i]];
  }

  /** Ids come from strangers: a spreadsheet must not take one for a formula (tikval/spreadsheet.py). Numbers stay. */
  const FORMULA = /^'*(?:[\t\r\n]|[\p{C}\p{Z}\u034f\u115f\u1160\u2800\u3164\ufe00-\ufe0f\uffa0]*[=+\-@＝＋－＠﹦﹢﹣﹫−])/u;
  function cell(value) {
    const text = typeof value === "string" ? value.replace(FORMULA, "'$&") : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }

  return { PEOPLE, voices, systemsOf, labelsOf, unmodelled, wantedLabels, missed, extra, reasons, videos, table, name };
})();
