/* How all charts look and speak: colours, texts, axes, legends, panels.
 *
 * Colours are Okabe and Ito's, as in figure_style.py, lighter on dark pages; ink, lines and cards are the page's own.
 * Every name and title is a stranger's text: `plain` keeps ECharts from reading it as markup. Units: pixels, and
 * shares from 0 to 1. A `look` is that of one chart at its present width, a `state` what was chosen in its legend.
 */
"use strict";
window.tikval = window.tikval || {};

tikval.look = (function () {
  const STANCES = ["endorsed", "confronted"];
  const LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
  const DARK = ["#4DA3DC", "#FF8C42", "#2BC79B", "#E39CC4", "#F5B83D", "#9AD4F5"];
  const SYMBOLS = ["circle", "rect", "triangle", "diamond"];
  const DASHES = ["solid", [7, 4], [9, 3, 2, 3], [2, 2], [12, 4]];
  const HATCH = { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4 };
  const PLAIN = { color: "transparent" }; // a decal that is not seen: every bar gets one
  const FEW = 3; // series that can be read together where each has many bars
  const LEGEND = 34; // its height, and that of a line of keys

  const dark = matchMedia("(prefers-color-scheme: dark)");

  // text

  const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
  const two = (number) => number.toFixed(2);
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  // braces would be markup in a label of several styles
  const plain = (text) => String(text).replaceAll("{", "{\u200b");
  const interval = (low, high, say) => (low === null || high === null ? "" : ` [${say(low)}, ${say(high)}]`);
  const whole = (n) => Math.round(n).toLocaleString("en");
  const counted = (n, what) => `${whole(n)} ${what}`;

  /** Over lines of at most `most` letters, cut after spaces and underscores; a longer word stays whole. */
  function wrapped(text, most) {
    const lines = [""];
    for (const word of short(text, 60).split(/(?<=[ _])/)) {
      const last = lines.at(-1);
      if (last && (last + word).trimEnd().length > most) lines.push(word);
      else lines[lines.length - 1] = last + word;
    }
    return lines.map((line) => line.trimEnd()).join("\n");
  }

  // looks

  function lookOf(div) {
    const own = getComputedStyle(div);
    const read = (name, other) => own.getPropertyValue(name).trim() || other;
    const ink = read("--ink", own.color);
    const palette = dark.matches ? DARK : LIGHT;
    return {
      width: div.clientWidth,
      narrow: div.clientWidth < 600,
      ink,
      quiet: read("--quiet", ink),
      line: read("--line", "#bbbbbb"),
      faint: echarts.color.modifyAlpha(read("--quiet", ink), 0.55), // what is switched off
      card: read("--card", dark.matches ? "#111111" : "#ffffff"),
      stance: { endorsed: palette[0], confronted: palette[1] },
      colours: [...palette, ink],
      font: getComputedStyle(document.body).fontFamily,
    };
  }

  /** Colour, symbol and dashes of the n-th system, the annotations and baselines apart. */
  function lookOfSystem(look, n) {
    return {
      color: look.colours[n % look.colours.length],
      symbol: SYMBOLS[n % SYMBOLS.length],
      dash: DASHES[n % DASHES.length],
    };
  }

  const label = (look, more = {}) => ({ color: look.ink, fontSize: look.narrow ? 11 : 12, ...more });
  const quiet = (look, more = {}) => ({ color: look.quiet, fontSize: 11, ...more });

  /** An axis of numbers: quiet labels over thin lines. */
  function numbers(look, more) {
    return {
      type: "value",
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { showMinLine: !(more.min < 0), showMaxLine: false, lineStyle: { color: look.line } },
      nameLocation: "middle",
      nameTextStyle: quiet(look),
      ...more,
      axisLabel: quiet(look, { hideOverlap: true, ...more.axisLabel }),
    };
  }

  /** An axis of names. */
  function names(look, data, more = {}) {
    return {
      type: "category",
      data: data.map(plain),
      axisTick: { show: false },
      axisLine: { lineStyle: { color: look.line } },
      ...more,
      axisLabel: label(look, { interval: 0, ...more.axisLabel }),
    };
  }

  /** The titles of the values, on the first of the panels that stand side by side. */
  const valueAxis = (look, values, n, across) =>
    names(look, values, {
      gridIndex: n,
      inverse: true,
      axisLine: { show: false },
      axisLabel: {
        show: n % across === 0,
        lineHeight: look.narrow ? 12 : 14,
        formatter: (title) => (look.narrow ? wrapped(title, 16) : short(title, 30)),
      },
    });

  const heading = (look, text, left, top, more = {}) => ({
    text: plain(text),
    left,
    top,
    textStyle: { color: look.ink, fontSize: 13, fontWeight: 600, lineHeight: 16, ...more },
  });

  // legends: series are named by their number, as two names may be alike

  const key = (n) => `#${n}`;

  /** At first all series, or the annotations and the first system only. */
  function choose(state, series, few) {
    if (state.selected) return;
    const first = [series.findIndex((one) => one.human), series.findIndex((one) => !one.human)];
    const shown = (n) => series.length <= few || first.includes(n);
    state.selected = Object.fromEntries(series.map((_, n) => [key(n), shown(n)]));
  }

  const legend = (look, series, state, more = {}) => ({
    type: "scroll",
    top: 0,
    left: 0,
    right: 0,
    itemGap: 14,
    ...more,
    data: series.map((_, n) => key(n)),
    selected: state.selected,
    formatter: (name) => plain(short(series[Number(name.slice(1))].name, 32)),
    textStyle: label(look),
    inactiveColor: look.faint,
    pageIconColor: look.ink,
    pageIconInactiveColor: look.line,
    pageTextStyle: quiet(look),
  });

  const stanceKey = (look, top, data) => ({ top, left: 0, data, selectedMode: false, textStyle: label(look) });

  /** Of a chart with a panel for each chosen series: their height, legends, and series without data for the legend. */
  function panels(look, series, state) {
    choose(state, series, 1);
    const several = series.length > 1;
    const stances = stanceKey(look, several ? LEGEND : 0, [...STANCES].reverse());
    return {
      shown: series.filter((_, n) => state.selected[key(n)]),
      head: several ? 2 * LEGEND : LEGEND,
      legends: several ? [legend(look, series, state, { icon: "roundRect" }), stances] : [stances],
      switches: series.map((_, n) => ({
        type: "line", name: key(n), data: [], itemStyle: { color: look.quiet, decal: PLAIN },
      })),
    };
  }

  const bar = (look, stance) => ({
    color: look.stance[stance],
    decal: stance === "confronted" ? { ...HATCH, color: look.card } : PLAIN,
  });

  const gaps = (one) => STANCES.some((stance) => one[stance].flat().includes(null));
  const panelTitle = (look, one) => {
    const lacks = gaps(one) ? " (×: not modelled)" : "";
    return `${short(one.name, look.narrow ? 16 : 30)}: ${counted(one.videos, "videos")}${lacks}`;
  };
  const listed = (series) => {
    const names = series.slice(0, 3).map((one) => one.name);
    return names.join(", ") + (series.length > 3 ? ` and ${series.length - 3} more` : "");
  };

  return {
    dark, STANCES, SYMBOLS, DASHES, PLAIN, FEW, LEGEND, percent, two, short, plain, interval, whole, counted, wrapped,
    lookOf, lookOfSystem, quiet, numbers, names, valueAxis, heading, key, choose, legend, stanceKey, panels, bar,
    gaps, panelTitle, listed,
  };
})();
