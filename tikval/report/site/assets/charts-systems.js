/* The systems beside each other: systems_f1.
 *
 * Each: data, look, what was chosen -> height in pixels, an option of ECharts, a sentence for who does not see it.
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const { two, short, plain, interval, whole, counted, wrapped, quiet, numbers, names } = tikval.look;

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
      const style = { text: two(one.f1), fill: look.ink, font: `12px ${look.font}`, verticalAlign: "middle" };
      const text = { type: "text", x: Math.max(high, x + 6) + 6, y, style };
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
    const some = data.systems.some((one) => one.lower !== null);
    const best = data.systems[0], n = data.systems.filter((one) => !one.baseline).length;
    return {
      height: 76 + row * data.systems.length,
      sentence: `${some ? "Points with 95 % intervals" : "Points, no intervals"}: macro F1 of ${n} systems and of baselines, the best on top:
        ${best.name}, ${two(best.f1)}.`,
      option: {
        grid: { left: labels, right: 46, top: 26, bottom: 50 },
        xAxis: numbers(look, {
          min: 0, max: Math.min(1, Math.ceil(11 * most) / 10), nameGap: 28,
          name: some ? "macro F1, with its 95 % interval" : "macro F1",
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

  tikval.kinds = { ...tikval.kinds, systems_f1: systems };
})();
