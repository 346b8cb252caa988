/* How many posts are left at each step from listed to annotated: attrition.
 *
 * Data, look -> height in pixels, an option of ECharts, a sentence for who does not see it.
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const { PLAIN, short, plain, percent, whole, counted, wrapped, numbers, names, stanceKey } = tikval.look;
  const REASONS = 8; // in a tooltip

  function attrition(data, look) {
    const row = look.narrow ? 40 : 34;
    const steps = data.steps, listed = steps[0].posts;
    const share = (posts) => (listed ? percent(posts / listed, 1) : "–");
    const lost = steps.map((step) => step.lost.reduce((sum, loss) => sum + loss.posts, 0));
    const text = ({ posts }) => `${whole(posts)} (${share(posts)})`;
    const hatch = { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4, color: look.quiet };
    const say = ({ dataIndex: at }) => {
      const why = steps[at].lost.slice(0, REASONS).map((loss) => `${whole(loss.posts)} ${loss.why}`);
      if (steps[at].lost.length > REASONS) why.push(`and ${steps[at].lost.length - REASONS} more reasons`);
      const head = `${steps[at].name}: ${text(steps[at])}`;
      return plain([head, ...(lost[at] ? [`lost since the step before: ${whole(lost[at])}`, ...why] : [])].join("\n"));
    };
    return {
      height: 52 + row * steps.length,
      sentence: `Bars: of ${counted(listed, "listed posts")} ${steps.slice(1)
        .map((step) => `${text(step)} ${step.name}`).join(", ")}.`,
      option: {
        legend: stanceKey(look, 0, ["posts", "lost since the step before"]),
        grid: { left: look.narrow ? 92 : 190, right: look.narrow ? 96 : 130, top: 36, bottom: 12 },
        xAxis: numbers(look, { min: 0, max: Math.max(1, listed), show: false }),
        yAxis: names(look, steps.map((step) => step.name), {
          inverse: true, axisLine: { show: false },
          axisLabel: { lineHeight: 13, formatter: (name) => (look.narrow ? wrapped(name, 13) : short(name, 30)) },
        }),
        tooltip: { trigger: "item", formatter: say },
        series: [
          {
            type: "bar", name: "posts", stack: "steps", barCategoryGap: "28%",
            itemStyle: { color: look.stance.endorsed, decal: PLAIN }, data: steps.map((step) => step.posts),
          },
          {
            type: "bar", name: "lost since the step before", stack: "steps",
            itemStyle: { color: look.card, borderColor: look.line, borderWidth: 1, decal: hatch },
            data: lost,
            label: {
              show: true, position: "right", color: look.ink, fontSize: look.narrow ? 11 : 12,
              formatter: ({ dataIndex: at }) => text(steps[at]),
            },
          },
        ],
      },
    };
  }

  tikval.kinds = { ...tikval.kinds, attrition };
})();
