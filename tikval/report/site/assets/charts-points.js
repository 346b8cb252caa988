/* Points with intervals, a row per value: points, where a chart around a circle would be read from too little.
 *
 * Each: data, look, what was chosen -> height in pixels, an option of ECharts, a sentence for who does not see it.
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const {
    LEGEND, percent, two, plain, interval, wrapped, short, lookOfSystem, quiet, numbers, valueAxis, heading, key, listed,
  } = tikval.look;

  function points(data, look) {
    const series = data.panels[0].series;
    const say = data.of_scores ? two : (share) => percent(share, 1);
    const labels = look.narrow ? 116 : 190;
    const across = data.panels.length > 1 && look.width >= 640 ? 2 : 1;
    const row = Math.max(look.narrow ? 30 : 24, 9 * series.length + 8);
    const tall = row * data.values.length, each = tall + 74;
    const width = (look.width - labels) / across - 14;
    const all = data.panels.flatMap((panel) => panel.series.flatMap((one) => [...one.at, ...one.high]));
    const top = data.of_scores ? 1 : Math.min(1, Math.ceil(20 * Math.max(0.05, ...all)) / 20);
    let system = 0;
    const looks = series.map((one) => (one.plain ? { color: look.quiet, symbol: "diamond" } : lookOfSystem(look, system++)));
    const option = { title: [], grid: [], xAxis: [], yAxis: [], series: [], tooltip: { trigger: "axis" } };
    data.panels.forEach((panel, n) => {
      const left = labels + (n % across) * (width + 14), y = LEGEND + 26 + Math.floor(n / across) * each;
      option.title.push(heading(look, panel.stance, left, y - 24));
      option.grid.push({ left, width, top: y, height: tall });
      option.xAxis.push(numbers(look, {
        gridIndex: n, min: 0, max: top, nameGap: 24, name: data.of_scores ? "F1" : "% of videos",
        axisLabel: { showMaxLabel: n === data.panels.length - 1, formatter: (at) => (data.of_scores ? two(at) : percent(at)) },
      }));
      option.yAxis.push({
        ...valueAxis(look, data.values, n, across),
        splitLine: { show: true, lineStyle: { color: look.line, opacity: 0.5 } },
      });
      panel.series.forEach((one, s) => {
        const shift = (s - (series.length - 1) / 2) * 9;
        option.series.push({
          type: "custom", name: key(s), xAxisIndex: n, yAxisIndex: n, itemStyle: { color: looks[s].color },
          encode: { x: 0, y: 1 }, data: one.at.map((at, v) => [at ?? NaN, v]),
          renderItem: (params, api) => {
            const v = api.value(1);
            if (one.at[v] === null) return null;
            const [x, middle] = api.coord([one.at[v], v]), at = middle + shift;
            const [low, high] = [one.low[v], one.high[v]].map((end) => (end === null ? x : api.coord([end, v])[0]));
            const stroke = { stroke: looks[s].color, lineWidth: 1.6 };
            const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: stroke });
            const ends = [line(low, at, high, at), line(low, at - 3, low, at + 3), line(high, at - 3, high, at + 3)];
            const fill = one.low[v] === null ? look.card : looks[s].color; // hollow: no interval
            const square = { x: x - 3.5, y: at - 3.5, width: 7, height: 7 };
            const dot = looks[s].symbol === "circle"
              ? { type: "circle", shape: { cx: x, cy: at, r: 4 }, style: { ...stroke, fill } }
              : { type: "rect", shape: square, style: { ...stroke, fill } };
            return { type: "group", children: [...(low === high ? [] : ends), dot] };
          },
        });
      });
    });
    option.legend = {
      type: "scroll", top: 0, left: 0, right: 0, selectedMode: false, textStyle: { color: look.ink, fontSize: 12 },
      data: series.map((one, s) => ({ name: key(s), icon: looks[s].symbol === "circle" ? "circle" : "rect" })),
      formatter: (name) => plain(short(series[Number(name.slice(1))].name, 32)),
    };
    option.tooltip.formatter = (found) => {
      const panel = data.panels[found[0].axisIndex], v = found[0].value[1];
      const lines = found.map(({ marker, seriesName }) => {
        const one = panel.series[Number(seriesName.slice(1))];
        return `${marker}${plain(one.name)}: ${say(one.at[v])}${interval(one.low[v], one.high[v], say)}`;
      });
      return [plain(data.values[v]), panel.stance, ...lines].join("\n");
    };
    option.tooltip.axisPointer = { type: "shadow", axis: "y" };
    const some = data.panels.some((panel) => panel.series.some((one) => one.low.some((end) => end !== null)));
    return {
      height: LEGEND + Math.ceil(data.panels.length / across) * each,
      sentence: `Points${some ? " with 95 % intervals" : ", no intervals"}: ${data.of_scores ? "F1" : "share of videos"} of
        each of ${data.values.length} values, by ${listed(series)}.`,
      option,
    };
  }

  tikval.kinds = { ...tikval.kinds, points };
})();
