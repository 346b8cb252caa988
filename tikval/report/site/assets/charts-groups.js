/* Shares of the videos of a group: genres and months.
 *
 * Each: data, look, what was chosen -> height in pixels, an option of ECharts, a sentence for who does not see it.
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const {
    dark, STANCES, SYMBOLS, DASHES, PLAIN, LEGEND, percent, short, plain, interval, whole, counted, wrapped, quiet,
    numbers, names, valueAxis, heading, stanceKey, gaps, listed,
  } = tikval.look;

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

  /** The intervals of months that are too few for a band. */
  const whiskers = (at, part, colour, s) => ({
    ...at, type: "custom", name: "95 % interval", silent: true, z: 2, data: part.low.map((_, m) => [m]),
    renderItem: (params, api) => {
      const m = api.value(0);
      if (part.low[m] === null) return null;
      const [x, low] = api.coord([m, part.low[m]]), high = api.coord([m, part.high[m]])[1], to = x + (2 * s - 1) * 2;
      const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: colour, lineWidth: 1.4 } });
      return { type: "group", children: [line(to, low, to, high), line(to - 3, low, to + 3, low), line(to - 3, high, to + 3, high)] };
    },
  });

  /** The numbers of months that are too small, where their points would stand. */
  const tooSmall = (look, at, one) => ({
    ...at, type: "custom", name: "too few videos", silent: true, data: one.small.map((_, m) => [m]),
    renderItem: (params, api) => {
      const m = api.value(0), [x, y] = api.coord([m, 0]);
      const style = { text: `n = ${one.small[m]}`, fill: look.quiet, font: `9px ${look.font}`, verticalAlign: "middle" };
      return one.small[m] === null ? null : { type: "text", x, y: y - 4, rotation: Math.PI / 2, style };
    },
  });

  function months(data, look) {
    const across = Math.min(data.values.length, look.narrow ? 2 : look.width < 900 ? 3 : 6);
    const rows = Math.ceil(data.values.length / across);
    const head = 34, title = 40, plot = 130, foot = 34;
    const each = head + rows * (title + plot + foot);
    const width = (look.width - 36) / across;
    const parts = data.sources.flatMap((one) => STANCES.flatMap((stance) => one[stance]));
    const most = Math.max(0.01, ...parts.flatMap((part) => [...part.high, ...part.rate]));
    const bands = parts.some((part) => part.low.some((end) => end !== null));
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
          gridIndex: n, boundaryGap: !data.lines,
          axisLabel: quiet(look, {
            fontSize: 10, interval: (m) => m % every === 0, alignMinLabel: "left", alignMaxLabel: "right",
          }),
        }));
        option.yAxis.push(numbers(look, {
          gridIndex: n, min: 0, max: top, splitNumber: 3,
          axisLabel: { show: v % across === 0, formatter: (share) => percent(share) },
        }));
        option.series.push(tooSmall(look, { xAxisIndex: n, yAxisIndex: n }, one));
        STANCES.forEach((stance, s) => {
          const part = one[stance][v], colour = look.stance[stance], at = { xAxisIndex: n, yAxisIndex: n };
          option.series.push({
            ...at, type: "line", name: stance, data: part.rate, connectNulls: false,
            symbol: SYMBOLS[s], symbolSize: data.lines ? 5 : 7, showAllSymbol: true, itemStyle: { color: colour },
            lineStyle: { color: colour, type: DASHES[s], width: data.lines ? 1.8 : 0 }, z: 3,
          });
          if (!data.lines) return void option.series.push(whiskers(at, part, colour, s));
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
      const n = Math.floor(lines[0].seriesIndex / (2 * STANCES.length + 1));
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
      sentence: `${data.lines ? "Lines" : "Points"}${bands ? ` with 95 % ${data.lines ? "bands" : "intervals"}` : ""}: in which share of each month's videos the most frequent values
        are endorsed and confronted, by ${listed(data.sources)}.`,
      option,
    };
  }

  tikval.kinds = { ...tikval.kinds, genres, months };
})();
