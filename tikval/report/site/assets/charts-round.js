/* The values around a circle: radar (F1 of each) and circle (how often each occurs).
 *
 * Each: data, look, what was chosen -> height in pixels, an option of ECharts, a sentence for who does not see it.
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const {
    STANCES, PLAIN, FEW, LEGEND, percent, two, plain, whole, counted, wrapped, lookOfSystem, quiet, heading, key,
    choose, legend, panels, bar, panelTitle, listed,
  } = tikval.look;

  const pen = document.createElement("canvas").getContext("2d"); // measures letters
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
      const sideways = Math.abs(aside) === 1;
      return {
        type: "text", silent: true,
        x: x + radius * right + (sideways ? 0 : aside * wide),
        y: y - (radius + (lines.length * lineHeight) / 2) * up,
        style: {
          text: lines.join("\n"), fill: look.ink, font: pen.font, lineHeight, verticalAlign: "middle",
          align: sideways ? (aside > 0 ? "left" : "right") : "center",
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

  tikval.kinds = { ...tikval.kinds, radar, circle };
})();
