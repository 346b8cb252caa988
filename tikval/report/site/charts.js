/* Draws the charts of a page with ECharts: each <div class="plot" data-chart="NAME"> from window.tikval.charts[NAME].

   The data are those of figure_data.py; `kind` says which function of KINDS draws them. Every name and title in them is
   a stranger's text: it goes to a canvas or into textContent, never into HTML. Nothing here needs a style or a script
   within the page, so a policy may forbid both. Colours are Okabe and Ito's, as in figure_style.py, lighter on dark
   pages; ink, lines and cards are the page's own. Units: pixels, and shares from 0 to 1. */
"use strict";
(() => {
  const STANCES = ["endorsed", "confronted"];
  const LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
  const DARK = ["#4DA3DC", "#FF8C42", "#2BC79B", "#E39CC4", "#F5B83D", "#9AD4F5"];
  const SYMBOLS = ["circle", "rect", "triangle", "diamond"];
  const DASHES = ["solid", [7, 4], [9, 3, 2, 3], [2, 2], [12, 4]];
  const HATCH = { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4 };
  const PLAIN = { color: "transparent" }; // a decal that is not seen: every bar gets one
  const FEW = 3; // series that can be read together where each has many bars
  const MISSING = "This chart cannot be shown here; the files beside it have the same figure and its numbers.";
  const LEGEND = 34; // its height, and that of a line of keys

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const pen = document.createElement("canvas").getContext("2d"); // measures letters

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
    const said = series.slice(0, 3).map((one) => one.name);
    return said.join(", ") + (series.length > 3 ? ` and ${series.length - 3} more` : "");
  };

  // charts: data, look, what was chosen -> height in pixels, an option of ECharts, a sentence for who does not see it

  function perVideo(data, look, state) {
    choose(state, data.series, FEW);
    const most = Math.max(...data.series.map((one) => one.counts.length));
    let system = 0;
    const series = data.series.map((one, n) => ({
      type: "bar",
      name: key(n),
      data: one.counts.map((count) => ({ value: (100 * count) / one.videos, count })),
      itemStyle: one.human ? { color: look.quiet, decal: PLAIN } : { color: lookOfSystem(look, system++).color },
      barMaxWidth: 42,
      barGap: "8%",
      barCategoryGap: "24%",
    }));
    const say = (points) => {
      const line = ({ marker, seriesIndex, value, data: { count } }) =>
        `${marker}${plain(data.series[seriesIndex].name)}: ${value.toFixed(1)} % (${whole(count)})`;
      return [`${points[0].axisValue} values`, ...points.map(line)].join("\n");
    };
    return {
      height: look.narrow ? 340 : 380,
      sentence: `Bars: how many values a video has, in percent of the videos, by ${listed(data.series)}.`,
      option: {
        legend: legend(look, data.series, state),
        grid: { left: 46, right: 8, top: LEGEND + 16, bottom: 44 },
        xAxis: names(look, [...Array(most).keys()].map(String), {
          name: "values of a video", nameLocation: "middle", nameGap: 26, nameTextStyle: quiet(look),
        }),
        yAxis: numbers(look, { axisLabel: { formatter: "{value} %" } }),
        tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, formatter: say },
        series,
      },
    };
  }

  function occurrences(data, look, state) {
    const { shown, head, legends, switches } = panels(look, data.series, state);
    const labels = look.narrow ? 112 : 190;
    const across = Math.max(1, Math.min(shown.length, 3, Math.floor((look.width - labels) / 270)));
    const tall = (look.narrow ? 28 : 21) * data.values.length;
    const width = (look.width - labels - 12) / across;
    const most = Math.max(1, ...shown.flatMap((one) => STANCES.flatMap((stance) => one[stance])));
    const option = {
      legend: legends, title: [], grid: [], xAxis: [], yAxis: [], series: switches,
      tooltip: { trigger: "axis", axisPointer: { type: "shadow" } },
    };
    shown.forEach((one, n) => {
      const left = labels + (n % across) * width, top = head + 28 + Math.floor(n / across) * (tall + 70);
      option.title.push(heading(look, panelTitle(look, one), look.narrow ? 0 : left, top - 28, {
        width: look.narrow ? look.width : width - 14, overflow: "truncate",
      }));
      option.grid.push({ left, width: width - 14, top, height: tall });
      option.xAxis.push(numbers(look, {
        gridIndex: n, min: -1.25 * most, max: 1.25 * most, splitNumber: 4, name: "videos", nameGap: 24,
        axisLabel: { formatter: (count) => whole(Math.abs(count)), showMinLabel: false, showMaxLabel: false },
      }));
      option.yAxis.push(valueAxis(look, data.values, n, across));
      for (const stance of STANCES) {
        const sign = stance === "endorsed" ? 1 : -1;
        option.series.push({
          type: "bar", name: stance, xAxisIndex: n, yAxisIndex: n,
          barWidth: "72%", barGap: "-100%", // both in one line
          itemStyle: bar(look, stance),
          data: one[stance].map((count) => ({ value: sign * (count ?? 0), count })),
          label: {
            show: true, position: sign > 0 ? "right" : "left", ...quiet(look),
            formatter: ({ data: { count } }) => (count === null ? "×" : count ? whole(count) : ""),
          },
        });
      }
    });
    option.tooltip.formatter = (points) => {
      const one = shown[points[0].axisIndex];
      const say = ({ marker, seriesName, data: { count } }) => {
        const many = count === null ? "not modelled" : `${whole(count)} (${percent(count / one.videos, 1)})`;
        return `${marker}${seriesName}: ${many}`;
      };
      return [plain(points[0].name), plain(one.name), ...points.map(say)].join("\n");
    };
    return {
      height: head + 20 + Math.ceil(shown.length / across) * (tall + 70),
      sentence: `Bars to both sides: in how many videos each of ${data.values.length} values is confronted and
        endorsed, by ${listed(data.series)}.`,
      option,
    };
  }

  const turn = (n, of) => (2 * Math.PI * n) / of; // clockwise from the top

  /** Texts around a circle, the first on top: beside it, and in the middle of where they stand above or below it. */
  function around(look, texts, x, y, radius) {
    const [size, lineHeight, most] = look.narrow ? [9, 11, 11] : [12, 14, 14];
    pen.font = `${size}px ${look.font}`;
    return texts.map((text, n) => {
      const right = Math.sin(turn(n, texts.length)), up = Math.cos(turn(n, texts.length));
      const lines = wrapped(text, most).split("\n");
      const wide = Math.max(...lines.map((line) => pen.measureText(line).width)) / 2;
      const aside = Math.sign(right) * Math.max(0, Math.min(1, 4 * (Math.abs(right) - 0.1))); // -1 to 1
      const beside = Math.abs(aside) === 1;
      return {
        type: "text", silent: true,
        x: x + radius * right + (beside ? 0 : aside * wide),
        y: y - (radius + (lines.length * lineHeight) / 2) * up,
        style: {
          text: lines.join("\n"), fill: look.ink, font: pen.font, lineHeight, verticalAlign: "middle",
          align: beside ? (aside > 0 ? "left" : "right") : "center",
        },
      };
    });
  }

  function radar(data, look, state) {
    choose(state, data.series.map((one) => ({ human: one.baseline })), look.narrow ? FEW : Infinity);
    const size = data.values.length;
    const room = look.narrow ? 74 : 120;
    const radius = Math.max(70, Math.min(250, look.width / 2 - room));
    const top = LEGEND + (look.narrow ? 40 : 46);
    let system = 0;
    const series = data.series.map((one, n) => {
      const own = one.baseline ? { color: look.quiet, symbol: "circle", dash: "dotted" } : lookOfSystem(look, system++);
      const f1 = [...one.f1, one.f1[0]];
      return {
        type: "line", coordinateSystem: "polar", name: key(n), connectNulls: false,
        data: f1.map((number, v) => [number ?? NaN, v]),
        symbol: own.symbol, symbolSize: one.baseline ? 3 : look.narrow ? 4 : 6,
        itemStyle: { color: own.color }, lineStyle: { color: own.color, type: own.dash, width: 1.8 },
        emphasis: { focus: "series" },
      };
    });
    const titles = data.values.map((title, v) => (look.narrow ? title : `${title} (${whole(data.support[v])})`));
    const say = (points) => {
      const v = Math.round(points[0].axisValue) % size;
      const lines = points.filter((p) => !Number.isNaN(p.value[0])).sort((a, b) => b.value[0] - a.value[0]);
      return [
        plain(`${data.values[v]}: ${counted(data.support[v], "videos")}`),
        ...lines.map((p) => `${p.marker}${plain(data.series[p.seriesIndex].name)}: ${two(p.value[0])}`),
      ].join("\n");
    };
    return {
      height: top + 2 * radius + (look.narrow ? 46 : 56),
      sentence: `Radar: F1 of each of ${size} values ${data.stance}, for ${listed(data.series)}; a gap where there
        is none.`,
      option: {
        legend: legend(look, data.series, state),
        polar: { center: [look.width / 2, top + radius], radius },
        angleAxis: {
          type: "value", min: 0, max: size, interval: 1, startAngle: 90, clockwise: true,
          axisLine: { lineStyle: { color: look.line } }, axisTick: { show: false }, minorTick: { show: false },
          splitLine: { lineStyle: { color: look.line } },
          axisLabel: { show: false },
        },
        radiusAxis: {
          type: "value", min: 0, max: 1, interval: 0.2, axisLine: { show: false }, axisTick: { show: false },
          splitLine: { lineStyle: { color: look.line } },
          axisLabel: quiet(look, {
            fontSize: 10, showMaxLabel: false,
            formatter: (f1) => (f1 > 0.7 ? "F1 = 0.8" : f1 ? f1.toFixed(1) : ""),
          }),
        },
        graphic: around(look, titles, look.width / 2, top + radius, radius + 7),
        tooltip: {
          trigger: "axis", formatter: say,
          axisPointer: { type: "line", label: { show: false }, lineStyle: { color: look.quiet } },
        },
        series,
      },
    };
  }

  /** Letters along a circle, their middle at an angle clockwise from the top, never upside down. */
  function bent(look, text, x, y, radius, middle) {
    const font = `${look.narrow ? 9 : 11}px ${look.font}`;
    pen.font = font;
    const widths = [...text].map((letter) => pen.measureText(letter).width);
    const below = Math.cos(middle) < 0, sign = below ? -1 : 1;
    let at = middle - (sign * widths.reduce((sum, width) => sum + width, 0)) / radius / 2;
    return [...text].map((letter, n) => {
      const angle = at + (sign * widths[n]) / radius / 2;
      at += (sign * widths[n]) / radius;
      return {
        type: "text", silent: true, z: 5,
        x: x + radius * Math.sin(angle), y: y - radius * Math.cos(angle), rotation: -angle + (below ? Math.PI : 0),
        style: { text: letter, font, fill: look.ink, align: "center", verticalAlign: "middle" },
      };
    });
  }

  function circle(data, look, state) {
    const { shown, head, legends, switches } = panels(look, data.series, state);
    const across = look.width >= 820 && shown.length > 1 ? 2 : 1;
    const room = look.narrow ? 70 : 112; // for the titles around the ring
    const ring = look.narrow ? 15 : 20;
    const radius = Math.max(60, Math.min(210, look.width / across / 2 - room - ring));
    const tall = 2 * (radius + ring) + (look.narrow ? 110 : 130);
    const step = 360 / data.values.length;
    const start = 90 - step * data.groups[0].begin;
    const top = Math.max(0.01, ...shown.flatMap((one) => STANCES.flatMap((stance) => one[stance])));
    const option = {
      legend: legends, title: [], polar: [], angleAxis: [], radiusAxis: [], graphic: [], series: switches,
      tooltip: { trigger: "item" },
      // the switches need axes of their own, which are not drawn
      grid: { show: false, width: 0, height: 0 }, xAxis: { show: false, type: "category" }, yAxis: { show: false },
    };
    shown.forEach((one, n) => {
      const x = ((n % across) + 0.5) * (look.width / across);
      const y = head + 26 + Math.floor(n / across) * tall + (tall - 26) / 2;
      option.title.push({ ...heading(look, panelTitle(look, one), x, y - tall / 2 - 6), textAlign: "center" });
      option.polar.push({ center: [x, y], radius: [0.16 * radius, radius] });
      option.angleAxis.push({
        polarIndex: n, type: "category", data: data.values.map(plain), startAngle: start, clockwise: true,
        axisLine: { lineStyle: { color: look.line } }, axisTick: { show: false },
        splitLine: { show: true, lineStyle: { color: look.line } },
        axisLabel: { show: false },
      });
      option.radiusAxis.push({
        polarIndex: n, min: 0, max: top, splitNumber: 3, axisLine: { show: false }, axisTick: { show: false },
        splitLine: { lineStyle: { color: look.line } },
        axisLabel: quiet(look, {
          fontSize: 10, showMaxLabel: false, formatter: (share) => (share ? percent(share) : ""),
        }),
      });
      option.graphic.push(...around(look, data.values, x, y, radius + ring + 8));
      for (const stance of STANCES) {
        one[stance].forEach((share, v) => {
          if (share !== null) return;
          const at = turn(v + (stance === "endorsed" ? -0.2 : 0.2), data.values.length);
          const near = 0.16 * radius + 8;
          option.graphic.push({
            type: "text", silent: true, x: x + near * Math.sin(at), y: y - near * Math.cos(at),
            style: { text: "×", fill: look.quiet, font: `9px ${look.font}`, align: "center", verticalAlign: "middle" },
          });
        });
        option.series.push({
          type: "bar", coordinateSystem: "polar", polarIndex: n, name: stance, barGap: "5%", barCategoryGap: "16%",
          itemStyle: bar(look, stance),
          data: one[stance],
          tooltip: {
            formatter: ({ name, marker, value }) =>
              [name, plain(one.name), `${marker}${stance}: ${percent(value, 1)}`].join("\n"),
          },
        });
      }
      option.series.push({
        type: "pie", silent: true, center: [x, y], radius: [radius + 3, radius + ring],
        startAngle: start, clockwise: true,
        data: data.groups.map((group) => ({ name: plain(group.name), value: group.end - group.begin })),
        itemStyle: { color: look.line, borderColor: look.card, borderWidth: 2, decal: PLAIN },
        label: { show: false }, tooltip: { show: false },
      });
      for (const group of data.groups) {
        const middle = turn((group.begin + group.end) / 2, data.values.length);
        option.graphic.push(...bent(look, group.name, x, y, radius + 1.5 + ring / 2, middle));
      }
    });
    return {
      height: head + 16 + Math.ceil(shown.length / across) * tall,
      sentence: `Bars around a circle: the share of videos that endorse and confront each of ${data.values.length}
        values, in Schwartz's order and four groups, by ${listed(data.series)}.`,
      option,
    };
  }

  function systems(data, look) {
    const row = look.narrow ? 34 : 28;
    const labels = look.narrow ? 116 : 240;
    const most = Math.max(...data.systems.map((one) => Math.max(one.f1, one.upper ?? 0)));
    const draw = (baseline, colour) => (params, api) => {
      const one = data.systems[api.value(1)];
      const [x, y] = api.coord([one.f1, api.value(1)]);
      const [low, high] = [one.lower ?? one.f1, one.upper ?? one.f1].map((end) => api.coord([end, 0])[0]);
      const stroke = { stroke: colour, lineWidth: 2 };
      const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: stroke });
      const whisker = [line(low, y, high, y), line(low, y - 4, low, y + 4), line(high, y - 4, high, y + 4)];
      const diamond = { points: [[x, y - 6], [x + 6, y], [x, y + 6], [x - 6, y]] };
      const point = baseline
        ? { type: "polygon", shape: diamond, style: { ...stroke, fill: look.card } }
        : { type: "circle", shape: { cx: x, cy: y, r: 5 }, style: { fill: colour } };
      const said = { text: two(one.f1), fill: look.ink, font: `12px ${look.font}`, verticalAlign: "middle" };
      const text = { type: "text", x: Math.max(high, x + 6) + 6, y, style: said };
      return { type: "group", children: [...(one.lower === null ? [] : whisker), point, text] };
    };
    const parts = [["systems", false, look.stance.endorsed], ["baselines", true, look.quiet]];
    const say = ({ value: [, at] }) => {
      const one = data.systems[at];
      return [
        plain(one.name),
        `macro F1 ${two(one.f1)}${interval(one.lower, one.upper, two)}`,
        `${whole(one.scored)} of ${counted(one.videos, "annotated videos")}`,
      ].join("\n");
    };
    const best = data.systems[0], n = data.systems.filter((one) => !one.baseline).length;
    return {
      height: 76 + row * data.systems.length,
      sentence: `Points with 95 % intervals: macro F1 of ${n} systems and of baselines, the best on top:
        ${best.name}, ${two(best.f1)}.`,
      option: {
        grid: { left: labels, right: 46, top: 26, bottom: 50 },
        xAxis: numbers(look, {
          min: 0, max: Math.min(1, Math.ceil(11 * most) / 10), name: "macro F1, with its 95 % interval", nameGap: 28,
        }),
        yAxis: names(look, data.systems.map((one) => one.name), {
          inverse: true, axisLine: { show: false },
          axisLabel: { lineHeight: 13, formatter: (name) => (look.narrow ? wrapped(name, 18) : short(name, 36)) },
        }),
        tooltip: { trigger: "item", formatter: say },
        series: parts.map(([name, baseline, colour]) => ({
          type: "custom", name, itemStyle: { color: colour }, encode: { x: 0, y: 1 },
          renderItem: draw(baseline, colour),
          data: data.systems.flatMap((one, at) => (one.baseline === baseline ? [[one.f1, at]] : [])),
          markLine: baseline || data.everything === null ? undefined : {
            silent: true, symbol: "none", precision: 6, data: [{ xAxis: data.everything }],
            lineStyle: { color: look.ink, type: "dotted", width: 1.2 },
            label: { position: "start", formatter: "predict everything", ...quiet(look) },
          },
        })),
      },
    };
  }

  const who = (look, one) => {
    const name = short(one.name, look.narrow ? 14 : 24);
    return one.note ? `${name}, ${one.note}` : name;
  };

  function genres(data, look) {
    const labels = look.narrow ? 112 : 190;
    const across = look.width >= 900 ? 2 : 1;
    const tall = (look.narrow ? 26 : 22) * data.values.length;
    const head = 46, foot = 106;
    const width = (look.width - labels) / across - 10;
    const option = {
      title: [], grid: [], xAxis: [], yAxis: [], visualMap: [], series: [], tooltip: { trigger: "item" },
    };
    const panels = data.sources.flatMap((one) => STANCES.map((stance) => [one, stance]));
    panels.forEach(([one, stance], n) => {
      // one scale for a stance, so that its panels compare
      const top = Math.max(0.01, ...data.sources.flatMap((each) => each[stance].flat()));
      const left = labels + (n % across) * (width + 10), y = head + Math.floor(n / across) * (head + tall + foot);
      const columns = one.genres.map((name, g) => `${short(name, 18)} (${whole(one.videos[g])})`);
      const colour = (share) => (share > (dark.matches ? 0.7 : 0.55) * top ? look.card : look.ink);
      option.title.push({
        ...heading(look, who(look, one), look.narrow ? 0 : left, y - head + 4), itemGap: 4, subtextStyle: quiet(look),
        subtext: `${stance}, % of the genre's videos${gaps(one) ? " (grey: not modelled)" : ""}`,
      });
      // a cell that is not drawn shows what is behind it: the label is not modelled
      option.grid.push({ left, width, top: y, height: tall, show: true, backgroundColor: look.line, borderWidth: 0 });
      option.xAxis.push(names(look, columns, {
        gridIndex: n, axisLine: { show: false }, axisLabel: { rotate: 45, fontSize: 11 },
      }));
      option.yAxis.push(valueAxis(look, data.values, n, across));
      option.visualMap.push({
        type: "continuous", show: false, seriesIndex: n, dimension: 2, min: 0, max: top,
        inRange: { color: [look.card, look.stance[stance]] },
      });
      option.series.push({
        type: "heatmap", name: stance, xAxisIndex: n, yAxisIndex: n,
        itemStyle: { borderColor: look.card, borderWidth: 1, decal: PLAIN },
        label: {
          show: width / columns.length >= 24, fontSize: 11, formatter: ({ value }) => (100 * value[2]).toFixed(0),
        },
        data: one[stance].flatMap((shares, v) =>
          shares.flatMap((share, g) =>
            share === null ? [] : [{ value: [g, v, share], label: { color: colour(share) } }])),
        tooltip: {
          formatter: ({ value: [g, v, share] }) => {
            const genre = plain(`${one.genres[g]}: ${counted(one.videos[g], "videos")}`);
            return [plain(data.values[v]), genre, `${stance}: ${percent(share, 1)}`].join("\n");
          },
        },
      });
    });
    return {
      height: Math.ceil(panels.length / across) * (head + tall + foot),
      sentence: `Heat map: in which share of each genre's videos a value is endorsed and confronted, by
        ${listed(data.sources)}; an empty cell is not modelled.`,
      option,
    };
  }

  /** The months from which to which there is an interval. */
  function runs({ low, high }) {
    const found = [];
    low.forEach((end, m) => {
      if (end === null || high[m] === null) return;
      const last = found.at(-1);
      if (last && last[1] === m - 1) last[1] = m;
      else found.push([m, m]);
    });
    return found;
  }

  function months(data, look) {
    const across = Math.min(data.values.length, look.narrow ? 2 : look.width < 900 ? 3 : 6);
    const rows = Math.ceil(data.values.length / across);
    const head = 34, title = 40, plot = 130, foot = 34;
    const each = head + rows * (title + plot + foot);
    const width = (look.width - 36) / across;
    const parts = data.sources.flatMap((one) => STANCES.flatMap((stance) => one[stance]));
    const most = Math.max(0.01, ...parts.flatMap((part) => [...part.high, ...part.rate]));
    const top = Math.min(1, Math.ceil(10 * most) / 10);
    const option = {
      legend: stanceKey(look, 0, STANCES), title: [], grid: [], xAxis: [], yAxis: [], series: [],
      tooltip: { trigger: "axis" },
    };
    data.sources.forEach((one, source) => {
      const begin = LEGEND + source * each;
      option.title.push(heading(look, who(look, one), 0, begin + 6));
      data.values.forEach((name, v) => {
        const n = option.grid.length, every = Math.ceil(one.months.length / Math.max(2, Math.floor(width / 56)));
        const left = 36 + (v % across) * width;
        const y = begin + head + title + Math.floor(v / across) * (title + plot + foot);
        option.title.push(heading(look, wrapped(name, look.narrow ? 22 : 18), left, y - title + 2, {
          fontSize: 12, fontWeight: 400, lineHeight: 14,
        }));
        option.grid.push({ left, width: width - 14, top: y, height: plot });
        option.xAxis.push(names(look, one.months, {
          gridIndex: n, boundaryGap: false,
          axisLabel: quiet(look, {
            fontSize: 10, interval: (m) => m % every === 0, alignMinLabel: "left", alignMaxLabel: "right",
          }),
        }));
        option.yAxis.push(numbers(look, {
          gridIndex: n, min: 0, max: top, splitNumber: 3,
          axisLabel: { show: v % across === 0, formatter: (share) => percent(share) },
        }));
        STANCES.forEach((stance, s) => {
          const part = one[stance][v], colour = look.stance[stance], at = { xAxisIndex: n, yAxisIndex: n };
          option.series.push({
            ...at, type: "line", name: stance, data: part.rate, connectNulls: false,
            symbol: SYMBOLS[s], symbolSize: 5, itemStyle: { color: colour },
            lineStyle: { color: colour, type: DASHES[s], width: 1.8 }, z: 3,
          });
          option.series.push({
            ...at, type: "custom", name: "95 % interval", silent: true, clip: true, z: 1, data: runs(part),
            renderItem: (params, api) => {
              const [first, last] = [api.value(0), api.value(1)];
              const run = [...Array(last - first + 1).keys()].map((m) => m + first);
              const over = run.map((m) => api.coord([m, part.high[m]]));
              const points = [...over, ...run.reverse().map((m) => api.coord([m, part.low[m]]))];
              // the line around it is all that is seen of a month by itself
              return { type: "polygon", shape: { points }, style: { fill: colour, stroke: colour, opacity: 0.2 } };
            },
          });
        });
      });
    });
    option.tooltip.formatter = (points) => {
      const lines = points.filter((point) => point.seriesType === "line");
      if (!lines.length) return "";
      const n = Math.floor(lines[0].seriesIndex / (2 * STANCES.length));
      const one = data.sources[Math.floor(n / data.values.length)], v = n % data.values.length;
      const m = lines[0].dataIndex, share = (part) => percent(part, 1);
      const say = ({ marker, seriesName: stance }) => {
        const { rate, low, high } = one[stance][v];
        return rate[m] === null ? "" : `${marker}${stance}: ${share(rate[m])}${interval(low[m], high[m], share)}`;
      };
      const when = `${plain(one.name)}, ${one.months[m]}: ${counted(one.videos[m], "videos")}`;
      return [plain(data.values[v]), when, ...lines.map(say)].filter(Boolean).join("\n");
    };
    return {
      height: LEGEND + data.sources.length * each,
      sentence: `Lines with 95 % bands: in which share of each month's videos the most frequent values are endorsed
        and confronted, by ${listed(data.sources)}.`,
      option,
    };
  }

  const KINDS = new Map(Object.entries({
    per_video: perVideo, occurrences, radar, circle, systems_f1: systems, genres, months,
  }));

  // the page

  /** Draws one chart, and draws it again when its width, the colours of the page or what is chosen changes. */
  function plot(div) {
    const charts = window.tikval?.charts ?? {};
    const data = Object.hasOwn(charts, div.dataset.chart) ? charts[div.dataset.chart] : null;
    const kind = KINDS.get(data?.kind);
    if (!kind || !window.echarts) {
      div.textContent = MISSING;
      return;
    }
    div.replaceChildren();
    div.setAttribute("role", "img");
    const state = {};
    let chart = null, width = 0;
    const draw = () => {
      width = div.clientWidth;
      if (!width) return; // not on show yet
      const look = lookOf(div);
      const { height, option, ...said } = kind(data, look, state);
      const sentence = said.sentence.replace(/\s+/g, " ");
      div.style.height = `${Math.round(height)}px`;
      div.setAttribute("aria-label", sentence);
      if (!chart) {
        chart = window.echarts.init(div, null, { renderer: "canvas", width, height });
        chart.on("legendselectchanged", ({ selected }) => {
          const chosen = Object.entries(selected).filter(([name]) => name.startsWith("#"));
          if (chosen.some(([, is]) => is)) state.selected = Object.fromEntries(chosen); // the last one stays
          draw();
        });
      }
      chart.resize({ width, height });
      chart.setOption({
        animation: !still.matches,
        backgroundColor: "transparent",
        darkMode: dark.matches,
        textStyle: { fontFamily: look.font, color: look.ink },
        aria: { enabled: true, label: { enabled: true, description: sentence }, decal: { show: true } },
        ...option,
        tooltip: {
          renderMode: "richText", // one of HTML would need styles within the page
          confine: true, backgroundColor: look.card, borderColor: look.line, borderWidth: 1, padding: 8,
          textStyle: { color: look.ink, fontSize: 12, fontFamily: look.font },
          ...option.tooltip,
        },
      }, { notMerge: true });
    };
    draw();
    new ResizeObserver(() => {
      if (div.clientWidth !== width) requestAnimationFrame(draw);
    }).observe(div);
    dark.addEventListener("change", draw);
    still.addEventListener("change", draw);
  }

  function begin() {
    for (const div of document.querySelectorAll("div.plot[data-chart]")) {
      try {
        plot(div);
      } catch (err) {
        div.textContent = MISSING;
        reportError(err); // the others are drawn all the same
      }
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
